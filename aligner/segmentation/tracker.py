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

from collections.abc import Collection, Sequence

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
_TIDY = 1500  # frames between clean-ups of the history
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
    best state. Every state carries a link to the record of the word that it
    entered last, so no back-pointers are kept per frame. Between words lies a
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
        # Sounds that can be reached from the last but one of the same word.
        self.inner = np.arange(len(self.labels)) - np.repeat(self.first[:-1], lengths) >= 2
        self.bounds = None if bounds is None else np.repeat(bounds, lengths, 0).T
        before = np.append(0.0, np.cumsum(lengths + 1))
        self.skips, self.sentence_skips = SKIP * before, SKIP_SENTENCE * before  # cost of skipping all words before
        n_states, n_fillers = len(self.labels), self.n_words + 1
        self.score = np.full(n_states, -np.inf)
        self.record = np.full(n_states, -1, np.int32)
        # A filler parts two sentences, or words of one; of those, after its first word or before its last.
        parts, opens, closes = (np.isin(np.arange(n_fillers) + shift, [-1, *ends]) for shift in (-1, -2, 0))
        self.place = np.select([parts, opens, closes], [0, 2, 3], 1)
        self.filler = np.full(n_fillers, -np.inf)
        self.filler[0] = 0.0
        self.filler_record = np.full(n_fillers, -1, np.int32)
        self.filler_since = np.zeros(n_fillers, np.int32)  # frame at which the word before it ended
        self.frame = 0
        self.low, self.high = 0, 0  # words in the band, half-open
        self._slide()
        # History records: which word, when it began, when the one before it ended, and the record before.
        self.history = np.zeros((4, 1024), np.int32)
        self.n_records = 0

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
        for scores, gap in zip(log_posteriors.astype(np.float64), gaps, strict=True):
            self._step(scores, gap)
            self.frame += 1
            if self.frame % _SLIDE == 0:
                self._slide()
            if self.frame % _TIDY == 0:
                self._tidy()

    def _step(self, scores: NDArray[np.float64], gap: NDArray[np.float64]) -> None:
        begin, stop = self.first[self.low], self.first[self.high]
        state, record = self.score[begin:stop], self.record[begin:stop]
        first, last = self.first[self.low : self.high] - begin, self.last[self.low : self.high] - begin
        filler, filler_record = self.filler[self.low : self.high + 1], self.filler_record[self.low : self.high + 1]
        since = self.filler_since[self.low : self.high + 1]

        emission = scores[self.labels[begin:stop]]
        if self.bounds is not None:
            earliest, latest = self.bounds[:, begin:stop]
            emission -= OUTSIDE * ((self.frame < earliest) | (self.frame > latest))
        advanced = np.empty_like(state)
        advanced[1:] = state[:-1]
        # A word is entered from the filler before it or straight from the end of the word before.
        straight = np.append(-np.inf, state[last[:-1]])
        from_filler = filler[:-1] >= straight
        entry = np.where(from_filler, filler[:-1], straight)
        advanced[first] = entry
        # A sound may be shorter than a frame: it is passed over.
        hurried = self.inner[begin:stop]
        over = np.full_like(state, -np.inf)
        over[2:] = state[:-2] - HURRY
        quick = hurried & (over > advanced)
        advanced = np.where(quick, over, advanced) + emission
        stayed = state + emission
        moved = advanced > stayed

        # The filler after a word: entered from its last character, or kept, or reached by skipping words.
        left = state[last]
        enters = left > filler[1:]
        new_filler = filler.copy()
        new_filler[1:] = np.maximum(left, filler[1:])
        new_filler += gap[self.place[self.low : self.high + 1]]
        new_filler_record, new_since = filler_record.copy(), since.copy()
        new_filler_record[1:][enters] = record[last[enters]]
        new_since[1:][enters] = self.frame
        reached, source = _skipping(new_filler, self.skips[self.low : self.high + 1])
        parts = self.parts
        over, whence = _skipping(new_filler[parts], self.sentence_skips[self.low + parts])
        cheaper = over > reached[parts]
        reached[parts[cheaper]], source[parts[cheaper]] = over[cheaper], parts[whence[cheaper]]

        entering = np.flatnonzero(moved[first])
        ids = self._add(
            entering + self.low,
            np.where(from_filler[entering], since[entering], self.frame),
            np.where(from_filler[entering], filler_record[entering], record[last[entering - 1]]),
        )
        carried = np.empty_like(record)
        carried[1:] = record[:-1]
        carried[2:] = np.where(quick[2:], record[:-2], carried[2:])
        carried[first[entering]] = ids
        record[:] = np.where(moved, carried, record)
        state[:] = np.where(moved, advanced, stayed)
        filler[:] = reached
        filler_record[:] = new_filler_record[source]
        since[:] = new_since[source]

    def _add(
        self, words: NDArray[np.intp], previous_ends: NDArray[np.intp], previous: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        count = len(words)
        while self.n_records + count > self.history.shape[1]:
            self.history = np.concatenate([self.history, np.zeros_like(self.history)], 1)
        place = slice(self.n_records, self.n_records + count)
        self.history[0, place], self.history[1, place] = words, self.frame
        self.history[2, place], self.history[3, place] = previous_ends, previous
        self.n_records += count
        return np.arange(place.start, place.stop, dtype=np.int32)

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
        self.parts = np.flatnonzero(self.place[low : high + 1] == 0)  # fillers of the band that part sentences
        top = max(self.score[self.first[low] : self.first[high]].max(), self.filler[low : high + 1].max())
        self.score -= top
        self.filler -= top

    def _tidy(self) -> None:
        """Forget the records that no state links to."""
        begin, stop = self.first[self.low], self.first[self.high]
        linked = np.concatenate([self.record[begin:stop], self.filler_record[self.low : self.high + 1]])
        keep = np.zeros(self.n_records, bool)
        front = np.unique(linked[linked >= 0])
        while len(front):
            keep[front] = True
            front = np.unique(self.history[3, front])
            front = front[front >= 0]
            front = front[~keep[front]]
        renamed = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1).astype(np.int32)  # [-1] stays -1
        kept = self.history[:, : self.n_records][:, keep]
        kept[3] = renamed[kept[3]]
        self.n_records = kept.shape[1]
        self.history[:, : self.n_records] = kept
        self.record, self.filler_record = (
            np.where(links < len(renamed) - 1, renamed[np.minimum(links, len(renamed) - 1)], -1).astype(np.int32)
            for links in (self.record, self.filler_record)
        )

    def anchors(self, frame_duration: float) -> tuple[Anchor, ...]:
        """Words that were found, in order.

        Parameters
        ----------
        frame_duration : float
            Seconds.
        """
        word, in_filler = self._best()
        if in_filler:
            link, end = int(self.filler_record[word]), int(self.filler_since[word])
        else:
            begin, stop = self.first[self.low], self.first[self.high]
            link, end = int(self.record[begin + int(self.score[begin:stop].argmax())]), self.frame
        found: list[Anchor] = []
        while link >= 0:
            number, start, previous_end, previous = (int(v) for v in self.history[:, link])
            found.append(Anchor(number, start * frame_duration, max(end, start + 1) * frame_duration))
            link, end = previous, previous_end
        return tuple(reversed(found))


def _skipping(scores: NDArray[np.float64], costs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Best scores of fillers that earlier ones may reach, and from which; costs are of all words before each."""
    lifted = scores + costs
    best = np.maximum.accumulate(lifted)
    return best - costs, np.maximum.accumulate(np.where(lifted >= best, np.arange(len(scores)), 0))
