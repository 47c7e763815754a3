"""What needs no model: words spread evenly."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np


def uniform_times(texts: Sequence[str], duration: float) -> list[tuple[float, float]]:
    """Words over the whole recording, each as long as its share of the characters.

    Examples
    --------
    >>> uniform_times(["a", "cat"], 2.0)
    [(0.0, 0.5), (0.5, 2.0)]
    """
    edges = np.cumsum([0, *(max(1, len(t)) for t in texts)])
    edges = edges / edges[-1] * duration
    return [(float(a), float(b)) for a, b in itertools.pairwise(edges)]
