"""Forced alignment from frame labels: exact search, planted words, what the heads cannot do."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aligner import ctc, forced
from aligner.audio.read import read_audio
from aligner.errors import InputError, ModelError, SettingError
from aligner.models import load_model
from aligner.models.whisper import WhisperModel
from aligner.timing.settings import Settings
from aligner.timing.window import align_window

SPACE = 4  # labels of these tests: blank or silence, a, b, c, space
SAMPLE = Path(__file__).parents[1] / "data" / "samples" / "harbour.flac"


@pytest.fixture(scope="module")
def model() -> WhisperModel:
    loaded = load_model("embedded")
    assert isinstance(loaded, WhisperModel)
    return loaded


def spell(labels: tuple[int, ...]) -> list[int]:
    """What CTC reads from labels frame by frame: repeats merged, blanks dropped."""
    return [label for label, _ in itertools.groupby(labels) if label]


spellings = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=2), min_size=1, max_size=2)


@settings(max_examples=40, deadline=None)
@given(spellings, st.integers(0, 2**32 - 1))
def test_ctc_search_finds_the_best_of_all_label_sequences(words: list[list[int]], seed: int) -> None:
    frames = 6
    scores = np.random.default_rng(seed).normal(size=(frames, 5))
    text = [label for number, word in enumerate(words) for label in [*([SPACE] if number else []), *word]]
    allowed = [path for path in itertools.product(range(5), repeat=frames) if spell(path) == text]
    states = forced.ctc_states(words, SPACE)
    if not allowed:
        with pytest.raises(InputError, match="needs more than the 6 frames"):
            forced.viterbi(scores[:, states.labels], states.may_skip)
        return
    best = max(sum(scores[frame, label] for frame, label in enumerate(path)) for path in allowed)
    path = forced.viterbi(scores[:, states.labels], states.may_skip)
    assert scores[np.arange(frames), states.labels[path]].sum() == pytest.approx(best)
    assert spell(tuple(states.labels[path])) == text


@settings(max_examples=40, deadline=None)
@given(spellings, st.integers(0, 2**32 - 1))
def test_frame_search_finds_the_best_split_into_characters_and_silence(words: list[list[int]], seed: int) -> None:
    frames = 6
    scores = np.random.default_rng(seed).normal(size=(frames, 5))
    states = forced.frame_states(words, SPACE)
    n = len(states.labels)

    def follows(path: tuple[int, ...]) -> bool:
        jumps = [b - a for a, b in itertools.pairwise(path)]
        over_silence = all(j < 2 or states.words[b - 1] == -1 for j, b in zip(jumps, path[1:], strict=True))
        return path[0] in (0, 1) and path[-1] in (n - 2, n - 1) and set(jumps) <= {0, 1, 2} and over_silence

    allowed = [path for path in itertools.combinations_with_replacement(range(n), frames) if follows(path)]
    best = max(scores[np.arange(frames), states.labels[list(path)]].sum() for path in allowed)
    path = forced.viterbi(scores[:, states.labels], states.may_skip)
    assert follows(tuple(path.tolist()))
    assert scores[np.arange(frames), states.labels[path]].sum() == pytest.approx(best)
    spoken = [label for word in words for label in word]
    visited = [states.labels[state] for state, _ in itertools.groupby(path) if states.words[state] >= 0]
    assert visited == spoken


@pytest.mark.parametrize("head", list(forced.heads))
def test_planted_words_come_back(model: WhisperModel, monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    labels = ctc.labels(model)
    planted = [("go", 10, 18), ("in", 18, 30), ("\N{GRINNING FACE}", 34, 40), ("now", 60, 90)]
    scores = np.full((100, len(labels)), -9.0, np.float32)
    scores[:, 0] = -0.1
    for word, start, stop in planted:
        letters = [labels.index(c) for c in word] if word.isascii() else [labels.index("x")]
        edges = np.linspace(start, stop, len(letters) + 1).astype(int)
        for letter, low, high in zip(letters, edges[:-1], edges[1:], strict=True):
            scores[low:high] = -9.0
            scores[low:high, letter] = -0.1
    scores[31, labels.index(" ")] = scores[50, labels.index(" ")] = 0.0
    scores[18, labels.index(" ")] = -0.2
    monkeypatch.setattr(ctc, "log_posteriors", lambda *_: scores)
    encoded = model.encode(read_audio(SAMPLE))
    words = forced.time_words(model, encoded, model.tokenize(" ".join(w for w, _, _ in planted)), head).words
    assert [word.text for word in words] == [word for word, _, _ in planted]
    for word, (_, start, stop) in zip(words, planted, strict=True):
        assert (word.start, word.end) == pytest.approx((start / 50, stop / 50), abs=0.041)


@pytest.mark.parametrize("head", list(forced.heads))
def test_paths_without_attention_time_every_word_of_speech(model: WhisperModel, head: str) -> None:
    encoded = model.encode(read_audio(SAMPLE))
    text = SAMPLE.with_suffix(".txt").read_text()
    found = align_window(model, encoded, text, Settings(path=head), "en").words
    usual = align_window(model, encoded, text, Settings(), "en").words
    assert [word.text for word in found] == text.split()
    assert all(word.probability is not None for word in found)
    apart = np.abs([a.start - b.start for a, b in zip(found, usual, strict=True)])
    assert np.median(apart) < 0.1  # two ways to look at one model


def test_settings_that_need_attention_are_refused(model: WhisperModel) -> None:
    encoded = model.encode(read_audio(SAMPLE))
    with pytest.raises(SettingError, match="--path ctc reads no attention"):
        align_window(model, encoded, "the old harbour", Settings(path="ctc", tokens=True), "en")


def test_a_checkpoint_without_heads_is_refused(model: WhisperModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "ctc_labels", ())
    encoded = model.encode(read_audio(SAMPLE))
    with pytest.raises(ModelError, match="has no head that labels frames; use --path dtw"):
        align_window(model, encoded, "the old harbour", Settings(path="frame"), "en")


def test_more_characters_than_frames_are_refused(model: WhisperModel) -> None:
    audio = read_audio(SAMPLE)
    short = model.encode(type(audio)(audio.samples[:6400], audio.sample_rate))
    with pytest.raises(InputError, match="right transcript"):
        forced.time_words(model, short, model.tokenize("a much longer sentence than fits"), "ctc")
