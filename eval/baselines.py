"""What needs no model: times from the words and the duration alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from aligner.registry import Registry

Times = list[tuple[float, float]]
baselines: Registry[Callable[[Sequence[str], float], Times]] = Registry("baseline")


@baselines.register("uniform")
def uniform_times(texts: Sequence[str], duration: float) -> Times:
    """Words over the whole recording, each as long as its share of the characters.

    Examples
    --------
    >>> uniform_times(["a", "cat"], 2.0)
    [(0.0, 0.5), (0.5, 2.0)]
    """
    edges = np.cumsum([0, *(max(1, len(t)) for t in texts)])
    edges = edges / edges[-1] * duration
    return [(float(a), float(b)) for a, b in itertools.pairwise(edges)]
