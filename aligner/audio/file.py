"""A recording that stays in its file, and which of the sound tracks there holds speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aligner.audio import read
from aligner.audio.recording import Recording
from aligner.audio.sound import speech_probabilities

_HEARD = 600.0  # seconds of each track that are listened to
_LEAST = 1.0  # seconds of speech


def of_file(path: Path, sample_rate: int, channel: int | None = None, track: int | None = None) -> Recording:
    """A recording that stays in its file.

    Parameters
    ----------
    path : Path
    sample_rate : int
        Hz to resample to.
    channel : int, optional
        From 0; the mean of all by default.
    track : int, optional
        Of a container, from 0 among its sound tracks. By default the first, with a doubt where there are others.

    Raises
    ------
    InputError
        The file cannot be read as audio.
    """
    doubts = read.doubts(path, track)
    if track is None:
        doubts += track_doubts(path, sample_rate)
    return Recording(
        str(path),
        read.duration(path, track),
        lambda start, end: read.stream(path, sample_rate, start, end, channel, track),
        doubts,
    )


def track_doubts(path: Path, sample_rate: int) -> tuple[str, ...]:
    """What should be known of a file with several sound tracks of which the first is read, a sentence.

    Parameters
    ----------
    path : Path
    sample_rate : int
        Hz to listen at.

    Raises
    ------
    InputError
        The file, or one of its tracks, cannot be read.
    """
    names = [f"track {number} ({name})" for number, name in enumerate(read.tracks(path))]
    if len(names) < 2:
        return ()
    spoken = [_speech(of_file(path, sample_rate, track=number)) for number in range(len(names))]
    best = int(np.argmax(spoken))
    if spoken[0] < _LEAST <= spoken[best]:
        return (f"its first sound track, {names[0]}, holds no speech, but {names[best]} does: --track {best} reads it",)
    return (
        f"of its {len(names)} sound tracks the first is read, {names[0]}; --track chooses {' or '.join(names[1:])}",
    )


def _speech(recording: Recording) -> float:
    """Seconds of speech near the beginning."""
    from aligner.audio.silero import SECONDS

    beginning = Recording(recording.name, min(recording.duration, _HEARD), recording.read)
    return float((speech_probabilities(beginning) > 0.5).sum()) * SECONDS
