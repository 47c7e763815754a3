"""Where a recording holds speech.

Two detectors: "energy", a gate over the recording's own noise floor, and
"silero", the Silero voice activity detector (the optional extra `vad`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.audio.level import STEP, active, quietest
from aligner.audio.recording import Recording
from aligner.errors import SettingError
from aligner.registry import Registry

_JOIN = 0.5  # seconds; shorter pauses do not part two regions
_SHORTEST = 0.06  # seconds; shorter sounds are clicks
_MARGIN = 0.2  # seconds kept around a region, for soft onsets and offsets


@dataclass(frozen=True)
class Region:
    """A stretch of speech, in seconds."""

    start: float
    end: float


detectors: Registry[Callable[[Recording, NDArray[np.float32]], tuple[Region, ...]]] = Registry("speech detector")


def speech_regions(recording: Recording, levels: NDArray[np.float32], detector: str = "energy") -> tuple[Region, ...]:
    """Stretches that hold speech, in order and disjoint.

    Parameters
    ----------
    recording : Recording
    levels : float32 array, shape (frames,)
        From `aligner.audio.level.loudness`.
    detector : str
        "energy" or "silero".

    Raises
    ------
    SettingError
        Unknown detector, or silero is not installed.
    """
    return detectors[detector](recording, levels)


@detectors.register("energy")
def energy_regions(recording: Recording, levels: NDArray[np.float32]) -> tuple[Region, ...]:
    """Frames well above the local noise floor, short gaps closed."""
    return _regions(active(levels), recording.duration)


def _regions(active: NDArray[np.bool_], duration: float) -> tuple[Region, ...]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], active.view(np.int8), [0]))))
    found: list[list[float]] = []
    for low, high in edges.reshape(-1, 2) * STEP:
        if found and low - found[-1][1] < _JOIN:
            found[-1][1] = high
        elif high - low >= _SHORTEST:
            found.append([low, high])
    regions: list[Region] = []
    for low, high in found:
        start = max(low - _MARGIN, regions[-1].end if regions else 0.0)
        regions.append(Region(start, min(high + _MARGIN, duration)))
    return tuple(region for region in regions if region.end > region.start)


@detectors.register("silero")
def silero_regions(recording: Recording, levels: NDArray[np.float32]) -> tuple[Region, ...]:
    """Silero VAD over blocks of five minutes (https://github.com/snakers4/silero-vad)."""
    from aligner.guard import import_torchaudio

    import_torchaudio()  # silero-vad imports it
    try:
        from silero_vad import get_speech_timestamps, load_silero_vad
    except ImportError:
        raise SettingError(
            "--vad silero needs the silero-vad package: pip install 'cross-attention-aligner[vad]'"
        ) from None
    model = load_silero_vad()
    active = np.zeros(len(levels), bool)
    for start, audio in recording.blocks(300.0):
        for found in get_speech_timestamps(audio.samples.copy(), model, sampling_rate=audio.sample_rate):
            low, high = (start + found[edge] / audio.sample_rate for edge in ("start", "end"))
            active[round(low / STEP) : round(high / STEP)] = True
    return _regions(active, recording.duration)


def windows(regions: tuple[Region, ...], levels: NDArray[np.float32], longest: float) -> tuple[Region, ...]:
    """Stretches of at most `longest` seconds that cover the regions, cut in their pauses.

    Neighbouring regions share a window where they fit. A region longer than a
    window is cut at its quietest moment in the window's second half.

    Parameters
    ----------
    regions : tuple of Region
    levels : float32 array, shape (frames,)
        From `aligner.audio.level.loudness`.
    longest : float
        Seconds.
    """
    parts: list[Region] = []
    for region in regions:
        start = region.start
        while region.end - start > longest:
            cut = quietest(levels, start + longest / 2, start + longest)
            parts.append(Region(start, cut))
            start = cut
        parts.append(Region(start, region.end))
    joined: list[Region] = []
    for part in parts:
        if joined and part.end - joined[-1].start <= longest:
            joined[-1] = Region(joined[-1].start, part.end)
        else:
            joined.append(part)
    return tuple(joined)
