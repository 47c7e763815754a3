"""Saliency of the spectrogram (SM^X): segments of like energy, at several sizes, hidden at random.

Fucci et al., "SPES: Spectrogram Perturbation for Explainable Speech-to-Text
Generation", arXiv 2411.01710, with the settings of arXiv 2509.18010 ("paper")
or those that the published code defaults to ("code"). The only importer of
scikit-image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.core import SaliencyMap
from aligner.errors import InputError, SettingError
from aligner.saliency.base import Request, methods
from aligner.saliency.perturbation import occlude_features


@dataclass(frozen=True)
class Clustering:
    """Settings of the clustering and of the masks.

    Attributes
    ----------
    per_second : tuple of float
        Segments per second of each granularity.
    sigma, compactness : float
        Of SLIC: smoothing before, and weight of nearness against likeness.
    longest : float
        Seconds; longer audio gets no more segments.
    probability : float
        That a mask drops a segment.
    masks : int
        Most masks of a run that draws until convergence.
    """

    per_second: tuple[float, ...]
    sigma: float
    compactness: float
    longest: float
    probability: float
    masks: int


PRESETS = {
    "paper": Clustering((400, 500, 600), 0, 0.1, 7.5, 0.5, 20_000),
    "code": Clustering((8, 16, 32, 64, 128), 1, 0.1, float("inf"), 0.5, 8_000),
}


@methods.register("spes")
def spes_saliency(request: Request) -> SaliencyMap:
    """Saliency of each cell of the features.

    Raises
    ------
    SettingError
        Unknown preset, or scikit-image missing.
    InputError
        Audio shorter than one segment.
    """
    name = request.argument or "paper"
    if name not in PRESETS:
        raise SettingError(f"unknown spes preset {name!r}: choose one of {', '.join(PRESETS)}")
    preset = PRESETS[name]
    hears, features = request.spectrogram(), request.encoded.features.float().cpu().numpy()
    seconds = min(len(features) * hears.feature_duration, preset.longest)
    counts = [round(rate * seconds) for rate in preset.per_second]
    partitions = [segments(features, count, preset) for count in counts if count > 1]
    partitions = [labels for labels in partitions if labels.max() > 0]
    if not partitions:
        raise InputError(f"{request.encoded.duration:.3f} s of audio are shorter than one segment of spes:{name}")
    return occlude_features(request, partitions, preset.probability, preset.masks)


def segments(features: NDArray[np.float32], count: int, preset: Clustering) -> NDArray[np.intp]:
    """Cluster a spectrogram, seen as a grey image scaled to 0-1, with SLIC.

    Parameters
    ----------
    features : float32 array, shape (frames, channels)
    count : int
        Segments wanted; SLIC makes about as many.
    preset : Clustering

    Returns
    -------
    int array, shape (frames, channels)
        Segment of each cell, from 0 without gaps.

    Raises
    ------
    SettingError
        scikit-image missing.
    """
    try:
        from skimage.segmentation import slic
    except ImportError:
        raise SettingError(
            "saliency by spes needs scikit-image: install the extra with "
            "pip install 'cross-attention-aligner[saliency]'"
        ) from None
    low, high = features.min(), features.max()
    image = (features - low) / (high - low if high > low else 1)
    labels = slic(
        image, n_segments=count, compactness=preset.compactness, sigma=preset.sigma, channel_axis=None, start_label=0
    )
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
