"""The ways that a text can be spoken, as a graph of sounds, and the best way through it.

Words follow in order; a word has one way or several to be said; silence between words is optional. Every sound passes
through `PARTS` parts, each for one frame or more. Silence has a part that it begins with, one that it ends with, and
between them some that follow each other in any order, as breath and clicks do.

References
----------
Forney, "The Viterbi Algorithm", 1973; Young et al., "Token Passing: a Simple Conceptual Model for Connected Speech
Recognition Systems", 1989; Povey et al., "The Kaldi Speech Recognition Toolkit", 2011 (the parts of silence).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

PARTS = 3  # classes of a sound: its beginning, middle and end
SILENT = 5  # classes of silence: its beginning, three in any order, its end
SILENCE = 0  # the sound that is none

Pronunciations = Sequence[Sequence[int]]  # ways to say a word, each as its sounds


def class_count(sounds: int) -> int:
    """Classes of so many sounds, and of silence."""
    return SILENT + PARTS * sounds


def classes_of(sound: int) -> range:
    """Classes of a sound, in the order in which they are said."""
    return range(SILENT) if sound == SILENCE else range(class_count(sound - 1), class_count(sound))


def sounds_of_classes(classes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Sounds that classes belong to."""
    found: NDArray[np.intp] = np.maximum((classes - SILENT) // PARTS + 1, SILENCE)
    return found


@dataclass(frozen=True, eq=False)
class Graph:
    """States in order, and which of them may come before each.

    Attributes
    ----------
    classes : int array, shape (states,)
        Part of a sound, or of silence, that a state emits; see `classes_of`.
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
        for emitted in classes_of(sound):
            classes.append(emitted)
            owners.append(owner)
            before.append([len(classes) - 1, *entries])
            entries = [len(classes) - 1]
        return len(classes) - 1

    def rest(entries: list[int]) -> int:
        end = say(SILENCE, -1, entries)
        first, inner = end - SILENT + 1, list(range(end - SILENT + 2, end))
        for state in inner:
            before[state] = [state, first, *(other for other in inner if other != state)]
        before[end] = [end, *inner]
        return end

    exits: list[int] = []
    pause = rest([])
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
        pause = rest(list(exits))
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


class _Others:
    """Best score among the other states that lead to each: most have one, their neighbour; only the rest is looked up.

    Parameters
    ----------
    table, used : arrays, shape (states, most)
        Of a graph, before or after.
    side : int
        -1 where neighbours come before, 1 where they come after.
    """

    def __init__(self, table: NDArray[np.intp], used: NDArray[np.bool_], side: int) -> None:
        n_states = len(table)
        self.side = side
        self.rest = np.flatnonzero((used.sum(1) != 2) | (table[:, 1] != np.arange(n_states) + side))
        # Unused places are the last score, which is -inf.
        self.sources = np.ascontiguousarray(np.where(used, table, n_states)[self.rest, 1:].T)
        self.scores = np.empty(self.sources.shape, np.float32)

    def best(self, scores: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Put the best into `out`; `scores` has one more, -inf, at its end."""
        if self.side < 0:
            out[1:] = scores[:-2]
        else:
            out[:] = scores[1:]
        np.take(scores, self.sources, out=self.scores, mode="clip")
        out[self.rest] = self.scores.max(0)


def forward(
    emitted: NDArray[np.float32], graph: Graph, stays: Stays
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Score of the best way to every state at every frame, and of the best way that enters it there.

    Parameters
    ----------
    emitted : float32 array, shape (frames, states)
        Log-likelihood of each state at each frame.
    graph : Graph
    stays : Stays

    Returns
    -------
    (float32 array, float32 array), shapes (frames, states)
        The second leaves the state's emission out.
    """
    n_frames, n_states = emitted.shape
    scores, entered = np.empty((2, n_frames, n_states), np.float32)
    scores[0] = entered[0] = -np.inf
    scores[0, graph.first], entered[0, graph.first] = emitted[0, graph.first], 0.0
    stay, move = stays.log_stay[graph.classes], stays.log_move[graph.classes]
    others, leaving = _Others(graph.before, graph.open_before, -1), np.full(n_states + 1, -np.inf, np.float32)
    for frame in range(1, n_frames):
        np.add(scores[frame - 1], move, out=leaving[:-1])
        others.best(leaving, entered[frame])
        np.add(scores[frame - 1], stay, out=scores[frame])
        np.maximum(scores[frame], entered[frame], out=scores[frame])
        scores[frame] += emitted[frame]
    return scores, entered


def add_backward(
    entered: NDArray[np.float32],
    emitted: NDArray[np.float32],
    graph: Graph,
    stays: Stays,
    ends: Sequence[tuple[int, NDArray[np.intp]]],
) -> None:
    """Add, to the score of the best way that enters each state, its emission and that of the best way on, in place.

    Parameters
    ----------
    entered, emitted : float32 arrays, shape (frames, states)
        From `forward`, and as given to it.
    graph : Graph
    stays : Stays
    ends : sequence of (int, int array)
        Ways end at such a frame, with one of such states.
    """
    n_frames, n_states = emitted.shape
    closing: dict[int, list[NDArray[np.intp]]] = {}
    for frame, states in ends:
        closing.setdefault(frame, []).append(states)
    stay, move = stays.log_stay[graph.classes], stays.log_move[graph.classes]
    others, later = _Others(graph.after, graph.open_after, 1), np.full(n_states + 1, -np.inf, np.float32)
    scores = np.full(n_states, -np.inf, np.float32)
    for frame in range(n_frames - 1, -1, -1):
        if frame + 1 < n_frames:
            np.add(scores, emitted[frame + 1], out=later[:-1])
            others.best(later, scores)
            scores += move
            later[:-1] += stay
            np.maximum(scores, later[:-1], out=scores)
        for states in closing.get(frame, ()):
            scores[states] = 0.0
        entered[frame] += scores
        entered[frame] += emitted[frame]


def best_paths(
    emitted: Sequence[NDArray[np.float32]], graphs: Sequence[Graph], stays: Stays
) -> tuple[list[NDArray[np.intp]], list[float]]:
    """The most likely ways through several graphs at once, which costs little more than one.

    Parameters
    ----------
    emitted : sequence of float32 arrays, shapes (frames, states)
        Log-likelihood of each state of each graph, at each frame.
    graphs : sequence of Graph
        None whose shortest way has more states than there are frames.
    stays : Stays

    Returns
    -------
    (list of int arrays, list of float), shapes (frames,)
        State of every frame, and the score of each path.
    """
    bounds = np.cumsum([0, *(len(graph.classes) for graph in graphs)])
    together = _joined(emitted, list(map(len, emitted)), bounds)
    scores, entered = forward(together, _side_by_side(graphs, bounds), stays)
    paths, totals = [], []
    for own, graph, pair in zip(emitted, graphs, pairwise(bounds), strict=True):
        span = slice(len(own)), slice(*pair)
        paths.append(_traced(scores[span], entered[span], graph, stays))
        totals.append(float(scores[span][-1, paths[-1][-1]]))
    return paths, totals


def _joined(
    emitted: Iterable[NDArray[np.float32]], lengths: Sequence[int], bounds: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Log-likelihoods of states side by side; frames that a graph does not have are zeros."""
    if len(lengths) == 1:
        (only,) = emitted
        return only
    together = np.zeros((max(lengths), bounds[-1]), np.float32)
    for own, low, high in zip(emitted, bounds, bounds[1:], strict=False):
        together[: len(own), low:high] = own
    return together


def _side_by_side(graphs: Sequence[Graph], bounds: NDArray[np.intp]) -> Graph:
    """Graphs as one, with no way from one to another."""

    def tables(name: str) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        most = max(getattr(graph, name).shape[1] for graph in graphs)
        rows, used = [], []
        for graph, low in zip(graphs, bounds, strict=False):
            table, is_open = getattr(graph, name), getattr(graph, f"open_{name}")
            missing = most - table.shape[1]
            rows.append(np.concatenate([table, np.repeat(table[:, :1], missing, 1)], 1) + low)
            used.append(np.pad(is_open, ((0, 0), (0, missing))))
        return np.concatenate(rows), np.concatenate(used)

    def placed(name: str) -> NDArray[np.intp]:
        return np.concatenate([getattr(graph, name) + low for graph, low in zip(graphs, bounds, strict=False)])

    classes, words = (np.concatenate([getattr(graph, name) for graph in graphs]) for name in ("classes", "words"))
    return Graph(classes, words, *tables("before"), *tables("after"), placed("first"), placed("last"))


def _traced(scores: NDArray[np.float32], entered: NDArray[np.float32], graph: Graph, stays: Stays) -> NDArray[np.intp]:
    """The best way through one graph, from what `forward` found."""
    path = np.empty(len(scores), np.intp)
    state = int(graph.last[scores[-1, graph.last].argmax()])
    stay, move = stays.log_stay[graph.classes], stays.log_move[graph.classes]
    for frame in range(len(scores) - 1, 0, -1):
        path[frame] = state
        if entered[frame, state] > scores[frame - 1, state] + stay[state]:
            others = graph.before[state, 1:][graph.open_before[state, 1:]]
            state = int(others[(scores[frame - 1, others] + move[others]).argmax()])
    path[0] = state
    return path


def searched(
    emitted: Iterable[NDArray[np.float32]], lengths: Sequence[int], graphs: Sequence[Graph], stays: Stays
) -> list[tuple[NDArray[np.intp], NDArray[np.float32]] | None]:
    """The most likely ways through several graphs at once, and what every other way would score.

    Parameters
    ----------
    emitted : iterable of float32 arrays, shapes (frames, states)
        Log-likelihood of each state of each graph, at each frame; taken one by one.
    lengths : sequence of int
        Frames of each.
    graphs : sequence of Graph
    stays : Stays

    Returns
    -------
    list of (int array, float32 array) or None
        State of every frame; score of the best way that enters each state at each frame, shape (frames, states).
        None where there are fewer frames than the shortest way has states.
    """
    bounds = np.cumsum([0, *(len(graph.classes) for graph in graphs)])
    together, joint = _joined(emitted, lengths, bounds), _side_by_side(graphs, bounds)
    scores, entered = forward(together, joint, stays)
    spans = [(slice(length), slice(*pair)) for length, pair in zip(lengths, pairwise(bounds), strict=True)]
    paths = [
        _traced(scores[span], entered[span], graph, stays) if np.isfinite(scores[span][-1, graph.last]).any() else None
        for span, graph in zip(spans, graphs, strict=True)
    ]
    ends = [(length - 1, graph.last + low) for length, graph, low in zip(lengths, graphs, bounds, strict=False)]
    add_backward(entered, together, joint, stays, ends)
    return [None if path is None else (path, entered[span]) for path, span in zip(paths, spans, strict=True)]


def too_many_sounds(frames: int) -> str:
    """A sentence about a text that does not fit some frames."""
    return (
        f"the transcript has more sounds than the {frames / 100:.2f} s of audio can hold: is it the right transcript?"
    )
