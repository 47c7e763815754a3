"""Where a recording holds speech, and where it can be cut without cutting a word.

Two detectors: "energy", a gate over the recording's own noise floor, and
"silero", the Silero voice activity detector (the optional extra `vad`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.audio.recording import Recording
from aligner.core import Audio
from aligner.errors import SettingError
from aligner.registry import Registry

STEP = 0.01  # seconds per loudness frame
SILENCE = -70.0  # dB re full scale; nothing below it is speech
_JOIN = 0.5  # seconds; shorter pauses do not part two regions
_SHORTEST = 0.06  # seconds; shorter sounds are clicks
_MARGIN = 0.2  # seconds kept around a region, for soft onsets and offsets


@dataclass(frozen=True)
class Region:
    """A stretch of speech, in seconds."""

    start: float
    end: float


detectors: Registry[Callable[[Recording, NDArray[np.float32]], tuple[Region, ...]]] = Registry("speech detector")


def loudness(recording: Recording) -> NDArray[np.float32]:
    """Level of every 10 ms.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    float32 array, shape (frames,)
        dB re full scale, at least -120.
    """
    parts = [_levels(audio) for _, audio in recording.blocks()]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _levels(audio: Audio) -> NDArray[np.float32]:
    width = round(STEP * audio.sample_rate)
    count = -(-len(audio.samples) // width)
    padded = np.zeros(count * width, np.float32)
    padded[: len(audio.samples)] = audio.samples
    blocks = padded.reshape(count, width)
    # The mean over the window is a constant offset or rumble, not speech.
    power = np.square(blocks - padded.mean()).mean(1) if count else np.zeros(0)
    return (10 * np.log10(np.maximum(power, 1e-12))).astype(np.float32)


def speech_regions(recording: Recording, levels: NDArray[np.float32], detector: str = "energy") -> tuple[Region, ...]:
    """Stretches that hold speech, in order and disjoint.

    Parameters
    ----------
    recording : Recording
    levels : float32 array, shape (frames,)
        From `loudness`.
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


def active(
    levels: NDArray[np.float32], share: float = 1 / 3, depth: float = np.inf, width: float = 60.0
) -> NDArray[np.bool_]:
    """Whether each 10 ms stands out from the noise floor around it.

    Parameters
    ----------
    levels : float32 array, shape (frames,)
        From `loudness`.
    share : float
        Of the way from the floor to the peak around, in dB: what must be passed.
    depth : float
        dB below the peak that must be passed too, in recordings without noise.
    width : float
        Seconds of the blocks that floor and peak are taken from, with half a block at either side.
    """
    from scipy.ndimage import median_filter

    if not len(levels):
        return np.zeros(0, bool)
    smooth = median_filter(levels, 5)
    found: NDArray[np.bool_] = smooth > _gate(smooth, share, depth, width)
    return found


def longest_pause(sound: NDArray[np.bool_]) -> float:
    """Seconds of the longest silence between two sounds.

    Parameters
    ----------
    sound : bool array, shape (frames,)
        From `active`.
    """
    return float(np.diff(np.flatnonzero(sound)).max(initial=0)) * STEP


def _gate(levels: NDArray[np.float32], share: float, depth: float, width: float) -> NDArray[np.float32]:
    """Threshold of each frame: a share of the way from floor to peak around it."""
    span = round(width / STEP)
    gate = np.empty_like(levels)
    for start in range(0, len(levels), span):
        around = levels[max(0, start - span // 2) : start + span + span // 2]
        floor, peak = np.percentile(around, (5, 98))
        # Steady noise has floor near peak: then everything loud enough passes, speech must not be lost.
        threshold = floor + (peak - floor) * share if peak - floor > 10 else floor - 1
        gate[start : start + span] = max(threshold, peak - depth, SILENCE)
    return gate


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
        From `loudness`.
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


def quietest(levels: NDArray[np.float32], low: float, high: float, width: float = 0.15) -> float:
    """Middle of the quietest stretch of `width` seconds between two times, in seconds."""
    from scipy.ndimage import uniform_filter1d

    first, last = round(low / STEP), max(round(high / STEP), round(low / STEP) + 1)
    part = levels[first:last]
    if not len(part):
        return (low + high) / 2
    return (first + int(uniform_filter1d(part, max(1, round(width / STEP))).argmin()) + 0.5) * STEP
