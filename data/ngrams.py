"""How words follow each other: bigram models, counted, mixed and pruned.

References
----------
Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995.
Seymore and Rosenfeld, "Scalable backoff language models", ICSLP 1996.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aligner.bigram import Bigram

_DISCOUNT = 0.8
_UNSEEN = 0.2  # count of a word that only a list has


def kneser_ney(sentences: Iterable[Sequence[str]], extra: Iterable[str]) -> Bigram:
    """Interpolated Kneser-Ney model of sentences.

    Parameters
    ----------
    sentences : iterable of sequences of str
    extra : iterable of str
        Words that may be in no sentence.
    """
    sentences = [list(s) for s in sentences]
    words = ("", *sorted({w for s in sentences for w in s} | set(extra)))
    number = {word: i for i, word in enumerate(words)}
    counted = Counter(pair for s in sentences for pair in pairwise([0, *(number[w] for w in s), 0]))
    first, second = np.array(sorted(counted)).T
    counts = np.array([counted[pair] for pair in zip(first.tolist(), second.tolist(), strict=True)], float)
    total = np.bincount(first, counts, len(words))
    followers, preceded = np.bincount(first, minlength=len(words)), np.bincount(second, minlength=len(words))
    continuation = np.maximum(preceded, _UNSEEN)
    continuation = continuation / continuation.sum()
    backoff = np.where(total > 0, _DISCOUNT * followers / np.maximum(total, 1), 1.0)
    probability = (counts - _DISCOUNT) / total[first] + backoff[first] * continuation[second]
    return Bigram(words, np.log(continuation), np.log(backoff), first * len(words) + second, np.log(probability))


def mixed(one: Bigram, other: Bigram, share: float) -> Bigram:
    """Linear interpolation; every pair that either model lists is listed.

    Parameters
    ----------
    one, other : Bigram
    share : float
        Of `one`, between 0 and 1.
    """
    words = ("", *sorted({*one.words, *other.words} - {""}))
    a, b = (_over(model, words) for model in (one, other))
    pairs = np.union1d(a.pairs, b.pairs)
    first, second = np.divmod(pairs, len(words))
    probability = share * np.exp(a.follows(first, second)) + (1 - share) * np.exp(b.follows(first, second))
    unigram = share * np.exp(a.unigram) + (1 - share) * np.exp(b.unigram)
    return _backed_off(words, np.log(unigram / unigram.sum()), pairs, np.log(probability))


def pruned(model: Bigram, threshold: float) -> Bigram:
    """Without the pairs that backing off predicts nearly as well.

    Parameters
    ----------
    model : Bigram
    threshold : float
        In nats per word of running text: what a pair must be worth.
    """
    first, second = np.divmod(model.pairs, len(model.words))
    beyond = model.bigram - model.backoff[first] - model.unigram[second]
    kept = np.abs(np.exp(model.unigram[first] + model.bigram) * beyond) > threshold
    return _backed_off(model.words, model.unigram, model.pairs[kept], model.bigram[kept])


def _over(model: Bigram, words: Sequence[str]) -> Bigram:
    """The same model over a larger vocabulary."""
    number = {word: i for i, word in enumerate(words)}
    place = np.array([number[word] for word in model.words])
    unigram, backoff = np.full(len(words), -np.inf), np.zeros(len(words))
    unigram[place], backoff[place] = model.unigram, model.backoff
    first, second = np.divmod(model.pairs, len(model.words))
    pairs = place[first] * len(words) + place[second]
    order = np.argsort(pairs)
    return Bigram(tuple(words), unigram, backoff, pairs[order], model.bigram[order])


def _backed_off(words: tuple[str, ...], unigram: NDArray, pairs: NDArray, bigram: NDArray) -> Bigram:
    """A model with the back-off weights that make the followers of every word sum to one."""
    first, second = np.divmod(pairs, len(words))
    left = 1 - np.bincount(first, np.exp(bigram), len(words))
    free = 1 - np.bincount(first, np.exp(unigram[second]), len(words))
    backoff = np.log(np.clip(left, 1e-3, 1) / np.clip(free, 1e-3, 1))
    return Bigram(words, unigram, backoff, pairs, bigram)
