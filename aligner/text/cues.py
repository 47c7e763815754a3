"""From a transcript's cues to the words that were found of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from aligner.core import Cue
from aligner.text.matching import letters, places


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
    ends = list(accumulate(len(letters(cue.text)) for cue in cues))
    starts = places("".join(letters(cue.text) for cue in cues), [*map(letters, words)], [*map(letters, missing)])
    if starts is None:
        return None
    stops = np.searchsorted(starts, ends, side="left")
    return tuple((int(first), int(stop)) for first, stop in zip([0, *stops], stops, strict=False))
