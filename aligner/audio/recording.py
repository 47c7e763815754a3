"""A recording of any length: read a stretch at a time, so that memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aligner.core import Audio


@dataclass(frozen=True)
class Recording:
    """Audio that is read when it is needed.

    Attributes
    ----------
    name : str
        For messages.
    duration : float
        Seconds.
    read : callable
        (start, end) in seconds to `Audio` at the model's rate.
    doubts : tuple of str
        What may be wrong with it, a sentence each.
    """

    name: str
    duration: float
    read: Callable[[float, float], Audio]
    doubts: tuple[str, ...] = ()

    def blocks(self, seconds: float = 60.0) -> Iterator[tuple[float, Audio]]:
        """The whole recording as consecutive blocks, each with its start in seconds."""
        start = 0.0
        while start < self.duration:
            end = min(start + seconds, self.duration)
            yield start, self.read(start, end)
            start = end


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
    from aligner.audio import read as audio

    doubts = audio.doubts(path, track)
    if track is None and len(audio.tracks(path)) > 1:
        from aligner.audio.tracks import track_doubts

        doubts += track_doubts(path, sample_rate)
    return Recording(
        str(path),
        audio.duration(path, track),
        lambda start, end: audio.stream(path, sample_rate, start, end, channel, track),
        doubts,
    )


def of_audio(audio: Audio, name: str = "the recording") -> Recording:
    """A recording that is in memory already."""

    def read(start: float, end: float) -> Audio:
        low, high = (round(t * audio.sample_rate) for t in (start, end))
        return Audio(audio.samples[low:high], audio.sample_rate)

    return Recording(name, audio.duration, read)
