"""Recognition by sounds: the search against brute force, the language model against arithmetic."""

from __future__ import annotations

import ctypes.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from aligner import hearing, lexicon
from aligner.bigram import Bigram
from aligner.errors import InputError
from aligner.hearing import hypotheses
from data.ngrams import kneser_ney, mixed, pruned
from data.sphinx import read_bigram

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
SOUNDS = {
    "no": {(1, 2): 0.0, (1, 4): -0.5}, "known": {(1, 2, 1): 0.0}, "oh": {(2,): 0.0}, "knee": {(1, 3): 0.0},
    "gnome": {(1, 2, 4): 0.0},
}  # fmt: skip


def most_probable(posteriors: np.ndarray, found: lexicon.Lexicon) -> list[str]:
    return list(hypotheses(posteriors, found, 1)[0].words)


def toy(pairs: dict[tuple[str, str], float] | None = None) -> lexicon.Lexicon:
    words = ("", *SOUNDS)
    known = sorted((words.index(a) * len(words) + words.index(b), p) for (a, b), p in (pairs or {}).items())
    language = Bigram(
        words=words,
        unigram=np.log(np.array([0.2, 0.3, 0.1, 0.2, 0.1, 0.1], np.float32)),
        backoff=np.zeros(len(words), np.float32),
        pairs=np.array([key for key, _ in known] or [0]),
        bigram=np.array([p for _, p in known] or [np.log(0.2)], np.float32),
    )
    return lexicon.build(language, SOUNDS, np.zeros(5, np.float32))


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
                options.append(score[s - 1])
                if states[s - 1] == 0 and s > 1:  # no pause between two words
                    options.append(score[s - 2])
            elif s:
                options.append(score[s - 1])
            if k == 0:
                options = [0.0] if s < 2 else [-np.inf]
            new[s] = max(options) + hearing.SCALE * frame[phone]
        score = new
    return float(max(score[-1], score[-2] if len(score) > 1 else -np.inf))


@pytest.mark.parametrize("seed", range(6))
def test_the_search_finds_what_brute_force_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = ["", *SOUNDS]
    found = toy({(a, b): float(rng.normal(-2, 1)) for a in names for b in names if rng.random() < 0.5 and (a or b)})
    posteriors = np.log(rng.dirichlet(np.full(5, 0.3), 7) + 1e-4).astype(np.float32)

    def value(words: tuple[str, ...]) -> float:
        numbers = np.array([0, *(names.index(w) for w in words), 0])
        language = float(found.language.follows(numbers[:-1], numbers[1:]).sum())
        sounds = max(
            best_score(posteriors, [way for way, _ in ways]) + sum(weight for _, weight in ways)
            for ways in itertools.product(*(SOUNDS[w].items() for w in words))
        )
        return language + sounds

    candidates = [c for n in range(4) for c in itertools.product(SOUNDS, repeat=n)]
    best = max(candidates, key=value)
    first, *others = hypotheses(posteriors, found, 5)
    assert first.score == pytest.approx(value(best), abs=1e-3)
    assert value(first.words) == pytest.approx(value(best), abs=1e-3)
    # Whatever else may have been said has the score of its own words, or less where a better timing was not kept.
    heard = [first, *others]
    assert len({hypothesis.words for hypothesis in heard}) == len(heard)
    assert heard == sorted(heard, key=lambda hypothesis: -hypothesis.score)
    assert all(hypothesis.score <= value(hypothesis.words) + 1e-3 for hypothesis in others)
    second = max((c for c in candidates if c != first.words), key=value)
    assert others[0].score == pytest.approx(value(second), abs=1e-3)


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
    assert most_probable(heard, toy({("oh", "known"): -0.1, ("known", "oh"): -0.1})) == ["oh", "known", "oh"]


def sums(model: Bigram) -> np.ndarray:
    every = np.arange(len(model.words))
    return np.array([np.exp(model.follows(np.full(len(every), first), every)).sum() for first in every])


def test_word_pairs_are_probabilities() -> None:
    one = kneser_ney([line.split() for line in ("the cat sat", "the dog sat on the cat", "a cat")], ["zebra"])
    other = kneser_ney([line.split() for line in ("a bird sang", "the bird sat", "the cat sang")], [])
    assert one.words[0] == "" and "zebra" in one.words
    both = mixed(one, other, 0.25)
    for model in (one, other, both, pruned(both, 0.02)):
        np.testing.assert_allclose(sums(model), 1, atol=1e-6)
        assert (np.diff(model.pairs) > 0).all()
    assert len(pruned(both, 0.02).pairs) < len(both.pairs)

    def after(model: Bigram, first: str, second: str) -> float:
        place = [np.array([model.words.index(w)]) for w in (first, second)]
        return float(np.exp(model.follows(*place))[0])

    assert after(one, "the", "cat") > after(one, "the", "dog") > after(one, "the", "zebra")
    for pair in (("the", "cat"), ("", "the"), ("sat", "")):
        assert after(both, *pair) == pytest.approx(0.25 * after(one, *pair) + 0.75 * after(other, *pair))


def test_a_lexicon_is_read_as_it_was_written(tmp_path) -> None:  # type: ignore[no-untyped-def]
    written = toy({("oh", "no"): -0.5, ("no", ""): -0.25})
    lexicon.write_lexicon(written, tmp_path)
    found = lexicon.read_lexicon(tmp_path / lexicon.NAME)
    assert found.language.words == written.language.words
    for one, other in ((found.language, written.language), (found, written)):
        for name, value in vars(other).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_allclose(getattr(one, name), value, atol=2e-3, err_msg=name)


def test_a_sphinx_model_is_read(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "toy.lm.bin"
    write_trie(
        path,
        {"</s>": (-1.0, 0.0), "<s>": (-99.0, -0.5), "3rd": (-3.0, 0.0), "cat": (-2.0, -0.25), "the": (-1.5, -0.75)},
        {("the", "cat"): -0.5, ("<s>", "the"): -0.25, ("cat", "</s>"): -0.125, ("3rd", "cat"): -0.5},
    )
    found = read_bigram(path)
    assert found.words == ("", "cat", "the")
    np.testing.assert_allclose(found.unigram, np.array([-1.0, -2.0, -1.5]), rtol=1e-4)
    np.testing.assert_allclose(found.backoff, np.array([-0.5, -0.25, -0.75]), rtol=1e-4)
    assert found.pairs.tolist() == [0 * 3 + 2, 1 * 3 + 0, 2 * 3 + 1]
    np.testing.assert_allclose(found.bigram, np.array([-0.25, -0.125, -0.5]), rtol=1e-4)
    path.write_bytes(b"no such thing")
    with pytest.raises(InputError, match="not a Sphinx trigram model"):
        read_bigram(path)


def write_trie(path: Path, words: dict[str, tuple[float, float]], pairs: dict[tuple[str, str], float]) -> None:
    """A file in pocketsphinx's format, with one trigram of nothing."""
    names, base = list(words), np.log(1.0001)
    grouped = sorted(pairs, key=lambda pair: (names.index(pair[1]), names.index(pair[0])))
    levels = np.zeros(3 << 16, "<f4")
    levels[: len(pairs)] = [pairs[pair] / base for pair in grouped]
    of_word, width = len(names).bit_length(), len(names).bit_length() + 32 + 1
    packed = 0
    for k, (first, _) in enumerate(grouped):
        packed |= (names.index(first) | (k << (of_word + 16))) << (k * width)
    unigrams = np.zeros(len(names) + 1, np.dtype([("p", "<f4"), ("b", "<f4"), ("n", "<u4")]))
    unigrams["p"][:-1], unigrams["b"][:-1] = np.array(list(words.values())).T / base
    unigrams["n"] = [sum(names.index(second) < k for _, second in grouped) for k in range(len(names) + 1)]
    spelled = "".join(name + "\0" for name in names).encode()
    path.write_bytes(
        b"Trie Language Model\x03"
        + np.array([len(names), len(pairs), 1, 0], "<u4").tobytes()
        + levels.tobytes()
        + unigrams.tobytes()
        + packed.to_bytes(((1 + len(pairs)) * width + 7) // 8 + 8, "little")
        + bytes((2 * (of_word + 16) + 7) // 8 + 8)
        + np.array([len(spelled)], "<u4").tobytes()
        + spelled
    )


def test_a_checkpoint_with_a_lexicon_is_recognised_with_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import shutil

    import aligner
    from aligner.models.base import EMBEDDED

    recording = str(SAMPLES / "kitchen.flac")
    found = aligner.align(recording)
    assert found.provenance["recogniser"] == "lexicon"
    known = set(lexicon.read_lexicon(EMBEDDED / lexicon.NAME).language.words)
    assert found.words and {word.text for word in found.words} <= known
    assert aligner.align(recording, recogniser="decoder").provenance["recogniser"] == "decoder"
    copy = tmp_path / "bare"
    shutil.copytree(EMBEDDED, copy)
    (copy / lexicon.NAME).unlink()
    bare = aligner.load_model(str(copy))
    assert aligner.align(recording, model=bare).provenance["recogniser"] == "decoder"
    with pytest.raises(aligner.AlignerError, match="has no lexicon: use --recogniser decoder"):
        aligner.align(recording, model=bare, recogniser="lexicon")


def test_the_decoder_chooses_among_what_sounds_alike(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    import aligner
    from aligner import ctc
    from aligner.audio.read import read_audio

    model = aligner.load_model()
    encoded = model.encode(read_audio(SAMPLES / "kitchen.flac"))
    known = lexicon.of_model(model)
    assert known is not None
    heard = hypotheses(ctc.log_posteriors(model, encoded, "phone"), known, hearing.HYPOTHESES)
    texts = [model.tokenize(" ".join(hypothesis.words)) for hypothesis in heard] + [model.tokenize("")]
    found = model.text_log_probs(encoded, texts)
    for text, value in zip(texts, found, strict=True):  # as one by one
        rows = model.token_log_probs(encoded.states[None].clone(), text)[0]
        alone = sum(float(row[i]) for row, i in zip(rows, [*text.ids, model.tokenizer.eos_token_id], strict=True))
        assert value == pytest.approx(alone, rel=1e-4)
    for weight, wanted in ((0.0, heard[0]), (1e6, heard[int(found[:-1].argmax())])):
        monkeypatch.setattr(hearing, "DECODER", weight)
        assert hearing.hear(model, encoded, known) == " ".join(wanted.words)
    monkeypatch.setattr(model, "max_tokens", 20)  # more than the decoder takes: it is not asked
    assert hearing.hear(model, encoded, known) == " ".join(heard[0].words)


@pytest.mark.skipif(
    ctypes.util.find_library("espeak-ng") is None, reason="libespeak-ng is not installed (make engines)"
)
def test_pronunciations_weigh_as_often_as_they_are_heard(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from data.lexicon import phone_prior, weighed
    from data.pronounce import PHONES

    silence, weak, strong = 0, PHONES.index("@"), PHONES.index("eI")
    said = [weak, weak, weak, strong]
    words = [["a", [k + 0.5, k + 1.0]] for k in range(len(said))]
    (tmp_path / "index.jsonl").write_text("")
    line = {"id": "u", "words": words, "sounds": [[sound] for sound in said]}
    (tmp_path / "estimated.jsonl").write_text(json.dumps(line) + "\n")
    found = weighed(["a", "hello"], [tmp_path])
    assert found["a"] == {(strong,): pytest.approx(np.log(2 / 4)), (weak,): 0.0}
    assert list(found["hello"].values()) == [0.0]
    seconds = np.exp(phone_prior([tmp_path]))
    assert seconds.sum() == pytest.approx(1)
    assert seconds[[silence, weak, strong]] == pytest.approx(np.array([1 + 2.0, 1 + 1.5, 1 + 0.5]) / (len(PHONES) + 4))
