"""Word pairs of a CMU Sphinx language model (`.lm.bin`, the "trie" format that pocketsphinx carries).

Only unigrams and bigrams are read. The file, little-endian:

========================  =======================================================================
"Trie Language Model"     then the order, three (one byte), and the number of n-grams of each (uint32)
quantisation              a type (uint32); 2^16 probabilities and 2^16 back-off weights of bigrams, 2^16
                          probabilities of trigrams (float32)
unigrams, and one more    probability, back-off (float32), first bigram (uint32)
bigrams, bit-packed       word, 16 bits of probability, 16 bits of back-off, first trigram; grouped by
                          their *last* word, each naming the word in front of it
trigrams                  skipped
words                     length in bytes (uint32), then each word and a zero byte
========================  =======================================================================

Logarithms in the file are to the base 1.0001.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligner.bigram import Bigram
from aligner.errors import InputError

_HEAD = b"Trie Language Model\x03"
_BASE = np.float32(np.log(1.0001))
_LEVELS = 1 << 16
_PLAIN = re.compile("[a-z]+('[a-z]+)*")
_UNIGRAM = np.dtype([("probability", "<f4"), ("backoff", "<f4"), ("next", "<u4")])


def _bits(packed: NDArray[np.uint8], start: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Fields of `width` bits (at most 25) that begin at bit `start`."""
    place = start >> 3
    word = sum(packed[place + k].astype(np.int64) << (8 * k) for k in range(4))
    return (word >> (start & 7)) & ((1 << width) - 1)


def read_bigram(path: Path) -> Bigram:
    """Read words and word pairs of a trigram model; entries that are no plain words are left out.

    Raises
    ------
    InputError
        The file is none of these.
    """
    data = np.fromfile(path, np.uint8)
    if data[: len(_HEAD)].tobytes() != _HEAD:
        raise InputError(f"{path}: not a Sphinx trigram model (.lm.bin).")
    at = len(_HEAD)

    def take(dtype: str | np.dtype, count: int) -> NDArray:
        nonlocal at
        size = np.dtype(dtype).itemsize * count
        at += size
        return data[at - size : at].view(dtype)

    n_words, n_pairs, n_triples = take("<u4", 3).astype(int).tolist()
    take("<u4", 1)
    probability = take("<f4", _LEVELS)
    take("<f4", 2 * _LEVELS)
    unigrams = take(_UNIGRAM, n_words + 1)
    of_word = n_words.bit_length()
    pair, triple = of_word + 32 + n_triples.bit_length(), of_word + 16
    packed = take(np.uint8, ((1 + n_pairs) * pair + 7) // 8 + 8)
    take(np.uint8, ((1 + n_triples) * triple + 7) // 8 + 8)
    words = take(np.uint8, int(take("<u4", 1)[0])).tobytes().decode().split("\0")[:n_words]
    begin = unigrams["next"].astype(np.int64)
    start = np.arange(begin[-1]) * pair  # pocketsphinx's own file has six fewer than it says
    first, second = _bits(packed, start, of_word), np.repeat(np.arange(n_words), np.diff(begin))
    bigram = probability[_bits(packed, start + of_word + 16, 16)]

    kept = ["", *sorted(word for word in words if _PLAIN.fullmatch(word))]
    number = {word: i for i, word in enumerate(kept)} | {"<s>": 0}
    ahead = np.array([number.get(word, -1) for word in words])
    behind = np.where(np.array(words) == "<s>", -1, ahead)
    behind[words.index("</s>")] = 0
    unigram, backoff = np.full(len(kept), -np.inf), np.zeros(len(kept))
    unigram[behind[behind >= 0]] = unigrams["probability"][:-1][behind >= 0] * _BASE
    backoff[ahead[ahead >= 0]] = unigrams["backoff"][:-1][ahead >= 0] * _BASE
    plain = (ahead[first] >= 0) & (behind[second] >= 0)
    pairs = ahead[first[plain]] * len(kept) + behind[second[plain]]
    order = np.argsort(pairs)
    return Bigram(tuple(kept), unigram, backoff, pairs[order], bigram[plain][order] * _BASE)
