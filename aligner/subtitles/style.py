"""The limits of subtitles, by public style guides.

Netflix, Timed Text Style Guide, General Requirements: 5/6 s to 7 s, two lines.
Its timing guidelines: two frames between subtitles, and no more than those
where less than half a second would be. Its guides by language: 42 characters a
line and 20 a second for adults in English; 13 and 4 in Japanese, 16 and 9 in
Chinese, 16 and 12 in Korean, where Latin letters, spaces and marks count half.
BBC, Subtitle Guidelines, 5.2: no more than 1.5 s on the screen after speech has stopped.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, fields, replace
from typing import Any

CHAINED = 12  # frames; closer subtitles follow each other at the smallest gap


@dataclass(frozen=True)
class Style:
    """Limits of one subtitle.

    Attributes
    ----------
    max_cps : float
        Characters a second that are read without haste.
    max_chars : int
        Characters of a line.
    max_lines : int
    min_duration, max_duration : float
        Seconds on the screen.
    fps : float
        Frames a second of the video.
    linger : float
        Seconds that a subtitle may stay after its last word.
    language : str
        Code; of words that lean on the next, such as articles.
    """

    max_cps: float = 20.0
    max_chars: int = 42
    max_lines: int = 2
    min_duration: float = 5 / 6
    max_duration: float = 7.0
    fps: float = 25.0
    linger: float = 1.5
    language: str = "en"

    @property
    def gap(self) -> float:
        """Seconds between two subtitles, at least."""
        return 2 / self.fps

    @property
    def chain(self) -> float:
        """Seconds between two subtitles below which they are moved to `gap`."""
        return CHAINED / self.fps

    def width(self, text: str) -> float:
        """Characters of a text as its guide counts them: marks above and below letters do not count."""
        narrow = 0.5 if self.language in _WIDE else 1.0
        return sum(
            1.0 if unicodedata.east_asian_width(c) in "WF" else narrow
            for c in text
            if unicodedata.category(c) not in ("Mn", "Me", "Cf")
        )


_WIDE = {"ja": (4.0, 13), "zh": (9.0, 16), "yue": (9.0, 16), "ko": (12.0, 16)}


def style(language: str | None, **choices: Any) -> Style:
    """Limits of a language, with single choices replaced; None leaves the guide's.

    Parameters
    ----------
    language : str or None
        Code; English where it is not known.
    **choices
        Fields of `Style`.

    Examples
    --------
    >>> style("ja", max_lines=1).max_chars, style("de").max_cps
    (13, 20.0)
    """
    known = {field.name for field in fields(Style)}
    found = Style(language=language or "en")
    if found.language in _WIDE:
        cps, chars = _WIDE[found.language]
        found = replace(found, max_cps=cps, max_chars=chars)
    found = replace(found, **{name: value for name, value in choices.items() if name in known and value is not None})
    return replace(found, min_duration=min(found.min_duration, found.max_duration))
