"""Paired comparison of two systems on the words that both found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aligner.errors import InputError
from aligner.metrics import Interval, match_words, paired_difference
from aligner.metrics.bootstrap import mean, median
from eval.systems import System, groups

MEASURES = (
    ("onset mean absolute error", 0, mean, "ms"),
    ("onset median absolute error", 0, median, "ms"),
    ("offset mean absolute error", 1, mean, "ms"),
    ("offset median absolute error", 1, median, "ms"),
    ("onset within 50 ms", 0, mean, "%"),
    ("offset within 50 ms", 1, mean, "%"),
)


def paired_errors(first: System, second: System) -> tuple[NDArray[np.float64], list[str], str]:
    """Absolute errors of both systems on the reference words that both matched.

    Returns
    -------
    float64 array, shape (2 systems, 2 sides, n), group of each word, name of the groups

    Raises
    ------
    InputError
        No recording, or no word, in common; or references that differ.
    """
    others = {r.id: r for r in second.recordings}
    common = [r for r in first.recordings if r.id in others]
    if not common:
        raise InputError(
            f"{first.name} and {second.name} have no utterance in common: were they run on the same manifest?"
        )
    units, resampled = groups(common)
    errors: list[list[list[float]]] = []
    of_word: list[str] = []
    for unit, a in zip(units, common, strict=True):
        b = others[a.id]
        if a.reference != b.reference:
            raise InputError(
                f"utterance {a.id}: {first.name} and {second.name} were scored against different references"
            )
        in_a, in_b = dict(match_words(a.reference, a.estimated)), dict(match_words(b.reference, b.estimated))
        for i in sorted(in_a.keys() & in_b.keys()):
            found = (a.estimated[in_a[i]], b.estimated[in_b[i]])
            gold = a.reference[i]
            errors.append([[abs(w.start - gold.start), abs(w.end - gold.end)] for w in found])
            of_word.append(unit)
    if not errors:
        raise InputError(f"{first.name} and {second.name} have no matched word in common")
    return np.array(errors).transpose(1, 2, 0), of_word, resampled


def comparison(first: System, second: System) -> str:
    """Table of differences, first minus second, with 95 % intervals, as plain text."""
    errors, of_word, resampled = paired_errors(first, second)
    n_reference = sum(len(r.reference) for r in first.recordings)
    lines = [
        f"{first.name} minus {second.name}, on the {errors.shape[2]} words that both matched of {n_reference} "
        f"({100 * errors.shape[2] / n_reference:.1f} %); 95 % intervals, resampled by {resampled}",
        f"{'':34}{first.name[:16]:>17}{second.name[:16]:>17}{'difference':>12}  interval",
    ]
    for name, side, statistic, unit in MEASURES:
        a, b = errors[:, side]
        factor = 1000.0
        if unit == "%":
            a, b, factor = (a <= 0.05 + 1e-9).astype(float), (b <= 0.05 + 1e-9).astype(float), 100.0
        once = np.ones((1, len(a)))
        values = [factor * float(statistic(x, once)[0]) for x in (a, b)]
        found = paired_difference(a, b, of_word, statistic)
        lines.append(
            f"{name + ', ' + unit:34}{values[0]:17.1f}{values[1]:17.1f}{factor * found.value:12.1f}  "
            f"{factor * found.low:.1f} to {factor * found.high:.1f}{_verdict(found, unit)}"
        )
    return "\n".join(lines)


def _verdict(found: Interval, unit: str) -> str:
    if not found.excludes_zero:
        return "  (not told apart)"
    better = found.value > 0 if unit == "%" else found.value < 0
    return "  (first is better)" if better else "  (second is better)"
