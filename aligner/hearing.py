"""Recognition by sounds: the most probable words of the phones at every frame.

A small model learns sounds long before it learns to spell, so what it hears is
looked up: a beam search over a lexicon's tree of pronunciations. Of what sounds
nearly as probable, the decoder has a say in what was said.

Of all ways to be at a node of the tree at a frame after the same last word,
only the best is kept (Young et al., "Token Passing", 1989, with a token for
each word history; Ney and Ortmanns, "Dynamic programming search for continuous
speech recognition", 1999); where a word ends, the other words that may stand
before it are kept too, and from that lattice the best few paths are read back.
Scores are natural logarithms; those of words are looked ahead in the tree.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aligner import ctc
from aligner.lexicon import Lexicon
from aligner.models.base import Encoded, SpeechModel

SCALE = 0.7  # of the phones' scores: neighbouring frames tell much the same
PRIOR = 0.9  # share of the phones' own frequency that is taken out
BEAM, WORD_BEAM = 14.0, 10.0  # below the best, where a way is given up; where a word is not ended
MOST = 3000  # ways that go on from a frame
HYPOTHESES = 30  # that the decoder chooses from
DECODER = 0.5  # weight of its score
_TIMINGS = 3  # of the same last words, from which a path is read on


@dataclass(frozen=True, eq=False)
class _Ways:
    """Ways to hear what has been said so far: arrays of one shape."""

    node: NDArray[np.intp]
    word: NDArray[np.intp]  # the last word that ended
    record: NDArray[np.intp]  # where `_Lattice` has it
    score: NDArray[np.float32]

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> _Ways:
        return _Ways(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def beside(self, other: _Ways) -> _Ways:
        return _Ways(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


class _Lattice:
    """Words that ended on some way, numbered, each with the words that may stand before it; 0 is the beginning."""

    def __init__(self) -> None:
        self._words, self._size = [np.zeros(1, np.intp)], 1
        self._arcs: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]] = []

    def add(
        self, words: NDArray[np.intp], of: NDArray[np.intp], before: NDArray[np.intp], loss: NDArray[np.float32]
    ) -> NDArray[np.intp]:
        """Take in words; their records.

        Parameters
        ----------
        words : int array, shape (words,)
        of, before, loss : arrays, shape (arcs,)
            Which of the words, the record of one before it, and what that costs against the best one.
        """
        records = np.arange(self._size, self._size + len(words))
        self._words.append(words)
        self._size += len(words)
        self._arcs.append((records[of], before, loss))
        return records

    def best_first(
        self, records: NDArray[np.intp], scores: NDArray[np.floating], most: int
    ) -> dict[tuple[int, ...], float]:
        """The best paths that end in one of some records, scored, as their words; the best first."""
        words = np.concatenate(self._words)
        of, before, loss = (np.concatenate(part) for part in zip(*self._arcs, strict=True))
        order = np.argsort(of, kind="stable")
        first = np.searchsorted(of[order], np.arange(self._size + 1))
        waiting: list[tuple[float, int, tuple[int, ...]]] = [
            (-float(score), int(record), ()) for record, score in zip(records, scores, strict=True)
        ]
        heapq.heapify(waiting)
        found: dict[tuple[int, ...], float] = {}
        met: Counter[tuple[int, ...]] = Counter()
        while waiting and len(found) < most:
            cost, record, after = heapq.heappop(waiting)
            if record == 0:
                found.setdefault(after, -cost)
                continue
            path = (int(words[record]), *after)
            met[path] += 1
            if met[path] > _TIMINGS:
                continue
            for arc in order[first[record] : first[record + 1]]:
                heapq.heappush(waiting, (cost + float(loss[arc]), int(before[arc]), path))
        return found


class Hypothesis(NamedTuple):
    """Words that may have been said, and their score: sounds and language model."""

    words: tuple[str, ...]
    score: float


def hear(model: SpeechModel, encoded: Encoded, lexicon: Lexicon) -> str:
    """Most probable words of one window.

    Parameters
    ----------
    model : SpeechModel
        With a phone classifier.
    encoded : Encoded
    lexicon : Lexicon
    """
    found = hypotheses(ctc.log_posteriors(model, encoded, "phone"), lexicon, HYPOTHESES)
    texts = [model.tokenize(" ".join(hypothesis.words)) for hypothesis in found]
    if max(len(text.ids) for text in texts) > model.max_tokens:
        return " ".join(found[0].words)  # more than the decoder takes
    scores = np.array([hypothesis.score for hypothesis in found]) + DECODER * model.text_log_probs(encoded, texts)
    return " ".join(found[int(scores.argmax())].words)


def hypotheses(log_posteriors: NDArray[np.float32], lexicon: Lexicon, most: int) -> list[Hypothesis]:
    """The best paths through the tree, the best first.

    Parameters
    ----------
    log_posteriors : float32 array, shape (frames, phones)
    lexicon : Lexicon
    most : int

    Returns
    -------
    list of Hypothesis
        At least one; of no words where only silence is heard.
    """
    emitted = SCALE * (log_posteriors - PRIOR * lexicon.prior)
    enter = lexicon.ahead - lexicon.ahead[lexicon.parent]
    nowhere = np.zeros(1, np.intp)
    ways, lattice = _Ways(nowhere, nowhere, nowhere, np.zeros(1, np.float32)), _Lattice()
    for frame in emitted:
        ways = _best(_onward(ways, frame, enter, lexicon), lexicon)
        ways = ways.beside(_ended(ways, lattice, lexicon))
    resting = ways.where(ways.node == 0)
    if not len(resting.node):
        resting = ways
    total = resting.score + lexicon.language.follows(resting.word, np.zeros_like(resting.word))
    found = lattice.best_first(resting.record, total, most)
    return [Hypothesis(tuple(lexicon.language.words[n] for n in path), score) for path, score in found.items()]


def _onward(ways: _Ways, frame: NDArray[np.float32], enter: NDArray[np.float32], lexicon: Lexicon) -> _Ways:
    """Every way a frame later: at the same node, and at each of its children."""
    source, child = _expand(lexicon.first_child[ways.node], lexicon.children[ways.node])
    entered = ways.score[source] + frame[lexicon.phone[child]] + enter[child]
    stayed = ways.score + frame[lexicon.phone[ways.node]]
    bound = max(entered.max(initial=-np.inf), stayed.max()) - BEAM
    staying, entering = stayed > bound, entered > bound
    source, child = source[entering], child[entering]
    on = _Ways(child, ways.word[source], ways.record[source], entered[entering])
    return _Ways(ways.node, ways.word, ways.record, stayed).where(staying).beside(on)


def _best(ways: _Ways, lexicon: Lexicon) -> _Ways:
    """The best way of each node and last word, and of these at most `MOST`."""
    key = ways.node * len(lexicon.language.words) + ways.word
    order = np.lexsort((-ways.score, key))
    ordered = key[order]
    ways = ways.where(order[np.concatenate([[True], ordered[1:] != ordered[:-1]])])
    if len(ways.score) <= MOST:
        return ways
    return ways.where(ways.score >= np.partition(ways.score, -MOST)[-MOST])


def _ended(ways: _Ways, lattice: _Lattice, lexicon: Lexicon) -> _Ways:
    """The words that can end here, each on its best way, in the pause that follows; the lattice keeps the others."""
    source, place = _expand(lexicon.first_ending[ways.node], lexicon.endings[ways.node])
    word = lexicon.ending[place]
    beyond = lexicon.language.follows(ways.word[source], word) - lexicon.ahead[ways.node[source]] + lexicon.ahead[0]
    score = (ways.score[source] + beyond + lexicon.weight[place]).astype(np.float32)
    order = np.lexsort((-score, word))
    order = order[score[order] > ways.score.max() - WORD_BEAM]
    ordered = word[order]
    leads = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(order)]
    of, best = leads.cumsum() - 1, order[leads]
    record = lattice.add(word[best], of, ways.record[source[order]], score[best][of] - score[order])
    return _Ways(np.zeros_like(record), word[best], record, score[best])


def _expand(first: NDArray[np.intp], count: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Ranges `first` to `first + count` after another, and which of them each number is of."""
    source = np.repeat(np.arange(len(first)), count)
    return source, np.repeat(first - np.cumsum(count) + count, count) + np.arange(len(source))
