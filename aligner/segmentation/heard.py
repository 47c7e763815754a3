"""The sounds of a whole recording, heard once: a window at a time, each with some sound around it.

What a head says of an hour takes hundreds of megabytes, so it is kept in a file that is gone when nobody reads it.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.audio.recording import Recording
from aligner.models import Encoded, SpeechModel
from aligner.timing.head import STEP, Head, arrays_of

CONTEXT = 1.0  # seconds at either side of a window that the encoder hears and nobody asks about
_STATES = 2  # frames of evidence to an encoder state
_KEPT = 300.0  # seconds that are kept in memory


@dataclass(frozen=True, eq=False)
class Heard:
    """Evidence of sounds over a recording.

    Attributes
    ----------
    evidence : float16 array, shape (frames of 10 ms, classes)
        See `Head.evidence`.
    posteriors : float16 array, shape (encoder states, sounds + 1)
        See `Head.sound_posteriors`.
    """

    evidence: NDArray[np.float16]
    posteriors: NDArray[np.float16]

    def part(self, start: float, end: float) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
        """Evidence and posteriors of a stretch, and when it really begins: with an encoder state."""
        first = int(start / STEP) // _STATES
        stop = max(first + 1, -(-round(end / STEP) // _STATES))
        return (
            self.evidence[first * _STATES : stop * _STATES].astype(np.float32),
            self.posteriors[first:stop].astype(np.float32),
            first * _STATES * STEP,
        )


def hear(model: SpeechModel, head: Head, source: Recording, first: Encoded | None = None) -> Heard:
    """Hear a recording.

    Parameters
    ----------
    model : SpeechModel
    head : Head
    source : Recording
    first : Encoded, optional
        Its first window, where that is known already.
    """
    n_states = max(1, -(-round(source.duration / STEP) // _STATES))
    sounds = len(head.card.sounds) + 1
    evidence = _array((n_states * _STATES, head.classes), source.duration)
    posteriors = _array((n_states, sounds), source.duration)
    for number, (low, begin, end) in enumerate(_windows(source.duration, model.window)):
        high = min(low + model.window, source.duration)
        encoded = first if first is not None and not number else model.encode(source.read(low, high))
        features, states = arrays_of(encoded)
        offset, start = round(low / STEP) // _STATES, round(begin / STEP) // _STATES
        stop = min(round(end / STEP) // _STATES, n_states) if end < source.duration else n_states
        said = _fitted(head.evidence(features, states), _STATES * (stop - offset))
        evidence[start * _STATES : stop * _STATES] = np.clip(said[(start - offset) * _STATES :], -6e4, 6e4)
        posteriors[start:stop] = _fitted(head.sound_posteriors(states), stop - offset)[start - offset :]
    return Heard(evidence, posteriors)


def _windows(duration: float, window: float) -> Iterator[tuple[float, float, float]]:
    """Where each window begins, and what of it is used; the last one ends with the recording."""
    begin = 0.0
    while begin < duration:
        low = min(max(0.0, begin - CONTEXT), max(0.0, duration - window))
        low = math.ceil(round(low / (_STATES * STEP), 6)) * _STATES * STEP
        end = duration if low + window >= duration - 1e-6 else low + window - CONTEXT
        yield low, begin, end
        begin = end


def _fitted(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The first rows, the last one repeated where there are too few."""
    if len(rows) < count:
        rows = np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), 0)])
    return rows[:count]


def _array(shape: tuple[int, int], duration: float) -> NDArray[np.float16]:
    if duration <= _KEPT:
        return np.zeros(shape, np.float16)
    with tempfile.TemporaryFile() as file:  # unlinked at once; the map keeps it
        return np.memmap(file, np.float16, "w+", shape=shape)
