"""What each segment of a partition is worth, estimated from random masks.

A mask drops every segment with the same probability p, independently. The
worth of a segment is the mean score of the masks that dropped it, E[s | i
dropped]: scores are credited to the dropped segments and divided by how often
each was dropped. Since drops are independent, the same quantity is
E[s] + (1 - p) b_i with b_i the slope of a linear regression of the scores on
all drops at once. Where segments are few, that is how it is estimated: the
regression takes the effect of the other segments out of the noise, which
saves about a third of the masks. Its ridge penalty vanishes as masks grow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_REGRESSED = 800  # segments; beyond, masks never outnumber them enough for a regression

Floats = NDArray[np.float64]


class Estimate:
    """Running sums over masks of one partition.

    Parameters
    ----------
    segments : int
    rows : int
        Tokens and the end.
    probability : float
        That a mask drops a segment.
    """

    def __init__(self, segments: int, rows: int, probability: float) -> None:
        self.probability = probability
        self.masks = 0
        self.scores = np.zeros(rows)
        self.dropped = np.zeros(segments)
        self.credit = np.zeros((rows, segments))
        self.gram = np.zeros((segments, segments)) if segments <= MOST_REGRESSED else None

    def add(self, dropped: NDArray[np.bool_], scores: Floats) -> None:
        """Credit masks.

        Parameters
        ----------
        dropped : bool array, shape (masks, segments)
        scores : float64 array, shape (masks, rows)
        """
        drops = dropped.astype(np.float64)
        self.masks += len(drops)
        self.scores += scores.sum(0)
        self.dropped += drops.sum(0)
        self.credit += scores.T @ drops
        if self.gram is not None:
            self.gram += drops.T @ drops

    def __add__(self, other: Estimate) -> Estimate:
        total = Estimate(len(self.dropped), len(self.scores), self.probability)
        total.masks = self.masks + other.masks
        total.scores = self.scores + other.scores
        total.dropped = self.dropped + other.dropped
        total.credit = self.credit + other.credit
        if self.gram is not None and other.gram is not None:
            total.gram = self.gram + other.gram
        return total

    def worth(self) -> Floats:
        """Mean score of the masks that dropped a segment, shape (rows, segments); 0 where none did."""
        if self.gram is None:
            return np.where(self.dropped > 0, self.credit / np.maximum(self.dropped, 1), 0)
        n, share = max(self.masks, 1), self.dropped / max(self.masks, 1)
        mean = self.scores / n
        p = self.probability
        covariance = self.gram - n * np.outer(share, share)
        covariance[np.diag_indices_from(covariance)] += len(share) * p * (1 - p)
        shared = self.credit - n * np.outer(mean, share)
        slope = np.linalg.solve(covariance, shared.T).T
        return np.asarray(mean[:, None] + (1 - p) * slope)


def draw(rng: np.random.Generator, masks: int, segments: int, probability: float) -> NDArray[np.bool_]:
    """Independent drops, shape (masks, segments)."""
    return np.asarray(rng.random((masks, segments)) < probability)


def split_half(first: Floats, second: Floats) -> float:
    """Correlation of two maps made from separate masks, as maps are compared with attention.

    The end row is left out and each row standardised first: that some tokens
    have larger scores than others repeats at once and says nothing about time,
    and rows of small scores, which are the noisiest, count as much as others.

    Parameters
    ----------
    first, second : float64 arrays, shape (tokens + 1, ...)

    Returns
    -------
    float
        Pearson; 0 where a map is constant.
    """
    a, b = (m[:-1].reshape(len(m) - 1, -1) for m in (first, second))
    a, b = (m - m.mean(1, keepdims=True) for m in (a, b))
    scales = [np.sqrt((m**2).mean(1, keepdims=True)) for m in (a, b)]
    a, b = (np.divide(m, scale, out=np.zeros_like(m), where=scale > 0) for m, scale in zip((a, b), scales, strict=True))
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0
