"""What a process that does nothing but align sets up once, for its own memory."""

from __future__ import annotations

import ctypes
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_MMAP_THRESHOLD = -3  # of malloc.h
_LARGE = 1 << 20  # bytes


def give_back() -> None:
    """Have the C library return large blocks to the system as they are freed.

    glibc does so with blocks above a size that grows, up to 32 MiB, with every one that is freed; below it, what
    tensors took stays with the process. A size that is set stays as it is (mallopt(3)). Other libraries are left alone.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)


@contextmanager
def lasting() -> Iterator[None]:
    """What is made inside stays: to look for garbage in a model again and again takes half a second."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
