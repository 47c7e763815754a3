"""Metrics of word timings: pure functions of reference and estimated words, in seconds."""

from aligner.metrics.bootstrap import Interval, interval, paired_difference
from aligner.metrics.boundary import TOLERANCES
from aligner.metrics.scores import BoundaryScores, merge, score_words
from aligner.metrics.table import reference_table
from aligner.metrics.words import match_words, normalise

__all__ = [
    "TOLERANCES",
    "BoundaryScores",
    "Interval",
    "interval",
    "match_words",
    "merge",
    "normalise",
    "paired_difference",
    "reference_table",
    "score_words",
]
