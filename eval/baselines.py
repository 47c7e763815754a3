"""What needs no attention: words spread evenly, and the forced path of a CTC head.

References
----------
Graves et al., "Connectionist Temporal Classification", ICML 2006.
Kürzinger et al., "CTC-Segmentation of Large Corpora", 2020.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aligner.errors import InputError
from aligner.forced import viterbi
from aligner.text.spoken import spoken_form

if TYPE_CHECKING:
    from aligner.models import Encoded, SpeechModel


def uniform_times(texts: Sequence[str], duration: float) -> list[tuple[float, float]]:
    """Words over the whole recording, each as long as its share of the characters.

    Examples
    --------
    >>> uniform_times(["a", "cat"], 2.0)
    [(0.0, 0.5), (0.5, 2.0)]
    """
    edges = np.cumsum([0, *(max(1, len(t)) for t in texts)])
    edges = edges / edges[-1] * duration
    return [(float(a), float(b)) for a, b in itertools.pairwise(edges)]


def ctc_times(texts: Sequence[str], model: SpeechModel, encoded: Encoded) -> list[tuple[float, float]]:
    """Seconds of each word on the best path of the checkpoint's CTC head.

    From the first frame of its first letter to the last frame of its last.

    Parameters
    ----------
    texts : sequence of str
    model : SpeechModel
        With a CTC head (`aligner.ctc.labels` is not empty).
    encoded : Encoded
    """
    from aligner.ctc import labels, log_posteriors

    index = {label: k for k, label in enumerate(labels(model))}
    targets: list[int] = []
    owners: list[int] = []
    for k, text in enumerate(texts):
        if targets:
            targets.append(index[" "])
            owners.append(-1)
        # A word without a letter of the alphabet takes the place of a short one.
        letters = [index[c] for c in (spoken_form(text).replace(" ", "") or "a")]
        targets += letters
        owners += [k] * len(letters)
    frames = forced_frames(log_posteriors(model, encoded), targets)
    found = []
    for k in range(len(texts)):
        mine = [frame for frame, owner in zip(frames, owners, strict=True) if owner == k]
        found.append((mine[0][0] * model.frame_duration, (mine[-1][1] + 1) * model.frame_duration))
    return found


def forced_frames(log_probabilities: NDArray[np.float32], targets: Sequence[int]) -> list[tuple[int, int]]:
    """Most probable CTC path through a label sequence; label 0 is the blank.

    Parameters
    ----------
    log_probabilities : float32 array, shape (frames, labels)
    targets : sequence of int

    Returns
    -------
    list of (int, int)
        First and last frame of each target. Where there are too few frames
        for all targets, they are spread evenly.
    """
    n_frames, n = len(log_probabilities), len(targets)
    states = np.zeros(2 * n + 1, dtype=np.intp)
    states[1::2] = targets
    may_skip = np.zeros(len(states), dtype=bool)
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    try:
        path = viterbi(log_probabilities[:, states].astype(np.float64), may_skip)
    except InputError:
        edges = np.linspace(0, n_frames, n + 1).astype(int)
        return [(int(a), max(int(a), int(b) - 1)) for a, b in itertools.pairwise(edges)]
    target = 2 * np.arange(n) + 1
    first, last = np.searchsorted(path, target), np.searchsorted(path, target, side="right") - 1
    return [(int(a), int(b)) for a, b in zip(first, last, strict=True)]
