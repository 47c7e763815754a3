"""A recording of any length: read a stretch at a time, so that memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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


def of_audio(audio: Audio, name: str = "the recording") -> Recording:
    """A recording that is in memory already."""

    def read(start: float, end: float) -> Audio:
        low, high = (round(t * audio.sample_rate) for t in (start, end))
        return Audio(audio.samples[low:high], audio.sample_rate)

    return Recording(name, audio.duration, read)
