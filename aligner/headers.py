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


def promised_size(path: Path) -> int | None:
    """Bytes that a file must have to hold the audio that its header describes.

    Parameters
    ----------
    path : Path

    Returns
    -------
    int or None
        None where the header does not say.
    """
    with path.open("rb") as handle:
        head = handle.read(1024)
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
            return offset + size if size < _UNKNOWN else None
        if head[:7] == b"NIST_1A":
            return _sphere(head)
        if head[:4] == b"OggS":
            return _last_page(handle)
    return None


def _chunked(handle: BinaryIO, layout: str, wanted: bytes) -> int | None:
    """End of a chunk of a RIFF (little-endian) or IFF (big-endian) file."""
    handle.seek(12)
    while len(head := handle.read(8)) == 8:
        name, length = struct.unpack(layout, head)
        if name == wanted:
            return handle.tell() + length if 0 < length < _UNKNOWN else None
        handle.seek(length + length % 2, 1)
    return None


def _sphere(head: bytes) -> int | None:
    fields = dict(re.findall(rb"(\w+) -i (\d{1,15})\b", head))
    try:
        samples, channels, width = (int(fields[k]) for k in (b"sample_count", b"channel_count", b"sample_n_bytes"))
        return int(head[8:16]) + samples * channels * width
    except (KeyError, ValueError):
        return None


def _last_page(handle: BinaryIO) -> int | None:
    """End of the last Ogg page that begins in the file."""
    size = handle.seek(0, 2)
    start = max(0, size - _OGG_PAGE)
    handle.seek(start)
    tail = handle.read()
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return None
    lacing = tail[at + 27 : at + 27 + tail[at + 26]]
    return start + at + 27 + tail[at + 26] + sum(lacing)
