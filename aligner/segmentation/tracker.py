"""Where each word of a long recording is spoken, roughly, from the sounds that a timing head hears.

One pass follows the text through the probability of every sound at every frame; words may be skipped, and speech that
is not in the text falls between words. It keeps errors local: what is wrong in one place moves nothing elsewhere.

Conventions
-----------
Frames are 40 ms, two encoder states. Scores are natural logarithms.

References
----------
Young et al., "Token Passing: a Simple Conceptual Model for Connected Speech Recognition Systems", 1989.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.segmentation.anchors import Anchor
from aligner.timing.graph import SILENCE

UNWRITTEN = 1.5  # cost of a frame that sounds like speech but lies between sentences
WITHIN = 3.0  # the same inside a sentence: what nobody wrote is rather whole sentences
PAUSING = 0.03  # cost of a frame of pause inside a sentence: a pause of seconds is rather between sentences
OPENING, CLOSING = 0.06, 0.03  # the same after its first word and before its last: these are rather beside their own
SKIP = 2.0  # cost of a sound that is not spoken
SKIP_SENTENCE = 1.0  # the same in a sentence of which nothing is: what nobody said is rather whole sentences, too
OUTSIDE = 3.0  # cost of a frame of a word outside its bounds
HURRY = 0.5  # cost of a sound that is passed over: it may be shorter than a frame
BEHIND, AHEAD = 400, 1600  # sounds kept around the best one
_SLIDE = 25  # frames between moves of that band
_KEPT = 16 << 20  # bytes of history that are kept in memory
_LEAST = -8.0  # log-probability below which nothing is told apart
TOGETHER = 2  # encoder states to a frame


def frames(log_posteriors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encoder states two by two: log of their mean probability, floored.

    Parameters
    ----------
    log_posteriors : float32 array, shape (encoder states, sounds + 1)

    Returns
    -------
    float32 array, shape (ceil(states / 2), sounds + 1)
    """
    chances = np.exp(log_posteriors)
    if len(chances) % TOGETHER:
        chances = np.concatenate([chances, chances[-1:]])
    mean = chances.reshape(-1, TOGETHER, chances.shape[1]).mean(1)
    found: NDArray[np.float32] = np.log(np.maximum(mean, np.exp(_LEAST)))
    return found


class Tracker:
    """Follow a text through the sounds of a recording, frame by frame, with memory that does not grow with its length.

    A Viterbi search over the sounds of all words, held to a band around its
    best state. What led to every state of the band is kept as a few bits a
    frame, in a file where they are many. Between words lies a
    filler state that takes pauses and speech that nobody wrote; fillers may
    skip words.

    Parameters
    ----------
    spellings : sequence of int arrays
        Sounds of each word; none empty.
    ends : collection of int
        Words that end a sentence.
    bounds : float array, shape (words, 2), optional
        Frames between which each word lies.
    """

    def __init__(
        self,
        spellings: Sequence[NDArray[np.intp]],
        ends: Collection[int] = (),
        bounds: NDArray[np.float64] | None = None,
    ) -> None:
        self.labels = np.concatenate(spellings)
        lengths = np.array([len(s) for s in spellings])
        self.last = np.cumsum(lengths) - 1
        self.first = np.append(self.last - lengths + 1, len(self.labels))  # closed by a sentinel
        self.n_words = len(spellings)
        # What it costs to reach a sound from the last but one: more than anything from that of another word.
        inner = np.arange(len(self.labels)) - np.repeat(self.first[:-1], lengths) >= 2
        self.hurry = np.where(inner, -HURRY, -np.inf)
        self.bounds = None if bounds is None else np.repeat(bounds, lengths, 0).T
        before = np.append(0.0, np.cumsum(lengths + 1))
        self.skips, self.sentence_skips = SKIP * before, SKIP_SENTENCE * before  # cost of skipping all words before
        n_states, n_fillers = len(self.labels), self.n_words + 1
        self.score = np.full(n_states, -np.inf)
        # A filler parts two sentences, or words of one; of those, after its first word or before its last.
        parts, opens, closes = (np.isin(np.arange(n_fillers) + shift, [-1, *ends]) for shift in (-1, -2, 0))
        self.place = np.select([parts, opens, closes], [0, 2, 3], 1)
        self.filler = np.full(n_fillers, -np.inf)
        self.filler[0] = 0.0
        self.low, self.high = 0, 0  # words in the band, half-open
        self.frame = 0
        self._slide()
        # What led to every state, band after band: of an hour it takes 60 MB, so it may be put into a file.
        self.blocks: list[tuple[int, int, int]] = []  # words of the band, from and to, and frames
        self.history = tempfile.SpooledTemporaryFile(_KEPT)  # noqa: SIM115
        weakref.finalize(self, self.history.close)

    def advance(self, log_posteriors: NDArray[np.float32]) -> None:
        """Take in more frames.

        Parameters
        ----------
        log_posteriors : float32 array, shape (frames, sounds + 1)
            From `frames`.
        """
        silent = log_posteriors[:, SILENCE]
        best = np.delete(log_posteriors, SILENCE, 1).max(1)
        pauses = silent[:, None] - (0.0, PAUSING, OPENING, CLOSING)
        sounds = best[:, None] - (UNWRITTEN, WITHIN, WITHIN, WITHIN)
        gaps = np.maximum(pauses, sounds).astype(np.float64)
        scores = log_posteriors.astype(np.float64)
        while len(scores):
            count = _SLIDE - self.frame % _SLIDE
            self._follow(scores[:count], gaps[:count])
            scores, gaps = scores[count:], gaps[count:]
            if self.frame % _SLIDE == 0:
                self._slide()

    def _follow(self, scores: NDArray[np.float64], gaps: NDArray[np.float64]) -> None:
        """Take in frames without moving the band."""
        band = slice(self.first[self.low], self.first[self.high])
        state, filler = self.score[band], self.filler[self.low : self.high + 1]
        first, last = (edges[self.low : self.high] - band.start for edges in (self.first, self.last))
        hurry = self.hurry[band][2:]
        parts = self._parts(self.low, self.high)
        skips, sentence_skips = self.skips[self.low : self.high + 1], self.sentence_skips[self.low + parts]
        emitted = scores[:, self.labels[band]]
        if self.bounds is not None:
            at, (earliest, latest) = self.frame + np.arange(len(scores))[:, None], self.bounds[:, band]
            emitted -= OUTSIDE * ((at < earliest) | (at > latest))
        paused = gaps[:, self.place[self.low : self.high + 1]]
        steps = _Steps.empty(len(scores), self._sizes(self.low, self.high))
        advanced, over = np.empty_like(state), np.empty_like(hurry)
        for k in range(len(scores)):
            # A word is entered from the filler before it or straight from the end of the word before.
            advanced[:1], advanced[1:] = -np.inf, state[:-1]
            left, straight = state[last], advanced[first]
            np.greater_equal(filler[:-1], straight, out=steps.from_filler[k])
            advanced[first] = np.maximum(filler[:-1], straight)
            # A sound may be shorter than a frame: it is passed over.
            np.add(state[:-2], hurry, out=over)
            np.greater(over, advanced[2:], out=steps.hurried[k, 2:])
            np.maximum(advanced[2:], over, out=advanced[2:])
            np.greater(advanced, state, out=steps.moved[k])
            np.maximum(advanced, state, out=state)
            state += emitted[k]
            # The filler after a word: entered from its last sound, or kept, or reached by skipping words.
            np.greater(left, filler[1:], out=steps.left[k])
            np.maximum(left, filler[1:], out=filler[1:])
            filler += paused[k]
            past_sentences = _skipping(filler[parts], sentence_skips, steps.own_part[k])
            filler[:] = _skipping(filler, skips, steps.own[k])
            np.greater(past_sentences, filler[parts], out=steps.past[k])
            filler[parts] = np.maximum(past_sentences, filler[parts])
        self.frame += len(scores)
        self.blocks.append((self.low, self.high, len(scores)))
        self.history.write(steps.packed())

    def _parts(self, low: int, high: int) -> NDArray[np.intp]:
        """Fillers of a band that part sentences."""
        return np.flatnonzero(self.place[low : high + 1] == 0)

    def _sizes(self, low: int, high: int) -> tuple[int, int, int]:
        """States, words and parts of a band."""
        return int(self.first[high] - self.first[low]), high - low, len(self._parts(low, high))

    def _best(self) -> tuple[int, bool]:
        """Piece of the best state, and whether that state is the filler before it."""
        begin, stop = self.first[self.low], self.first[self.high]
        state, filler = self.score[begin:stop], self.filler[self.low : self.high + 1]
        if len(state) and state.max() > filler.max():
            return int(np.searchsorted(self.last, begin + int(state.argmax()))), False
        return self.low + int(filler.argmax()), True

    def _slide(self) -> None:
        """Move the band to the best state, and scores to near zero."""
        word, _ = self._best() if self.high else (0, True)
        middle = self.first[min(word, self.n_words)]
        low = max(self.low, min(int(np.searchsorted(self.first, middle - BEHIND)), word))
        high = min(max(int(np.searchsorted(self.first, middle + AHEAD)), word + 2, self.high), self.n_words)
        low = min(low, max(high - 1, 0))
        self.score[: self.first[low]] = -np.inf
        self.filler[:low] = -np.inf
        self.low, self.high = low, high
        top = max(self.score[self.first[low] : self.first[high]].max(), self.filler[low : high + 1].max())
        self.score -= top
        self.filler -= top

    def anchors(self, frame_duration: float) -> tuple[Anchor, ...]:
        """Words that were found, in order.

        Parameters
        ----------
        frame_duration : float
            Seconds.
        """
        word, in_filler = self._best()
        begin, stop = self.first[self.low], self.first[self.high]
        at = word if in_filler else int(begin + self.score[begin:stop].argmax())
        frame = end = self.frame
        found: list[Anchor] = []
        for low, high, steps in self._backwards():
            begin, parts = int(self.first[low]), self._parts(low, high)
            for k in reversed(range(len(steps.moved))):
                frame -= 1
                if in_filler:
                    at = low + steps.source(k, at - low, parts)
                    if at > low and steps.left[k, at - low - 1]:
                        at, end, in_filler = int(self.last[at - 1]), frame, False
                elif steps.moved[k, at - begin]:
                    word = int(np.searchsorted(self.last, at))
                    if steps.hurried[k, at - begin]:
                        at -= 2
                    elif at > self.first[word]:
                        at -= 1
                    else:
                        found.append(Anchor(word, frame * frame_duration, max(end, frame + 1) * frame_duration))
                        in_filler = bool(steps.from_filler[k, word - low])
                        at, end = (word, end) if in_filler else (at - 1, frame)
        return tuple(reversed(found))

    def _backwards(self) -> Iterator[tuple[int, int, _Steps]]:
        """Bands and what led to their states, the last first."""
        place = self.history.seek(0, os.SEEK_END)
        for low, high, count in reversed(self.blocks):
            sizes = self._sizes(low, high)
            length = _Steps.length(count, sizes)
            place -= length
            self.history.seek(place)
            yield low, high, _Steps.unpacked(self.history.read(length), count, sizes)
        self.history.seek(0, os.SEEK_END)


@dataclass(frozen=True, eq=False)
class _Steps:
    """How every state of a band was reached at each of some frames; bool arrays.

    Attributes
    ----------
    table : shape (frames, all of the following)
    moved, hurried : shape (frames, states)
        From another state; from the last but one.
    from_filler, left : shape (frames, words)
        Where a word is entered, from the filler before it; where a filler is reached, from the word before it.
    own : shape (frames, words + 1)
        Fillers that no skipped word leads to.
    own_part, past : shape (frames, parts)
        The same among those that part sentences; those that a skipped sentence leads to.
    """

    table: NDArray[np.bool_]
    moved: NDArray[np.bool_]
    hurried: NDArray[np.bool_]
    from_filler: NDArray[np.bool_]
    left: NDArray[np.bool_]
    own: NDArray[np.bool_]
    own_part: NDArray[np.bool_]
    past: NDArray[np.bool_]

    @classmethod
    def _of(cls, table: NDArray[np.bool_], sizes: tuple[int, int, int]) -> _Steps:
        return cls(table, *np.split(table, np.cumsum(_widths(sizes))[:-1], axis=1))

    @classmethod
    def empty(cls, count: int, sizes: tuple[int, int, int]) -> _Steps:
        return cls._of(np.zeros((count, sum(_widths(sizes))), bool), sizes)

    @staticmethod
    def length(count: int, sizes: tuple[int, int, int]) -> int:
        """Bytes of `packed`."""
        return -(-count * sum(_widths(sizes)) // 8)

    def packed(self) -> bytes:
        """Eight to a byte."""
        return np.packbits(self.table).tobytes()

    @classmethod
    def unpacked(cls, packed: bytes, count: int, sizes: tuple[int, int, int]) -> _Steps:
        width = sum(_widths(sizes))
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=count * width)
        return cls._of(bits.astype(bool).reshape(count, width), sizes)

    def source(self, frame: int, filler: int, parts: NDArray[np.intp]) -> int:
        """Filler from which a filler was reached by skipping words; itself where none were."""
        part = int(np.searchsorted(parts, filler))
        if part < len(parts) and parts[part] == filler and self.past[frame, part]:
            return int(parts[np.flatnonzero(self.own_part[frame, : part + 1])[-1]])
        return int(np.flatnonzero(self.own[frame, : filler + 1])[-1])


def _widths(sizes: tuple[int, int, int]) -> list[int]:
    states, words, parts = sizes
    return [states, states, words, words, words + 1, parts, parts]


def _skipping(scores: NDArray[np.float64], costs: NDArray[np.float64], own: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Best scores of fillers that earlier ones may reach, and which are best on their own; costs are of all before."""
    lifted = scores + costs
    best = np.maximum.accumulate(lifted)
    np.greater_equal(lifted, best, out=own)
    found: NDArray[np.float64] = best - costs
    return found
