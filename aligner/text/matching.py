"""Where the words that were found stand in the transcript."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


def letters(text: str) -> str:
    """Text without whitespace, the unit that places are counted in."""
    return "".join(text.split())


def places(text: str, words: Sequence[str], missing: Sequence[str]) -> list[int] | None:
    """Where each word begins in a text that is made of words and missing stretches, each in order.

    Both may fit where they begin alike: words are tried first, and again when that leads nowhere.

    Parameters
    ----------
    text : str
    words, missing : sequence of str
        All without whitespace.

    Returns
    -------
    list of int, or None
        Characters before each word; None where the parts do not make up the text.

    Examples
    --------
    >>> places("itisitisso", ["it", "is", "so"], ["itis"])
    [0, 2, 8]
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
