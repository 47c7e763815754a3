"""Word times from a timing head: the best way through the sounds of a text, and how sure each edge is.

The best path says which way the words were said and where silence lies between them. Each edge is then weighed at
every frame near by: what the best path that has it there would score. The edge is the median of these weights, which
falls between frames, and their spread is what the head knows of its own doubt.

References
----------
Forney, "The Viterbi Algorithm", 1973; Wessel et al., "Confidence Measures for Large Vocabulary Continuous Speech
Recognition", 2001 (doubt from competing paths).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.timing.graph import PARTS, Graph, backward, best_path_and_entries
from aligner.timing.head import STEP, Head

TEMPERATURE = 4.0  # frames are not independent of each other: their likelihoods count less (docs/head.md)
NEAR = 0.25  # seconds around an edge of the best path in which it may lie


@dataclass(frozen=True, eq=False)
class Edges:
    """When words begin and end, in seconds from the first frame.

    Attributes
    ----------
    start, end : float64 arrays, shape (words,)
    start_spread, end_spread : float64 arrays, shape (words,)
        Seconds between the tenth and the ninetieth percentile of where the edge may be.
    heard : float64 array, shape (words,)
        Mean posterior of a word's sounds where they are found, 0 to 1.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    start_spread: NDArray[np.float64]
    end_spread: NDArray[np.float64]
    heard: NDArray[np.float64]


def edges(head: Head, evidence: NDArray[np.float32], posteriors: NDArray[np.float32], words: Sequence[str]) -> Edges:
    """Times of the words of a stretch.

    Parameters
    ----------
    head : Head
    evidence : float32 array, shape (frames, classes)
        From `Head.evidence`.
    posteriors : float32 array, shape (encoder frames, sounds + 1)
        From `Head.sound_posteriors`.
    words : sequence of str
        As they are written.

    Raises
    ------
    InputError
        More sounds than the audio can hold.
    """
    graph = head.graph(words)
    emitted = evidence[:, graph.classes]
    path, _, entered = best_path_and_entries(emitted, graph, head.stays)
    through = entered + emitted + backward(emitted, graph, head.stays)
    owners = graph.words[path]
    found = _Found(graph, through)
    n_frames = len(path)
    start, end = np.zeros(len(words)), np.full(len(words), n_frames - 0.5)
    spreads = np.zeros((2, len(words)))
    for k in range(len(words)):
        start[k], spreads[0, k] = found.edge(found.entries(k), int(np.flatnonzero(owners == k)[0]))
    for k in range(len(words)):
        last = int(np.flatnonzero(owners == k)[-1])
        if last + 1 < n_frames and owners[last + 1] < 0:
            end[k], spreads[1, k] = found.edge(found.pause_after(k), last + 1)
        elif k + 1 < len(words):
            end[k], spreads[1, k] = start[k + 1], spreads[0, k + 1]
    return Edges(
        np.maximum(start - 0.5, 0) * STEP,
        (end - 0.5) * STEP,
        spreads[0] * STEP,
        spreads[1] * STEP,
        _heard(graph, path, owners, posteriors, len(words)),
    )


class _Found:
    """Scores of all ways into states, looked up by edge."""

    def __init__(self, graph: Graph, through: NDArray[np.float32]) -> None:
        self.graph, self.through = graph, through

    def entries(self, word: int) -> NDArray[np.intp]:
        """First states of a word's pronunciations."""
        own = np.flatnonzero(self.graph.words == word)
        outside = self.graph.words[self.graph.before[own]] != word
        return own[(outside & self.graph.open_before[own]).any(1)]

    def pause_after(self, word: int) -> NDArray[np.intp]:
        """First state of the silence behind a word."""
        return np.flatnonzero(self.graph.words == word)[-1:] + 1

    def edge(self, states: NDArray[np.intp], frame: int) -> tuple[float, float]:
        """Median and spread, in frames, of where the best of some states is entered."""
        reach = round(NEAR / STEP)
        low = max(0, frame - reach)
        score = self.through[low : frame + reach + 1, states].max(1).astype(np.float64)
        weight = np.exp((score - score.max()) / TEMPERATURE)
        share = np.cumsum(weight) / weight.sum()
        # A frame's weight is spread over it, half to either side.
        tenth, half, most = np.interp([0.1, 0.5, 0.9], np.append(0.0, share), np.arange(len(share) + 1) - 0.5)
        return low + float(half), float(most - tenth)


def _heard(
    graph: Graph, path: NDArray[np.intp], owners: NDArray[np.intp], posteriors: NDArray[np.float32], count: int
) -> NDArray[np.float64]:
    """Mean posterior of the sounds of each word on a path."""
    sounds = graph.classes[path] // PARTS
    at = np.minimum(np.arange(len(path)) // 2, len(posteriors) - 1)
    best = np.exp(posteriors[:, 1:].max(1))
    inside = sounds < posteriors.shape[1]
    chance = np.where(inside, np.exp(posteriors[at, np.where(inside, sounds, 0)]), best[at])
    spoken = owners >= 0
    total = np.bincount(owners[spoken], chance[spoken], count)
    return total / np.maximum(np.bincount(owners[spoken], minlength=count), 1)
