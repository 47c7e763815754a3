"""OpenAI's own weights against the tools that people run them with: the same tokens, times and probabilities."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aligner.audio.read import read_audio
from aligner.core import AttentionMap, Audio, Tokens, WordSpan
from aligner.guard import import_torchaudio
from aligner.models import SpeechModel, load_model
from aligner.models.known import EMBEDDED
from aligner.models.load import open_checkpoint
from aligner.textgrid import read_words
from aligner.timing.aggregation import Aggregation, aggregate
from aligner.timing.path import warp
from aligner.timing.settings import PRESETS
from aligner.timing.words import word_frames

pytest.importorskip("whisper", reason="openai-whisper, a test-only peer, is not installed")

from benchmarks.peers import openai_model, openai_tokenizer, transformers_folder

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
BASE = ROOT / "build" / "real" / "base"
SECONDS = 20.0  # of the long sample


@pytest.fixture(scope="module", params=["embedded", "base"])
def checkpoint(request: pytest.FixtureRequest) -> str:
    if request.param == "embedded":
        return "embedded"
    if not BASE.is_dir():
        pytest.skip("base is not there: run make real")
    return str(BASE)


@pytest.fixture(scope="module")
def model(checkpoint: str) -> SpeechModel:
    return load_model(checkpoint)


@pytest.fixture(scope="module")
def twin(checkpoint: str) -> Any:
    return openai_model(checkpoint)


def speech(name: str) -> tuple[Audio, str]:
    """A sample of whole frames, at most a window of it; its words, without marks that tools disagree about."""
    audio = read_audio(SAMPLES / f"{name}.flac")
    count = min(len(audio.samples), round(SECONDS * 16_000)) // 320 * 320
    words = [w.text for w in read_words(SAMPLES / f"{name}.TextGrid") if w.end < count / 16_000]
    return Audio(audio.samples[:count], 16_000), re.sub('[";:!]', "", " ".join(words))


def mel(audio: Audio) -> Any:
    from whisper.audio import log_mel_spectrogram, pad_or_trim

    return pad_or_trim(log_mel_spectrogram(audio.samples.copy(), padding=480_000), 3000)


def ours(model: Any, audio: Audio, tokens: Tokens) -> tuple[np.ndarray, np.ndarray]:
    """First and last times of words by the preset openai, as its path has them, and word probabilities."""
    preset = PRESETS["openai"].settings
    forced = model.force(model.encode(audio), tokens, "en")
    evidence = aggregate(forced.attention, preset.aggregation, model.alignment_heads)
    frames = word_frames(warp(evidence, preset.path), evidence, tokens, preset.pauses)
    probabilities = forced.probabilities()
    return np.transpose(frames) * 0.02, np.array([probabilities[w.start : w.stop].mean() for w in tokens.words])


@pytest.mark.parametrize("name", ["oranges", "alice"])
def test_words_and_probabilities_are_those_of_openai_whisper(
    name: str, checkpoint: str, model: SpeechModel, twin: Any
) -> None:
    from whisper.timing import find_alignment, merge_punctuations

    audio, text = speech(name)
    tokens, tokenizer = model.tokenize(text), openai_tokenizer(checkpoint)
    assert list(tokens.ids) == tokenizer.encode(" " + text)
    theirs = find_alignment(twin, tokenizer, list(tokens.ids), mel(audio), len(audio.samples) // 160)
    merge_punctuations(theirs, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
    theirs = [word for word in theirs if word.word.strip() not in ("", "<|endoftext|>")]
    times, probabilities = ours(model, audio, tokens)
    assert [w.text for w in tokens.words] == [word.word.strip() for word in theirs] == text.split()
    np.testing.assert_allclose(times, [(word.start, word.end) for word in theirs], atol=1e-9)
    np.testing.assert_allclose(probabilities, [word.probability for word in theirs], atol=1e-3)


@pytest.mark.parametrize("name", ["oranges", "alice"])
def test_words_and_probabilities_are_those_of_faster_whisper(
    name: str, checkpoint: str, model: SpeechModel, tmp_path: Path
) -> None:
    package = pytest.importorskip("faster_whisper", reason="faster-whisper, a test-only peer, is not installed")
    from faster_whisper.tokenizer import Tokenizer

    peer = package.WhisperModel(str(_with_vocabulary(checkpoint, tmp_path)), compute_type="float32", cpu_threads=1)
    audio, text = speech(name)
    tokens = model.tokenize(text)
    tokenizer = Tokenizer(peer.hf_tokenizer, peer.model.is_multilingual, task="transcribe", language="en")
    states = peer.encode(mel(audio).numpy()[None])
    (theirs,) = peer.find_alignment(tokenizer, [list(tokens.ids)], states, len(audio.samples) // 160)
    # It gives every mark a time of its own; words start at their own first token all the same.
    starts = {}
    at = 0
    for word in theirs:
        starts[at] = word
        at += len(word["tokens"])
    times, probabilities = ours(model, audio, tokens)
    alike = [k for k, span in enumerate(tokens.words) if span.start in starts]
    lengths = [span.stop - span.start for span in tokens.words]
    alike = [k for k in alike if len(starts[tokens.words[k].start]["tokens"]) == lengths[k]]
    assert len(alike) > 0.9 * len(tokens.words)
    found = [starts[tokens.words[k].start] for k in alike]
    np.testing.assert_allclose(times[alike], [(word["start"], word["end"]) for word in found], atol=1e-6)
    np.testing.assert_allclose(probabilities[alike], [word["probability"] for word in found], atol=1e-3)


def _with_vocabulary(checkpoint: str, folder: Path) -> Path:
    """A folder that faster-whisper takes: it wants the vocabulary as a list, too, timestamps at its end."""
    path = open_checkpoint(checkpoint).path
    if (path / "vocabulary.txt").is_file():
        return path
    shutil.copytree(path, folder / "copy")
    vocabulary = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = {index: token for token, index in vocabulary["model"]["vocab"].items()}
    tokens |= {added["id"]: added["content"] for added in vocabulary["added_tokens"]}
    lines = [tokens.get(i, f"<|{(i - len(tokens)) * 0.02:.2f}|>") for i in range(len(tokens) + 1501)]
    (folder / "copy" / "vocabulary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "copy"


def test_token_times_are_those_of_transformers(checkpoint: str, model: SpeechModel, tmp_path: Path) -> None:
    import_torchaudio()
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    folder = transformers_folder(checkpoint, tmp_path / "transformers")
    network = WhisperForConditionalGeneration.from_pretrained(folder, attn_implementation="eager", dtype="float32")
    audio, _ = speech("alice")
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    heard = extractor(audio.samples, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True)
    told = {"language": "en", "task": "transcribe"} if len(model.languages) > 1 else {}
    made = network.eval().generate(
        heard.input_features, attention_mask=heard.attention_mask, return_token_timestamps=True,
        return_timestamps=False, return_dict_in_generate=True, num_beams=1, **told,
    )  # fmt: skip
    ids, times = made["sequences"][0].tolist(), made["token_timestamps"][0].numpy()
    special = model.vocabulary.special  # type: ignore[attr-defined]
    first = len(model.prompt("en")) if ids[0] == special["<|startoftranscript|>"] else 0  # type: ignore[attr-defined]
    text = [k for k, token in enumerate(ids) if k >= first and token < special["<|endoftext|>"]]
    # The last token was never fed back, so generating left no attention of it.
    text = text[: len(text) - (ids[-1] != special["<|endoftext|>"])]
    tokens = Tokens(tuple(ids[k] for k in text), ("x",) * len(text), (WordSpan("x", 0, 1),))
    preset = PRESETS["huggingface"].settings
    evidence = aggregate(model.attend(model.encode(audio), tokens, "en"), preset.aggregation, model.alignment_heads)
    path = warp(evidence, preset.path)
    onsets = path.frames[np.searchsorted(path.tokens, np.arange(len(text)))] * 0.02
    assert len(text) > 50 and len(set(onsets)) > 40
    np.testing.assert_allclose(onsets, times[text], atol=1e-6)


def test_words_are_those_of_whisper_timestamped(checkpoint: str, model: SpeechModel) -> None:
    import torch

    tool = pytest.importorskip(
        "whisper_timestamped.transcribe", reason="whisper-timestamped, a test-only peer, is not installed"
    )
    audio, text = speech("alice")
    tokens, tokenizer = model.tokenize(text), openai_tokenizer(checkpoint)
    encoded = model.encode(audio)
    attention = model.attend(encoded, tokens, "en")
    scores = attention.logits[:, :, attention.prefix :, : attention.frames]
    # It wants a time-stamp token at either end; what stands there in our pass has rows like any other.
    ids = [tokenizer.timestamp_begin, *tokens.ids, tokenizer.timestamp_begin + attention.frames]
    tool.num_alignment_for_plot = 0  # a global that its main function sets
    theirs = tool.perform_word_alignment(
        ids, [torch.from_numpy(layer[None].copy()) for layer in scores], tokenizer, detect_disfluencies=False,
        refine_whisper_precision_nframes=0, alignment_heads=_mask(model, scores.shape[:2]),
    )  # fmt: skip
    spans = tuple(WordSpan(span.text, span.start + 1, span.stop + 1) for span in tokens.words)
    texts = ("<|0.00|>", *tokens.texts)
    preset = PRESETS["whisper-timestamped"].settings
    whole = Aggregation("all", preset.aggregation.heads, preset.aggregation.steps)
    evidence = aggregate(AttentionMap(scores, attention.frames, 0.02), whole, model.alignment_heads)
    timed = Tokens(tuple(ids[:-1]), texts, spans)
    found = np.transpose(word_frames(warp(evidence, preset.path), evidence, timed, preset.pauses)) * 0.02
    assert [span.text for span in spans] == [word["text"].strip() for word in theirs]
    inner = slice(1, -1)  # theirs stretches the first and last word to the segment
    expected = [(word["start"], word["end"]) for word in theirs[inner]]
    np.testing.assert_allclose(found[inner], expected, atol=0.011)  # theirs are rounded to 10 ms


def _mask(model: SpeechModel, shape: tuple[int, ...]) -> Any:
    import torch

    mask = torch.zeros(shape, dtype=torch.bool)
    mask[tuple(np.transpose(model.alignment_heads))] = True
    return mask.to_sparse()


def test_transcripts_are_those_of_faster_whisper(checkpoint: str, model: SpeechModel, tmp_path: Path) -> None:
    package = pytest.importorskip("faster_whisper", reason="faster-whisper, a test-only peer, is not installed")
    peer = package.WhisperModel(str(_with_vocabulary(checkpoint, tmp_path)), compute_type="float32", cpu_threads=1)
    for name in ("carrots", "oranges", "twelve", "alice"):
        audio, _ = speech(name)
        # faster-whisper pads features with zeros where others pad the audio: give both the same 30 s.
        samples = np.pad(audio.samples, (0, 30 * 16_000 - len(audio.samples)))
        segments, _ = peer.transcribe(
            samples, beam_size=1, temperature=0.0, without_timestamps=True, condition_on_previous_text=False,
            no_speech_threshold=None, log_prob_threshold=None, compression_ratio_threshold=None, language="en",
        )  # fmt: skip
        theirs = " ".join(segment.text.strip() for segment in segments)
        assert model.transcribe([model.encode(audio)], "en")[0].text == theirs


def test_the_embedded_file_is_the_one_that_others_publish() -> None:
    other = ROOT / "build" / "real" / "tiny.en"
    if not other.is_dir():
        pytest.skip("tiny.en is not there: run make real")
    for name in ("model.bin", "config.json", "tokenizer.json"):
        assert (EMBEDDED / name).read_bytes() == (other / name).read_bytes()
