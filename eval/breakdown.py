"""Errors by properties of the reference words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aligner.metrics import Interval, interval, match_words, normalise
from eval.systems import System, groups

NO_PAUSE, LONG_PAUSE = 0.03, 0.2  # seconds


@dataclass(frozen=True)
class WordError:
    """A matched word.

    Attributes
    ----------
    unit : str
        What is resampled for intervals.
    onset, offset : float
        Absolute errors in seconds.
    length, before, after, position : str
        Categories: characters, pause before, pause after, place in the utterance.
    """

    unit: str
    onset: float
    offset: float
    length: str
    before: str
    after: str
    position: str


LENGTHS = ("1-2 letters", "3-4", "5-6", "7 and more")
PAUSES = ("edge", "no pause", "short pause", "pause ≥ 0.2 s")
POSITIONS = ("first", "second", "inner", "last")


def _length(text: str) -> str:
    return LENGTHS[min(3, (len(normalise(text)) - 1) // 2)]


def _pause(seconds: float | None) -> str:
    if seconds is None:
        return PAUSES[0]
    return PAUSES[1 + (seconds > NO_PAUSE) + (seconds >= LONG_PAUSE)]


def word_errors(system: System) -> Iterator[WordError]:
    """Every matched word of a system with its categories."""
    units, _ = groups(system.recordings)
    for unit, recording in zip(units, system.recordings, strict=True):
        words = recording.reference
        for i, j in match_words(words, recording.estimated):
            word, found = words[i], recording.estimated[j]
            last = i == len(words) - 1
            yield WordError(
                unit,
                abs(found.start - word.start),
                abs(found.end - word.end),
                _length(word.text),
                _pause(word.start - words[i - 1].end if i else None),
                _pause(None if last else words[i + 1].start - word.end),
                "first" if i == 0 else "last" if last else "second" if i == 1 else "inner",
            )


Table = dict[str, list[tuple[str, int, Interval]]]
PROPERTIES = (
    ("onset and offset by word length", "length", LENGTHS, "both"),
    ("onset and offset by position in the utterance", "position", POSITIONS, "both"),
    ("onset by the pause before the word", "before", PAUSES, "onset"),
    ("offset by the pause after the word", "after", PAUSES, "offset"),
)


def breakdown(systems: Sequence[System]) -> dict[str, Table]:
    """Mean absolute error per property, system and category: (category, words, Interval in seconds)."""
    words = {system.name: list(word_errors(system)) for system in systems}
    found: dict[str, Table] = {}
    for title, attribute, categories, side in PROPERTIES:
        found[title] = {}
        for name, errors in words.items():
            rows = []
            for category in categories:
                mine = [e for e in errors if getattr(e, attribute) == category]
                values = [(e.onset + e.offset) / 2 if side == "both" else getattr(e, side) for e in mine]
                rows.append((category, len(mine), interval(values, [e.unit for e in mine])))
            found[title][name] = rows
    return found
