"""Recognition by sounds: the search against brute force, the language model against arithmetic."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from aligner import lexicon as module
from aligner.lexicon import Lexicon, most_probable, tree

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
SOUNDS = {"no": (1, 2), "known": (1, 2, 1), "oh": (2,), "knee": (1, 3), "gnome": (1, 2, 4)}


def toy(pairs: dict[tuple[str, str], float] | None = None) -> Lexicon:
    words = ("", *SOUNDS)
    unigram = np.log(np.array([0.2, 0.3, 0.1, 0.2, 0.1, 0.1], np.float32))
    known = sorted((words.index(a) * len(words) + words.index(b), p) for (a, b), p in (pairs or {}).items())
    return Lexicon(
        words=words,
        unigram=unigram,
        backoff=np.zeros(len(words), np.float32),
        pairs=np.array([key for key, _ in known] or [0], np.uint32),
        bigram=np.array([p for _, p in known] or [-9.0], np.float32),
        prior=np.zeros(5, np.float32),
        **tree(list(SOUNDS.values()), unigram),  # type: ignore[arg-type]
    )


def best_score(posteriors: np.ndarray, spelled: list[tuple[int, ...]]) -> float:
    """Best path through given words, with optional silence around them."""
    states = [0]
    enters = [True]
    for sounds in spelled:
        states += [*sounds, 0]
        enters += [True] * len(sounds) + [False]
    score = np.full(len(states), -np.inf)
    for k, frame in enumerate(posteriors):
        new = np.full(len(states), -np.inf)
        for s, phone in enumerate(states):
            options = [score[s]]
            if s and enters[s]:
                options.append(score[s - 1] + module.ADVANCE)
                if states[s - 1] == 0 and s > 1:  # no pause between two words
                    options.append(score[s - 2] + module.ADVANCE)
            elif s:
                options.append(score[s - 1])
            if k == 0:
                options = [0.0] if s == 0 else [module.ADVANCE] if s == 1 else [-np.inf]
            new[s] = max(options) + module.SCALE * frame[phone]
        score = new
    return float(max(score[-1], score[-2] if len(score) > 1 else -np.inf))


@pytest.mark.parametrize("seed", range(6))
def test_the_search_finds_what_brute_force_finds(seed: int) -> None:
    lexicon = toy()
    posteriors = np.log(np.random.default_rng(seed).dirichlet(np.full(5, 0.3), 7) + 1e-4).astype(np.float32)

    def value(words: tuple[str, ...]) -> float:
        language = sum(
            module.WORD_WEIGHT * float(lexicon.unigram[lexicon.words.index(w)]) + module.WORD_BONUS for w in words
        )
        return language + best_score(posteriors, [SOUNDS[w] for w in words])

    candidates = [c for n in range(4) for c in itertools.product(SOUNDS, repeat=n)]
    best = max(candidates, key=value)
    assert value(tuple(most_probable(posteriors, lexicon))) == pytest.approx(value(best), abs=1e-3)


def spoken(phones: list[int]) -> np.ndarray:
    posteriors = np.full((len(phones), 5), -6.0, np.float32)
    posteriors[np.arange(len(phones)), phones] = -0.01
    return posteriors


def test_planted_words_are_heard() -> None:
    assert most_probable(spoken([0] * 5 + [1] * 4 + [3] * 6 + [0] * 5 + [2] * 6 + [0] * 5), toy()) == ["knee", "oh"]
    assert most_probable(spoken([0] * 20), toy()) == []


def test_word_pairs_decide_between_words_that_sound_alike() -> None:
    heard = spoken([0] * 3 + [2] * 6 + [0] * 3 + [1] * 5 + [2] * 5 + [1] * 5 + [2] * 5 + [0] * 3)
    assert most_probable(heard, toy({("oh", "no"): -0.1, ("no", "no"): -0.1})) == ["oh", "no", "no"]
    assert most_probable(heard, toy({("oh", "known"): -0.1})) == ["oh", "known", "oh"]


def test_word_pairs_are_probabilities() -> None:
    from data.lexicon import bigrams

    sentences = [line.split() for line in ("the cat sat", "the dog sat on the cat", "a cat")]
    fields = bigrams(sentences, ["zebra"])
    words = fields["words"].tobytes().decode().split("\n")
    assert words[0] == "" and "zebra" in words
    lexicon = Lexicon(
        words=tuple(words),
        **{name: fields[name].astype(np.float32) for name in ("unigram", "backoff", "bigram")},
        pairs=fields["pairs"],
        prior=np.zeros(1, np.float32),
        **tree([(1,)] * (len(words) - 1), fields["unigram"].astype(np.float32)),  # type: ignore[arg-type]
    )
    every = np.arange(len(words))
    for first in every:
        total = np.exp(lexicon.follows(np.full(len(words), first), every)).sum()
        assert total == pytest.approx(1, abs=2e-3), words[first]
    after_the = dict(zip(words, lexicon.follows(np.full(len(words), words.index("the")), every), strict=True))
    assert after_the["cat"] > after_the["dog"] > after_the["zebra"]


def test_a_checkpoint_with_a_lexicon_is_recognised_with_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import shutil

    import aligner
    from aligner.models.base import EMBEDDED

    recording = str(SAMPLES / "kitchen.flac")
    found = aligner.align(recording)
    assert found.provenance["recogniser"] == "lexicon"
    known = set(module.read_lexicon(EMBEDDED / module.NAME).words)
    assert found.words and {word.text for word in found.words} <= known
    assert aligner.align(recording, recogniser="decoder").provenance["recogniser"] == "decoder"
    copy = tmp_path / "bare"
    shutil.copytree(EMBEDDED, copy)
    (copy / module.NAME).unlink()
    bare = aligner.load_model(str(copy))
    assert aligner.align(recording, model=bare).provenance["recogniser"] == "decoder"
    with pytest.raises(aligner.AlignerError, match="has no lexicon: use --recogniser decoder"):
        aligner.align(recording, model=bare, recogniser="lexicon")
