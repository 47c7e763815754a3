"""Path finders: from a token-by-frame map to a monotone path. The only importer of dtw-python."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aligner.core import Path, TokenFrameMap
from aligner.registry import Registry

paths: Registry[Callable[[NDArray[np.float64]], Path]] = Registry("path finder")


@paths.register("dtw")
def dtw_path(values: NDArray[np.float64]) -> Path:
    """Dynamic time warping as openai-whisper uses it: equal-weight steps, highest total evidence.

    Parameters
    ----------
    values : float64 array, shape (tokens, frames)
        Finite; higher is more evidence.
    """
    from dtw import dtw

    # symmetric1 has the unweighted steps of Whisper's own DTW; the default pattern does not.
    found = dtw(-values, step_pattern="symmetric1")
    return Path(found.index1, found.index2)


@paths.register("linear")
def linear_path(values: NDArray[np.float64]) -> Path:
    """Tokens spread evenly over the frames: the trivial baseline."""
    n_tokens, n_frames = values.shape
    steps = max(n_tokens, n_frames)
    grid = np.arange(steps)
    return Path(grid * n_tokens // steps, grid * n_frames // steps)


def warp(evidence: TokenFrameMap, path: str = "dtw") -> Path:
    """Find the path through a map.

    Parameters
    ----------
    evidence : TokenFrameMap
    path : str
        A registered path finder.

    Raises
    ------
    SettingError
        Unknown path finder.
    """
    return paths[path](evidence.values)
