"""Where the audio of a file ends by its own header, to tell a file that was cut off.

libsndfile reads a shortened wav, aiff, au, sphere or ogg file to its end
without a word; flac, mp3 and caf it notices by itself.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO

_UNKNOWN = 0x7FFFFF00  # sizes from here on are what programs write that stream to a pipe
_OGG_PAGE = 27 + 255 + 255 * 255  # bytes of the longest page


def missing_bytes(path: Path) -> int:
    """Bytes of audio that a file's header promises and the file lacks.

    Parameters
    ----------
    path : Path

    Returns
    -------
    int
        0 for whole files and where the header does not say.
    """
    with path.open("rb") as handle:
        head = handle.read(1024)
        size = handle.seek(0, 2)
        if head[:4] == b"OggS":
            first, end = _last_page(handle, size)
            return end - first if end > size else 0  # a page that is not whole is lost whole
        return max(0, _promised_size(head, handle) - size)


def _promised_size(head: bytes, handle: BinaryIO) -> int:
    """Where the audio ends by the header; 0 if it does not say."""
    if head[:4] == b"RIFF":
        return _chunked(handle, "<4sI", b"data")
    if head[:4] == b"FORM":
        return _chunked(handle, ">4sI", b"SSND")
    if head[:4] == b"RF64" and len(head) >= 28:
        return int(struct.unpack("<Q", head[20:28])[0]) + 8
    if head[:4] == b"riff" and len(head) >= 24:  # Wave64
        return int(struct.unpack("<Q", head[16:24])[0])
    if head[:4] == b".snd" and len(head) >= 12:
        offset, size = struct.unpack(">II", head[4:12])
        return int(offset + size) if size < _UNKNOWN else 0
    if head[:7] == b"NIST_1A":
        return _sphere(head)
    return 0


def _chunked(handle: BinaryIO, layout: str, wanted: bytes) -> int:
    """End of a chunk of a RIFF (little-endian) or IFF (big-endian) file."""
    handle.seek(12)
    while len(head := handle.read(8)) == 8:
        name, length = struct.unpack(layout, head)
        if name == wanted:
            return handle.tell() + length if 0 < length < _UNKNOWN else 0
        handle.seek(length + length % 2, 1)
    return 0


def _sphere(head: bytes) -> int:
    fields = dict(re.findall(rb"(\w+) -i (\d{1,15})\b", head))
    try:
        samples, channels, width = (int(fields[k]) for k in (b"sample_count", b"channel_count", b"sample_n_bytes"))
        return int(head[8:16]) + samples * channels * width
    except (KeyError, ValueError):
        return 0


def _last_page(handle: BinaryIO, size: int) -> tuple[int, int]:
    """Start of the last Ogg page that begins in the file, and where it would end."""
    start = max(0, size - _OGG_PAGE)
    handle.seek(start)
    tail = handle.read()
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return size, size
    lacing = tail[at + 27 : at + 27 + tail[at + 26]]
    return start + at, start + at + 27 + tail[at + 26] + sum(lacing)
