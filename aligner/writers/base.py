"""What all formats share: the protocol, the options, how words become text."""

from __future__ import annotations

import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
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
        Subtitles by "sentence" or by "word".
    max_chars : int
        Characters in a subtitle line.
    max_lines : int
        Lines in a subtitle.
    max_duration : float
        Seconds of a subtitle.
    highlight : bool
        Mark the word being spoken, where the format can.
    token_tier, flag_tier : bool
        Further TextGrid and ELAN tiers.
    stem : str
        Name of the recording, for formats that carry it.
    """

    cues: str = "sentence"
    max_chars: int = 42
    max_lines: int = 2
    max_duration: float = 7.0
    highlight: bool = False
    token_tier: bool = False
    flag_tier: bool = False
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


_UNSPACED = ("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "THAI", "LAO", "MYANMAR")


def _decides(character: str) -> bool:
    """Whether a character tells about spaces: letters do, and the wide punctuation of CJK text."""
    wide = unicodedata.category(character)[0] == "P" and unicodedata.east_asian_width(character) in "WF"
    return wide or character.isalpha()


def unspaced(text: str) -> bool:
    """Whether a text begins in a script written without spaces between words."""
    first = next(filter(_decides, text), "")
    return bool(first) and (not first.isalpha() or unicodedata.name(first, "").startswith(_UNSPACED))


def separator(before: str, after: str) -> str:
    """What stands between two words in running text: a space, or nothing where the script has none.

    Examples
    --------
    >>> separator("Hello,", "world"), separator("你好。", "世"), separator("你", "Bob")
    (' ', '', ' ')
    """
    return "" if unspaced(before[::-1]) and unspaced(after) else " "


def join_words(words: Sequence[str]) -> str:
    """Words as running text.

    Examples
    --------
    >>> join_words(["Hello,", "world"]), join_words(["你", "好"])
    ('Hello, world', '你好')
    """
    return "".join([*words[:1], *(separator(a, b) + b for a, b in pairwise(words))])


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
