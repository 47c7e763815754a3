"""Recognition without a transcript: nothing lost, nothing invented, the language followed."""

from __future__ import annotations

from pathlib import Path

import torch

import aligner
from aligner.audio.speech import Region
from aligner.core import Word
from aligner.models.decode import Clock, Rules
from aligner.segmentation.language import Follower, likeliest, unknown_script
from aligner.segmentation.passage import Passage
from aligner.timing.window import Stretch


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


def test_a_text_of_an_unknown_script_is_named(cases: Path) -> None:
    found = aligner.align(cases / "en.wav", "これは本です")
    assert any("Japanese" in warning and "--model" in warning for warning in found.provenance["warnings"])
