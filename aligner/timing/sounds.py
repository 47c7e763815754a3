"""Word times from a timing head: the best way through the sounds of a text, and how sure each edge is.

The best path says which way the words were said and where silence lies between them. Each edge is then weighed at
every frame near by: what the best path that has it there would score. The edge is the median of these weights, which
falls between frames. The same weights, flattened until they cover what they claim to cover, say how far it may be off.

References
----------
Forney, "The Viterbi Algorithm", 1973; Wessel et al., "Confidence Measures for Large Vocabulary Continuous Speech
Recognition", 2001 (doubt from competing paths); Guo et al., "On Calibration of Modern Neural Networks", 2017
(a temperature that makes claims true).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.core import TokenFrameMap, Tokens, Word
from aligner.errors import InputError
from aligner.timing.graph import Graph, searched, sounds_of_classes, too_many_sounds
from aligner.timing.head import STEP, Head
from aligner.timing.words import TimedWords, repair

TEMPERATURE = 4.0  # frames are not independent of each other: their likelihoods count less (docs/head.md)
DOUBT = 9.0  # temperature of the margin: covers nine true edges in ten across speakers (docs/accuracy.md)
COVERED = 0.9  # of the weight lies within the margin
ATTENTION_WEIGHT = 0.5  # of a word's log-attention beside the log-likelihood of its sounds
ATTENTION_EARLY = 0.025  # seconds by which attention comes before the sound
_LEAST_ATTENTION = 0.02  # of the peak: attention says where a word is, little of where it is not
NEAR = 0.25  # seconds around an edge of the best path in which it may lie


@dataclass(frozen=True, eq=False)
class Edges:
    """When words begin and end, in seconds from the first frame.

    Attributes
    ----------
    start, end : float64 arrays, shape (words,)
    heard : float64 array, shape (words,)
        Mean posterior of a word's sounds where they are found, 0 to 1.
    margin : float64 array, shape (words,)
        Seconds around either edge that hold the true one nine times in ten.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    heard: NDArray[np.float64]
    margin: NDArray[np.float64]

    def words(self, texts: Sequence[str], duration: float, pauses: str) -> TimedWords:
        """Valid words.

        Parameters
        ----------
        texts : sequence of str
        duration : float
            Seconds of the stretch.
        pauses : str
            "keep" lets a word last until the next; "trim" leaves the silence that the path found between them.
        """
        end = np.append(self.start[1:], duration) if pauses == "keep" else self.end
        start, end, repairs = repair(self.start, end, duration, STEP)
        found = zip(texts, start, end, self.heard, self.margin, strict=True)
        return TimedWords(
            tuple(Word(text, float(a), float(b), float(p), margin=float(m)) for text, a, b, p, m in found), repairs
        )


@dataclass(frozen=True, eq=False)
class Said:
    """A stretch of sound and what is said in it.

    Attributes
    ----------
    evidence : float32 array, shape (frames, classes)
        From `Head.evidence`.
    posteriors : float32 array, shape (encoder frames, sounds + 1)
        From `Head.sound_posteriors`.
    words : sequence of str
        As they are written.
    held : float32 array, shape (words, frames), optional
        Further evidence for each word at each frame, from `word_evidence`.
    """

    evidence: NDArray[np.float32]
    posteriors: NDArray[np.float32]
    words: Sequence[str]
    held: NDArray[np.float32] | None = None


def edges(
    head: Head,
    evidence: NDArray[np.float32],
    posteriors: NDArray[np.float32],
    words: Sequence[str],
    held: NDArray[np.float32] | None = None,
) -> Edges:
    """Times of the words of a stretch; see `Said`.

    Raises
    ------
    InputError
        More sounds than the audio can hold.
    """
    (found,) = edges_of(head, [Said(evidence, posteriors, words, held)])
    if found is None:
        raise InputError(too_many_sounds(len(evidence)))
    return found


def edges_of(head: Head, stretches: Sequence[Said]) -> list[Edges | None]:
    """Times of the words of several stretches, together, which costs less; None where there are too many sounds."""
    graphs = [head.graph(said.words) for said in stretches]
    emitted = (_emitted(said, graph) for said, graph in zip(stretches, graphs, strict=True))
    ways = searched(emitted, [len(said.evidence) for said in stretches], graphs, head.stays)
    return [
        None if way is None else _edges(head, graph, *way, said)
        for graph, way, said in zip(graphs, ways, stretches, strict=True)
    ]


def _emitted(said: Said, graph: Graph) -> NDArray[np.float32]:
    """Log-likelihood of each state of a graph at each frame."""
    found = said.evidence.take(graph.classes, axis=1)  # rows stay together, as the search reads them
    if said.held is not None:
        spoken = graph.words >= 0
        found[:, spoken] += said.held[graph.words[spoken]].T
    return found


def _edges(head: Head, graph: Graph, path: NDArray[np.intp], through: NDArray[np.float32], said: Said) -> Edges:
    owners = graph.words[path]
    found = _Found(graph, through)
    n_frames, count = len(path), len(said.words)
    start, end = np.zeros(count), np.full(count, n_frames - 0.5)
    reach = np.zeros((2, count))
    late, vague = np.zeros((2, count)), np.ones((2, count))
    sounds = np.pad(sounds_of_classes(graph.classes[path]), 1)  # nobody speaks before and after
    for k in range(count):
        first, last = np.flatnonzero(owners == k)[[0, -1]]
        start[k], reach[0, k] = found.edge(found.entries(k), int(first))
        for side, at in enumerate((first, last + 1)):
            late[side, k] = head.lateness[sounds[at], sounds[at + 1]]
            vague[side, k] = head.doubt[sounds[at], sounds[at + 1]]
        if last + 1 < n_frames and owners[last + 1] < 0:
            end[k], reach[1, k] = found.edge(found.pause_after(k), int(last) + 1)
    for k in range(count - 1):
        if owners[np.flatnonzero(owners == k)[-1] + 1] >= 0:
            end[k], reach[1, k] = start[k + 1], reach[0, k + 1]
    heard = _heard(graph, path, owners, said.posteriors, count)
    margin = np.hypot(*(reach * vague)) * STEP
    start, end = np.maximum((start - 0.5) * STEP - late[0], 0), np.maximum((end - 0.5) * STEP - late[1], 0)
    return Edges(start, end, heard, margin)


def word_evidence(attention: TokenFrameMap, tokens: Tokens, frames: int) -> NDArray[np.float32]:
    """What attention says of each word at every 10 ms, to stand beside the evidence of sounds.

    Parameters
    ----------
    attention : TokenFrameMap
        Rows as probabilities.
    tokens : Tokens
    frames : int

    Returns
    -------
    float32 array, shape (words, frames)
        Never above zero: the log of a word's attention against its peak, floored and weighed.
    """
    rows = np.stack([attention.values[span.start : span.stop].sum(0) for span in tokens.words])
    share = rows / np.maximum(rows.max(1, keepdims=True), 1e-12)
    logs = np.log(np.maximum(share, _LEAST_ATTENTION)) * ATTENTION_WEIGHT
    at = np.arange(frames) * STEP - ATTENTION_EARLY
    columns = np.clip(np.round(at / attention.frame_duration).astype(int), 0, logs.shape[1] - 1)
    return logs[:, columns].astype(np.float32)


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
        """Median of where the best of some states is entered, and how far around it they may be, in frames."""
        reach = round(NEAR / STEP)
        low = max(0, frame - reach)
        score = self.through[low : frame + reach + 1, states].max(1).astype(np.float64)
        score -= score.max()
        weight = np.exp(score / TEMPERATURE)
        # A frame's weight is spread over it, half to either side.
        half = float(np.interp(0.5, np.append(0.0, np.cumsum(weight) / weight.sum()), np.arange(len(weight) + 1) - 0.5))
        doubt = np.exp(score / DOUBT)
        away = np.abs(np.arange(len(doubt)) - half)
        nearest = np.argsort(away, kind="stable")
        share = np.cumsum(doubt[nearest]) / doubt.sum()
        return low + half, float(np.interp(COVERED, share, away[nearest]))


def _heard(
    graph: Graph, path: NDArray[np.intp], owners: NDArray[np.intp], posteriors: NDArray[np.float32], count: int
) -> NDArray[np.float64]:
    """Mean posterior of the sounds of each word on a path."""
    sounds = sounds_of_classes(graph.classes[path])
    at = np.minimum(np.arange(len(path)) // 2, len(posteriors) - 1)
    best = np.exp(posteriors[:, 1:].max(1))
    inside = sounds < posteriors.shape[1]
    chance = np.where(inside, np.exp(posteriors[at, np.where(inside, sounds, 0)]), best[at])
    spoken = owners >= 0
    total = np.bincount(owners[spoken], chance[spoken], count)
    return total / np.maximum(np.bincount(owners[spoken], minlength=count), 1)
