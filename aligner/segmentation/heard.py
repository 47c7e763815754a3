"""The sounds of a whole recording, heard once: a window at a time, each with some sound around it.

What a head says of an hour takes hundreds of megabytes, so it is kept in a file that is gone when nobody reads it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aligner.audio.recording import Recording
from aligner.memory import give_back, let_go
from aligner.models import Encoded, SpeechModel
from aligner.timing.head import STEP, Head, arrays_of

CONTEXT = 0.5  # seconds at either side of a window, at least, that the encoder hears and nobody asks about
_LEAST = 6.0  # seconds of the last window of several
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
        evidence = self.evidence[first * _STATES : stop * _STATES].astype(np.float32)
        posteriors = self.posteriors[first:stop].astype(np.float32)
        self.let_go()
        return evidence, posteriors, first * _STATES * STEP

    def let_go(self) -> None:
        """Keep nothing of a long recording in memory that is in its file."""
        for array in (self.evidence, self.posteriors):
            let_go(array)


def hear(model: SpeechModel, head: Head, source: Recording, whole: Encoded | None = None) -> Heard:
    """Hear a recording.

    Parameters
    ----------
    model : SpeechModel
    head : Head
    source : Recording
    whole : Encoded, optional
        All of it, where it fits a window and is known already.
    """
    n_states = max(1, -(-round(source.duration / STEP) // _STATES))
    evidence = _array((n_states * _STATES, head.classes), source.duration)
    posteriors = _array((n_states, len(head.card.sounds) + 1), source.duration)
    found = Heard(evidence, posteriors)
    for low, start, stop in _windows(n_states, round(model.window / STEP) // _STATES):
        begin = low * _STATES * STEP
        encoded = whole or model.encode(source.read(begin, min(begin + model.window, source.duration)), thin=True)
        said, sounds = head.evidence(*arrays_of(encoded))
        said = _fitted(said, _STATES * (stop - low))[_STATES * (start - low) :]
        evidence[_STATES * start : _STATES * stop] = np.clip(said, -6e4, 6e4)
        posteriors[start:stop] = _fitted(sounds, stop - low)[start - low :]
        found.let_go()
    give_back()
    return found


def _windows(count: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Where each window begins, and what of it is used, in encoder states.

    All are full but the last, which is longer than what it adds where that is little: the more sound around it.
    """
    around = round(CONTEXT / STEP) // _STATES
    number = 1 if count <= width else -(-(count - 2 * around) // (width - 2 * around))
    lows = [k * (width - 2 * around) for k in range(number)]
    if number > 1:
        lows[-1] = min(lows[-1], count - round(_LEAST / STEP) // _STATES)
    joints = [(low + before + width) // 2 for before, low in pairwise(lows)]
    yield from zip(lows, [0, *joints], [*joints, count], strict=True)


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
