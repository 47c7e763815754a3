"""The shipped checkpoint: OpenAI's own weights, whole, good enough to transcribe and align."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from aligner.audio.read import read_audio
from aligner.command.cli import main
from aligner.models import SpeechModel, load_model
from aligner.models.known import EMBEDDED
from aligner.text.spoken import spoken_form
from aligner.textgrid import read_words
from aligner.timing.settings import Settings
from aligner.timing.window import align_window
from eval.corpora.espeak import Espeak

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
NAMES = ("carrots", "oranges", "twelve")


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return load_model("embedded")


def test_it_is_the_published_file_with_its_licence() -> None:
    digest = hashlib.sha256((EMBEDDED / "model.bin").read_bytes()).hexdigest()
    assert digest == "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
    assert digest in (EMBEDDED / "README.md").read_text()
    assert "OpenAI" in (EMBEDDED / "LICENSE").read_text()
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 80e6


@pytest.mark.parametrize("name", NAMES)
def test_every_word_of_a_sample_once_in_order_near_its_time(model: SpeechModel, name: str) -> None:
    audio = read_audio(SAMPLES / f"{name}.flac")
    text = (SAMPLES / f"{name}.txt").read_text()
    found = align_window(model, model.encode(audio), text, Settings(), "en").words
    gold = read_words(SAMPLES / f"{name}.TextGrid")
    assert [w.text for w in found] == text.split() == [w.text for w in gold]
    errors = np.abs([(w.start - g.start, w.end - g.end) for w, g in zip(found, gold, strict=True)])
    assert np.median(errors) < 0.07


def test_most_words_of_the_samples_are_recognised(model: SpeechModel) -> None:
    jiwer = pytest.importorskip("jiwer", reason="jiwer, of the extra eval, is not installed")
    windows = model.encode_all([read_audio(SAMPLES / f"{name}.flac") for name in NAMES])
    found = [spoken_form(transcription.text) for transcription in model.transcribe(windows)]
    written = [spoken_form((SAMPLES / f"{name}.txt").read_text()) for name in NAMES]
    assert found[1] == written[1] == "she likes to eat oranges he said"
    assert jiwer.wer(written, found) < 0.2


def test_another_language_is_answered_with_what_to_use(tmp_path: Path) -> None:
    path = tmp_path / "german.wav"
    try:
        said = "am anfang war das wort und das wort war sehr lang"
        speech = Espeak().speak(said.split(), "de")
    except OSError as error:
        pytest.skip(str(error))
    assert speech is not None
    soundfile.write(path, speech.samples, 16_000)
    heard = CliRunner().invoke(main, [str(path), "-o", str(tmp_path / "out.json")])
    assert heard.exit_code == 0
    (line,) = [line for line in heard.stderr.splitlines() if "not English" in line]
    assert "--model base" in line
    told = CliRunner().invoke(main, [str(path), "--language", "de", "-o", str(tmp_path / "out.json")])
    assert told.exit_code != 0
    assert "knows English only" in told.stderr and "base" in told.stderr
