"""Cepstra of the waveform: what shows when a sound changes, to 10 ms.

Encoder states know what is said and never lose the place, but every state has seen half a minute of sound; cepstra of
one frame have seen 25 ms of it. Loudness is told against the loud parts of the recording, and the mean is taken over
speech alone, so that neither the microphone nor the length of pauses matters.

References
----------
Davis and Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word Recognition", 1980; Povey et al.,
"The Kaldi Speech Recognition Toolkit", 2011 (its window, bands and lifter).
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

RATE = 16_000  # Hz
BANDS = 23
COEFFICIENTS = 12
WIDTH = 3 * (COEFFICIENTS + 1)  # values of a frame: level and cepstra, their slopes, the slopes' slopes
_WINDOW, _HOP, _SIZE = 400, 160, 512  # samples: of a window, from one to the next, of its transform
_LOWEST, _HIGHEST = 20.0, 7800.0  # Hz
_BLOCK = 64  # frames that stay in the processor's cache
_EMPHASIS = 0.97  # of the sample before, taken off
_DEPTH = 90.0  # dB below the loudest: what is fainter is as good as that, an empty band too
_LIFTER = 22
_QUIETEST = 60.0  # dB below the loud parts; what is fainter is as good as that
_SPEECH = 0.4  # of the way from the quiet parts to the loud ones: frames above take part in the mean
_REACH = 2  # frames at either side that a slope is taken over
_NATS = np.log(10) / 10  # to a dB


@lru_cache(maxsize=1)
def _window() -> NDArray[np.float32]:
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / (_WINDOW - 1))
    return np.asarray(hann**0.85, np.float32)


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float32]:
    """Triangles evenly spaced on the mel scale, shape (bins of the transform, bands)."""

    def mel(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = 1127 * np.log1p(frequency / 700)
        return found

    low, high = mel(np.array([_LOWEST, _HIGHEST]))
    corners = np.linspace(low, high, BANDS + 2)
    at = mel(np.arange(_SIZE // 2 + 1) * RATE / _SIZE)[:, None]
    rising = (at - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - at) / np.diff(corners)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def bands(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-energy in mel bands of a stretch of sound.

    Parameters
    ----------
    samples : float32 array, shape (samples,)
        At 16 kHz, full scale 1.

    Returns
    -------
    float32 array, shape (ceil(samples / 160), BANDS)
        Natural logarithm; frame j is centred 10 j ms after the start, sound mirrored at both ends.
    """
    count = -(-len(samples) // _HOP)
    padded = np.pad(samples, (_WINDOW // 2, _WINDOW + _HOP), mode="symmetric")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    energy = np.empty((count, BANDS), np.float32)
    for low in range(0, count, _BLOCK):
        part = frames[low : low + _BLOCK]
        centred = part - part.mean(1, keepdims=True)
        centred[:, 1:] -= _EMPHASIS * centred[:, :-1]
        centred[:, 0] *= 1 - _EMPHASIS
        centred *= _window()
        spectrum = np.fft.rfft(centred, _SIZE, axis=1)
        energy[low : low + _BLOCK] = (spectrum.real**2 + spectrum.imag**2) @ _filters()
    found: NDArray[np.float32] = np.log(np.maximum(energy, 1e-10 + energy.max() * 10 ** (-_DEPTH / 10)))
    return found.astype(np.float32)


def cepstra(energies: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cepstra with slopes.

    Parameters
    ----------
    energies : float32 array, shape (frames, BANDS)
        From `bands`.

    Returns
    -------
    float32 array, shape (frames, WIDTH)
    """
    level = np.log(np.exp(energies).sum(1)) / _NATS
    quiet, loud = np.percentile(level, (5, 95))
    speech = level > quiet + _SPEECH * (loud - quiet)
    found = energies @ _cosines(energies.shape[1])
    found -= found[speech if speech.any() else slice(None)].mean(0)
    static = np.column_stack([np.maximum(level - loud, -_QUIETEST) / 4, found]).astype(np.float32)
    first = slopes(static)
    return np.concatenate([static, first, slopes(first)], 1)


@cache
def _cosines(bands: int) -> NDArray[np.float32]:
    """From energies to cepstra: the orthonormal DCT-II without its constant, liftered; shape (bands, COEFFICIENTS)."""
    order, band = np.arange(1, COEFFICIENTS + 1), np.arange(bands)[:, None] + 0.5
    lifter = 1 + _LIFTER / 2 * np.sin(np.pi * order / _LIFTER)
    return (np.sqrt(2 / bands) * np.cos(np.pi * order * band / bands) * lifter).astype(np.float32)


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
