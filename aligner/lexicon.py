"""Recognition by sounds: phones at every frame, a pronouncing lexicon and a bigram of words.

For checkpoints that carry a phone classifier on the encoder and `lexicon.npz`
beside their weights. A small model learns sounds long before it learns to
spell, so what it hears is looked up instead: a Viterbi search over a tree of
all pronunciations finds the most probable words.

Conventions
-----------
Phone 0 is silence. Scores are natural logarithms. Word 0 of a lexicon is the
end of a sentence. Of all ways to reach a node of the tree at a frame only the
best is kept, with the words on it (Young et al., "Token Passing", 1989);
scores of words are looked ahead in the tree (Ortmanns and Ney, 2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligner import ctc
from aligner.models.base import Encoded, SpeechModel

NAME = "lexicon.npz"
SCALE = 0.7  # of the phones' scores: neighbouring frames tell much the same
PRIOR = 0.7  # share of the phones' own frequency that is taken out
ADVANCE = -0.5  # for entering a phone: few are only a frame long
WORD_WEIGHT, WORD_BONUS = 1.0, 1.0  # of the bigram, and for every word
BEAM = 20.0  # below the best, where a way is given up


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Words, how they sound and how they follow each other.

    Attributes
    ----------
    words : tuple of str
    parent, phone : int arrays, shape (nodes,)
        Tree of pronunciations, breadth first; node 0 is the pause between words.
    first_child, children : int arrays, shape (nodes,)
        The children of a node stand together.
    ahead : float32 array, shape (nodes,)
        Score of the most probable word below a node.
    ends, end_words : int arrays, shape (pronunciations,)
        Last node of each word, and the word.
    unigram, backoff : float32 arrays, shape (words,)
    pairs : uint32 array, shape (bigrams,)
        First word times the number of words, plus the second; ascending.
    bigram : float32 array, shape (bigrams,)
    prior : float32 array, shape (phones,)
        Log-frequency of each phone in training.
    """

    words: tuple[str, ...]
    parent: NDArray[np.intp]
    phone: NDArray[np.intp]
    first_child: NDArray[np.intp]
    children: NDArray[np.intp]
    ahead: NDArray[np.float32]
    ends: NDArray[np.intp]
    end_words: NDArray[np.intp]
    unigram: NDArray[np.float32]
    backoff: NDArray[np.float32]
    pairs: NDArray[np.uint32]
    bigram: NDArray[np.float32]
    prior: NDArray[np.float32]

    def follows(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.float32]:
        """Log-probability of each second word after each first one."""
        keys = first * len(self.words) + second
        place = np.minimum(np.searchsorted(self.pairs, keys), len(self.pairs) - 1)
        known = self.pairs[place] == keys
        return np.where(known, self.bigram[place], self.backoff[first] + self.unigram[second])


def tree(
    pronunciations: list[tuple[int, ...]], unigram: NDArray[np.float32]
) -> dict[str, NDArray[np.intp] | NDArray[np.float32]]:
    """Prefix tree of the pronunciations of words 1, 2, ...: the fields of a `Lexicon` that are computed.

    Parameters
    ----------
    pronunciations : list of tuples of int
        Phones of each word but word 0.
    unigram : float32 array, shape (words,)
    """
    prefixes = {prefix[:k] for prefix in pronunciations for k in range(len(prefix) + 1)}
    ordered = sorted(prefixes, key=lambda prefix: (len(prefix), prefix))
    number = {prefix: i for i, prefix in enumerate(ordered)}
    parent = np.array([0] + [number[prefix[:-1]] for prefix in ordered[1:]])
    ends = np.array([number[prefix] for prefix in pronunciations])
    ahead = np.full(len(ordered), -np.inf, np.float32)
    np.maximum.at(ahead, ends, unigram[1:])
    for node in range(len(ordered) - 1, 0, -1):
        ahead[parent[node]] = max(ahead[parent[node]], ahead[node])
    return {
        "parent": parent,
        "phone": np.array([0] + [prefix[-1] for prefix in ordered[1:]]),
        "first_child": np.searchsorted(parent[1:], np.arange(len(ordered))) + 1,
        "children": np.bincount(parent[1:], minlength=len(ordered)),
        "ahead": ahead,
        "ends": ends,
        "end_words": np.arange(1, len(unigram)),
    }


@lru_cache(maxsize=2)
def read_lexicon(path: Path) -> Lexicon:
    """Read what `data.lexicon` wrote."""
    with np.load(path) as stored:
        unigram = stored["unigram"].astype(np.float32)
        stops = np.cumsum(stored["lengths"].astype(np.intp))
        phones = stored["phones"].tolist()
        pronunciations = [tuple(phones[a:b]) for a, b in zip([0, *stops[:-1]], stops, strict=True)]
        return Lexicon(
            words=tuple(stored["words"].tobytes().decode().split("\n")),
            unigram=unigram,
            backoff=stored["backoff"].astype(np.float32),
            pairs=stored["pairs"],
            bigram=stored["bigram"].astype(np.float32),
            prior=stored["prior"].astype(np.float32),
            **tree(pronunciations, unigram),  # type: ignore[arg-type]
        )


def of_model(model: SpeechModel) -> Lexicon | None:
    """The lexicon of a checkpoint that has one."""
    path = ctc.beside(model.name, NAME)
    return read_lexicon(path) if path.is_file() else None


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
    enter = WORD_WEIGHT * (lexicon.ahead - lexicon.ahead[lexicon.parent]) + ADVANCE
    enter[lexicon.parent == 0] += WORD_BONUS
    n_nodes = len(lexicon.parent)
    score, record = np.full(n_nodes, -np.inf, np.float32), np.zeros(n_nodes, np.int32)
    score[0] = 0.0
    said, before = [0], [-1]  # words of the paths that reached the pause, and the record before each
    living = np.zeros(n_nodes, bool)
    active = np.zeros(1, np.intp)
    for frame in emitted:
        reached = _with_children(active, lexicon)
        phone, parent = frame[lexicon.phone[reached]], lexicon.parent[reached]
        stayed = score[reached] + phone
        entered = np.where(reached > 0, score[parent] + phone + enter[reached], -np.inf)
        values = np.maximum(stayed, entered)
        records = np.where(entered > stayed, record[parent], record[reached])
        score[active] = -np.inf
        kept = values > values.max() - BEAM
        active = reached[kept]
        score[active], record[active] = values[kept], records[kept]
        living[:] = False
        living[active] = True
        found = np.flatnonzero(living[lexicon.ends])
        if len(found):
            node, word = lexicon.ends[found], lexicon.end_words[found]
            total = score[node] + _word_score(lexicon, np.array(said)[record[node]], word, node)
            best = int(total.argmax())
            if total[best] > score[0]:
                said.append(int(word[best]))
                before.append(int(record[node[best]]))
                score[0], record[0] = total[best], len(said) - 1
                if active[0] != 0:
                    active = np.insert(active, 0, 0)
    link = int(record[0]) if np.isfinite(score[0]) else len(said) - 1
    words = []
    while link > 0:
        words.append(lexicon.words[said[link]])
        link = before[link]
    return words[::-1]


def _with_children(active: NDArray[np.intp], lexicon: Lexicon) -> NDArray[np.intp]:
    """Nodes and their children, ascending, each once."""
    counts = lexicon.children[active]
    offsets = np.repeat(lexicon.first_child[active] - np.cumsum(counts) + counts, counts)
    reached = np.zeros(len(lexicon.parent), bool)  # quicker than sorting
    reached[active] = True
    reached[offsets + np.arange(len(offsets))] = True
    return np.flatnonzero(reached)


def _word_score(
    lexicon: Lexicon, previous: NDArray[np.intp], word: NDArray[np.intp], node: NDArray[np.intp]
) -> NDArray[np.float32]:
    """What the bigram says beyond what was looked ahead."""
    beyond = lexicon.follows(previous, word) - lexicon.ahead[node] + lexicon.ahead[0]
    return (WORD_WEIGHT * beyond).astype(np.float32)
