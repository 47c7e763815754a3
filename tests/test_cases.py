"""Recordings that failed once, with OpenAI's base: `tests/data/cases`. Those of texts are in `test_cases_text`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import aligner
from aligner.audio.read import read_audio
from aligner.core import Alignment, Audio
from aligner.metrics.words import normalise
from aligner.models import SpeechModel
from aligner.text.scripts import clusters
from aligner.text.spacing import running
from aligner.text.transcript import find_transcript
from aligner.textgrid import read_words
from aligner.writers import WriterOptions, render

ROOT = Path(__file__).parents[1]
SAMPLES, BASE = ROOT / "data" / "samples", ROOT / "build" / "real" / "base"


@pytest.fixture(scope="module")
def base() -> SpeechModel:
    if not BASE.is_dir():
        pytest.skip("base is not there: run make real")
    return aligner.load_model(str(BASE))


@pytest.fixture(scope="module", params=["embedded", "base"])
def model(request: pytest.FixtureRequest) -> SpeechModel:
    return request.getfixturevalue("base") if request.param == "base" else aligner.load_model("embedded")


def with_text(audio: Path, text: str, model: SpeechModel, **settings: str) -> Alignment:
    return aligner.align(audio, find_transcript(str(audio.parent / text), audio), model, **settings)


def test_words_that_begin_with_a_stop_begin_where_it_is_heard(model: SpeechModel, cases: Path) -> None:
    words = with_text(cases / "en.wav", "en.txt", model).words
    gold = json.loads((cases / "en.gold.json").read_text(encoding="utf-8"))
    gold = [(text, start) for text, start in gold if text]
    assert len(words) == len(gold)
    for number, wanted in ((2, 0.79), (10, 3.64), (14, 5.51), (15, 5.89), (16, 6.02), (17, 6.47)):
        assert words[number].start == pytest.approx(wanted, abs=0.05), words[number]
    assert max(abs(word.start - start) for word, (_, start) in zip(words, gold, strict=True)) < 0.06
    assert not any("low-confidence" in word.flags for word in words)


def test_no_word_is_lost_after_a_bump(model: SpeechModel, cases: Path) -> None:
    found = aligner.align(cases / "bump_cut.flac", model=model, language="en")
    said = (
        "the reporting environment is also quite different and i'm saying a bunch of different words that i did not say"
    )
    heard = [normalise(word.text) for word in found.words]
    assert said in " ".join(heard)
    first = heard.index("acoustic")
    assert heard[first:][:2] == ["acoustic", "corpus"] and found.words[0].start < 0.3


def test_the_first_word_does_not_take_the_noise_before_it(model: SpeechModel, cases: Path) -> None:
    first = with_text(cases / "room7s.flac", "room7s.txt", model).words[0]
    assert (first.text, first.start) == ("This", pytest.approx(7.30, abs=0.05))


def test_thai_is_written_as_it_stands_and_cut_between_clusters(base: SpeechModel, cases: Path) -> None:
    text = (cases / "thai.txt").read_text(encoding="utf-8").strip()
    found = with_text(cases / "en.wav", "thai.txt", base, language="th")
    assert running(found.words) == text
    srt = render("srt", found, WriterOptions()).decode()
    assert "".join(line for line in srt.splitlines() if line and line[0] not in "0123456789").replace(" ", "") == (
        text.replace(" ", "")
    )
    whole = set(clusters(text))
    assert all(set(clusters(word.text)) <= whole for word in found.words)


def test_a_track_that_starts_late_keeps_the_time_of_its_video(base: SpeechModel, cases: Path) -> None:
    (first, *_) = with_text(cases / "delay4_en.mkv", "en.txt", base).words
    assert (first.text, first.start) == ("Please", pytest.approx(4.05, abs=0.05))


def test_a_recording_without_its_size_has_the_words_of_one_with_it(model: SpeechModel, cases: Path) -> None:
    found, whole = (with_text(cases / name, "en.txt", model) for name in ("zerosize_en.wav", "en.wav"))
    assert [word.text for word in found.words] == [word.text for word in whole.words]
    assert [word.start for word in found.words] == pytest.approx([word.start for word in whole.words], abs=0.03)
    assert any("does not say how long" in warning for warning in found.provenance["warnings"])


def test_japanese_text_is_taken_for_japanese(base: SpeechModel, cases: Path) -> None:
    found = with_text(cases / "ja.flac", "ja.txt", base)
    assert found.language == "ja" and found.provenance["language_probability"] > 0.99


def test_japanese_is_recognised_as_japanese(base: SpeechModel, cases: Path) -> None:
    """Its sound is taken for Thai by a little; what is written tells."""
    assert aligner.align(cases / "ja.flac", model=base).language == "ja"


def test_a_recording_that_changes_language_is_followed(base: SpeechModel, cases: Path) -> None:
    found = aligner.align(cases / "en_de.flac", model=base)
    assert "Guten Morgen, meine Damen und Herren" in found.text and "Please open the kitchen window" in found.text
    (german,) = (word for word in found.words if word.text == "Guten")
    assert german.start == pytest.approx(7.84, abs=0.1)
    assert any("German (de)" in warning for warning in found.provenance["warnings"])


@pytest.mark.parametrize(("name", "words"), [("oranges", 7), ("oranges", 5), ("twelve", 4), ("carrots", 7)])
def test_the_last_word_keeps_its_sound_where_a_recording_is_cut_off(name: str, words: int) -> None:
    gold = read_words(SAMPLES / f"{name}.TextGrid")[:words]
    samples = read_audio(SAMPLES / f"{name}.flac", 16_000).samples[: round(gold[-1].end * 16_000)]
    last = aligner.align(Audio(samples, 16_000), " ".join(word.text for word in gold)).words[-1]
    assert (last.start, last.end) == pytest.approx((gold[-1].start, gold[-1].end), abs=0.07)
