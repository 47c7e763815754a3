"""What anchors know of a window's words: where each can be, and what of it was heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aligner.core import TokenFrameMap, Tokens, Word

SHORTEST_LEFT = 0.01  # seconds; a word with less than this left is not moved
EARLY = 0.1  # seconds that a word may begin before its first character is heard; 98 of 100 begin by less


@dataclass(frozen=True)
class Place:
    """The place of a part of a text.

    Attributes
    ----------
    letters : int
        How many the part has.
    start, end : float
        Seconds of the window.
    doubt : float
        Seconds that it may begin earlier and end later.
    heard : bool
        Whether its first and last characters were heard at start and end, so that no word ends before or begins after.
    """

    letters: int
    start: float
    end: float
    doubt: float
    heard: bool

    @property
    def earliest(self) -> float:
        """When it can begin."""
        return self.start - (min(self.doubt, EARLY) if self.heard else self.doubt)


def of_words(tokens: Tokens, parts: Sequence[Place]) -> tuple[Place, ...]:
    """The place of every word.

    Parameters
    ----------
    tokens : Tokens
    parts : sequence of Place
        Of consecutive parts of the same text. A word of the tokens may hold several (marks that stand alone);
        letters are what both have.
    """
    bounds = np.cumsum([part.letters for part in parts])
    found: list[Place] = []
    seen = 0
    for span in tokens.words:
        letters = len("".join(span.text.split()))
        first = parts[min(int(np.searchsorted(bounds, seen, side="right")), len(parts) - 1)]
        seen += letters
        last = parts[min(int(np.searchsorted(bounds, seen)), len(parts) - 1)]
        doubt, heard = max(first.doubt, last.doubt), first.heard and last.heard
        found.append(Place(letters, first.start, last.end, doubt, heard))
    return tuple(found)


def constrained(evidence: TokenFrameMap, tokens: Tokens, places: Sequence[Place]) -> TokenFrameMap:
    """A map whose rows are costly far from the place of their word.

    Parameters
    ----------
    evidence : TokenFrameMap
    tokens : Tokens
    places : sequence of Place
        Of the words.
    """
    values = evidence.values.copy()
    frames = np.arange(values.shape[1]) * evidence.frame_duration
    cost = float(np.ptp(values))
    for span, place in zip(tokens.words, places, strict=True):
        values[span.start : span.stop, frames > place.end + place.doubt] -= cost
        # No row but the first one can take the frames before the first word.
        values[max(span.start, 1) : span.stop, frames < place.earliest] -= cost
    return TokenFrameMap(values, evidence.frame_duration)


def extended(words: Sequence[Word], places: Sequence[Place], duration: float) -> tuple[Word, ...]:
    """Words that last over all that was heard of them, as far as their neighbours leave room, and not much longer.

    Attention often leaves the end of a last word early, for the pause or the end of the text, and lets a first word
    begin in the music before it.

    Parameters
    ----------
    words : sequence of Word
        In order; seconds of the window.
    places : sequence of Place
        Of the words.
    duration : float
        Seconds of the window.
    """
    floors = [0.0, *(word.end for word in words[:-1])]
    ceilings = [*(word.start for word in words[1:]), duration]
    found = []
    for word, place, floor, ceiling in zip(words, places, floors, ceilings, strict=True):
        if place.heard:
            start = np.clip(word.start, place.earliest, max(place.start, floor))
            end = np.clip(word.end, min(place.end, ceiling), place.end + place.doubt)
            word = replace(word, start=float(start), end=float(end)) if end - start >= SHORTEST_LEFT else word
        found.append(word)
    return tuple(found)
