"""Saliency of stretches of time: strips of the spectrogram, all channels at once, hidden at random.

A cheap stand-in for `spes` where only the time axis matters. "strips:80" sets
the width in milliseconds.
"""

from __future__ import annotations

import numpy as np

from aligner.core import SaliencyMap
from aligner.errors import InputError, SettingError
from aligner.saliency.base import Request, methods
from aligner.saliency.perturbation import occlude_features

PROBABILITY = 0.5
WIDTH = 40  # ms


@methods.register("strips")
def strips_saliency(request: Request) -> SaliencyMap:
    """Saliency of each feature frame, one channel.

    Raises
    ------
    SettingError
        A width that is no whole number of feature frames.
    InputError
        Audio no longer than one strip.
    """
    given = request.argument or str(WIDTH)
    step = request.spectrogram().feature_duration * 1000
    width = round(int(given) / step) if given.isdigit() else 0
    if not width or abs(width * step - int(given)) > 1e-6:
        raise SettingError(f"strips of {given!r} ms: give a multiple of {step:g}, as in strips:40")
    labels = np.arange(len(request.encoded.features))[:, None] // width
    if labels.max() < 1:
        raise InputError(f"{request.encoded.duration:.3f} s of audio are no longer than one strip of {given} ms")
    return occlude_features(request, [labels], PROBABILITY)
