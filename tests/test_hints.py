"""The times of a transcript as hints: words are looked for where they lie, give or take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aligner
from aligner.audio.read import read_audio
from aligner.core import Audio, Cue, Word
from aligner.errors import InputError
from aligner.models import SpeechModel
from aligner.segmentation.anchors import Anchor
from aligner.segmentation.hints import Hint, Hints
from aligner.segmentation.script import script_of
from aligner.text.transcript import Transcript

RATE = 16_000
SENTENCES = (
    "Please open the kitchen window, because the soup is far too hot.",
    "Tomorrow we'll take the train to the city.",
)


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return aligner.load_model("embedded")


def told(*cues: tuple[float, float], texts: tuple[str, ...] = SENTENCES) -> Transcript:
    made = tuple(Cue(text, start, end, text) for text, (start, end) in zip(texts, cues, strict=True))
    return Transcript("\n".join(texts), "a test", made)


@pytest.mark.parametrize(("timing", "nearer"), [("head", 0.1), ("attention", 0.5)])
def test_of_words_said_twice_those_are_timed_that_the_times_are_of(
    timing: str, nearer: float, model: SpeechModel, cases: Path
) -> None:
    said = read_audio(cases / "en.wav", RATE).samples
    between = read_audio(Path(__file__).parents[1] / "data" / "samples" / "carrots.flac", RATE).samples
    recording = Audio(np.concatenate([said, between, said]), RATE)
    second = (len(said) + len(between)) / RATE
    for begin in (0.0, second):
        # As rough as subtitles are: cues come late, stay long and overlap.
        transcript = told((begin + 0.5, begin + 5.2), (begin + 4.1, begin + 7.0))
        words = aligner.align(recording, transcript, model, timing=timing, hints=1.0).words
        assert len(words) == 20
        assert words[0].start - begin == pytest.approx(0.05, abs=nearer)
        assert words[12].start - begin == pytest.approx(4.794, abs=0.1)


def test_recognised_words_count_only_near_their_cue() -> None:
    script = script_of("so it is\nso it is", "en")
    hints = Hints.of([Cue("so it is", 0, 2), Cue("so it is", 20, 22)], "en", 1.0, 30.0)
    heard = [Word(text, at, at + 0.3) for at, text in [(10, "so"), (11, "it"), (12, "is"), (20, "so"), (21, "it")]]
    found = hints.recognised(script, heard, "en")
    assert [(anchor.word, anchor.start) for anchor in found] == [(3, 20), (4, 21)]


def test_words_of_a_cue_that_was_not_found_lie_in_its_time() -> None:
    hints = Hints((Hint(range(2), 0, 4), Hint(range(2, 4), 4, 8), Hint(range(4, 5), 9, 10)), 1.0)
    anchors = [Anchor(1, 4.0, 5.0), Anchor(4, 9.5, 10.0)]
    found = hints.completed(anchors)
    assert [(a.word, a.start, a.end) for a in found] == [(1, 4, 5), (2, 5, 6.5), (3, 6.5, 8), (4, 9.5, 10)]
    assert hints.bounds() == [(-1, 5), (-1, 5), (3, 9), (3, 9), (8, 11)]
    assert [a.word for a in hints.completed([])] == [0, 1, 2, 3, 4]


def test_hints_that_cannot_be_are_refused(model: SpeechModel, cases: Path) -> None:
    with pytest.raises(InputError, match=r"no times that could be hints"):
        aligner.align(cases / "en.wav", " ".join(SENTENCES), model, hints=1.0)
    with pytest.raises(InputError, match=r"go to 60.00 s, the recording lasts 7.24 s"):
        aligner.align(cases / "en.wav", told((0, 4), (60, 64)), model, hints=1.0)


def test_the_command_takes_hints_with_a_transcript_only(cases: Path, tmp_path: Path) -> None:
    def run(*options: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "aligner", cases / "en.wav", *options, "-f", "csv", "-o", "-"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    refused = run("--hints")
    assert refused.returncode == 2 and "--hints are the times of a transcript" in refused.stderr
    srt = tmp_path / "late.srt"
    first, second = SENTENCES
    texts = [
        f"1\n00:00:00,000 --> 00:00:09,000\n{first}\n",
        f"2\n00:00:04,000 --> 00:00:09,000\n{second}\n",
    ]
    srt.write_text("\n".join(texts), encoding="utf-8")
    hinted, plain = run("--text", srt, "--hints"), run("--text", srt)
    assert hinted.returncode == 0
    assert hinted.stdout == plain.stdout
