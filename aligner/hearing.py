"""Recognition by sounds: the most probable words of the phones at every frame.

A small model learns sounds long before it learns to spell, so what it hears is
looked up: a beam search over a lexicon's tree of pronunciations.

Of all ways to be at a node of the tree at a frame after the same last word,
only the best is kept (Young et al., "Token Passing", 1989, with a token for
each word history; Ney and Ortmanns, "Dynamic programming search for continuous
speech recognition", 1999). Scores are natural logarithms; those of words are
looked ahead in the tree.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from aligner import ctc
from aligner.lexicon import Lexicon
from aligner.models.base import Encoded, SpeechModel

SCALE = 0.7  # of the phones' scores: neighbouring frames tell much the same
PRIOR = 0.9  # share of the phones' own frequency that is taken out
BEAM, WORD_BEAM = 14.0, 10.0  # below the best, where a way is given up; where a word is not ended
MOST = 3000  # ways that go on from a frame


@dataclass(frozen=True, eq=False)
class _Ways:
    """Ways to hear what has been said so far: arrays of one shape."""

    node: NDArray[np.intp]
    word: NDArray[np.intp]  # the last word that ended
    record: NDArray[np.intp]  # where `_Records` has it
    score: NDArray[np.float32]

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> _Ways:
        return _Ways(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def beside(self, other: _Ways) -> _Ways:
        return _Ways(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


class _Records:
    """Words that ended on some way, each with the record of the word before it; record 0 is the beginning."""

    def __init__(self) -> None:
        self._words, self._before, self._size = [np.zeros(1, np.intp)], [np.full(1, -1)], 1

    def add(self, words: NDArray[np.intp], before: NDArray[np.intp]) -> NDArray[np.intp]:
        """Take in words; their records."""
        self._words.append(words)
        self._before.append(before)
        self._size += len(words)
        return np.arange(self._size - len(words), self._size)

    def back_from(self, record: int) -> list[int]:
        """All words up to a record."""
        words, before = np.concatenate(self._words), np.concatenate(self._before)
        found = []
        while record > 0:
            found.append(int(words[record]))
            record = int(before[record])
        return found[::-1]


def hear(model: SpeechModel, encoded: Encoded, lexicon: Lexicon) -> str:
    """Most probable words of one window.

    Parameters
    ----------
    model : SpeechModel
        With a phone classifier.
    encoded : Encoded
    lexicon : Lexicon
    """
    return " ".join(most_probable(ctc.log_posteriors(model, encoded, "phone"), lexicon))


def most_probable(log_posteriors: NDArray[np.float32], lexicon: Lexicon) -> list[str]:
    """Best path through the tree, as its words.

    Parameters
    ----------
    log_posteriors : float32 array, shape (frames, phones)
    lexicon : Lexicon

    Returns
    -------
    list of str
        Empty where only silence is heard.
    """
    emitted = SCALE * (log_posteriors - PRIOR * lexicon.prior)
    enter = lexicon.ahead - lexicon.ahead[lexicon.parent]
    nowhere = np.zeros(1, np.intp)
    ways, records = _Ways(nowhere, nowhere, nowhere, np.zeros(1, np.float32)), _Records()
    for frame in emitted:
        ways = _best(_onward(ways, frame, enter, lexicon), lexicon)
        ways = ways.beside(_ended(ways, records, lexicon))
    resting = ways.where(ways.node == 0)
    if not len(resting.node):
        resting = ways
    total = resting.score + lexicon.language.follows(resting.word, np.zeros_like(resting.word))
    return [lexicon.language.words[word] for word in records.back_from(int(resting.record[total.argmax()]))]


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


def _ended(ways: _Ways, records: _Records, lexicon: Lexicon) -> _Ways:
    """The words that can end here, each on its best way, in the pause that follows."""
    source, place = _expand(lexicon.first_ending[ways.node], lexicon.endings[ways.node])
    word = lexicon.ending[place]
    beyond = lexicon.language.follows(ways.word[source], word) - lexicon.ahead[ways.node[source]] + lexicon.ahead[0]
    score = (ways.score[source] + beyond + lexicon.weight[place]).astype(np.float32)
    order = np.lexsort((-score, word))
    order = order[score[order] > ways.score.max() - WORD_BEAM]
    ordered = word[order]
    order = order[np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(order)]]
    record = records.add(word[order], ways.record[source[order]])
    return _Ways(np.zeros_like(record), word[order], record, score[order])


def _expand(first: NDArray[np.intp], count: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Ranges `first` to `first + count` after another, and which of them each number is of."""
    source = np.repeat(np.arange(len(first)), count)
    return source, np.repeat(first - np.cumsum(count) + count, count) + np.arange(len(source))
