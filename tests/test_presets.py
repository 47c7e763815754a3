"""Presets against the tools they reproduce, on identical random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aligner.audio.read import read_audio
from aligner.core import AttentionMap, Audio, Tokens, WordSpan, softmax
from aligner.models import SpeechModel, load_model
from aligner.timing.aggregation import aggregate
from aligner.timing.path import warp
from aligner.timing.settings import PRESETS
from aligner.timing.steps import median_filter
from aligner.timing.words import TimedWords, time_words, word_frames

pytest.importorskip("whisper", reason="openai-whisper, a test-only peer, is not installed")

from benchmarks.peers import openai_model, openai_tokenizer, random_checkpoint

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
TEXTS = (
    "she had your dark suit in greasy wash water all year",
    "Well, it's no use, he said no: not a chance, my friends. Come on!",
    "one",
)


def noise(seconds: float, seed: int = 0) -> Audio:
    """Shaped noise: random weights hear nothing in it, but it gives every frame its own state."""
    rng = np.random.default_rng(seed)
    count = round(seconds * 16000)
    loudness = np.repeat(rng.random(count // 800 + 1), 800)[:count]
    return Audio((rng.standard_normal(count) * loudness * 0.1).astype(np.float32), 16000)


HEADS = ((0, 1), (1, 0))


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[SpeechModel, Any]:
    folder = random_checkpoint(tmp_path_factory.mktemp("twin"), "micro", seed=1, alignment_heads=HEADS)
    return load_model(str(folder)), openai_model(folder)


def check_against_find_alignment(
    model: SpeechModel, peer: Any, tokenizer: Any, audio: Audio, tokens: Tokens, heads: tuple[tuple[int, int], ...]
) -> TimedWords:
    """Preset openai and openai-whisper's own function, word by word."""
    import torch
    from whisper.audio import log_mel_spectrogram, pad_or_trim
    from whisper.timing import find_alignment, merge_punctuations

    mel = pad_or_trim(log_mel_spectrogram(audio.samples.copy(), padding=480000), 3000)
    mask = torch.zeros(peer.dims.n_text_layer, peer.dims.n_text_head, dtype=torch.bool)
    if heads:
        mask[tuple(np.array(heads).T)] = True
    else:  # what openai-whisper does with a checkpoint without a list
        mask[len(mask) // 2 :] = True
    peer.register_buffer("alignment_heads", mask.to_sparse(), persistent=False)
    frames = len(audio.samples) // 160
    theirs = find_alignment(peer, tokenizer, list(tokens.ids), mel, num_frames=frames)
    merge_punctuations(theirs, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
    theirs = [word for word in theirs if word.word.strip() not in ("", "<|endoftext|>")]
    preset = PRESETS["openai"].settings
    evidence = aggregate(model.attend(model.encode(audio), tokens), preset.aggregation, heads)
    path = warp(evidence, preset.path)
    found = time_words(path, evidence, tokens, audio.duration, preset.pauses)
    assert [word.text for word in found.words] == [word.word.strip() for word in theirs]
    starts, ends = word_frames(path, evidence, tokens, preset.pauses)
    np.testing.assert_allclose(starts * 0.02, [word.start for word in theirs], atol=1e-9)
    np.testing.assert_allclose(ends * 0.02, [word.end for word in theirs], atol=1e-9)
    return found


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("heads", [HEADS, ()], ids=["listed", "unlisted"])
def test_openai_words_are_those_of_find_alignment(twins, text: str, heads: tuple[tuple[int, int], ...]) -> None:
    from whisper.tokenizer import get_tokenizer

    model, peer = twins
    tokenizer = get_tokenizer(True, language="en")
    tokens = model.tokenize(text)
    assert list(tokens.ids) == tokenizer.encode(" " + text)
    check_against_find_alignment(model, peer, tokenizer, noise(4.0), tokens, heads)


def test_openai_words_on_speech_with_trained_weights() -> None:
    """Random weights leave most words empty; trained ones show where words go."""
    model = load_model("embedded")
    audio = read_audio(SAMPLES / "oranges.flac")
    audio = Audio(audio.samples[: len(audio.samples) // 320 * 320], audio.sample_rate)
    tokens = model.tokenize((SAMPLES / "oranges.txt").read_text())
    peer, tokenizer = openai_model("embedded"), openai_tokenizer("embedded")
    found = check_against_find_alignment(model, peer, tokenizer, audio, tokens, model.alignment_heads)
    assert found.words[-1].end - found.words[0].start > 0.5 * audio.duration


def test_huggingface_times_are_those_of_return_token_timestamps(twins) -> None:
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    model, _ = twins
    audio = noise(4.0, seed=3)
    extractor = WhisperFeatureExtractor(feature_size=80)
    heard = extractor(audio.samples, sampling_rate=16000, return_tensors="pt", return_attention_mask=True)
    network = WhisperForConditionalGeneration.from_pretrained(model.name, attn_implementation="eager").eval()
    made = network.generate(
        heard.input_features, attention_mask=heard.attention_mask, return_token_timestamps=True,
        return_timestamps=False, max_new_tokens=24, return_dict_in_generate=True, language="en", task="transcribe",
    )  # fmt: skip
    ids, times = made["sequences"][0].tolist(), made["token_timestamps"][0].numpy()
    ids, times = ids[-24:], times[-24:]
    # The last token was never fed back, so generating left no attention of it: its time repeats the one before.
    assert times[-1] == times[-2]
    tokens = Tokens(tuple(ids[:-1]), ("x",) * 23, (WordSpan("x", 0, 1),))
    preset = PRESETS["huggingface"].settings
    evidence = aggregate(model.attend(model.encode(audio), tokens), preset.aggregation, model.alignment_heads)
    path = warp(evidence, preset.path)
    onsets = path.frames[np.searchsorted(path.tokens, np.arange(23))] * 0.02
    assert len(set(onsets)) > 5
    np.testing.assert_allclose(onsets, times[:-1], atol=1e-6)


def test_whisper_timestamped_times_are_those_of_perform_word_alignment() -> None:
    import torch
    from whisper.tokenizer import get_tokenizer

    tool = pytest.importorskip(
        "whisper_timestamped.transcribe", reason="whisper-timestamped, a test-only peer, is not installed"
    )
    tokenizer = get_tokenizer(True, num_languages=99, language="en")
    text = tokenizer.encode(" she had your dark suit in greasy water all year")
    frames = 150
    ids = [tokenizer.timestamp_begin, *text, tokenizer.timestamp_begin + frames]
    rng = np.random.default_rng(5)
    scores = rng.normal(0, 1, (2, 3, len(ids), frames)).astype(np.float32)
    for row in range(len(ids)):  # a rough diagonal, so that words have a length
        middle = (row + 0.5) * frames / len(ids)
        scores[:, :, row] += 4 * np.exp(-(((np.arange(frames) - middle) / 6) ** 2))
    tool.num_alignment_for_plot = 0  # a global that its main function sets
    theirs = tool.perform_word_alignment(
        ids, [torch.from_numpy(layer[None]) for layer in scores], tokenizer, detect_disfluencies=False,
        refine_whisper_precision_nframes=0,
    )  # fmt: skip
    # Their time-stamp tokens at both ends are rows like any other here.
    spans = tuple(WordSpan(tokenizer.decode([token]).strip(), i + 1, i + 2) for i, token in enumerate(text))
    tokens = Tokens(tuple(ids[:-1]), tuple(tokenizer.decode_with_timestamps([token]) for token in ids[:-1]), spans)
    preset = PRESETS["whisper-timestamped"].settings
    evidence = aggregate(AttentionMap(scores, frames, 0.02), preset.aggregation.__class__(
        "all", preset.aggregation.heads, preset.aggregation.steps
    ))  # fmt: skip
    found = time_words(warp(evidence, preset.path), evidence, tokens, frames * 0.02, preset.pauses)
    inner = slice(1, -1)  # theirs stretches the first and last word to the segment
    assert [word.text for word in found.words] == [word["text"].strip() for word in theirs]
    np.testing.assert_allclose(
        [(word.start, word.end) for word in found.words[inner]],
        [(word["start"], word["end"]) for word in theirs[inner]],
        atol=0.011,  # theirs are rounded to 10 ms
    )


def test_char_alignment_follows_the_published_recipe(twins) -> None:
    model, _ = twins
    preset = PRESETS["char-alignment"].settings
    tokens = model.tokenize("no use at all", preset.units)
    assert list(tokens.texts) == list("no use at all")
    rng = np.random.default_rng(9)
    scores = rng.normal(0, 3, (4, 6, len(tokens) + 5, 120)).astype(np.float32)
    attention = AttentionMap(scores * rng.random((4, 6, 1, 1), np.float32), 90, 0.02, prefix=3, suffix=1)
    evidence = aggregate(attention, preset.aggregation)
    # The same in the words of the paper's code: filter, softmax, rank by norms, divide, average, crop.
    weights = softmax(median_filter(attention.logits[..., :90], 7))
    norms = np.linalg.norm(weights, axis=-2).sum(-1) + np.linalg.norm(weights, axis=-1).sum(-1)
    best = np.argsort(norms.ravel())[-15:]
    heads = weights.reshape(-1, *weights.shape[2:])[best]
    expected = (heads / np.linalg.norm(heads, axis=-2, keepdims=True)).mean(0)[3:-1]
    np.testing.assert_allclose(evidence.values, expected, atol=1e-6)
