"""Memory that the system may have back, on Linux; elsewhere nothing happens."""

from __future__ import annotations

import ctypes
import mmap
import platform
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_PAGE_OUT = 21  # MADV_PAGEOUT of asm-generic/mman-common.h


def give_back() -> None:
    """Return what was freed to the system.

    glibc keeps what tensors took, in pieces between those that are still held: a step of another kind would find no
    room there and take more (malloc_trim(3)). Between such steps this costs milliseconds.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def let_go(mapped: NDArray[Any]) -> None:
    """Let go of the pages of an array that is mapped from a file; what was written to it stays in the file."""
    whole: Any = mapped
    while whole is not None and not isinstance(whole, mmap.mmap):
        whole = getattr(whole, "base", None)
    if whole is not None and hasattr(mmap, "MADV_DONTNEED"):
        whole.madvise(mmap.MADV_DONTNEED)


def page_out(tensor: torch.Tensor) -> None:
    """Let go of the pages of a tensor that is mapped from a file: they are read again where they are used."""
    if platform.system() == "Linux":
        start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        length = tensor.data_ptr() + tensor.nbytes - start
        if length > 0:
            # A request that changes nothing but where pages are, whatever memory this is; kernels before 5.4 refuse it.
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _PAGE_OUT)
