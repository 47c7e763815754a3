"""From a saliency map to the token-by-frame map that attention gives too."""

from __future__ import annotations

import numpy as np

from aligner.core import SaliencyMap, TokenFrameMap
from aligner.errors import SettingError

POOLING = ("max", "mean")


def pool(saliency: SaliencyMap, frame_duration: float, n_frames: int, how: str = "max") -> TokenFrameMap:
    """Pool over channels and over the frames that fall into one frame of the attention.

    Parameters
    ----------
    saliency : SaliencyMap
    frame_duration : float
        Seconds per frame of the result.
    n_frames : int
        Frames of the result.
    how : str
        "max" over channels and time, as arXiv 2509.18010 found best (its Table 1), or "mean".

    Returns
    -------
    TokenFrameMap

    Raises
    ------
    SettingError
        Unknown pooling.
    """
    if how not in POOLING:
        raise SettingError(f"unknown pooling {how!r}: choose one of {', '.join(POOLING)}")
    reduce = np.max if how == "max" else np.mean
    flat = reduce(saliency.values, axis=2)
    edges = np.round(np.arange(n_frames + 1) * frame_duration / saliency.frame_duration).astype(int)
    last = flat.shape[1]
    starts = np.minimum(edges[:-1], last - 1)
    stops = np.maximum(np.minimum(edges[1:], last), starts + 1)
    values = np.stack([reduce(flat[:, a:b], axis=1) for a, b in zip(starts, stops, strict=True)], axis=1)
    return TokenFrameMap(values, frame_duration)
