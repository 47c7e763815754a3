"""Metrics as columns of the tables: errors in ms, shares in percent, as the name of the column says.

To add one: a function from a `SystemScores` to a number, or to an `Interval`, registered by the name of its column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from aligner.metrics import TOLERANCES, Interval, boundary
from aligner.registry import Registry
from eval.scoring import SystemScores, as_csv, ranked, score
from eval.systems import System

Cells = dict[str, str | float | int]
metrics: Registry[Callable[[SystemScores], float | Interval]] = Registry("metric")


def scaled(found: Interval, factor: float) -> Interval:
    """An interval in another unit."""
    return Interval(factor * found.value, factor * found.low, factor * found.high)


metrics.register("micro_boundary_error_ms")(lambda row: scaled(row.boundary_error, 1000))
metrics.register("macro_boundary_error_ms")(lambda row: 1000 * row.macro_error)
metrics.register("onset_mean_ms")(lambda row: scaled(row.onset_mean, 1000))
metrics.register("onset_median_ms")(lambda row: scaled(row.onset_median, 1000))
metrics.register("offset_mean_ms")(lambda row: scaled(row.offset_mean, 1000))
metrics.register("offset_median_ms")(lambda row: scaled(row.offset_median, 1000))
metrics.register("onset_signed_ms")(lambda row: 1000 * boundary.mean_signed_error(row.scores.onset))
metrics.register("offset_signed_ms")(lambda row: 1000 * boundary.mean_signed_error(row.scores.offset))
metrics.register("within_50ms_percent")(lambda row: scaled(row.within, 100))
metrics.register("word_f1_200ms")(lambda row: row.scores.word_f1)
metrics.register("mean_iou")(lambda row: row.scores.mean_iou)


def _within(side: str, tolerance: float, row: SystemScores) -> float:
    return 100 * boundary.share_within(getattr(row.scores, side), tolerance)


def _boundaries(name: str, tolerance: float, row: SystemScores) -> float:
    found: float = getattr(row.scores, name)(tolerance)
    return found


for _tolerance in TOLERANCES:
    for _side in ("onset", "offset"):
        metrics.register(f"{_side}_within_{1000 * _tolerance:.0f}ms_percent")(partial(_within, _side, _tolerance))
for _tolerance in (0.02, 0.05, 0.1):
    for _name in ("precision", "recall", "f1", "r_value"):
        metrics.register(f"boundary_{_name}_{1000 * _tolerance:.0f}ms")(partial(_boundaries, _name, _tolerance))


def cells(row: SystemScores) -> Cells:
    """A row of the CSV tables: every metric, and what it was measured on."""
    found: Cells = {
        "system": row.name,
        "family": row.family,
        "words": row.scores.n_reference,
        "speakers": row.n_speakers or "unknown",
        "matched_percent": round(100 * row.scores.matched_share, 2),
    }
    for name in metrics:
        value = metrics[name](row)
        digits = 2 if name.endswith(("_ms", "_percent")) else 4
        if isinstance(value, Interval):
            found |= {f"{name}_low": round(value.low, digits), f"{name}_high": round(value.high, digits)}
            value = value.value
        found[name] = round(value, digits)
    return {**found, "resampled_by": row.resampled}


def write_scores(systems: Sequence[System], path: Path) -> None:
    """Scores of every system, best first, as CSV."""
    from aligner.files import atomic_write

    with atomic_write(path) as temporary:
        temporary.write_text(as_csv([cells(row) for row in ranked([score(s) for s in systems])]), encoding="utf-8")
