"""The shipped checkpoint: a true Whisper checkpoint, the same for every tool, and good enough to align."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aligner.audio.read import read_audio
from aligner.guard import import_torchaudio
from aligner.models import load_model
from aligner.models.base import EMBEDDED
from aligner.models.whisper import WhisperModel
from aligner.textgrid import read_words
from aligner.timing.settings import Settings
from aligner.timing.window import align_window
from benchmarks import peers

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.flac"))


@pytest.fixture(scope="module")
def model() -> WhisperModel:
    loaded = load_model("embedded")
    assert isinstance(loaded, WhisperModel)
    return loaded


def test_fits_in_25_megabytes_and_knows_its_heads(model: WhisperModel) -> None:
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 25e6
    assert model.alignment_heads
    assert set(model.supervised_heads) < {(layer, head) for layer in range(3) for head in range(6)}
    assert model.spelling == "spoken" and model.languages == ("en",)


@pytest.mark.parametrize("name", NAMES)
def test_every_word_of_a_sample_once_in_order_near_its_time(model: WhisperModel, name: str) -> None:
    audio = read_audio(SAMPLES / f"{name}.flac")
    text = (SAMPLES / f"{name}.txt").read_text()
    found = align_window(model, model.encode(audio), text, Settings(), "en").words
    gold = read_words(SAMPLES / f"{name}.TextGrid")
    assert [w.text for w in found] == text.split() == [w.text for w in gold]
    errors = np.abs([(w.start - g.start, w.end - g.end) for w, g in zip(found, gold, strict=True)])
    assert np.median(errors) < 0.05  # uniform spacing is beyond 0.15 on these


def transformers_pipeline() -> Any:
    import_torchaudio()
    from transformers import pipeline

    return pipeline("automatic-speech-recognition", model=str(EMBEDDED))


def transcript(recognise: Any, samples: np.ndarray) -> str:
    return str(recognise({"raw": samples, "sampling_rate": 16_000}, generate_kwargs={"num_beams": 1})["text"]).strip()


def test_loads_unmodified_and_transcribes_the_same_everywhere(model: WhisperModel, tmp_path: Path) -> None:
    faster_whisper = pytest.importorskip("faster_whisper", reason="faster-whisper is a test-only dependency")
    recognise = transformers_pipeline()
    folder = peers.ct2_folder(EMBEDDED, tmp_path / "ct2")
    other = faster_whisper.WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=1)
    for name in NAMES:
        audio = read_audio(SAMPLES / f"{name}.flac")
        # faster-whisper pads features with zeros where others pad the audio: give both the same 30 s.
        samples = np.pad(audio.samples, (0, 30 * 16_000 - len(audio.samples)))
        segments, _ = other.transcribe(
            samples, beam_size=1, temperature=0.0, without_timestamps=True, condition_on_previous_text=False,
            no_speech_threshold=None, log_prob_threshold=None, compression_ratio_threshold=None,
            suppress_blank=False, suppress_tokens=[],
        )  # fmt: skip
        theirs = " ".join(segment.text.strip() for segment in segments)
        assert transcript(recognise, samples) == theirs


@pytest.mark.parametrize("name", NAMES)
def test_the_decoder_stops_where_a_recording_ends_with_its_speech(model: WhisperModel, name: str) -> None:
    audio = read_audio(SAMPLES / f"{name}.flac")
    gold = read_words(SAMPLES / f"{name}.TextGrid")
    cut = type(audio)(audio.samples[: round(gold[-1].end * audio.sample_rate)], audio.sample_rate)
    with_silence, without = (len(model.transcribe(model.encode(clip)).split()) for clip in (audio, cut))
    assert abs(without - with_silence) <= 2


def test_openai_whisper_aligns_with_the_same_weights(model: WhisperModel) -> None:
    pytest.importorskip("whisper", reason="openai-whisper is a test-only dependency")
    import torch
    import whisper
    from whisper.timing import find_alignment

    audio = read_audio(SAMPLES / "harbour.flac")
    twin, tokenizer = peers.openai_model(EMBEDDED), peers.openai_tokenizer(EMBEDDED)
    text = "the old harbour was quiet and a cold wind came over the water"
    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(torch.from_numpy(audio.samples.copy())))
    found = find_alignment(twin, tokenizer, tokenizer.encode(text), mel, len(audio.samples) // 160)
    assert [w.word.strip() for w in found if w.word.strip()][: len(text.split())] == text.split()
    assert all(0 <= w.start <= w.end <= audio.duration + 0.02 for w in found)


def test_real_audio_only_is_four_times_faster_and_moves_boundaries_little(model: WhisperModel) -> None:
    audio = read_audio(SAMPLES / "harbour.flac")
    clip = type(audio)(audio.samples[: 3 * 16_000], 16_000)
    text = "the old harbour was quiet"
    config = json.loads((EMBEDDED / "config.json").read_text())
    assert config["aligner"]["trimmed"]
    padded = load_model("embedded")
    assert isinstance(padded, WhisperModel)
    padded.trimmed = False

    def run(which: WhisperModel) -> tuple[float, list[float]]:
        best = float("inf")
        for _ in range(5):
            begun = time.process_time()
            words = align_window(which, which.encode(clip), text, Settings(confidence=False), "en").words
            best = min(best, time.process_time() - begun)
        return best, [t for w in words for t in (w.start, w.end)]

    (fast, short), (slow, long) = run(model), run(padded)
    assert slow > 4 * fast
    assert np.mean(np.abs(np.array(short) - long)) < 0.010
