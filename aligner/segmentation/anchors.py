"""Anchors: words of a transcript whose place in a long recording is roughly known, so that an error stays between them.

They come from a timing head, where a checkpoint has one (`aligner.segmentation.tracker`), else from the model's own
words, matched with the transcript's (`by_recognition`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from aligner.core import Word
from aligner.text.spoken import spoken_form

DOUBT = 0.2  # seconds that a word may be off whose sounds were heard
LOOSE = 0.5  # seconds that any other may be off, at least
_TELLING = 5  # letters; longer words are anchors on their own


@dataclass(frozen=True)
class Anchor:
    """A word of the transcript, by its index, its rough time and the doubt about it in seconds."""

    word: int
    start: float
    end: float
    doubt: float = DOUBT


def by_recognition(written: Sequence[str], recognised: Sequence[Word], language: str = "en") -> tuple[Anchor, ...]:
    """Anchors of a transcript's words that the model itself recognised.

    Parameters
    ----------
    written : sequence of str
        Words of the transcript.
    recognised : sequence of Word
        With times from the start of the recording.
    language : str
        Of both, for figures and signs.

    Returns
    -------
    tuple of Anchor
        In order. A single common word is no evidence: it matches anywhere.
    """
    heard = [_bare(word.text, language) for word in recognised]
    blocks = SequenceMatcher(None, [_bare(word, language) for word in written], heard).get_matching_blocks()
    return tuple(
        Anchor(block.a + i, recognised[block.b + i].start, recognised[block.b + i].end, LOOSE)
        for block in blocks
        if block.size > 1 or (block.size and len(heard[block.b]) > _TELLING)
        for i in range(block.size)
    )


def _bare(word: str, language: str) -> str:
    return spoken_form(word, language) or word.casefold()
