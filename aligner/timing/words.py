"""Words from tokens, and their times from a path. The only place that repairs boundaries.

Conventions
-----------
A word starts at the first frame of its first row. With pauses "keep" it ends
where the next row that is not a space starts (the next word's, or that of a
mark after it), as in openai-whisper. With "trim" it ends where its own rows
end, narrowed to the frames that its own evidence covers, so a pause belongs
to no word. Punctuation is part of a word's text, never of its times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.core import Path, TokenFrameMap, Tokens, Word
from aligner.errors import SettingError

PAUSES = ("trim", "keep")
TRIM_SHARE = 0.2  # of a row's peak; below it a frame is not the word's own
SHORTEST_PAUSE = 0.1  # seconds; words closer than this share a boundary half-way


@dataclass(frozen=True)
class TimedWords:
    """Words with valid times, and how many needed a repair to have them."""

    words: tuple[Word, ...]
    repairs: int


def time_words(
    path: Path, evidence: TokenFrameMap, tokens: Tokens, duration: float, pauses: str = "trim", shift: float = 0.0
) -> TimedWords:
    """Times of every word.

    Parameters
    ----------
    path : Path
        Through `evidence`.
    evidence : TokenFrameMap
        Rows of the tokens and of the end of the text.
    tokens : Tokens
    duration : float
        Seconds of real audio.
    pauses : str
        "trim" or "keep".
    shift : float
        Seconds that are added to every edge.

    Returns
    -------
    TimedWords
        In order, disjoint, inside the audio, none shorter than one frame
        (or an equal share of the audio where frames do not suffice).

    Raises
    ------
    SettingError
        Unknown pause rule.
    """
    if pauses not in PAUSES:
        raise SettingError(f"unknown pause rule {pauses!r}: choose one of {', '.join(PAUSES)}")
    if not tokens.words:
        return TimedWords((), 0)
    step = evidence.frame_duration
    first, stop = word_frames(path, evidence, tokens, pauses)
    start, end = first.astype(np.float64) * step + shift, stop.astype(np.float64) * step + shift
    return settle(tokens, start, end, duration, step, pauses)


def settle(
    tokens: Tokens,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    duration: float,
    shortest: float,
    pauses: str,
) -> TimedWords:
    """Words with valid times from whatever a path made of them.

    Parameters
    ----------
    tokens : Tokens
    start, end : float64 arrays, shape (words,)
        Seconds.
    duration, shortest : float
        Seconds of audio, and that a word gets at least.
    pauses : str
        With "trim", words closer than `SHORTEST_PAUSE` meet half-way.
    """
    if pauses == "trim":
        close = (start[1:] > end[:-1]) & (start[1:] - end[:-1] <= SHORTEST_PAUSE + 1e-9)
        middle = (start[1:] + end[:-1]) / 2
        start[1:], end[:-1] = np.where(close, middle, start[1:]), np.where(close, middle, end[:-1])
    start, end, repairs = repair(start, end, duration, shortest)
    words = tuple(Word(span.text, float(s), float(e)) for span, s, e in zip(tokens.words, start, end, strict=True))
    return TimedWords(words, repairs)


def word_frames(
    path: Path, evidence: TokenFrameMap, tokens: Tokens, pauses: str
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First frame of each word and the frame after its last, as the path has them: words may be empty.

    Parameters
    ----------
    path, evidence, tokens, pauses
        As in `time_words`.

    Returns
    -------
    int arrays, shape (words,) each
    """
    n_rows, n_frames = evidence.values.shape
    first = np.searchsorted(path.tokens, np.arange(n_rows + 1))  # first path step of each row
    onset_frames = np.append(path.frames[first[:-1]], n_frames)
    starts, ends = [], []
    for span in tokens.words:
        low, high = int(onset_frames[span.start]), int(onset_frames[span.stop])
        if pauses == "keep":
            following = span.stop
            while following < len(tokens) and tokens.texts[following].isspace():
                following += 1
            high = int(onset_frames[following])
        elif high > low:
            low, high = own_frames(evidence.values[span.start : span.stop], low, high)
        starts.append(low)
        ends.append(high)
    return np.array(starts, np.intp), np.array(ends, np.intp)


def own_frames(rows: NDArray[np.float64], low: int, high: int) -> tuple[int, int]:
    """Narrow a word's frames to those that its own evidence covers.

    Parameters
    ----------
    rows : float64 array, shape (tokens of the word, frames)
    low, high : int
        Half-open frame range from the path, not empty.

    Returns
    -------
    (int, int)
        Half-open, not empty, inside the given range.
    """
    floor = np.median(rows, axis=1, keepdims=True)
    peak = rows[:, low:high].max(1, keepdims=True) - floor
    share = ((rows[:, low:high] - floor) / np.where(peak > 0, peak, 1)).max(0)
    own = np.flatnonzero(share >= TRIM_SHARE)
    return (low + int(own[0]), low + int(own[-1]) + 1) if len(own) else (low, high)


def repair(
    start: NDArray[np.float64], end: NDArray[np.float64], duration: float, shortest: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Make times valid with the least change: order kept, no overlap, no empty word.

    Parameters
    ----------
    start, end : float64 arrays, shape (words,)
        Seconds, starts non-decreasing.
    duration : float
        Seconds; nothing may lie outside 0 to duration.
    shortest : float
        Seconds that every word gets at least, if there is room.

    Returns
    -------
    (start, end, repairs)
        New arrays and the number of words that changed.
    """
    shortest = min(shortest, duration / len(start))
    new_start, new_end = np.clip(start, 0, duration), np.clip(end, 0, duration)
    for i in range(len(start)):
        if new_end[i] - new_start[i] >= shortest - 1e-9:
            continue
        before = new_end[i - 1] - new_start[i - 1] if i else 0.0
        after = end[i + 1] - start[i + 1] if i + 1 < len(start) else 0.0
        if before > after and before >= 2 * shortest and new_end[i - 1] > new_start[i] - shortest:
            new_start[i] -= shortest  # taken from the longer neighbour
            new_end[i - 1] = min(new_end[i - 1], new_start[i])
    floor = 0.0
    for i in range(len(start)):
        new_start[i] = max(new_start[i], floor)
        new_end[i] = max(new_end[i], new_start[i] + shortest)
        floor = new_end[i]
    ceiling = duration
    for i in range(len(start) - 1, -1, -1):
        new_end[i] = min(new_end[i], ceiling)
        new_start[i] = max(0.0, min(new_start[i], new_end[i] - shortest))
        ceiling = new_start[i]
    changed = (np.abs(new_start - start) > 1e-6) | (np.abs(new_end - end) > 1e-6)
    changed &= ~((end > duration) & (np.abs(new_end - duration) < 1e-6) & (np.abs(new_start - start) < 1e-6))
    return new_start, new_end, int(changed.sum())
