"""Scores of a recording, which add up to the scores of a corpus.

Micro averages come from merged scores (every word weighs the same), macro
averages from the mean over recordings (every recording weighs the same).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aligner.core import Word
from aligner.metrics import boundary
from aligner.metrics.words import count_word_hits, intersection_over_union, match_words

COLLAR = 0.2  # seconds, the usual one for word hits


@dataclass(frozen=True)
class BoundaryScores:
    """Errors and counts of one or more recordings; `+` merges.

    Attributes
    ----------
    onset, offset : tuple of float
        Signed errors of matched words in seconds, estimated minus reference.
    overlap : tuple of float
        Intersection over union of matched words.
    n_reference, n_estimated : int
        Words.
    onset_hits, offset_hits : tuple of int
        One-to-one boundary hits at each of `TOLERANCES`, text left aside.
    word_hits : int
        Words with equal text and both edges within `COLLAR`.
    """

    onset: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    overlap: tuple[float, ...] = ()
    n_reference: int = 0
    n_estimated: int = 0
    onset_hits: tuple[int, ...] = (0,) * len(boundary.TOLERANCES)
    offset_hits: tuple[int, ...] = (0,) * len(boundary.TOLERANCES)
    word_hits: int = 0

    def __add__(self, other: BoundaryScores) -> BoundaryScores:
        def each(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(x + y for x, y in zip(a, b, strict=True))

        return BoundaryScores(
            self.onset + other.onset,
            self.offset + other.offset,
            self.overlap + other.overlap,
            self.n_reference + other.n_reference,
            self.n_estimated + other.n_estimated,
            each(self.onset_hits, other.onset_hits),
            each(self.offset_hits, other.offset_hits),
            self.word_hits + other.word_hits,
        )

    @property
    def n_matched(self) -> int:
        """Reference words that an estimated one was matched with."""
        return len(self.onset)

    @property
    def matched_share(self) -> float:
        """Matched reference words, 0 to 1."""
        return self.n_matched / self.n_reference if self.n_reference else math.nan

    @property
    def boundary_error(self) -> float:
        """Mean absolute error over onsets and offsets of matched words in seconds (accumulated averaging shift)."""
        return boundary.mean_abs_error(self.onset + self.offset)

    @property
    def mean_iou(self) -> float:
        """Mean intersection over union of the reference words, unmatched ones counting 0."""
        return sum(self.overlap) / self.n_reference if self.n_reference else math.nan

    @property
    def word_f1(self) -> float:
        """F1 of words with equal text and both edges within `COLLAR`."""
        return boundary.f1(self.word_hits, self.n_reference, self.n_estimated)

    def _hits(self, tolerance: float) -> tuple[int, int, int]:
        try:
            k = boundary.TOLERANCES.index(tolerance)
        except ValueError:
            raise ValueError(f"hits are counted at {boundary.TOLERANCES} seconds, not at {tolerance}") from None
        return self.onset_hits[k] + self.offset_hits[k], 2 * self.n_reference, 2 * self.n_estimated

    def precision(self, tolerance: float) -> float:
        """Boundary precision, onsets and offsets together."""
        hits, _, n_estimated = self._hits(tolerance)
        return boundary.precision(hits, n_estimated)

    def recall(self, tolerance: float) -> float:
        """Boundary recall, onsets and offsets together."""
        hits, n_reference, _ = self._hits(tolerance)
        return boundary.recall(hits, n_reference)

    def f1(self, tolerance: float) -> float:
        """Boundary F1, onsets and offsets together."""
        return boundary.f1(*self._hits(tolerance))

    def r_value(self, tolerance: float) -> float:
        """R-value, onsets and offsets together."""
        return boundary.r_value(*self._hits(tolerance))


def score_words(reference: Sequence[Word], estimated: Sequence[Word]) -> BoundaryScores:
    """Scores of one recording.

    Parameters
    ----------
    reference, estimated : sequence of Word
        Ordered by time. Texts may differ: words are matched by edit distance.
    """
    pairs = match_words(reference, estimated)
    return BoundaryScores(
        tuple(estimated[j].start - reference[i].start for i, j in pairs),
        tuple(estimated[j].end - reference[i].end for i, j in pairs),
        tuple(intersection_over_union(reference[i], estimated[j]) for i, j in pairs),
        len(reference),
        len(estimated),
        boundary.count_hits_each([w.start for w in reference], [w.start for w in estimated], boundary.TOLERANCES),
        boundary.count_hits_each([w.end for w in reference], [w.end for w in estimated], boundary.TOLERANCES),
        count_word_hits(reference, estimated, pairs, COLLAR),
    )


def merge(scores: Sequence[BoundaryScores]) -> BoundaryScores:
    """All recordings as one: what micro averages are taken of. Same as adding them up, in one pass."""
    if not scores:
        return BoundaryScores()
    return BoundaryScores(
        tuple(e for s in scores for e in s.onset),
        tuple(e for s in scores for e in s.offset),
        tuple(e for s in scores for e in s.overlap),
        sum(s.n_reference for s in scores),
        sum(s.n_estimated for s in scores),
        tuple(int(n) for n in np.sum([s.onset_hits for s in scores], 0)),
        tuple(int(n) for n in np.sum([s.offset_hits for s in scores], 0)),
        sum(s.word_hits for s in scores),
    )


def macro_boundary_error(scores: Sequence[BoundaryScores]) -> float:
    """Mean over recordings of `boundary_error`, recordings without a matched word left out; NaN when none is left."""
    errors = [s.boundary_error for s in scores if s.n_matched]
    return sum(errors) / len(errors) if errors else math.nan
