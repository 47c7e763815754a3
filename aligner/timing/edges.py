"""Words beside a pause end and begin with the sound that is heard there.

Attention knows the middle of a word best. Where speech stops, for a pause or
for good, the level of the recording tells when: a last word is drawn to where
its sound ends, a first word to where its sound begins. A pause that a word has
swallowed is found by the same silence. A timing head hears pauses, and hisses
and stops before them, better than a level does, which cannot tell the closure
of a stop from silence; where sound begins and voice ends, a level is sharper.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aligner.audio.level import STEP, active
from aligner.core import Word

FAINT = 0.25  # of the way from noise floor to peak: last sounds fade
FAINTEST = 35.0  # dB below the peak; what is left there is room and breath
AROUND = 4.0  # seconds; noise farther away says nothing about this sound
PAUSE = 0.15  # seconds between words, or of silence, that make a pause
BESIDE = 0.1  # seconds from a silence at which words may meet that it parts
CLOSURE = 0.1  # seconds; a shorter silence may be the closure of a stop
LATER, EARLIER = 0.5, 0.1  # seconds that a word may gain: last sounds fade, first ones hardly do
BEYOND = 0.1  # seconds heard beyond what the first and last word may gain; louder music farther away says nothing
SHORTEST_WORD = 0.04  # seconds that a word keeps


def snapped(
    words: Sequence[Word], levels: NDArray[np.float32], duration: float, ends: Sequence[bool] | None = None
) -> tuple[Word, ...]:
    """Words with their edges at pauses moved to the edges of the sound.

    Parameters
    ----------
    words : sequence of Word
        In order, without overlap.
    levels : float32 array, shape (frames,)
        From `aligner.audio.level.loudness`.
    duration : float
        Seconds of the recording.
    ends : sequence of bool, optional
        Whose ends move, for words that a timing head has timed. Without it,
        all ends do, and words that meet beside a silence part.

    Returns
    -------
    tuple of Word
        A word moves only to an edge of sound within its reach; in noise that
        hides all edges it stays. The recording's own ends count as pauses.
    """
    if not words:
        return ()
    first = max(0, round((words[0].start - EARLIER - BEYOND) / STEP))
    stop = round((words[-1].end + LATER + BEYOND) / STEP)
    begins, stops = (first * STEP + edges for edges in _sounds(active(levels[first:stop], FAINT, FAINTEST, AROUND)))
    if ends is None:
        words = _parted(words, stops[:-1], begins[1:])
    found = []
    for i, word in enumerate(words):
        before = words[i - 1].end if i else 0.0
        after = words[i + 1].start if i + 1 < len(words) else duration
        if not i or word.start - before >= PAUSE:
            middle = (before + word.start) / 2
            word = replace(word, start=_first(word, begins, stops, max(middle, word.start - EARLIER)))
        if (ends is None or ends[i]) and (i + 1 == len(words) or after - word.end >= PAUSE):
            middle = (word.end + after) / 2
            word = replace(word, end=_last(word, begins, stops, min(middle, word.end + LATER)))
        found.append(word)
    return tuple(found)


def _parted(words: Sequence[Word], silent: NDArray[np.float64], heard: NDArray[np.float64]) -> tuple[Word, ...]:
    """Words that meet beside a silence, with the silence between them; `silent` and `heard` are its ends."""
    long = heard - silent >= PAUSE
    silent, heard = silent[long], heard[long]
    found = list(words)
    for i, (word, after) in enumerate(itertools.pairwise(words)):
        if after.start - word.end >= PAUSE:
            continue
        near = slice(np.searchsorted(heard, word.end - BESIDE), np.searchsorted(silent, after.start + BESIDE, "right"))
        for start, end in zip(silent[near], heard[near], strict=True):
            if start - found[i].start >= SHORTEST_WORD and after.end - end >= SHORTEST_WORD:
                found[i], found[i + 1] = replace(found[i], end=float(start)), replace(after, start=float(end))
                break
    return tuple(found)


def _sounds(heard: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds at which sounds begin and end; silence as short as a closure does not part two."""
    steps = np.diff(np.concatenate([[0], heard.view(np.int8), [0]]))
    begins, ends = np.flatnonzero(steps == 1) * STEP, np.flatnonzero(steps == -1) * STEP
    close = np.flatnonzero(begins[1:] - ends[:-1] <= CLOSURE)
    return np.delete(begins, close + 1), np.delete(ends, close)


def _last(word: Word, begins: NDArray[np.float64], ends: NDArray[np.float64], latest: float) -> float:
    """Where the word's last sound ends."""
    sound = int(np.searchsorted(begins, word.end, side="right")) - 1  # the last that begins before the word ends
    if sound < 0 or ends[sound] > latest or ends[sound] < word.start + SHORTEST_WORD:
        return word.end
    return float(ends[sound])


def _first(word: Word, begins: NDArray[np.float64], ends: NDArray[np.float64], earliest: float) -> float:
    """Where the word's first sound begins."""
    sound = int(np.searchsorted(ends, word.start, side="right"))  # the first that ends after the word begins
    if sound == len(ends) or begins[sound] < earliest or begins[sound] > word.end - SHORTEST_WORD:
        return word.start
    return float(begins[sound])
