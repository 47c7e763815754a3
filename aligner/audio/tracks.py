"""Which sound track of a container holds speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aligner.audio import read
from aligner.audio.recording import Recording, of_file
from aligner.audio.silero import SECONDS
from aligner.audio.sound import speech_probabilities

_HEARD = 600.0  # seconds of each track that are listened to
_LEAST = 1.0  # seconds of speech


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
    beginning = Recording(recording.name, min(recording.duration, _HEARD), recording.read)
    return float((speech_probabilities(beginning) > 0.5).sum()) * SECONDS
