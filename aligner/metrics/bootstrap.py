"""How far a score could be off: percentile bootstrap over groups of words.

Words of one speaker err together, so speakers are resampled, not words (or
utterances, where speakers are unknown).

References
----------
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR
performance evaluation", ICASSP 2004 (resampling by segment, paired differences).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 2000
LEVEL = 0.95

Statistic = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Interval:
    """A score, and the range that holds its true value with the stated confidence.

    Attributes
    ----------
    value, low, high : float
        NaN when there is nothing to score; low and high are NaN with fewer than two groups.
    """

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is told apart from none."""
        return self.low > 0 or self.high < 0


def mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean of (n,) values for each row of (draws, n) weights."""
    return np.asarray(weights @ values / weights.sum(1))


def median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted (mid-point) median of (n,) values for each row of (draws, n) whole-numbered weights."""
    order = np.argsort(values, kind="stable")
    sorted_values, reached = values[order], np.cumsum(weights[:, order], 1)
    half = reached[:, -1:] / 2
    lower, upper = (reached >= half).argmax(1), (reached > half).argmax(1)
    return (sorted_values[lower] + sorted_values[upper]) / 2


def group_weights(groups: Sequence[Hashable], draws: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """How often each value is drawn when whole groups are drawn with replacement.

    Parameters
    ----------
    groups : sequence of hashable, length n
        Group of each value.

    Returns
    -------
    float64 array, shape (draws, n)
    """
    names = {name: k for k, name in enumerate(dict.fromkeys(groups))}
    index = np.array([names[g] for g in groups], dtype=np.intp)
    drawn = np.random.default_rng(seed).integers(0, max(1, len(names)), (draws, len(names)))
    flat = drawn + len(names) * np.arange(draws)[:, None]
    counts = np.bincount(flat.ravel(), minlength=draws * len(names)).reshape(draws, len(names))
    return counts[:, index].astype(float)


def _interval(value: float, draws: NDArray[np.float64], n_groups: int) -> Interval:
    known = draws[np.isfinite(draws)]
    if n_groups < 2 or not len(known):
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float], groups: Sequence[Hashable], draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Interval of any statistic of row indices; for one that is no weighted mean or median.

    Parameters
    ----------
    statistic : callable
        From indices of rows, repeated as they are drawn, to a number; NaN where it is not defined.
    groups : sequence of hashable
        Of each row.
    """
    rows = np.arange(len(groups))
    weights = group_weights(groups, draws, seed).astype(int) if len(set(groups)) > 1 else ()
    drawn = np.array([statistic(np.repeat(rows, counts)) for counts in weights], float)
    return _interval(statistic(rows), drawn, len(set(groups)))


def interval(
    values: ArrayLike, groups: Sequence[Hashable], statistic: Statistic = mean, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """95 % percentile interval of a statistic of grouped values.

    Parameters
    ----------
    values : array_like of float, shape (n,)
    groups : sequence of hashable, length n
        Speaker (or utterance) of each value.
    statistic : callable
        `mean` or `median` of this module.
    """
    array = np.asarray(values, float)
    if not len(array):
        return Interval(math.nan, math.nan, math.nan)
    value = float(statistic(array, np.ones((1, len(array))))[0])
    return _interval(value, statistic(array, group_weights(groups, draws, seed)), len(set(groups)))


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    groups: Sequence[Hashable],
    statistic: Statistic = mean,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Interval of statistic(first) - statistic(second) of two systems on the same words.

    Both systems see the same draws, so what makes a speaker hard for both cancels.

    Parameters
    ----------
    first, second : array_like, shape (n,)
        Errors, word by word.
    groups : sequence, length n
        Speaker or recording of each; whole groups are drawn.
    statistic, draws, seed
        As in `interval`.

    Raises
    ------
    ValueError
        The systems are not paired word by word.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape or len(a) != len(groups):
        raise ValueError(f"paired values must agree in length: {len(a)}, {len(b)} and {len(groups)} groups")
    if not len(a):
        return Interval(math.nan, math.nan, math.nan)
    once, weights = np.ones((1, len(a))), group_weights(groups, draws, seed)
    value = float((statistic(a, once) - statistic(b, once))[0])
    return _interval(value, statistic(a, weights) - statistic(b, weights), len(set(groups)))
