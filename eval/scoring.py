"""Scores of systems with their intervals: one row of numbers per system, for tables and reports."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aligner.metrics import Interval, interval, merge
from aligner.metrics.bootstrap import mean, median
from aligner.metrics.scores import BoundaryScores, macro_boundary_error
from eval.systems import System, groups


@dataclass(frozen=True)
class SystemScores:
    """Scores of a system on a corpus; times in seconds, shares from 0 to 1.

    Attributes
    ----------
    system : System
        What was scored: every utterance's reference and estimated words.
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

    system: System
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

    @property
    def name(self) -> str:
        """The system's."""
        return self.system.name

    @property
    def family(self) -> str:
        """The system's."""
        return self.system.family


def score(system: System) -> SystemScores:
    """SystemScores of a system."""
    each = [r.scores for r in system.recordings]
    units, resampled = groups(system.recordings)
    total = merge(each)
    of_word = [unit for unit, s in zip(units, each, strict=True) for _ in s.onset]
    of_reference = [unit for unit, s in zip(units, each, strict=True) for _ in range(s.n_reference)]
    matched = np.concatenate([np.arange(s.n_reference) < s.n_matched for s in each]) if each else np.zeros(0)
    onset, offset = np.abs(total.onset), np.abs(total.offset)
    close = [(a <= 0.05 + 1e-9) / 2 + (b <= 0.05 + 1e-9) / 2 for a, b in zip(onset, offset, strict=True)]
    return SystemScores(
        system,
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


def ranked(rows: Sequence[SystemScores]) -> list[SystemScores]:
    """Rows with the smallest boundary error first; those that matched less than others are not favoured for it.

    A system that leaves words out is placed after all that match every word that any system matches.
    """
    most = max((r.scores.matched_share for r in rows), default=1.0)
    return sorted(rows, key=lambda r: (r.scores.matched_share < most - 0.01, r.boundary_error.value, r.name))


def as_csv(rows: Sequence[dict[str, str | float | int]]) -> str:
    """CSV of rows with equal columns; empty for none."""
    if not rows:
        return ""
    handle = io.StringIO()
    writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return handle.getvalue()
