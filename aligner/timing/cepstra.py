"""Cepstra of the log-mel features that a model hears: what shows when a sound changes, to 10 ms.

Encoder states know what is said and never lose the place, but every state has seen half a minute of sound; cepstra of
one frame have seen 25 ms of it. Loudness is told against the loud parts of the recording, and the mean is taken over
speech alone, so that neither the microphone nor the length of pauses matters.

References
----------
Davis and Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word Recognition", 1980.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

COEFFICIENTS = 12
WIDTH = 3 * (COEFFICIENTS + 1)  # values of a frame: cepstra and level, their slopes, the slopes' slopes
_PER_UNIT = 4 * np.log(10)  # features are (log10 power + 4) / 4
_QUIETEST = 60.0  # dB below the loud parts; what is fainter is as good as that
_SPEECH = 0.4  # of the way from the quiet parts to the loud ones: frames above take part in the mean
_REACH = 2  # frames at either side that a slope is taken over


def levels(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Level of every frame in dB.

    Parameters
    ----------
    features : float32 array, shape (frames, channels)
        Whisper's log-mel features.

    Returns
    -------
    float32 array, shape (frames,)
        Up to a constant.
    """
    power = np.exp(features.astype(np.float64) * _PER_UNIT).sum(1)
    return (10 * np.log10(np.maximum(power, 1e-12))).astype(np.float32)


def cepstra(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cepstra with slopes.

    Parameters
    ----------
    features : float32 array, shape (frames, channels)
        Whisper's log-mel features, one frame each 10 ms.

    Returns
    -------
    float32 array, shape (frames, WIDTH)
    """
    level = levels(features)
    quiet, loud = np.percentile(level, (5, 95))
    speech = level > quiet + _SPEECH * (loud - quiet)
    found = dct(features * _PER_UNIT, type=2, norm="ortho", axis=1)[:, 1 : COEFFICIENTS + 1]
    found = found - found[speech if speech.any() else slice(None)].mean(0)
    static = np.column_stack([found, np.maximum(level - loud, -_QUIETEST) / 4]).astype(np.float32)
    first = slopes(static)
    return np.concatenate([static, first, slopes(first)], 1)


def slopes(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Regression slope of every column around every frame, edges repeated.

    Parameters
    ----------
    values : float32 array, shape (frames, columns)
    """
    count = len(values)
    padded = np.pad(values, ((_REACH, _REACH), (0, 0)), mode="edge")
    total = np.zeros_like(values)
    for k in range(1, _REACH + 1):
        total += k * (padded[_REACH + k : _REACH + k + count] - padded[_REACH - k : _REACH - k + count])
    slope: NDArray[np.float32] = (total / (2 * sum(k * k for k in range(1, _REACH + 1)))).astype(np.float32)
    return slope
