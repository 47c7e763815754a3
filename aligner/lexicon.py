"""A pronouncing lexicon: the words that a checkpoint can hear, how they sound and how they follow each other.

For checkpoints that carry a phone classifier on the encoder and `lexicon.npz`
beside their weights. Phone 0 is silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligner import ctc
from aligner.bigram import Bigram
from aligner.models.base import SpeechModel

NAME = "lexicon.npz"


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Words in a prefix tree of their pronunciations.

    Attributes
    ----------
    language : Bigram
    parent, phone : int arrays, shape (nodes,)
        Tree of pronunciations, breadth first; node 0 is the pause between words.
    first_child, children : int arrays, shape (nodes,)
        The children of a node stand together.
    ahead : float32 array, shape (nodes,)
        Unigram score of the most probable word below a node.
    ending : int array, shape (pronunciations,)
        The words, in order of the nodes where they end.
    weight : float32 array, shape (pronunciations,)
        Logarithm of how often each is said so, against the usual way; 0 for that.
    first_ending, endings : int arrays, shape (nodes,)
        The words that end at a node stand together in `ending`.
    prior : float32 array, shape (phones,)
        Log-frequency of each phone in training.
    """

    language: Bigram
    parent: NDArray[np.intp]
    phone: NDArray[np.intp]
    first_child: NDArray[np.intp]
    children: NDArray[np.intp]
    ahead: NDArray[np.float32]
    ending: NDArray[np.intp]
    weight: NDArray[np.float32]
    first_ending: NDArray[np.intp]
    endings: NDArray[np.intp]
    prior: NDArray[np.float32]


def build(
    language: Bigram, sounds: Mapping[str, Mapping[tuple[int, ...], float]], prior: NDArray[np.float32]
) -> Lexicon:
    """The lexicon of pronunciations.

    Parameters
    ----------
    language : Bigram
    sounds : mapping of str to mappings of tuples of int to float
        Pronunciations of every word but word 0, with their weights. Several words may sound alike.
    prior : float32 array, shape (phones,)
    """
    ways = [(n, way, weight) for n, word in enumerate(language.words[1:], 1) for way, weight in sounds[word].items()]
    of_word = np.array([number for number, _, _ in ways])
    pronunciations = [way for _, way, _ in ways]
    weight = np.array([weight for _, _, weight in ways], np.float32)
    prefixes = {way[:k] for way in pronunciations for k in range(len(way) + 1)}
    ordered = sorted(prefixes, key=lambda prefix: (len(prefix), prefix))
    number = {prefix: i for i, prefix in enumerate(ordered)}
    nodes = np.arange(len(ordered))
    parent = np.array([0] + [number[prefix[:-1]] for prefix in ordered[1:]])
    ends = np.array([number[way] for way in pronunciations])
    ahead = np.full(len(ordered), -np.inf, np.float32)
    np.maximum.at(ahead, ends, language.unigram[of_word])
    for node in nodes[:0:-1]:
        ahead[parent[node]] = max(ahead[parent[node]], ahead[node])
    order = np.argsort(ends, kind="stable")
    return Lexicon(
        language=language,
        parent=parent,
        phone=np.array([0] + [prefix[-1] for prefix in ordered[1:]]),
        first_child=np.searchsorted(parent[1:], nodes) + 1,
        children=np.bincount(parent[1:], minlength=len(ordered)),
        ahead=ahead,
        ending=of_word[order],
        weight=weight[order],
        first_ending=np.searchsorted(ends[order], nodes),
        endings=np.bincount(ends, minlength=len(ordered)),
        prior=prior,
    )


def write_lexicon(lexicon: Lexicon, folder: Path) -> None:
    """Write `lexicon.npz` into a checkpoint folder."""
    language = lexicon.language
    first, second = np.divmod(language.pairs, len(language.words))
    np.savez_compressed(
        folder / NAME,
        words=np.frombuffer("\n".join(language.words).encode(), np.uint8),
        unigram=language.unigram.astype(np.float16),
        backoff=language.backoff.astype(np.float16),
        followers=np.bincount(first, minlength=len(language.words)).astype(np.uint32),
        second=second.astype(np.uint32),
        bigram=language.bigram.astype(np.float16),
        children=lexicon.children.astype(np.uint16),
        phone=lexicon.phone.astype(np.uint8),
        ahead=lexicon.ahead.astype(np.float16),
        endings=lexicon.endings.astype(np.uint16),
        ending=lexicon.ending.astype(np.uint32),
        weight=lexicon.weight.astype(np.float16),
        prior=lexicon.prior.astype(np.float32),
    )


@lru_cache(maxsize=2)
def read_lexicon(path: Path) -> Lexicon:
    """Read what `write_lexicon` wrote."""
    with np.load(path) as stored:
        fields = {name: stored[name] for name in stored}
    for name, values in fields.items():
        fields[name] = values.astype(np.float32 if values.dtype.kind == "f" else np.intp)
    words = tuple(bytes(fields["words"].astype(np.uint8)).decode().split("\n"))
    first = np.repeat(np.arange(len(words)), fields["followers"])
    language = Bigram(
        words, fields["unigram"], fields["backoff"], first * len(words) + fields["second"], fields["bigram"]
    )
    children, endings = fields["children"], fields["endings"]
    return Lexicon(
        language=language,
        parent=np.append(0, np.repeat(np.arange(len(children)), children)),
        phone=fields["phone"],
        first_child=np.cumsum(children) - children + 1,
        children=children,
        ahead=fields["ahead"],
        ending=fields["ending"],
        weight=fields["weight"],
        first_ending=np.cumsum(endings) - endings,
        endings=endings,
        prior=fields["prior"],
    )


def of_model(model: SpeechModel) -> Lexicon | None:
    """The lexicon of a checkpoint that has one."""
    path = ctc.beside(model.name, NAME)
    return read_lexicon(path) if path.is_file() else None
