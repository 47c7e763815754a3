"""Transcripts as people have them, aligned with real speech: `tests/data/cases`."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import aligner
from aligner.core import Alignment
from aligner.text.readers import read
from aligner.text.transcript import find_transcript
from aligner.writers import WriterOptions, render

CASES = Path(__file__).parent / "data" / "cases"


@pytest.fixture(scope="module")
def model() -> object:
    return aligner.load_model("embedded")


def aligned(name: str, model: object, *skips: str) -> Alignment:
    found = find_transcript(str(CASES / name), CASES / "en.wav", skips)
    return aligner.align(CASES / "en.wav", found, model)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain(model: object) -> Alignment:
    return aligned("en.txt", model)


def same(found: Alignment, wanted: Alignment) -> bool:
    """Whether two alignments have the same times, in milliseconds."""
    return [(round(w.start, 3), round(w.end, 3)) for w in found.words] == [
        (round(w.start, 3), round(w.end, 3)) for w in wanted.words
    ]


@pytest.mark.parametrize("name", ["en.srt", "en.vtt"])
def test_subtitles_are_timed_as_their_words_are(name: str, model: object, plain: Alignment) -> None:
    found = aligned(name, model)
    assert [word.text for word in found.words] == [word.text for word in plain.words]
    assert same(found, plain)


def test_entities_are_timed_as_the_characters_they_stand_for(model: object) -> None:
    found = aligned("en_entities.txt", model)
    typed = (CASES / "en.txt").read_text(encoding="utf-8").replace("kitchen", '"kitchen"')
    assert len(found.words) == 20
    assert [word.text for word in found.words] == typed.split()
    assert same(found, aligner.align(CASES / "en.wav", typed, model))  # type: ignore[arg-type]


def test_speaker_names_go_in_any_order_of_patterns(model: object, plain: Alignment) -> None:
    for skips in itertools.permutations(("brackets", "speakers")):
        assert same(aligned("en_labels.txt", model, *skips), plain)


def test_subtitles_come_back_with_new_times(model: object, plain: Alignment) -> None:
    old = find_transcript(str(CASES / "en.srt"), CASES / "en.wav").cues
    new = read(render("srt", aligned("en.srt", model), WriterOptions()).decode())
    assert not isinstance(new, str)
    assert [cue.shown for cue in new] == [cue.shown for cue in old]
    starts = [plain.words[0].start, next(word.start for word in plain.words if word.text == "Tomorrow")]
    assert [cue.start for cue in new] == pytest.approx(starts, abs=2e-3)
    assert starts[1] == pytest.approx(4.794, abs=0.4)  # in the gold; the file says 3.0
