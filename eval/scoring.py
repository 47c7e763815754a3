"""Scores of systems with their intervals: one row of numbers per system, for tables and reports."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aligner.metrics import TOLERANCES, Interval, boundary, interval, merge
from aligner.metrics.bootstrap import mean, median
from aligner.metrics.scores import BoundaryScores, macro_boundary_error
from eval.systems import System, groups

CRITERION = "boundary_error"


@dataclass(frozen=True)
class Row:
    """Scores of a system on a corpus; times in seconds, shares from 0 to 1.

    Attributes
    ----------
    name, family : str
    scores : BoundaryScores
        Of all words together (micro).
    macro_error : float
        Mean over recordings of the boundary error.
    onset_mean, onset_median, offset_mean, offset_median : Interval
        Absolute errors of matched words.
    boundary_error : Interval
        Mean absolute error of onsets and offsets together, the criterion.
    within : Interval
        Share of onsets and offsets of matched words within 50 ms.
    matched : Interval
        Share of reference words matched.
    n_speakers : int
        0 where unknown.
    resampled : str
        What the intervals were resampled by.
    """

    name: str
    family: str
    scores: BoundaryScores
    macro_error: float
    onset_mean: Interval
    onset_median: Interval
    offset_mean: Interval
    offset_median: Interval
    boundary_error: Interval
    within: Interval
    matched: Interval
    n_speakers: int
    resampled: str


def score(system: System) -> Row:
    """Row of a system."""
    each = [r.scores for r in system.recordings]
    units, resampled = groups(system.recordings)
    total = merge(each)
    of_word = [unit for unit, s in zip(units, each, strict=True) for _ in s.onset]
    of_reference = [unit for unit, s in zip(units, each, strict=True) for _ in range(s.n_reference)]
    matched = np.concatenate([np.arange(s.n_reference) < s.n_matched for s in each]) if each else np.zeros(0)
    onset, offset = np.abs(total.onset), np.abs(total.offset)
    close = [(a <= 0.05 + 1e-9) / 2 + (b <= 0.05 + 1e-9) / 2 for a, b in zip(onset, offset, strict=True)]
    return Row(
        system.name,
        system.family,
        total,
        macro_boundary_error(each),
        interval(onset, of_word, mean),
        interval(onset, of_word, median),
        interval(offset, of_word, mean),
        interval(offset, of_word, median),
        interval((onset + offset) / 2, of_word, mean),
        interval(close, of_word, mean),
        interval(matched, of_reference, mean),
        len({r.speaker for r in system.recordings if r.speaker}),
        resampled,
    )


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Rows with the smallest boundary error first; those that matched less than others are not favoured for it.

    A system that leaves words out is placed after all that match every word that any system matches.
    """
    most = max((r.scores.matched_share for r in rows), default=1.0)
    return sorted(rows, key=lambda r: (r.scores.matched_share < most - 0.01, r.boundary_error.value, r.name))


def cells(row: Row) -> dict[str, str | float | int]:
    """Columns of the CSV tables: errors in ms, shares in percent, matched share and counts beside them."""
    found: dict[str, str | float | int] = {
        "system": row.name,
        "family": row.family,
        "words": row.scores.n_reference,
        "speakers": row.n_speakers or "unknown",
        "matched_percent": round(100 * row.scores.matched_share, 2),
    }
    for name in ("boundary_error", "onset_mean", "onset_median", "offset_mean", "offset_median"):
        value: Interval = getattr(row, name)
        label = f"{name}_ms" if name != "boundary_error" else "micro_boundary_error_ms"
        found[label] = round(1000 * value.value, 2)
        found[f"{label}_low"], found[f"{label}_high"] = round(1000 * value.low, 2), round(1000 * value.high, 2)
    found["macro_boundary_error_ms"] = round(1000 * row.macro_error, 2)
    for side in ("onset", "offset"):
        errors = getattr(row.scores, side)
        found[f"{side}_signed_ms"] = round(1000 * boundary.mean_signed_error(errors), 2)
        for tolerance in TOLERANCES:
            share = boundary.share_within(errors, tolerance)
            found[f"{side}_within_{1000 * tolerance:.0f}ms_percent"] = round(100 * share, 2)
    found["within_50ms_percent"] = round(100 * row.within.value, 2)
    found["within_50ms_percent_low"] = round(100 * row.within.low, 2)
    found["within_50ms_percent_high"] = round(100 * row.within.high, 2)
    for tolerance in (0.02, 0.05, 0.1):
        at = f"{1000 * tolerance:.0f}ms"
        for name in ("precision", "recall", "f1", "r_value"):
            found[f"boundary_{name}_{at}"] = round(getattr(row.scores, name)(tolerance), 4)
    found["word_f1_200ms"] = round(row.scores.word_f1, 4)
    found["mean_iou"] = round(row.scores.mean_iou, 4)
    found["resampled_by"] = row.resampled
    return found


def as_csv(rows: Sequence[dict[str, str | float | int]]) -> str:
    """CSV of rows with equal columns; empty for none."""
    if not rows:
        return ""
    handle = io.StringIO()
    writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return handle.getvalue()


def write_scores(systems: Sequence[System], path: Path) -> None:
    """Scores of every system, best first, as CSV."""
    from aligner.files import atomic_write

    with atomic_write(path) as temporary:
        temporary.write_text(as_csv([cells(row) for row in ranked([score(s) for s in systems])]), encoding="utf-8")
