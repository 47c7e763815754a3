"""A recognised stretch of a recording: its words, the text they stand in, and how it is taken apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aligner.core import Word
from aligner.timing.window import Stretch


@dataclass(frozen=True)
class Passage:
    """Words and the piece of text that belongs to each.

    Attributes
    ----------
    stretch : Stretch
    pieces : tuple of str
        One a word, with its marks and the space after it; joined they are the text.
    """

    stretch: Stretch
    pieces: tuple[str, ...]

    @classmethod
    def of(cls, stretch: Stretch, text: str) -> Passage:
        """A stretch and its whole text."""
        return cls(stretch, pieces(text, stretch.words))

    @property
    def start(self) -> float:
        """Seconds."""
        return self.stretch.words[0].start

    @property
    def text(self) -> str:
        """As it was recognised."""
        return "".join(self.pieces).strip()

    def where(self, wanted: Callable[[Word], bool]) -> Passage:
        """Only some of the words."""
        kept = [k for k, word in enumerate(self.stretch.words) if wanted(word)]
        words = tuple(self.stretch.words[k] for k in kept)
        tokens = tuple(token for token in self.stretch.tokens if wanted(token))
        return Passage(replace(self.stretch, words=words, tokens=tokens), tuple(self.pieces[k] for k in kept))

    def parted(self, moment: float) -> tuple[Passage, Passage]:
        """The words before a moment and those from it on."""
        before = self.where(lambda word: word.start < moment)
        after = self.where(lambda word: word.start >= moment)
        return before, replace(after, stretch=replace(after.stretch, repairs=0))  # counted once


def pieces(text: str, words: Sequence[Word]) -> tuple[str, ...]:
    """The text cut behind each word: by letters, as a word can hold marks that stand alone or be part of a written one.

    Examples
    --------
    >>> pieces("No. Yes , no!", [Word("No.", 0, 1), Word("Yes ,", 1, 2), Word("no!", 2, 3)])
    ('No. ', 'Yes , ', 'no!')
    """
    found, begin = [], 0
    for word in words:
        left, stop = len("".join(word.text.split())), begin
        while stop < len(text) and (left or text[stop].isspace()):
            left -= not text[stop].isspace()
            stop += 1
        found.append(text[begin:stop])
        begin = stop
    return tuple(found)
