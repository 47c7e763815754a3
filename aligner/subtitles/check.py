"""What in finished subtitles a professional would retouch, by the limits of `aligner.subtitles.style`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aligner.core import Cue
from aligner.subtitles import breaks
from aligner.subtitles.style import Style
from aligner.text.readers.base import MARKUP

KINDS = {
    "fast": "more characters a second than can be read",
    "brief": "shorter than the least duration",
    "long": "longer than the greatest duration",
    "wide": "a line of too many characters",
    "tall": "too many lines",
    "close": "less than two frames before the next, or over it",
    "flicker": "a gap before the next that is seen as a flash",
    "torn": "a line or a subtitle that ends after a word that leans on the next",
    "widow": "one word alone in a line, or alone in a subtitle that does not begin a sentence",
}
"""Kinds of violations, and what each is."""

_ROUNDING = 0.0015  # seconds; files keep milliseconds, ASS hundredths


@dataclass(frozen=True)
class Violation:
    """One thing to retouch.

    Attributes
    ----------
    kind : str
        Of `KINDS`.
    number : int
        Of the subtitle, from 1.
    detail : str
        What was found.
    """

    kind: str
    number: int
    detail: str


def violations(cues: Sequence[Cue], style: Style) -> Iterator[Violation]:
    """Everything that breaks a limit, in order.

    Parameters
    ----------
    cues : sequence of Cue
        In order of time, with what they show.
    style : Style
    """
    texts = [[line.split() for line in MARKUP.sub("", cue.shown).split("\n")] for cue in cues]
    for k, (cue, lines) in enumerate(zip(cues, texts, strict=True)):
        following = cues[k + 1] if k + 1 < len(cues) else None
        before = texts[k - 1][-1] if k else []
        found = (
            *_duration(cue, style),
            *_gap(cue, following, style),
            *_lines(cue, style),
            *_breaks(lines, before, style),
        )
        yield from (Violation(kind, k + 1, detail) for kind, detail in found)
        if following is not None and _torn(lines[-1], texts[k + 1][0], style) and _close(cue, following):
            yield Violation("torn", k + 1, f"ends in {lines[-1][-1]!r}")


def _duration(cue: Cue, style: Style) -> Iterator[tuple[str, str]]:
    duration = cue.end - cue.start
    width = style.width(" ".join(MARKUP.sub("", cue.shown).split("\n")))
    if width > style.max_cps * (duration + _ROUNDING):
        yield "fast", f"{width / max(duration, 1e-3):.1f} characters a second"
    if duration < style.min_duration - _ROUNDING:
        yield "brief", f"{duration:.2f} s"
    if duration > style.max_duration + _ROUNDING:
        yield "long", f"{duration:.2f} s"


def _gap(cue: Cue, following: Cue | None, style: Style) -> Iterator[tuple[str, str]]:
    if following is None:
        return
    gap = following.start - cue.end
    if gap < style.gap - _ROUNDING:
        yield "close", f"{gap:.3f} s before the next"
    elif style.gap + _ROUNDING < gap < style.chain - _ROUNDING and following.start - cue.start <= style.max_duration:
        yield "flicker", f"{gap:.3f} s before the next"


def _lines(cue: Cue, style: Style) -> Iterator[tuple[str, str]]:
    lines = MARKUP.sub("", cue.shown).split("\n")
    for line in lines:
        # A word alone in its line cannot be broken.
        if style.width(line) > style.max_chars and len(line.split()) > 1:
            yield "wide", f"{style.width(line):g} characters"
    if len(lines) > style.max_lines:
        yield "tall", f"{len(lines)} lines"


def _breaks(lines: Sequence[Sequence[str]], before: Sequence[str], style: Style) -> Iterator[tuple[str, str]]:
    for upper, lower in pairwise(lines):
        if _torn(upper, lower, style):
            yield "torn", f"a line ends in {upper[-1]!r}"
    words = sum(map(len, lines))
    if words > 3 and any(len(line) == 1 and style.width(line[0]) <= style.max_chars / 2 for line in lines):
        yield "widow", "one word in a line"
    if words == 1 and before and lines[0] and breaks.cost(before[-1], lines[0][0], style.language) > breaks.CLAUSE:
        yield "widow", "one word in a subtitle"


def _torn(upper: Sequence[str], lower: Sequence[str], style: Style) -> bool:
    if not (upper and lower):
        return False
    return breaks.cost(upper[-1], lower[0], style.language) >= breaks.LEANING


def _close(cue: Cue, following: Cue) -> bool:
    """Whether one follows the other as speech does; a speaker may stop at any word."""
    return following.start - cue.end < 1.0
