"""Matching of words by text, and errors of whole words.

Conventions
-----------
Words are `aligner.core.Word`, ordered by time, `reference` first. Words match
when their normalised texts are equal and the edit-distance alignment of the two
sequences pairs them. Unmatched words have no boundary error, so an error is
only meaningful next to the share of words matched; in F1 and mean IoU they
count as wrong.

References
----------
Bain et al., "WhisperX", Interspeech 2023, section 4.1 (word hits within a collar).
Shi et al., "Achieving Timestamp Prediction While Recognizing with
Non-Autoregressive End-to-End ASR Model", 2023, equation 9 (accumulated averaging shift).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aligner.core import Word
from aligner.metrics import boundary

Pairs = tuple[tuple[int, int], ...]
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})


def normalise(text: str) -> str:
    """Case-folded word without punctuation; inner apostrophes stay; the text itself if nothing else is left.

    Examples
    --------
    >>> normalise("“Don’t,")
    "don't"
    """
    folded = text.translate(_APOSTROPHES).casefold().strip()
    kept = "".join(c for c in folded if c.isalnum() or c == "'").strip("'")
    return kept or folded


def match_words(reference: Sequence[Word], estimated: Sequence[Word]) -> Pairs:
    """Pairs of equal words in a minimal edit alignment.

    Insertion, deletion and substitution cost 1 on normalised words. Among
    alignments of equal cost the one closest in time wins, so a word said twice
    is paired with the nearer copy.

    Returns
    -------
    tuple of (int, int)
        Indices into `reference` and `estimated`, both ascending.
    """
    a, b = [normalise(w.text) for w in reference], [normalise(w.text) for w in estimated]
    if a == b:
        return tuple((i, i) for i in range(len(a)))
    tie = 1 / (2 * (len(a) + 1))  # all ties together cost less than one edit
    cost = np.zeros((len(a) + 1, len(b) + 1))
    cost[:, 0], cost[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i, word in enumerate(reference):
        for j, other in enumerate(estimated):
            step = tie * min(1.0, abs(word.start + word.end - other.start - other.end) / 20) if a[i] == b[j] else 1.0
            cost[i + 1, j + 1] = min(cost[i, j] + step, cost[i, j + 1] + 1, cost[i + 1, j] + 1)
    pairs, i, j = [], len(a), len(b)
    while i and j:
        if cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        elif cost[i, j] == cost[i, j - 1] + 1:
            j -= 1
        else:
            i, j = i - 1, j - 1
            if a[i] == b[j]:
                pairs.append((i, j))
    return tuple(reversed(pairs))


def intersection_over_union(reference: Word, estimated: Word) -> float:
    """Length of the intersection of two intervals over that of their union, 0 to 1.

    Examples
    --------
    >>> intersection_over_union(Word("a", 0.0, 0.5), Word("a", 0.25, 0.5))
    0.5
    """
    overlap = max(0.0, min(reference.end, estimated.end) - max(reference.start, estimated.start))
    return overlap / (reference.duration + estimated.duration - overlap)


def count_word_hits(reference: Sequence[Word], estimated: Sequence[Word], pairs: Pairs, collar: float) -> int:
    """Matched words whose onset and offset both lie near those of the reference.

    Parameters
    ----------
    reference, estimated : sequence of Word
    pairs : sequence of (int, int)
        From `match_words`.
    collar : float
        Seconds that either may be off.
    """
    return sum(
        boundary.share_within([estimated[j].start - reference[i].start, estimated[j].end - reference[i].end], collar)
        == 1
        for i, j in pairs
    )
