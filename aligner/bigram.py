"""How words follow each other: what a bigram model is.

Word 0 is the edge of a sentence: its beginning as a first word, its end as a
second one. Logarithms are natural.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Bigram:
    """Probabilities of words and of word pairs, with back-off for all other pairs.

    Attributes
    ----------
    words : tuple of str
    unigram, backoff : float array, shape (words,)
        Logarithms; a pair that is not listed has `backoff[first] + unigram[second]`.
    pairs : int64 array, shape (pairs,)
        First word times the number of words, plus the second; ascending.
    bigram : float array, shape (pairs,)
    """

    words: tuple[str, ...]
    unigram: NDArray[np.floating]
    backoff: NDArray[np.floating]
    pairs: NDArray[np.int64]
    bigram: NDArray[np.floating]

    def follows(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.floating]:
        """Log-probability of each second word after each first one."""
        keys = first * len(self.words) + second
        place = np.minimum(np.searchsorted(self.pairs, keys), len(self.pairs) - 1)
        return np.where(self.pairs[place] == keys, self.bigram[place], self.backoff[first] + self.unigram[second])
