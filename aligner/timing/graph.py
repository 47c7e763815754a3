"""The ways that a text can be spoken, as a graph of sounds, and the best way through it.

Words follow in order; a word has one way or several to be said; silence between words is optional. Every sound passes
through `PARTS` parts, each for one frame or more.

References
----------
Forney, "The Viterbi Algorithm", 1973; Young et al., "Token Passing: a Simple Conceptual Model for Connected Speech
Recognition Systems", 1989.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.errors import InputError

PARTS = 3  # states of a sound: its beginning, middle and end
SILENCE = 0  # the sound that is none

Pronunciations = Sequence[Sequence[int]]  # ways to say a word, each as its sounds


@dataclass(frozen=True, eq=False)
class Graph:
    """States in order, and which of them may come before each.

    Attributes
    ----------
    classes : int array, shape (states,)
        Part of a sound that a state emits: `PARTS` times the sound, plus the part.
    words : int array, shape (states,)
        Word that a state belongs to; -1 for silence.
    before, after : int arrays, shape (states, most)
        States that may come before and after each, itself first; unused places repeat itself.
    open_before, open_after : bool arrays, shape (states, most)
        Whether a place is used.
    first, last : int arrays
        States that a path may begin and end with.
    """

    classes: NDArray[np.intp]
    words: NDArray[np.intp]
    before: NDArray[np.intp]
    open_before: NDArray[np.bool_]
    after: NDArray[np.intp]
    open_after: NDArray[np.bool_]
    first: NDArray[np.intp]
    last: NDArray[np.intp]


def build(words: Sequence[Pronunciations]) -> Graph:
    """The graph of a text.

    Parameters
    ----------
    words : sequence of pronunciations
        Of each word at least one, none empty.
    """
    classes: list[int] = []
    owners: list[int] = []
    before: list[list[int]] = []

    def say(sound: int, owner: int, entries: list[int]) -> int:
        for part in range(PARTS):
            classes.append(PARTS * sound + part)
            owners.append(owner)
            before.append([len(classes) - 1, *entries])
            entries = [len(classes) - 1]
        return len(classes) - 1

    exits: list[int] = []
    pause = say(SILENCE, -1, [])
    first = [0]
    for number, pronunciations in enumerate(words):
        entries, ends = [*exits, pause], []
        for pronunciation in pronunciations:
            if not number:
                first.append(len(classes))
            end = entries
            for sound in pronunciation:
                end = [say(sound, number, end)]
            ends += end
        exits = ends
        pause = say(SILENCE, -1, list(exits))
    after: list[list[int]] = [[state] for state in range(len(classes))]
    for state, entries in enumerate(before):
        for entry in entries[1:]:
            after[entry].append(state)
    return Graph(
        np.array(classes), np.array(owners), *_table(before), *_table(after), np.array(first), np.array([*exits, pause])
    )


def _table(lists: Sequence[Sequence[int]]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Lists as a table, filled up with their first entry, and which places are used."""
    most = max(map(len, lists))
    table = np.array([[*entries, *[entries[0]] * (most - len(entries))] for entries in lists])
    used = np.arange(most) < np.array([len(entries) for entries in lists])[:, None]
    return table, used


@dataclass(frozen=True, eq=False)
class Stays:
    """How likely it is that a part of a sound lasts another frame.

    Attributes
    ----------
    log_stay, log_move : float32 arrays, shape (classes,)
    """

    log_stay: NDArray[np.float32]
    log_move: NDArray[np.float32]

    @classmethod
    def of(cls, stay: NDArray[np.floating]) -> Stays:
        """From probabilities, shape (classes,)."""
        return cls(np.log(stay).astype(np.float32), np.log1p(-stay).astype(np.float32))


def _costs(graph: Graph, stays: Stays) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Log-probability of the steps into a state from each before it, and from a state to each after it."""
    into = np.where(graph.open_before, stays.log_move[graph.classes[graph.before]], -np.inf).astype(np.float32)
    out = np.where(graph.open_after, stays.log_move[graph.classes][:, None], -np.inf).astype(np.float32)
    into[:, 0] = out[:, 0] = stays.log_stay[graph.classes]
    return into, out


def forward(
    emitted: NDArray[np.float32], graph: Graph, stays: Stays
) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.float32]]:
    """Score of the best way to every state at every frame, by which place of `before` it came, and how it is entered.

    Parameters
    ----------
    emitted : float32 array, shape (frames, states)
        Log-likelihood of each state at each frame.
    graph : Graph
    stays : Stays

    Returns
    -------
    (float32 array, int8 array, float32 array), shapes (frames, states)
        The last is the score of the best way that enters a state at a frame, the state's emission left out.
    """
    n_frames, n_states = emitted.shape
    into, _ = _costs(graph, stays)
    scores = np.full((n_frames, n_states), -np.inf, np.float32)
    entered = np.full((n_frames, n_states), -np.inf, np.float32)
    came = np.zeros((n_frames, n_states), np.int8)
    scores[0, graph.first], entered[0, graph.first] = emitted[0, graph.first], 0.0
    stay, single = into[:, 0], graph.before[:, 1]
    # Most states are entered from one other; only those at the beginning of words are looked up in the whole table.
    many = np.flatnonzero(graph.open_before.sum(1) > 2)
    others, costs, row = graph.before[many, 1:], into[many, 1:], np.arange(len(many))
    for frame in range(1, n_frames):
        enters = entered[frame]
        np.add(scores[frame - 1][single], into[:, 1], out=enters)
        ways = scores[frame - 1][others] + costs
        best = ways.argmax(1)
        enters[many] = ways[row, best]
        stays_on = scores[frame - 1] + stay
        moved = enters > stays_on
        came[frame] = moved
        came[frame, many] *= (best + 1).astype(np.int8)
        np.maximum(enters, stays_on, out=scores[frame])
        scores[frame] += emitted[frame]
    return scores, came, entered


def backward(emitted: NDArray[np.float32], graph: Graph, stays: Stays) -> NDArray[np.float32]:
    """Score of the best way on from every state at every frame, its own emission left out; shape (frames, states)."""
    n_frames, n_states = emitted.shape
    _, out = _costs(graph, stays)
    scores = np.full((n_frames, n_states), -np.inf, np.float32)
    scores[-1, graph.last] = 0.0
    single, many = graph.after[:, 1], np.flatnonzero(graph.open_after.sum(1) > 2)
    others, costs = graph.after[many, 1:], out[many, 1:]
    for frame in range(n_frames - 2, -1, -1):
        later = scores[frame + 1] + emitted[frame + 1]
        moves = later[single] + out[:, 1]
        moves[many] = (later[others] + costs).max(1)
        np.maximum(later + out[:, 0], moves, out=scores[frame])
    return scores


def best_path(emitted: NDArray[np.float32], graph: Graph, stays: Stays) -> tuple[NDArray[np.intp], float]:
    """The most likely way through the graph.

    Parameters
    ----------
    emitted : float32 array, shape (frames, states)
    graph : Graph
    stays : Stays

    Returns
    -------
    (int array, shape (frames,), float)
        State of every frame, and the score of the path.

    Raises
    ------
    InputError
        Fewer frames than the shortest way has states.
    """
    path, total, _ = best_path_and_entries(emitted, graph, stays)
    return path, total


def best_path_and_entries(
    emitted: NDArray[np.float32], graph: Graph, stays: Stays
) -> tuple[NDArray[np.intp], float, NDArray[np.float32]]:
    """The most likely way, and how well every state is entered at every frame; see `best_path` and `forward`."""
    scores, came, entered = forward(emitted, graph, stays)
    state = int(graph.last[scores[-1, graph.last].argmax()])
    total = float(scores[-1, state])
    if not np.isfinite(total):
        raise InputError(
            f"the transcript has more sounds than the {len(emitted) / 100:.2f} s of audio can hold: "
            "is it the right transcript?"
        )
    path = np.empty(len(emitted), np.intp)
    for frame in range(len(emitted) - 1, -1, -1):
        path[frame] = state
        state = int(graph.before[state, came[frame, state]])
    return path, total, entered
