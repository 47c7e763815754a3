"""Where a recording holds speech.

Two detectors: "silero", the Silero voice activity detector, and "energy", a
gate over the recording's own noise floor.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.audio.level import STEP, active, quietest
from aligner.audio.sound import Sound
from aligner.core import Word
from aligner.registry import Registry

# Nothing that is said may be lost, so speech begins at a lower probability than the usual 0.5 and lasts to a lower one.
_BEGINS, _LASTS = 0.35, 0.2
_JOIN = 0.5  # seconds; shorter pauses do not part two regions
_SHORTEST = 0.06  # seconds; shorter sounds are clicks
_MARGIN = 0.3  # seconds kept around a region, for soft onsets and offsets
_GAP = 1.4  # seconds between two regions that may be noise or music
_QUIET = 30.0  # dB below speech; what is louder between them is


@dataclass(frozen=True)
class Region:
    """A stretch of a recording, in seconds."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


detectors: Registry[Callable[[Sound], tuple[Region, ...]]] = Registry("speech detector")


def speech_regions(sound: Sound, detector: str = "silero") -> tuple[Region, ...]:
    """Stretches that hold speech, in order and disjoint.

    Parameters
    ----------
    sound : Sound
    detector : str
        "silero" or "energy".

    Raises
    ------
    SettingError
        Unknown detector.
    """
    return detectors[detector](sound)


@detectors.register("silero")
def silero_regions(sound: Sound) -> tuple[Region, ...]:
    """Frames that are probably speech, short gaps closed."""
    from aligner.audio.silero import SECONDS

    return regions(hysteresis(sound.speech, _BEGINS, _LASTS), SECONDS, sound.duration)


@detectors.register("energy")
def energy_regions(sound: Sound) -> tuple[Region, ...]:
    """Frames well above the local noise floor, short gaps closed."""
    return regions(active(sound.levels), STEP, sound.duration)


def hysteresis(values: NDArray[np.float32], begins: float, lasts: float) -> NDArray[np.bool_]:
    """Whether each value is in a run that begins at `begins` or more and lasts while no value is below `lasts`.

    Parameters
    ----------
    values : float32 array, shape (n,)
    begins, lasts : float
        `lasts` is at most `begins`.

    Returns
    -------
    bool array, shape (n,)
    """
    begin, end = values >= begins, values < lasts
    decided = np.maximum.accumulate(np.where(begin | end, np.arange(len(values)), -1))
    return (decided >= 0) & begin[decided]


def regions(
    found: NDArray[np.bool_],
    step: float,
    duration: float,
    join: float = _JOIN,
    shortest: float = _SHORTEST,
    margin: float = _MARGIN,
) -> tuple[Region, ...]:
    """Stretches of frames that were found, in seconds.

    Parameters
    ----------
    found : bool array, shape (frames,)
    step : float
        Seconds per frame.
    duration : float
        Seconds of the recording, which no stretch leaves.
    join : float
        Seconds; a gap shorter than this is part of the stretch.
    shortest : float
        Seconds; a stretch that is shorter, and more than `join` from the one before, is left out.
    margin : float
        Seconds added on both sides, up to the neighbour.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([0], found.view(np.int8), [0]))))
    joined: list[list[float]] = []
    for low, high in (edges.reshape(-1, 2) * step).tolist():
        if joined and low - joined[-1][1] < join:
            joined[-1][1] = high
        elif high - low >= shortest:
            joined.append([low, high])
    result: list[Region] = []
    for low, high in joined:
        start = max(low - margin, result[-1].end if result else 0.0)
        result.append(Region(start, min(high + margin, duration)))
    return tuple(region for region in result if region.end > region.start)


def uncovered(words: Iterable[Word], speech: Iterable[Region], longest: float = 1.0) -> tuple[Region, ...]:
    """Stretches of speech that hold no word.

    Parameters
    ----------
    words : iterable of Word
        In order.
    speech : iterable of Region
        In order, such as those of `speech_regions`.
    longest : float
        Seconds; a stretch without words may last as long: a breath, a hesitation, the margin of a region.

    Returns
    -------
    tuple of Region
        Each longer than `longest`, inside one region, free of words.
    """
    placed = list(words)
    starts, ends = [word.start for word in placed], [word.end for word in placed]
    result: list[Region] = []
    for region in speech:
        inside = slice(bisect_right(ends, region.start), bisect_left(starts, region.end))
        # Gaps lie between the region's start, the words' edges in turn, and the region's end.
        lows, highs = [region.start, *ends[inside]], [*starts[inside], region.end]
        result += [Region(low, high) for low, high in zip(lows, highs, strict=True) if high - low > longest]
    return tuple(result)


def windows(regions: tuple[Region, ...], levels: NDArray[np.float32], longest: float) -> tuple[Region, ...]:
    """Stretches of at most `longest` seconds that cover the regions, cut in their pauses.

    Neighbouring regions share a window where they fit and no long noise or music lies between them, in which words
    would be invented, or thought to begin or end. A region longer than a window is cut at its quietest moment in the
    window's second half.

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
        if joined and part.end - joined[-1].start <= longest and not _noisy(levels, joined[-1], part):
            joined[-1] = Region(joined[-1].start, part.end)
        else:
            joined.append(part)
    return tuple(joined)


def _noisy(levels: NDArray[np.float32], before: Region, after: Region) -> bool:
    """Whether it is long and loud between two regions."""
    if after.start - before.end < _GAP:
        return False
    first, low, high, last = (round(t / STEP) for t in (before.start, before.end, after.start, after.end))
    speech = np.concatenate([levels[first:low], levels[high:last]])
    return bool(np.median(levels[low:high]) > np.quantile(speech, 0.9) - _QUIET)
