"""Where people see a word begin and end, against where its sounds change, and where they hardly see it.

A path changes sounds where their looks change. Whoever sets an edge by hand looks for something else: for the burst of
a stop, not its silent closure; for the end of the voice, not of its echo. The difference depends on the manner in which
the sounds at both sides are made, and hardly on the speaker. It is taken off in milliseconds, a few for each manner.
Where sounds of one manner meet, edges are drawn less surely than paths believe; a last stop may be released or not.

References
----------
Hosom, "Speaker-independent phoneme alignment using transition-dependent states", 2009 (errors by manner).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RELEASE = 2.0  # times the doubt in a stop's end before silence (docs/accuracy.md: both on all development gold)
ALIKE = 1.3  # and in an edge between sounds of one manner, or of vowels and approximants
LATE = 5.5  # milliseconds by which paths are late, whatever the sounds (docs/head.md: on all development gold)

_PHONES = (
    "B CH D G JH K P T",  # stops and affricates
    "DH F HH S SH TH V Z ZH",  # fricatives
    "M N NG",  # nasals
    "L R W Y",  # approximants
    "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW",  # vowels
)
MANNERS = {phone: manner for manner, phones in enumerate(_PHONES) for phone in phones.split()}
SONORANTS = frozenset(" ".join(_PHONES[2:]).split())
# Milliseconds by which an edge is too late, beyond LATE, by manner (`benchmarks/habits.py`).
_CONSTANTS = np.array(
    [
        [-1, 3, -2, 4, -3],  # of the sound before
        [1, -3, 1, -3, 5],  # and of the one after: both are added
        [-10, 4, 7, 3, 9],  # of the sound before silence
        [-7, -6, -3, -5, 9],  # of the sound after silence
    ]
)


def table(sounds: Sequence[str], constants: NDArray[np.floating | np.integer] = _CONSTANTS) -> NDArray[np.float64]:
    """How late a path puts the edges between sounds.

    Parameters
    ----------
    sounds : sequence of str
        Those of a head; only CMUdict's phones have a manner.
    constants : array, shape (4, manners)
        Milliseconds.

    Returns
    -------
    float64 array, shape (sounds + 2, sounds + 2)
        Seconds, by the number of the sound before and of the sound after; the first is silence, the last is any sound.
    """
    found = np.zeros((len(sounds) + 2, len(sounds) + 2))
    known = [k for k, sound in enumerate(sounds, 1) if sound in MANNERS]
    before, after, before_silence, after_silence = constants[:, [MANNERS[sounds[k - 1]] for k in known]]
    found[np.ix_(known, known)] = before[:, None] + after
    found[known, 0], found[0, known] = before_silence, after_silence
    return (found + LATE) / 1000


def doubt(sounds: Sequence[str]) -> NDArray[np.float64]:
    """How much less sure edges between sounds are than competing paths say, a factor; laid out as `table`."""
    found = np.ones((len(sounds) + 2, len(sounds) + 2))
    manner = np.array([MANNERS.get(sound, -1) for sound in ("", *sounds, "")])
    vowels = len(_PHONES) - 1
    like = np.where(manner == vowels - 1, vowels, manner)  # approximants glide into vowels
    found[(like[:, None] == like) & (like >= 0)] = ALIKE
    found[manner == 0, 0] = RELEASE
    return found
