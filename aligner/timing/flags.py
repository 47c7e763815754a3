"""Reasons to doubt a word's times, read from the word itself and the level of the recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aligner.audio.level import SILENCE, STEP
from aligner.core import Word

LOW_PROBABILITY = 0.2
WIDE = 0.08  # seconds of margin
SQUEEZED = 0.03  # seconds per word
FASTEST = 0.02  # seconds per character
LONGEST, SLOWEST = 1.0, 0.25  # seconds per word; seconds per character
QUIET = 35.0  # dB below the loud parts of the recording


def flagged(words: tuple[Word, ...], levels: NDArray[np.float32]) -> tuple[Word, ...]:
    """Words with every flag that applies, added to those they have.

    Parameters
    ----------
    words : tuple of Word
    levels : float32 array, shape (frames,)
        dB per 10 ms, from `aligner.audio.level.loudness`.

    Returns
    -------
    tuple of Word
        Flags are "low-confidence" (probability below 0.2), "uncertain" (a
        margin of more than 80 ms), "long" (over 1 s
        and 0.25 s per character), "squeezed" (under 30 ms or 20 ms per
        character) and "near-silence" (35 dB below the loud parts).
    """
    quiet = max(SILENCE, float(np.percentile(levels, 95)) - QUIET) if len(levels) else SILENCE
    tests: dict[str, Callable[[Word], bool]] = {
        "low-confidence": lambda w: w.probability is not None and w.probability < LOW_PROBABILITY,
        "uncertain": lambda w: w.margin is not None and w.margin > WIDE,
        "long": lambda w: w.duration > max(LONGEST, SLOWEST * _letters(w)),
        "squeezed": lambda w: w.duration < max(SQUEEZED, FASTEST * _letters(w)),
        "near-silence": lambda w: _level(w, levels) < quiet,
    }
    return tuple(
        replace(word, flags=(*word.flags, *(name for name, applies in tests.items() if applies(word))))
        for word in words
    )


def _letters(word: Word) -> int:
    return sum(character.isalnum() for character in word.text)


def _level(word: Word, levels: NDArray[np.float32]) -> float:
    low = int(word.start / STEP)
    part = levels[low : max(low + 1, round(word.end / STEP))]
    return float(part.max()) if len(part) else 0.0
