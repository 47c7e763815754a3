"""Words from the labels that a checkpoint hears at every frame: forced alignment without attention.

For checkpoints with linear heads on the encoder (`aligner.ctc`), as a check on
attention and as a rival to it. A Viterbi search finds the best way through the
characters of the transcript; both kinds of head differ only in their states.

References
----------
Graves et al., "Connectionist Temporal Classification", ICML 2006.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner import ctc
from aligner.core import Tokens
from aligner.errors import InputError, ModelError
from aligner.models import Encoded, SpeechModel
from aligner.registry import Registry
from aligner.text.spoken import spoken_form
from aligner.timing.words import TimedWords, settle


@dataclass(frozen=True, eq=False)
class States:
    """A chain of states that a path passes in order, each for one frame or more.

    Attributes
    ----------
    labels : int array, shape (states,)
        Column of the posteriors that a state emits.
    words : int array, shape (states,)
        Word that a state is part of; -1 for blanks, pauses and spaces.
    may_skip : bool array, shape (states,)
        Whether a state can follow the one before the previous one directly.
    """

    labels: NDArray[np.intp]
    words: NDArray[np.intp]
    may_skip: NDArray[np.bool_]


Topology = Callable[[Sequence[Sequence[int]], int], States]
heads: Registry[Topology] = Registry("frame-label path")


@heads.register("ctc")
def ctc_states(spellings: Sequence[Sequence[int]], space: int) -> States:
    """Blanks around all characters, optional but between equal ones; spaces between words.

    Parameters
    ----------
    spellings : sequence of sequences of int
        Labels of each word.
    space : int
    """
    labels, words = [0], [-1]
    for number, spelling in enumerate(spellings):
        for label in [*([space] if number else []), *spelling]:
            labels += [label, 0]
            words += [-1, -1] if label == space else [number, -1]
    found = np.array(labels)
    may_skip = np.zeros(len(found), bool)
    may_skip[3::2] = found[3::2] != found[1:-2:2]
    return States(found, np.array(words), may_skip)


@heads.register("frame")
def frame_states(spellings: Sequence[Sequence[int]], space: int) -> States:
    """Characters that last, and optional silence (label 0) around words."""
    labels, words, may_skip = [0], [-1], [False]
    for number, spelling in enumerate(spellings):
        sounds = [label for label in spelling if label != space]
        labels += [*sounds, 0]
        words += [number] * len(sounds) + [-1]
        may_skip += [number > 0] + [False] * len(sounds)
    return States(np.array(labels), np.array(words), np.array(may_skip))


def viterbi(emitted: NDArray[np.floating], may_skip: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Best way through a chain of states.

    Parameters
    ----------
    emitted : float array, shape (frames, states)
        Log-probability of each state's label at each frame.
    may_skip : bool array, shape (states,)

    Returns
    -------
    int array, shape (frames,)
        State at each frame: from one of the first two to one of the last two.

    Raises
    ------
    InputError
        Fewer frames than the states that cannot be skipped.
    """
    n_frames, n_states = emitted.shape
    score = np.full(n_states, -np.inf)
    score[:2] = emitted[0, :2]
    came_from = np.zeros((n_frames, n_states), np.int8)
    options = np.full((3, n_states), -np.inf)
    for frame in range(1, n_frames):
        options[0], options[1, 1:] = score, score[:-1]
        options[2, 2:] = np.where(may_skip[2:], score[:-2], -np.inf)
        came_from[frame] = options.argmax(0)
        score = options.max(0) + emitted[frame]
    state = n_states - 2 + int(score[-1] >= score[-2])
    if not np.isfinite(score[state]):
        raise InputError(
            f"the transcript needs more than the {n_frames} frames that the audio has: is it the right transcript?"
        )
    path = np.empty(n_frames, np.intp)
    for frame in range(n_frames - 1, -1, -1):
        path[frame] = state
        state -= int(came_from[frame, state])
    return path


def time_words(
    model: SpeechModel, encoded: Encoded, tokens: Tokens, path: str = "ctc", pauses: str = "trim"
) -> TimedWords:
    """Times of every word: from the first frame of its first character to the last of its last.

    Parameters
    ----------
    model : SpeechModel
        With the head that `path` names.
    encoded : Encoded
    tokens : Tokens
        Only the words are used.
    path : str
        "ctc", or "frame" (a classifier of the character that sounds at each frame).
    pauses : str
        As in `aligner.timing.words.time_words`.

    Raises
    ------
    ModelError
        The checkpoint has no such head.
    InputError
        More characters than frames.
    """
    labels = ctc.labels(model)
    if not labels:
        raise ModelError(f"--path {path}: model {model.name!r} has no head that labels frames; use --path dtw")
    posteriors = ctc.log_posteriors(model, encoded, path)
    # A last column for what the head cannot spell: the best label that is neither blank nor space.
    number = {label: i for i, label in enumerate(labels)}
    letters = [i for label, i in number.items() if label != " " and i > 0]
    posteriors = np.column_stack([posteriors, posteriors[:, letters].max(1)])
    spellings = [[number[c] for c in spoken_form(word.text)] or [len(labels)] for word in tokens.words]
    states = heads[path](spellings, number[" "])
    inside = states.words[viterbi(posteriors[:, states.labels], states.may_skip)]
    frames = [np.flatnonzero(inside == k) for k in range(len(tokens.words))]
    start = np.array([found[0] for found in frames]) * model.frame_duration
    end = np.array([found[-1] + 1 for found in frames]) * model.frame_duration
    if pauses == "keep":
        end = np.append(start[1:], encoded.duration)
    return settle(tokens, start, end, encoded.duration, model.frame_duration, pauses)
