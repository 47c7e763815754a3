"""How far attention explains a prediction: its correlation with saliency, and tests of the saliency itself.

Conventions
-----------
Maps are (tokens + 1, frames) arrays with the end of the text in the last row,
which is left out, as are the rows of the prompt (arXiv 2509.18010, section
4.4). Attention is standardised frame by frame over the tokens, saliency token
by token over the frames; constant frames or tokens become 0.

References
----------
Papi et al., "Cross-Attention is Half Explanation in Speech-to-Text Models", arXiv 2509.18010.
Fucci et al., arXiv 2411.01710 (deletion and size).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aligner.core import WordSpan

Floats = NDArray[np.float64]
STEPS = 21  # 0 to 100 % in steps of 5 %


@dataclass(frozen=True)
class Correlation:
    """Agreement of two maps of an utterance.

    Attributes
    ----------
    pearson, spearman : float
        Of the flattened maps; 0 where one is constant.
    """

    pearson: float
    spearman: float

    @property
    def r_squared(self) -> float:
        """Share of variance explained, which is what a correlation is not."""
        return self.pearson**2


def standardise(values: ArrayLike, axis: int) -> Floats:
    """z-scores along an axis with the population deviation; 0 where it is constant."""
    array = np.asarray(values, float)
    centred = array - array.mean(axis, keepdims=True)
    deviation = array.std(axis, keepdims=True)
    return np.asarray(np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-12))


def prepare(attention: ArrayLike, saliency: ArrayLike) -> tuple[Floats, Floats]:
    """Both maps without the end row and standardised as the paper does.

    Raises
    ------
    ValueError
        Maps of different shapes.
    """
    a, b = np.asarray(attention, float), np.asarray(saliency, float)
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"attention has shape {a.shape}, saliency {b.shape}")
    return standardise(a[:-1], 0), standardise(b[:-1], 1)


def pearson(first: ArrayLike, second: ArrayLike) -> float:
    """Correlation of two flattened arrays; 0 where one is constant or there is nothing to compare."""
    a, b = np.asarray(first, float).ravel(), np.asarray(second, float).ravel()
    if len(a) < 2:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 1e-12 else 0.0


def ranks(values: ArrayLike) -> Floats:
    """Ranks of the flattened values, ties sharing their mean rank."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(np.asarray(values, float).ravel()))


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Rank correlation of two flattened arrays."""
    return pearson(ranks(first), ranks(second))


def correlation(attention: ArrayLike, saliency: ArrayLike) -> Correlation:
    """The paper's comparison of one utterance, on the flattened maps."""
    a, b = prepare(attention, saliency)
    return Correlation(pearson(a, b), spearman(a, b))


def word_correlations(attention: ArrayLike, saliency: ArrayLike, words: Sequence[WordSpan]) -> tuple[float, ...]:
    """Correlation of two maps of an utterance, word by word.

    Parameters
    ----------
    attention, saliency : array_like, shape (tokens + 1, frames)
        Standardised within the utterance first, see `prepare`.
    words : sequence of WordSpan

    Returns
    -------
    tuple of float
        Pearson over the rows of each word.
    """
    a, b = prepare(attention, saliency)
    return tuple(pearson(a[word.start : word.stop], b[word.start : word.stop]) for word in words)


def partial_spearman(first: ArrayLike, second: ArrayLike, controls: ArrayLike) -> float:
    """Rank correlation of two variables with the ranks of others held fixed.

    Parameters
    ----------
    first, second : array_like, shape (n,)
    controls : array_like, shape (n, k)

    Returns
    -------
    float
        Pearson correlation of what linear regressions on the controls' ranks leave of both ranks.
    """
    columns = np.asarray(controls, float)
    design = np.column_stack([np.ones(len(columns)), *(ranks(column) for column in columns.T)])

    def rest(values: ArrayLike) -> Floats:
        target = ranks(values)
        return np.asarray(target - design @ np.linalg.lstsq(design, target, rcond=None)[0])

    return pearson(rest(first), rest(second))


def auroc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Probability that a positive case has a higher score than a negative one; NaN without both kinds."""
    flags = np.asarray(positive, bool)
    n_positive, n_negative = int(flags.sum()), int((~flags).sum())
    if not n_positive or not n_negative:
        return float("nan")
    return float((ranks(scores)[flags].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def size(saliency: ArrayLike) -> float:
    """Area under the share of cells at or above 0, 5, ... 100 % of the map's range, in percent: small is compact."""
    values = np.asarray(saliency, float)
    low, high = values.min(), values.max()
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    shares = [(scaled >= level).mean() for level in np.linspace(0, 1, STEPS)]
    return 100 * float(np.trapezoid(shares, dx=1 / (STEPS - 1)))


def deletion(importance: ArrayLike, error: Callable[[NDArray[np.bool_]], float]) -> float:
    """Area under the error while the most important frames are removed in steps of 5 %, in percent.

    Parameters
    ----------
    importance : array_like, shape (frames,)
    error : callable
        Word error rate, from 0, with the frames of a bool array kept; counted as 1 at most.

    Returns
    -------
    float
        High when the frames that matter come first.
    """
    order = np.argsort(-np.asarray(importance, float), kind="stable")
    errors = []
    for share in np.linspace(0, 1, STEPS):
        keep = np.ones(len(order), bool)
        keep[order[: round(share * len(order))]] = False
        errors.append(min(1.0, error(keep)))
    return 100 * float(np.trapezoid(errors, dx=1 / (STEPS - 1)))
