"""Saliency of encoder frames (SM^H): whole frames of the encoder's output zeroed at random.

Papi et al., "Cross-Attention is Half Explanation in Speech-to-Text Models",
arXiv 2509.18010, section 4.3: p = .7, KL divergence. The encoder runs once.
"""

from __future__ import annotations

import numpy as np

from aligner.core import SaliencyMap
from aligner.errors import InputError, SettingError
from aligner.saliency.base import Request, methods
from aligner.saliency.perturbation import occlude

PROBABILITY = 0.7


@methods.register("encoder")
def encoder_saliency(request: Request) -> SaliencyMap:
    """Saliency of each encoder frame, one channel; the states of padding stay as they are.

    Raises
    ------
    SettingError
        An argument: the method takes none.
    InputError
        Fewer than two frames of audio.
    """
    if request.argument:
        raise SettingError(f"saliency method encoder takes no argument, not {request.argument!r}")
    frames = request.frames
    if frames < 2:
        raise InputError(f"{request.encoded.duration:.3f} s of audio are one encoder frame: nothing to compare it with")

    labels = np.arange(frames)[:, None]
    return occlude(
        request,
        [labels],
        PROBABILITY,
        request.model.frame_duration,
        lambda reading, keep: reading.without_states(keep[..., 0]),
    )
