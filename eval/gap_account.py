"""Where an error of so many milliseconds goes: a constant, a wrong place, the grid of the frames, the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.gap_measure import unit

Records = Sequence[Mapping[str, Any]]
Floats = NDArray[np.float64]

ASTRAY = 0.1  # seconds; a word with an edge off by more, without the constant, is in the wrong place
PARTS = ("constant", "wrong place", "grid", "rest")


def signed(record: Mapping[str, Any], source: str) -> Floats:
    """Onset and offset errors in seconds, positive where late, shape (words, 2)."""
    reference = np.array([word[1:] for word in record["words"]], float)
    return np.asarray(np.array(record["times"][source], float) - reference)


def constants(errors: Floats, groups: Sequence[str]) -> Floats:
    """Median onset and offset error of all other groups, for each word; zero where there is one group alone.

    Parameters
    ----------
    errors : float64 array, shape (words, 2)
        Signed.
    groups : sequence of str
        Speaker of each word.
    """
    names = np.array(groups)
    found = np.zeros_like(errors)
    for name in sorted(set(groups)):
        others = errors[names != name]
        if len(others):
            found[names == name] = np.median(others, axis=0)
    return found


def parts(errors: Floats, shift: Floats, edges: Floats, step: float) -> dict[str, Floats]:
    """What of the mean absolute error of each word is what; they sum to it.

    Parameters
    ----------
    errors, shift, edges : float64 arrays, shape (words, 2)
        Signed errors, the constant that other speakers have, and the true onsets and offsets, in seconds.
    step : float
        Seconds between the edges that the source can give; 0 for no grid.
    """
    centred = errors - shift
    astray = np.abs(centred).max(1, keepdims=True) > ASTRAY + 1e-9
    left = np.abs(centred)
    # The nearest edge that the grid, moved by the constant, has to offer.
    away = edges + shift
    grid = np.abs(away - np.round(away / step) * step) if step else np.zeros_like(edges)
    grid = np.where(astray, 0, np.minimum(grid, left))
    found = {
        "constant": np.abs(errors) - left,
        "wrong place": np.where(astray, left, 0),
        "grid": grid,
        "rest": np.where(astray, 0, left - grid),
    }
    return {name: values.mean(1) for name, values in found.items()}


def step_of(record: Mapping[str, Any], source: str) -> float:
    """Seconds between the edges that a source can give."""
    if source == "uniform":
        return 0.0
    return 0.01 if source.startswith("head") else float(record["frame_duration"])


class Errors:
    """All words of a source.

    Parameters
    ----------
    records : sequence of mapping
        Those without the source are left out.
    source : str

    Attributes
    ----------
    utterances : int
    groups : list of str
        Speaker of each word.
    signed, centred : float64 arrays, shape (words, 2)
        Errors, and those without the constant of other speakers.
    parts : dict of float64 arrays, shape (words,)
        See `parts`.
    """

    def __init__(self, records: Records, source: str) -> None:
        mine = [r for r in records if source in r["times"]]
        self.utterances = len(mine)
        self.groups = [unit(r) for r in mine for _ in r["words"]]
        self.signed = np.concatenate([signed(r, source) for r in mine])
        shift = constants(self.signed, self.groups)
        self.centred = self.signed - shift
        edges = np.concatenate([np.array([w[1:] for w in r["words"]], float) for r in mine])
        self.parts = parts(self.signed, shift, edges, step_of(mine[0], source))

    @property
    def plain(self) -> Floats:
        """Mean absolute error of each word, in seconds."""
        return np.asarray(np.abs(self.signed).mean(1))

    @property
    def without_constant(self) -> Floats:
        """The same after the constant is taken away."""
        return np.asarray(np.abs(self.centred).mean(1))
