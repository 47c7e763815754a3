"""Where the audio of a file lies by its own header, and where the header is wrong.

libsndfile reads a shortened wav, aiff, au or sphere file to its end without a
word, and one whose size was never filled in as empty. Recorders that crash
leave such sizes, and so do programs that write to a pipe: 0, or the largest
number there is.

References
----------
RIFF: Multimedia Programming Interface and Data Specifications 1.0 (1991); RF64: EBU Tech 3306; AIFF: Apple, Audio
Interchange File Format 1.3 (1989); Wave64: Sony, Sound Forge; FLAC: RFC 9639, section 8.2.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_UNKNOWN = {"I": 0x7FFFFF00, "Q": 1 << 62}  # sizes from here on that a file does not have stand for "not known"
_WAVE64 = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # the second part of the names of its chunks
_TAGS = (b"ID3", b"TAG")  # what may stand behind the last chunk and is no audio


@dataclass(frozen=True)
class Extent:
    """What a header says about where the audio is, against what is there.

    Attributes
    ----------
    missing : int
        Bytes that the header promises and the file lacks.
    behind : int
        Bytes behind the end by the header that look like more audio.
    stated : bool
        False where the header does not say how long the audio is, although its format has a place for it.
    mended : mapping of int to bytes
        What should stand at which place of the file for all of its audio to be read.
    """

    missing: int = 0
    behind: int = 0
    stated: bool = True
    mended: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class _Size:
    """The number in a header that says how many bytes of audio there are.

    `value` counts `more` bytes that are no audio; `chunk` is the layout of the heads of the chunks that may follow.
    """

    place: int
    layout: str
    value: int
    audio: int
    more: int = 0
    chunk: str = ""


def extent(path: Path) -> Extent:
    """Compare a header with the file it stands in.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Extent
        The default for formats that are not judged by their header.
    """
    with path.open("rb") as handle:
        end = handle.seek(0, 2)
        handle.seek(0)
        head = handle.read(1024)
        if head[:7] == b"NIST_1A":
            return Extent(missing=max(0, _sphere(head) - end))
        if head[:4] == b"fLaC":
            # The number of samples, 36 bits: only who decodes them all knows it.
            return Extent(stated=len(head) < 26 or bool(head[21] & 15) or any(head[22:26]))
        size = _size(head, handle)
        if size is None:
            return Extent()
        empty, stop = size.value <= size.more, size.audio + size.value - size.more
        if empty and not _more_audio(handle, size.audio, size.chunk):
            return Extent()  # it is as empty as it says
        if not empty and stop <= end:
            return Extent(behind=end - stop if head[:4] != b"riff" and _more_audio(handle, stop, size.chunk) else 0)
        if not empty and size.value < _UNKNOWN[size.layout[1]]:
            return Extent(missing=stop - end)
    largest = (1 << 8 * struct.calcsize(size.layout)) - 1
    mended = struct.pack(size.layout, min(end - size.audio + size.more, largest))
    return Extent(stated=False, mended={size.place: mended})


def _size(head: bytes, handle: BinaryIO) -> _Size | None:
    name, kind = head[:4], head[8:12]
    if name in (b"RIFF", b"RIFX") and kind == b"WAVE":
        return _chunk(handle, "<4sI" if name == b"RIFF" else ">4sI", b"data")
    if name == b"FORM" and kind in (b"AIFF", b"AIFC"):
        return _chunk(handle, ">4sI", b"SSND", more=8)  # its offset and its block size are counted
    if name == b"RF64" and head[12:16] == b"ds64" and len(head) >= 36:
        data = _chunk(handle, "<4sI", b"data")
        return data and _Size(28, "<Q", struct.unpack("<Q", head[28:36])[0], data.audio, 0, data.chunk)
    if name == b"riff" and head[28:40] == _WAVE64:
        return _wave64(handle)
    if name == b".snd" and len(head) >= 12:
        offset, value = struct.unpack(">II", head[4:12])
        return _Size(8, ">I", value, offset)
    return None


def _chunk(handle: BinaryIO, layout: str, wanted: bytes, more: int = 0) -> _Size | None:
    """The size of a chunk of a RIFF (little-endian) or IFF (big-endian) file."""
    handle.seek(12)
    while len(head := handle.read(8)) == 8 and _is_name(head[:4]):
        name, length = struct.unpack(layout, head)
        if name == wanted:
            return _Size(handle.tell() - 4, layout[0] + layout[-1], length, handle.tell() + more, more, layout)
        handle.seek(length + length % 2, 1)
    return None


def _wave64(handle: BinaryIO) -> _Size | None:
    handle.seek(40)
    while len(head := handle.read(24)) == 24 and head[4:16] == _WAVE64:
        length = struct.unpack("<Q", head[16:])[0]
        if head[:4] == b"data":
            return _Size(handle.tell() - 8, "<Q", length, handle.tell(), 24)
        if not 24 <= length < _UNKNOWN["Q"]:
            return None
        handle.seek((length + 7) // 8 * 8 - 24, 1)
    return None


def _more_audio(handle: BinaryIO, start: int, chunk: str) -> bool:
    """Whether what follows a place is neither further chunks nor tags nor zeros."""
    end = handle.seek(0, 2)
    start += start % 2 if chunk else 0
    while end - start >= 8:
        handle.seek(start)
        head = handle.read(8)
        if head.startswith(_TAGS):
            return False
        if not chunk or not _is_name(head[:4]):
            return any(head) or any(any(block) for block in iter(lambda: handle.read(1 << 16), b""))
        length = struct.unpack(chunk, head)[1]
        start += 8 + length + length % 2
    return start > end + 1  # a chunk that reaches beyond the end is none


def _is_name(name: bytes) -> bool:
    return all(32 <= character < 127 for character in name)


def _sphere(head: bytes) -> int:
    """Where the audio of a NIST sphere file ends by its header; 0 if it does not say."""
    fields = dict(re.findall(rb"(\w+) -i (\d{1,15})\b", head))
    try:
        samples, channels, width = (int(fields[k]) for k in (b"sample_count", b"channel_count", b"sample_n_bytes"))
        return int(head[8:16]) + samples * channels * width
    except (KeyError, ValueError):
        return 0


class Mended(io.FileIO):
    """A file to read in which other bytes seem to stand at some places.

    Parameters
    ----------
    path : Path
    mended : mapping of int to bytes
    """

    def __init__(self, path: Path, mended: Mapping[int, bytes]) -> None:
        super().__init__(path)
        self._mended = mended

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]  # typeshed names its type for itself alone
        """Fill a buffer with what comes next."""
        start = self.tell()
        count = super().readinto(buffer) or 0
        view = memoryview(buffer).cast("B")
        for place, content in self._mended.items():
            low, high = max(place, start), min(place + len(content), start + count)
            if low < high:
                view[low - start : high - start] = content[low - place : high - place]
        return count
