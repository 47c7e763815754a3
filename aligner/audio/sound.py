"""What is heard in a recording, measured in one pass: how loud it is, and how likely it is speech."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.audio.level import block_levels
from aligner.audio.read import resample
from aligner.audio.recording import Recording

_TOGETHER = 1 << 17  # samples that the detector hears at a time: a minute of them would take 30 MB


@dataclass(frozen=True, eq=False)
class Sound:
    """Measures of a recording, a few numbers for every second.

    Attributes
    ----------
    levels : float32 array, shape (frames of `aligner.audio.level.STEP`,)
        dB re full scale, at least -120.
    speech : float32 array, shape (frames of `aligner.audio.silero.SECONDS`,)
        Probability of speech.
    duration : float
        Seconds.
    """

    levels: NDArray[np.float32]
    speech: NDArray[np.float32]
    duration: float


def listen(recording: Recording) -> Sound:
    """Measure a recording, reading it once; memory does not grow with its length."""
    from aligner.audio.silero import RATE, SpeechProbability

    detector = SpeechProbability()
    levels, speech = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for _, audio in recording.blocks():
        levels.append(block_levels(audio))
        samples = resample(audio.samples, audio.sample_rate, RATE)
        speech += [detector.feed(samples[k : k + _TOGETHER]) for k in range(0, len(samples), _TOGETHER)]
    speech.append(detector.finish())
    return Sound(np.concatenate(levels), np.concatenate(speech), recording.duration)


def speech_probabilities(recording: Recording) -> NDArray[np.float32]:
    """Probability of speech of every 32 ms: float32 array, shape (frames,)."""
    return listen(recording).speech
