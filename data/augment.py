"""Waveform augmentation that carries the word times with it.

Every step maps (samples, words) to (samples, words). Only `speed` and `pad`
move times; the room's direct path stays at delay zero and filters are
zero-phase, so the others must not. tests/test_data.py checks the gold against
energy edges after the whole chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.signal import butter, fftconvolve, resample_poly, sosfiltfilt

from data.synthesize import SAMPLE_RATE, TimedWord

Words = tuple[TimedWord, ...]


def speed(samples: np.ndarray, words: Words, factor: float) -> tuple[np.ndarray, Words]:
    """Play `factor` times faster (tempo and pitch): time t becomes t / factor."""
    ratio = Fraction(factor).limit_denominator(50)
    faster = resample_poly(samples, ratio.denominator, ratio.numerator).astype(np.float32)
    return faster, tuple(word.mapped(ratio.denominator / ratio.numerator) for word in words)


def pad(samples: np.ndarray, words: Words, before: float, after: float) -> tuple[np.ndarray, Words]:
    """Silence before and after, in seconds."""
    n = round(before * SAMPLE_RATE)
    padded = np.concatenate([np.zeros(n, np.float32), samples, np.zeros(round(after * SAMPLE_RATE), np.float32)])
    return padded, tuple(word.mapped(1.0, n / SAMPLE_RATE) for word in words)


def room(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exponentially decaying reverberation behind an undelayed direct path."""
    decay = rng.uniform(0.1, 0.5)
    t = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / decay)
    tail[: int(rng.uniform(0.002, 0.01) * SAMPLE_RATE)] = 0
    tail *= 10 ** (rng.uniform(-20, -6) / 20) / (np.sqrt(np.sum(tail**2)) + 1e-9)
    tail[0] = 1.0
    return fftconvolve(samples, tail)[: len(samples)].astype(np.float32)


def noise(samples: np.ndarray, rng: np.random.Generator, babble: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Coloured noise, or babble from other recordings, at 5 to 35 dB below the speech."""
    n = len(samples)
    if len(babble) and rng.random() < 0.3:
        interference = sum(np.resize(np.roll(b, int(rng.integers(len(b)))), n) for b in babble)
    else:
        spectrum = np.fft.rfft(rng.standard_normal(n))
        spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** (rng.uniform(0, 1.5) / 2)
        interference = np.fft.irfft(spectrum, n)
    snr = rng.uniform(5, 35)
    gain = np.sqrt(np.mean(samples**2) / (np.mean(interference**2) + 1e-12)) * 10 ** (-snr / 20)
    return (samples + gain * interference).astype(np.float32)


def bandwidth(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Zero-phase low-pass at 3 to 7 kHz, sometimes with a telephone's high-pass."""
    sos = butter(4, rng.uniform(3000, 7000), "low", fs=SAMPLE_RATE, output="sos")
    samples = sosfiltfilt(sos, samples)
    if rng.random() < 0.3:
        samples = sosfiltfilt(butter(2, 250, "high", fs=SAMPLE_RATE, output="sos"), samples)
    return samples.astype(np.float32)


def augment(
    samples: np.ndarray, words: Words, rng: np.random.Generator, babble: Sequence[np.ndarray] = ()
) -> tuple[np.ndarray, Words]:
    """The whole chain, each step with its own probability.

    Parameters
    ----------
    samples : float32 array, shape (n,)
        16 kHz mono.
    words : tuple of TimedWord
        May be empty for speech without times.
    rng : numpy Generator
    babble : sequence of float32 arrays
        Other recordings to make babble of.
    """
    if rng.random() < 0.7:
        samples, words = speed(samples, words, rng.uniform(0.88, 1.14))
    samples, words = pad(samples, words, rng.exponential(0.15), rng.exponential(0.15))
    if rng.random() < 0.4:
        samples = room(samples, rng)
    if rng.random() < 0.7:
        samples = noise(samples, rng, babble)
    if rng.random() < 0.25:
        samples = bandwidth(samples, rng)
    return samples * np.float32(10 ** rng.uniform(-0.8, 0.2)), words
