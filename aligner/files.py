"""Files appear whole or not at all, and never over an input."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from aligner.errors import OutputError, StorageError

TEMPORARY = re.compile(r"\.aligning-[a-z0-9_]{8}(\.\w+)?")  # names of half-written files

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another -o",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another -o",
    errno.EACCES: "no permission to write there; choose another -o",
    errno.EPERM: "no permission to write there; choose another -o",
    errno.EROFS: "the folder is read-only; choose another -o",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another -o",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another -o",
    errno.ENAMETOOLONG: "the file name is too long; choose another -o",
}
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO)


@contextmanager
def atomic_write(path: Path, protect: Iterable[Path] = ()) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    Parameters
    ----------
    path : Path
        Where the file will be.
    protect : iterable of Path
        Inputs that must not be overwritten.

    Yields
    ------
    Path
        To write to. Removed when the block fails for whatever reason.

    Raises
    ------
    OutputError
        A path that cannot be written, or a protected one.
    StorageError
        Full disk or read-only folder.
    """
    if any(path.exists() and other.exists() and path.samefile(other) for other in protect):
        raise OutputError(f"{path} is an input and is not overwritten: choose another -o")
    temporary = None
    try:
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise OutputError(f"{path} is a folder, a file is to be written there: choose another -o")
            if path.exists() and not path.is_file():  # the rename would replace the device itself
                raise OutputError(f"{path} is a pipe or a device: choose another -o, or -o - for standard output")
            handle, name = tempfile.mkstemp(prefix=".aligning-", suffix=path.suffix, dir=path.parent)
            os.close(handle)
            temporary = Path(name)
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
    finally:
        if temporary is not None:
            with suppress(OSError):  # the folder has turned read-only: the error under way says so
                temporary.unlink(missing_ok=True)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Name what could not be written and why.

    Raises
    ------
    OutputError
        Instead of any OSError of the block.
    StorageError
        Where nothing else could be written either.
    """
    try:
        yield
    except OSError as error:
        kind = StorageError if error.errno in _STORAGE else OutputError
        raise kind(f"cannot write {path}: {reason(error)}") from error


def reason(error: OSError) -> str:
    """Why something could not be written and what to do about it."""
    return _REASONS.get(error.errno or 0, (error.strerror or str(error)).lower())


def lock(handle: IO[Any]) -> bool:
    """Claim an open file for this process, until it is closed or the process ends; False if another has it."""
    if sys.platform == "win32":
        return True  # an open file cannot be removed by another process there
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
