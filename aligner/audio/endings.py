"""How streams end that do not say how long they are, to tell one that was cut off.

An mp3 without a Xing header can break off in the middle of a frame, an Ogg
stream without its mark of the end (RFC 3533); decoders read both to the last
whole frame without a word.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

_SEEK_TABLES = (b"Xing", b"Info", b"VBRI")  # in a first frame that states the length of an mp3 file
_BITRATES = {  # kbit/s by version and layer, ISO 11172-3 and 13818-3
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # Hz by version bits
_OGG_PAGE = 27 + 255 + 255 * 255  # bytes of the longest page


@dataclass(frozen=True)
class _Page:
    """An Ogg page: its bytes from `start` to `stop`, and whether it is marked as the last."""

    start: int
    stop: int
    last: bool


def _last_page(handle: BinaryIO, size: int) -> _Page:
    """The last page that begins in the file."""
    start = max(0, size - _OGG_PAGE)
    handle.seek(start)
    tail = handle.read()
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return _Page(size, size, False)
    lacing = tail[at + 27 : at + 27 + tail[at + 26]]
    return _Page(start + at, start + at + 27 + tail[at + 26] + sum(lacing), bool(tail[at + 5] & 4))


@dataclass(frozen=True)
class Ending:
    """How a stream ends.

    Attributes
    ----------
    breaks_off : bool
        Without its mark of the end (Ogg) or inside a frame (mp3 that does not state its length).
    lost : int
        Bytes of the last page of an Ogg stream if it is not whole: decoders leave out all of it.
    seconds : float
        Length by counting frames, of an mp3 that does not state it; else 0.
    """

    breaks_off: bool = False
    lost: int = 0
    seconds: float = 0.0


def ending(path: Path) -> Ending:
    """Follow a stream to its end, where its header does not say how long it is.

    Parameters
    ----------
    path : Path
    """
    with path.open("rb") as handle:
        if handle.read(4) == b"OggS":
            size = handle.seek(0, 2)
            page = _last_page(handle, size)
            return Ending(not page.last, page.stop - page.start if page.stop > size else 0)
        if is_mp3(path):
            with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _mp3_ending(content)
    return Ending()


def _mp3_ending(content: mmap.mmap) -> Ending:
    place = 0
    if content[:3] == b"ID3" and len(content) > 10:
        size = content[6:10]  # seven bits a byte
        place = 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
    if any(name in content[place : place + _frame(content[place : place + 4]).length] for name in _SEEK_TABLES):
        return Ending()
    seconds = 0.0
    while (frame := _frame(content[place : place + 4])).length and place + frame.length <= len(content):
        place += frame.length
        seconds += frame.seconds
    return Ending(0 < len(content) - place < frame.length, seconds=seconds)


def is_mp3(path: Path) -> bool:
    """Whether a file begins as mp3 files do: with a tag or a frame."""
    with path.open("rb") as handle:
        head = handle.read(4)
    return head[:3] == b"ID3" or _frame(head).length > 0


@dataclass(frozen=True)
class _Frame:
    """Size of an MPEG audio frame in bytes and in seconds; zeros for what is no frame."""

    length: int = 0
    seconds: float = 0.0


@lru_cache(maxsize=1024)
def _frame(header: bytes) -> _Frame:
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return _Frame()
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return _Frame()
    hertz, bits = _RATES[version][rate], 1000 * _BITRATES[1 if version == 3 else 2, layer][bitrate - 1]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    slot = 4 if layer == 1 else 1
    return _Frame((samples // 8 // slot * bits // hertz + padding) * slot, samples / hertz)
