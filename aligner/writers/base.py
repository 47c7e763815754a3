"""What all formats share: the protocol, the options, how words become text."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aligner.core import Alignment, Word
from aligner.registry import Registry


@dataclass(frozen=True)
class WriterOptions:
    """Choices of the formats that have any.

    Attributes
    ----------
    cues : str
        Subtitles as "given" in the transcript where it holds subtitles, else
        the same as "sentence"; or one a "word".
    max_cps, max_chars, max_lines, max_duration, fps : number or None
        Limits of a subtitle, see `aligner.subtitles.style.Style`; None for those of the language.
    highlight : bool
        Mark the word being spoken, where the format can.
    tiers : tuple of str
        Further TextGrid and ELAN tiers: "tokens", "flags", "margins".
    labels : str
        Words of those files as "written", or "bare" of the marks around them.
    media : (str, str) or None
        Where the recording is, absolute and from the file that is written, for formats that link to it.
    stem : str
        Name of the recording, for formats that carry it.
    """

    cues: str = "given"
    max_cps: float | None = None
    max_chars: int | None = None
    max_lines: int | None = None
    max_duration: float | None = None
    fps: float | None = None
    highlight: bool = False
    tiers: tuple[str, ...] = ()
    labels: str = "written"
    media: tuple[str, str] | None = None
    stem: str = "audio"


class Format(Protocol):
    """An output format.

    Attributes
    ----------
    suffix : str
        With its dot.
    precision : float
        Seconds to which times survive writing.
    """

    suffix: str
    precision: float

    def write(self, alignment: Alignment, path: Path, options: WriterOptions) -> None:
        """Write a file; the caller makes it atomic."""

    def read(self, path: Path) -> tuple[Word, ...]:
        """Words of a file that `write` made (subtitles: with one word a cue)."""


formats: Registry[Format] = Registry("format")


def render(name: str, alignment: Alignment, options: WriterOptions) -> bytes:
    """A format's file as bytes, for standard output.

    Parameters
    ----------
    name : str
        Of a format in `formats`.
    alignment : Alignment
    options : WriterOptions

    Raises
    ------
    SettingError
        Unknown format.
    """
    part = formats[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"out{part.suffix}"
        part.write(alignment, path, options)
        return path.read_bytes()


def milliseconds(words: Sequence[Word]) -> list[tuple[int, int]]:
    """Rounded times; neighbours never overlap and no word is empty.

    Words that share a boundary still share it: each boundary is rounded by itself.
    """
    times: list[tuple[int, int]] = []
    previous = 0
    for word in words:
        start = max(previous, round(word.start * 1000))
        previous = max(start + 1, round(word.end * 1000))
        times.append((start, previous))
    return times
