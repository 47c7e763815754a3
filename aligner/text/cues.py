"""From a transcript's cues to the words that were found of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from aligner.core import Cue


def ranges(cues: Sequence[Cue], words: Sequence[str], missing: Sequence[str]) -> tuple[tuple[int, int], ...] | None:
    """Which words are of which cue.

    Parameters
    ----------
    cues : sequence of Cue
    words : sequence of str
        That were found, in order.
    missing : sequence of str
        Stretches of the transcript that were not, in order. Together with the
        words they are the transcript.

    Returns
    -------
    tuple of (int, int), or None
        Half-open word ranges, one a cue, empty where none of its words was
        found; None where words and missing stretches do not make up the cues.

    Examples
    --------
    >>> ranges([Cue("so it is", 0, 1), Cue("it is", 1, 2)], ["so", "it", "is"], ["it is"])
    ((0, 3), (3, 3))
    """
    ends = list(accumulate(len(_letters(cue.text)) for cue in cues))
    starts = _places("".join(_letters(cue.text) for cue in cues), [*map(_letters, words)], [*map(_letters, missing)])
    if starts is None:
        return None
    stops = np.searchsorted(starts, ends, side="left")
    return tuple((int(first), int(stop)) for first, stop in zip([0, *stops], stops, strict=False))


def _letters(text: str) -> str:
    return "".join(text.split())


def _places(text: str, words: Sequence[str], missing: Sequence[str]) -> list[int] | None:
    """Where each word begins in a text that is made of words and missing stretches, each in order.

    Both may fit where they begin alike: words are tried first, and again when that leads nowhere.
    """
    taken, lost = [0, *accumulate(map(len, words))], [0, *accumulate(map(len, missing))]
    i = j = 0
    steps: list[bool] = []  # whether a word was taken
    dead: set[tuple[int, int]] = set()
    while i < len(words) or j < len(missing):
        place = taken[i] + lost[j]
        if i < len(words) and (i + 1, j) not in dead and text.startswith(words[i], place):
            i += 1
            steps.append(True)
        elif j < len(missing) and (i, j + 1) not in dead and text.startswith(missing[j], place):
            j += 1
            steps.append(False)
        else:
            dead.add((i, j))
            if not steps:
                return None
            if steps.pop():
                i -= 1
            else:
                j -= 1
    if taken[i] + lost[j] != len(text):
        return None
    places, place, i, j = [], 0, 0, 0
    for is_word in steps:
        if is_word:
            places.append(place)
            place += len(words[i])
            i += 1
        else:
            place += len(missing[j])
            j += 1
    return places
