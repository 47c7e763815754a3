"""How loud a recording is, and where it can be cut without cutting a word."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aligner.audio.recording import Recording
from aligner.core import Audio

STEP = 0.01  # seconds per loudness frame
SILENCE = -70.0  # dB re full scale; nothing below it is speech


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
    parts = [block_levels(audio) for _, audio in recording.blocks()]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def block_levels(audio: Audio) -> NDArray[np.float32]:
    """Level of every 10 ms of a stretch that is in memory, as `loudness` gives it."""
    width = round(STEP * audio.sample_rate)
    count = -(-len(audio.samples) // width)
    padded = np.zeros(count * width, np.float32)
    padded[: len(audio.samples)] = audio.samples
    blocks = padded.reshape(count, width)
    # The mean over the window is a constant offset or rumble, not speech.
    power = np.square(blocks - padded.mean()).mean(1) if count else np.zeros(0)
    return (10 * np.log10(np.maximum(power, 1e-12))).astype(np.float32)


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
    if not len(levels):
        return np.zeros(0, bool)
    smooth = np.median(_around(levels, 5), 1)
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


def quietest(levels: NDArray[np.float32], low: float, high: float, width: float = 0.15) -> float:
    """Middle of the quietest stretch between two times.

    Parameters
    ----------
    levels : float32 array, shape (frames,)
        From `loudness`.
    low, high, width : float
        Seconds; of the times, and of the stretch.

    Returns
    -------
    float
        Seconds.
    """
    first, last = round(low / STEP), max(round(high / STEP), round(low / STEP) + 1)
    part = levels[first:last]
    if not len(part):
        return (low + high) / 2
    return (first + int(_around(part, max(1, round(width / STEP))).mean(1).argmin()) + 0.5) * STEP


def _around(levels: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """What lies around every frame, mirrored at the ends, as one row; scipy takes a tenth of torch's time to import."""
    padded = np.pad(levels, (width // 2, width - 1 - width // 2), mode="symmetric")
    return np.lib.stride_tricks.sliding_window_view(padded, width)
