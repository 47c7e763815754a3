"""Files appear whole or not at all, and never over an input."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aligner.errors import OutputError


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
        Missing or read-only folder, full disk, or a protected path.
    """
    if any(path.exists() and other.exists() and path.samefile(other) for other in protect):
        raise OutputError(f"{path} is an input and is not overwritten: choose another -o")
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise OutputError(f"{path} is a folder, a file is to be written there: choose another -o")
        if path.exists() and not path.is_file():  # the rename would replace the device itself
            raise OutputError(f"{path} is a pipe or a device: choose another -o, or -o - for standard output")
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """Why something could not be written and what to do about it."""
    known = {
        errno.ENOSPC: "the disk is full; free some space or choose another -o",
        errno.EDQUOT: "the disk quota is used up; free some space or choose another -o",
        errno.EACCES: "no permission to write there; choose another -o",
        errno.EPERM: "no permission to write there; choose another -o",
        errno.EROFS: "the folder is read-only; choose another -o",
        errno.ENOTDIR: "a part of the path is a file, not a folder; choose another -o",
        errno.EEXIST: "a part of the path is a file, not a folder; choose another -o",
        errno.ENAMETOOLONG: "the file name is too long; choose another -o",
    }
    return known.get(error.errno or 0, (error.strerror or str(error)).lower())
