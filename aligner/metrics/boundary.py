"""Errors of word boundaries.

Conventions
-----------
Boundaries are ascending times in seconds. An error is estimated minus
reference: positive is late. Tolerances are inclusive. `reference` comes first
everywhere. A boundary is matched at most once.

Metrics
-------
* `signed_errors` of paired boundaries, and `mean_abs_error`,
  `median_abs_error`, `mean_signed_error`, `share_within` of such errors
* `count_hits`: most one-to-one matches within a tolerance
* `precision`, `recall`, `f1`, `r_value` of those counts

References
----------
Rousso et al., "Tradition or Innovation: A Comparison of Modern ASR Methods
for Forced Alignment", Interspeech 2024, section 4 (shares within tolerances).
Räsänen, Laine and Altosaar, "An Improved Speech Segmentation Quality Measure:
the R-value", Interspeech 2009, equations 1 to 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOLERANCES = (0.010, 0.020, 0.025, 0.050, 0.100, 0.200)  # seconds
_ROUNDING = 1e-9  # 1.25 - 1.20 is a little more than 0.05


def signed_errors(reference: ArrayLike, estimated: ArrayLike) -> NDArray[np.float64]:
    """Estimated minus reference, boundary by boundary.

    Parameters
    ----------
    reference, estimated : array_like of float, shape (n,)
        Paired boundaries in seconds.

    Returns
    -------
    float64 array, shape (n,)

    Raises
    ------
    ValueError
        Different lengths, or values that are not finite.
    """
    a, b = np.asarray(reference, float), np.asarray(estimated, float)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"boundaries must be paired: reference has shape {a.shape}, estimated {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("boundaries hold NaN or infinite values")
    return b - a


def mean_abs_error(errors: ArrayLike) -> float:
    """Mean of the absolute errors in seconds; NaN when there are none."""
    values = np.abs(np.asarray(errors, float))
    return float(values.mean()) if values.size else math.nan


def median_abs_error(errors: ArrayLike) -> float:
    """Median of the absolute errors in seconds; NaN when there are none."""
    values = np.abs(np.asarray(errors, float))
    return float(np.median(values)) if values.size else math.nan


def mean_signed_error(errors: ArrayLike) -> float:
    """Mean error in seconds: the constant part, positive when late; NaN when there are none."""
    values = np.asarray(errors, float)
    return float(values.mean()) if values.size else math.nan


def share_within(errors: ArrayLike, tolerance: float) -> float:
    """Share of errors of at most `tolerance` seconds either way, 0 to 1; NaN when there are none.

    Examples
    --------
    >>> share_within([0.01, -0.05, 0.2], 0.05)
    0.6666666666666666
    """
    values = np.abs(np.asarray(errors, float))
    return float((values <= tolerance + _ROUNDING).mean()) if values.size else math.nan


def count_hits(reference: ArrayLike, estimated: ArrayLike, tolerance: float) -> int:
    """Most one-to-one matches of boundaries at most `tolerance` seconds apart.

    On a line with one tolerance for all, pairing the earliest free boundaries
    first is an optimal bipartite matching.

    Parameters
    ----------
    reference, estimated : array_like, shape (n,), (m,)
        Seconds, in any order.
    tolerance : float
        Seconds.

    Examples
    --------
    >>> count_hits([1.0, 2.0], [1.01, 1.02, 2.5], 0.05)
    1
    """
    a, b = np.sort(np.asarray(reference, float)), np.sort(np.asarray(estimated, float))
    hits = i = j = 0
    while i < len(a) and j < len(b):
        if abs(a[i] - b[j]) <= tolerance + _ROUNDING:
            hits, i, j = hits + 1, i + 1, j + 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return hits


def precision(hits: int, n_estimated: int) -> float:
    """Share of estimated boundaries that are hits; NaN when there are none."""
    return hits / n_estimated if n_estimated else math.nan


def recall(hits: int, n_reference: int) -> float:
    """Share of reference boundaries that are hits; NaN when there are none."""
    return hits / n_reference if n_reference else math.nan


def f1(hits: int, n_reference: int, n_estimated: int) -> float:
    """Harmonic mean of precision and recall; NaN when there is no boundary on either side.

    Parameters
    ----------
    hits, n_reference, n_estimated : int
        Boundaries that match, and all on either side.
    """
    return 2 * hits / (n_reference + n_estimated) if n_reference + n_estimated else math.nan


def r_value(hits: int, n_reference: int, n_estimated: int) -> float:
    """R-value: closeness to the ideal point of full recall without over-segmentation.

    With recall R and over-segmentation S = n_estimated / n_reference - 1:
    r1 = sqrt((1 - R)^2 + S^2), r2 = (R - 1 - S) / sqrt(2), and the value is
    1 - (abs(r1) + abs(r2)) / 2; 1 is perfect, negative is possible.

    Parameters
    ----------
    hits, n_reference, n_estimated : int
        Boundaries that match, and all on either side.

    Examples
    --------
    >>> r_value(10, 10, 10)
    1.0
    """
    if not n_reference:
        return math.nan
    hit_rate, over = hits / n_reference, n_estimated / n_reference - 1
    r1 = math.hypot(1 - hit_rate, over)
    r2 = (hit_rate - 1 - over) / math.sqrt(2)
    return 1 - (abs(r1) + abs(r2)) / 2


def count_hits_each(reference: ArrayLike, estimated: ArrayLike, tolerances: Sequence[float]) -> tuple[int, ...]:
    """`count_hits` at every tolerance, see there: a number for each."""
    return tuple(count_hits(reference, estimated, tolerance) for tolerance in tolerances)
