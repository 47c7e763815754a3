"""Recognition without a transcript: nothing lost, nothing invented, the language followed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import aligner
from aligner.audio.read import read_audio
from aligner.audio.speech import Region
from aligner.core import Audio, Word
from aligner.models import SpeechModel, Transcription
from aligner.models.decode import Clock, Rules
from aligner.segmentation.language import Follower, likeliest, unknown_script
from aligner.segmentation.passage import Passage
from aligner.timing.window import Stretch
from benchmarks import mixtures

RATE = 16_000
SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def test_the_script_of_a_text_decides_between_languages_that_sound_alike() -> None:
    assert likeliest({"th": 0.7, "ja": 0.2, "zh": 0.1}, "これは本です") == ("ja", 1.0)
    assert likeliest({"th": 0.7, "ja": 0.3})[0] == "th"
    assert "Japanese" in str(unknown_script("これは本です", ("en",), "embedded"))
    assert unknown_script("This is a book.", ("en",), "embedded") is None


def test_a_language_changes_only_where_it_is_sure() -> None:
    windows = [Region(10.0 * k, 10.0 * k + 10) for k in range(4)]
    english, doubtful, german = {"en": 0.9, "de": 0.1}, {"en": 0.3, "de": 0.7}, {"en": 0.05, "de": 0.95}
    follower = Follower()
    asked: list[int] = []

    def never(k: int, language: str, other: str) -> float:
        asked.append(k)
        return 0.0

    assert follower.follow(windows, [english, doubtful, english, german], never) == ["en", "en", "en", "de"]
    assert asked == [0, 1] and follower.main()[0] == "en"
    assert follower.changes() == ("from 30.00 s on the language is German (de), probability 0.95",)


def test_of_two_languages_that_sound_alike_the_one_that_makes_the_likelier_text_is_taken() -> None:
    window, sounds = [Region(0.0, 6.0)], [{"th": 0.55, "ja": 0.3, "ko": 0.15}]
    for gain, chosen in ((20.0, "ja"), (-20.0, "th"), (float("nan"), "th")):
        assert Follower().follow(window, sounds, lambda k, first, other, gain=gain: gain) == [chosen]  # type: ignore[misc]
    clear = [{"th": 0.9, "ja": 0.1}]
    assert Follower().follow(window, clear, lambda k, first, other: 20.0) == ["th"]


def test_a_passage_is_parted_with_its_text() -> None:
    words = (Word("No.", 0, 1), Word("Yes ,", 1, 2), Word("no!", 5, 6))
    before, after = Passage.of(Stretch(words, (), 1), "No. Yes , no!").parted(3.0)
    assert (before.text, after.text) == ("No. Yes ,", "no!")
    assert before.stretch.repairs + after.stretch.repairs == 1
    empty, all_ = Passage.of(Stretch(words, (), 0), "No. Yes , no!").parted(0.0)
    assert not empty.stretch.words and all_.text == "No. Yes , no!"


def test_timestamps_come_in_pairs_and_never_go_back() -> None:
    """Text is 0 to 4, 5 ends it, 6 and on are times."""
    none = torch.zeros(10, dtype=torch.bool)
    clock = Clock(Rules(5, none, none, None, 10, zero=6), 1, torch.device("cpu"))

    def allowed(favoured: int) -> list[int]:
        scores = torch.zeros(1, 10)
        scores[0, favoured] = 9.0
        clock.limit(scores)
        return torch.isfinite(scores[0]).nonzero()[:, 0].tolist()

    assert allowed(2) == [6, 7, 8, 9]
    clock.advance(torch.tensor([7]))
    assert allowed(2) == [0, 1, 2, 3, 4, 5]
    clock.advance(torch.tensor([2]))
    assert allowed(2) == [0, 1, 2, 3, 4, 5, 8, 9]
    assert allowed(8) == [8, 9]
    clock.advance(torch.tensor([8]))
    assert allowed(5) == [5, 8, 9]


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return aligner.load_model("embedded")


def sample(name: str, seconds: float | None = None) -> np.ndarray:
    samples = read_audio(SAMPLES / f"{name}.flac", RATE).samples
    return samples if seconds is None else samples[: round(seconds * RATE)]


def noise(seconds: float, level: float) -> np.ndarray:
    return (level * np.random.default_rng(0).normal(size=round(seconds * RATE))).astype(np.float32)


def stopping(model: SpeechModel, monkeypatch: pytest.MonkeyPatch, stops: Callable[[int], bool]) -> None:
    """Let the decoder stop after three words, as decoders do, in some of its calls."""
    whole, calls = model.transcribe, itertools.count()

    def transcribe(*args: Any) -> list[Transcription]:
        cut = stops(next(calls))
        return [replace(h, text=" ".join(h.text.split()[:3])) if cut else h for h in whole(*args)]

    monkeypatch.setattr(model, "transcribe", transcribe)


def test_what_a_decoder_stopped_before_is_heard_again_or_named(
    model: SpeechModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Audio(sample("alice", 9.0), RATE)
    words = aligner.align(recording, model=model).text.split()
    stopping(model, monkeypatch, lambda call: call == 0)
    found = aligner.align(recording, model=model)
    assert SequenceMatcher(None, words, found.text.split()).ratio() > 0.85
    assert "dropped" not in found.provenance
    monkeypatch.undo()
    stopping(model, monkeypatch, lambda call: True)
    found = aligner.align(recording, model=model)
    silent = 0.0
    for named in found.provenance["dropped"]:
        assert named.endswith("it sounds like speech, but no words were recognised")
        begin, end = map(float, re.findall(r"[\d.]+", named)[:2])
        assert not any(w.start < end - 0.05 and begin < w.end - 0.05 for w in found.words)
        silent += end - begin
    assert silent > 4


@pytest.mark.parametrize("gain", [0.1, 0.03])
def test_a_second_speaker_is_heard_however_quiet(gain: float, model: SpeechModel) -> None:
    """20 and 30 dB below the first, who goes on half a second later, in the same window."""
    pause = np.zeros(RATE // 4, np.float32)
    quiet = gain * sample("carrots")
    parts = [sample("alice", 6.0), pause, quiet, pause, sample("alice", 9.0)[6 * RATE :]]
    recording = np.concatenate(parts) + noise(sum(map(len, parts)) / RATE, 1e-4)
    words = aligner.align(Audio(recording.astype(np.float32), RATE), model=model).words
    heard = [word.text.lower() for word in words if 6.0 < word.start < 6.5 + len(quiet) / RATE]
    assert {"carrots", "good", "source"} <= set(heard)


@pytest.mark.parametrize("kind", [mixtures.pink, mixtures.music])
def test_no_word_is_invented_or_timed_in_noise_or_music(kind: Callable[..., np.ndarray], model: SpeechModel) -> None:
    """Before, between and after what is said, in 30 s together."""
    first, second = sample("carrots"), sample("oranges")
    loud = 0.3 * mixtures.level(first)
    noises = [loud * kind(round(s * RATE), np.random.default_rng(k)) for k, s in enumerate((9, 6, 7))]
    recording = np.concatenate([noises[0], first, noises[1], second, noises[2]]).astype(np.float32)
    words = aligner.align(Audio(recording, RATE), model=model).words
    spans = [(9.0, 9.0 + len(first) / RATE), (15.0 + len(first) / RATE, 15.0 + (len(first) + len(second)) / RATE)]
    said = [[w.text.lower() for w in words if low - 0.2 < w.start and w.end < high + 0.2] for low, high in spans]
    assert sum(map(len, said)) == len(words)
    assert {"source", "of"} <= set(said[0]) and "".join(said[1]).endswith("toeatoranges,hesaid.")


def test_what_is_left_out_as_invented_is_named(model: SpeechModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The energy detector lets a burst of noise through, in a window of its own."""
    whole, calls = model.transcribe, itertools.count()

    def inventing(*args: Any) -> list[Transcription]:
        return [replace(h, text="Thank you.", mean_log_prob=-0.8) if next(calls) else h for h in whole(*args)]

    monkeypatch.setattr(model, "transcribe", inventing)
    recording = Audio(np.concatenate([sample("oranges"), noise(30, 1e-5), noise(2, 0.1), noise(2, 1e-5)]), RATE)
    found = aligner.align(recording, model=model, vad="energy")
    assert "Thank" not in found.text and "oranges" in found.text
    (named,) = found.provenance["dropped"]
    assert re.match(r"3[12]\.\d\d-3[45]\.\d\d s: 'Thank you.' was left out: hardly anything sounds like speech", named)


def test_a_text_of_an_unknown_script_is_named(cases: Path) -> None:
    found = aligner.align(cases / "en.wav", "これは本です")
    assert any("Japanese" in warning and "--model" in warning for warning in found.provenance["warnings"])
