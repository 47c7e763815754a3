"""The Whisper adapter against transformers' own route, on a random multilingual checkpoint and the embedded one."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.strategies import integers

from aligner.audio.read import read_audio
from aligner.core import Audio
from aligner.errors import InputError, ModelError, SettingError
from aligner.guard import import_torchaudio
from aligner.models import load_model
from aligner.models.features import mel_filters
from aligner.models.products import HalfLinear, PackedLinear
from aligner.models.silence import AFTER, EACH, LAST, thinned

import_torchaudio()  # transformers imports it

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def noise(seconds: float, seed: int = 0) -> Audio:
    """Noise of changing loudness, so that no two frames are alike."""
    rng = np.random.default_rng(seed)
    count = round(seconds * 16000)
    loudness = np.repeat(rng.random(count // 800 + 1), 800)[:count]
    return Audio((rng.standard_normal(count) * loudness * 0.1).astype(np.float32), 16000)


def speech(limit: float | None = None) -> Audio:
    audio = read_audio(SAMPLES / "carrots.flac", 16000)
    return audio if limit is None else Audio(audio.samples[: round(limit * 16000)], 16000)


@pytest.fixture(scope="module", params=["multilingual", "embedded"])
def checkpoint(request: pytest.FixtureRequest) -> Path:
    """A checkpoint as transformers reads it."""
    return request.getfixturevalue(f"{request.param}_checkpoint")


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Any:
    return load_model(str(checkpoint))


@pytest.fixture(scope="module")
def eager(checkpoint: Path, model: Any) -> Any:
    """transformers' own model with eager attention."""
    import transformers

    return transformers.WhisperForConditionalGeneration.from_pretrained(
        checkpoint, attn_implementation="eager", dtype=torch.float32
    ).eval()


@pytest.fixture(scope="module")
def embedded() -> Any:
    return load_model()


def heard(audio: Audio) -> torch.Tensor:
    """transformers' features of the padded window, (1, mel bands, 3000)."""
    import transformers

    extractor = transformers.WhisperFeatureExtractor(feature_size=80)
    return extractor(audio.samples, sampling_rate=16000, return_tensors="pt").input_features


# --- audio ---------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [80, 128])
def test_filters_are_those_of_the_official_front_end(channels: int) -> None:
    import transformers

    expected = transformers.WhisperFeatureExtractor(feature_size=channels).mel_filters
    np.testing.assert_allclose(mel_filters(channels), expected, atol=1e-7)


@pytest.mark.parametrize("seconds", [0.05, 1.0, 2.345, 4.0081])
def test_features_are_the_first_frames_of_the_official_front_end(seconds: float, embedded: Any) -> None:
    audio = noise(seconds)
    expected = heard(audio)[0].T[: -(-len(audio.samples) // 160)]
    np.testing.assert_allclose(embedded.encode(audio).features, expected, atol=2e-5)


@pytest.mark.parametrize("seconds", [0.5, 2.345, 3.01, 29.5])
def test_encoder_states_are_those_of_transformers(seconds: float, model: Any, eager: Any) -> None:
    audio = noise(seconds)
    with torch.inference_mode():
        expected = eager.model.encoder(heard(audio)).last_hidden_state[0]
    encoded = model.encode(audio)
    assert encoded.counts is None
    assert encoded.states.shape == (1500, expected.shape[1])
    # Also in the frames around the end of the audio, whose windows hear speech and padding.
    np.testing.assert_allclose(encoded.states, expected, atol=2e-3)
    assert torch.nn.functional.cosine_similarity(encoded.states, expected).min() > 0.99999
    assert encoded.features.shape == (-(-len(audio.samples) // 160), 80)
    assert encoded.frames == len(audio.samples) // 320
    assert encoded.duration == audio.duration


@pytest.mark.parametrize("name", ["carrots", "oranges"])
def test_what_is_left_out_of_the_silence_is_not_missed(name: str, embedded: Any) -> None:
    """States of the speech are those of a window with all of its silence, far closer than lower precision comes."""
    audio = read_audio(SAMPLES / f"{name}.flac", 16000)
    encoded, exact = embedded.encode(audio, thin=True), embedded.encode(audio)
    assert encoded.counts is not None and len(encoded.counts) == len(encoded.states) < 800
    assert encoded.counts.sum() == 1500 and (encoded.counts[: encoded.frames + 50] == 1).all()
    assert encoded.frames == len(audio.samples) // 320 and len(encoded.features) == -(-len(audio.samples) // 160)
    kept, whole = encoded.states[: encoded.frames], exact.states[: encoded.frames]
    rough = load_model(dtype="bfloat16").encode(audio).states[: encoded.frames].float()
    moved, worse = ((states - whole).norm() / whole.norm() for states in (kept, rough))
    assert 0 < moved < 0.002
    assert moved < worse / 5


@given(frames=integers(1, 1500))
def test_every_frame_of_a_window_is_stood_for_once(frames: int) -> None:
    found = thinned(frames, 1500)
    if found is None:
        assert frames > 1500 - LAST - AFTER - EACH
        return
    assert found.counts.sum() == 1500
    middles = np.repeat(found.index.numpy(), found.counts.long().numpy())  # whose frame stands for each
    assert (abs(middles - np.arange(1500)) <= EACH // 2).all()
    whole = [*range(frames + AFTER), *range(1500 - LAST, 1500)]
    assert (middles[whole] == whole).all()
    assert len(found.index) < frames + AFTER + LAST + EACH + (1500 - LAST - AFTER - frames) / EACH


def test_windows_are_encoded_together_as_if_alone(embedded: Any) -> None:
    parts = [speech(), noise(0.3)]
    for one, alone in zip(embedded.encode_all(parts), map(embedded.encode, parts), strict=True):
        np.testing.assert_allclose(one.states, alone.states, atol=1e-3)
        assert (one.frames, one.duration) == (alone.frames, alone.duration)
        np.testing.assert_array_equal(one.features, alone.features)


def test_audio_that_does_not_fit_is_refused(embedded: Any) -> None:
    for bad in (noise(30.5), Audio(np.zeros(0, np.float32), 16000)):
        with pytest.raises(InputError, match="do not fit"):
            embedded.encode(bad)
    with pytest.raises(ValueError, match="16000 Hz"):
        embedded.encode(Audio(np.zeros(800, np.float32), 8000))


# --- decoder -------------------------------------------------------------------------------

TEXT = "she said, it's no use"


def prompted(model: Any, tokens: Any) -> tuple[torch.Tensor, int]:
    """The decoder's whole input as other tools build it, and how many of it are the prompt."""
    told = ["<|en|>", "<|transcribe|>"] if len(model.languages) > 1 else []
    names = ["<|startoftranscript|>", *told, "<|notimestamps|>"]
    prompt = [model.vocabulary.special[name] for name in names]
    return torch.tensor([[*prompt, *tokens.ids, model.vocabulary.special["<|endoftext|>"]]]), len(prompt)


def test_attention_is_that_of_the_eager_route(model: Any, eager: Any) -> None:
    audio, tokens = noise(3.0), model.tokenize(TEXT)
    encoded = model.encode(audio)
    attention = model.attend(encoded, tokens, "en")
    ids, n_prompt = prompted(model, tokens)
    with torch.inference_mode():
        output = eager(
            encoder_outputs=(encoded.states[None],), decoder_input_ids=ids, output_attentions=True, use_cache=False
        )
    expected = torch.cat(output.cross_attentions).numpy()
    assert attention.logits.shape == expected.shape
    assert (attention.prefix, attention.suffix, attention.frames) == (n_prompt - 1, 1, 150)
    for layer, heads in enumerate(expected):
        for head, weights in enumerate(heads):
            np.testing.assert_allclose(attention.probabilities(layer, head), weights[:, :150], atol=1e-5)
    np.testing.assert_allclose(attention.weights, expected[:, :, n_prompt - 1 : -1, :150], atol=1e-5)
    assert attention.weights.shape[2] == len(tokens) + 1
    assert attention.frame_duration == pytest.approx(0.02)


def test_attention_is_the_same_with_and_without_the_rest_of_the_pass(model: Any) -> None:
    encoded, tokens = model.encode(noise(1.0)), model.tokenize("one two")
    first = model.attend(encoded, tokens).logits
    np.testing.assert_array_equal(model.attend(encoded, tokens).logits, first)
    np.testing.assert_array_equal(model.force(encoded, tokens).attention.logits, first)


def test_token_log_probs_are_those_of_transformers_and_differentiable(model: Any, eager: Any) -> None:
    tokens = model.tokenize(TEXT)
    encoded = model.encode(noise(2.0))
    ids, n_prompt = prompted(model, tokens)
    with torch.inference_mode():
        logits = eager(encoder_outputs=(encoded.states[None],), decoder_input_ids=ids, use_cache=False).logits[0]
    expected = torch.log_softmax(logits[n_prompt - 1 : -1], -1)
    states = encoded.states.clone()[None].repeat(2, 1, 1).requires_grad_()
    found = model.token_log_probs(states, tokens, "en")
    assert found.shape == (2, len(tokens) + 1, expected.shape[1])
    np.testing.assert_allclose(found[0].detach(), expected, atol=2e-3)
    np.testing.assert_allclose(found[1].detach(), found[0].detach(), atol=1e-4)
    found[0, 3, tokens.ids[3]].backward()
    assert states.grad is not None and states.grad[0].abs().max() > 0
    assert states.grad[1].abs().max() == 0  # the other item of the batch
    among = torch.log_softmax(logits[n_prompt - 1 : -1, : model.special.end], -1)
    chosen = among[torch.arange(len(tokens)), torch.tensor(tokens.ids)].exp()
    np.testing.assert_allclose(model.force(encoded, tokens, "en").probabilities(), chosen, rtol=1e-2, atol=1e-7)


def test_features_carry_gradients_to_the_output(embedded: Any) -> None:
    features = embedded.encode(noise(1.0)).features.clone().requires_grad_()
    tokens = embedded.tokenize("two words")
    embedded.token_log_probs(embedded.encode_features(features[None]), tokens)[0, 0, tokens.ids[0]].backward()
    assert features.grad is not None and torch.isfinite(features.grad).all() and features.grad.abs().max() > 0


def test_greedy_transcripts_are_those_of_generate(model: Any, eager: Any) -> None:
    audio = speech()
    told = {"language": "de", "task": "translate"} if len(model.languages) > 1 else {}
    made = eager.generate(heard(audio), do_sample=False, num_beams=1, max_new_tokens=60, **told)[0].tolist()
    text = [token for token in made if token < model.special.end]
    (found,) = model.transcribe([model.encode(audio)], **told)
    assert len(text) >= 7
    assert list(found.ids[: len(text)]) == text
    if len(text) < 60:
        assert list(found.ids) == text and found.text == model.vocabulary.decode(text).strip()


def test_a_transcript_is_as_probable_as_a_forced_pass_says(embedded: Any) -> None:
    encoded = embedded.encode(speech())
    (found,) = embedded.transcribe([encoded])
    assert len(found.ids) > 5
    log_probs = embedded.token_log_probs(encoded.states[None], embedded.tokenize(found.text))[0]
    barred, starting = (rules.clone() for rules in (embedded.rules.never, embedded.rules.not_first))
    log_probs[:, barred] = -torch.inf
    log_probs[0, starting] = -torch.inf
    chosen = torch.tensor([*found.ids, embedded.special.end])
    expected = torch.log_softmax(log_probs, -1)[torch.arange(len(chosen)), chosen].mean()
    assert found.mean_log_prob == pytest.approx(float(expected), abs=1e-4)


def test_silence_is_told_from_speech_by_the_no_speech_token(embedded: Any) -> None:
    silence = Audio(np.zeros(5 * 16000, np.float32), 16000)
    talk, nothing = embedded.transcribe(embedded.encode_all([speech(), silence]))
    assert talk.no_speech < 0.1 < 0.5 < nothing.no_speech


def test_windows_are_transcribed_together_as_if_alone(embedded: Any) -> None:
    parts = [speech(), speech(0.9), read_audio(SAMPLES / "oranges.flac", 16000)]
    encoded = embedded.encode_all(parts)
    together = embedded.transcribe(encoded)
    for window, found in zip(encoded, together, strict=True):
        (alone,) = embedded.transcribe([window])
        assert alone.ids == found.ids
        assert alone.mean_log_prob == pytest.approx(found.mean_log_prob, abs=1e-3)
    assert len({found.text for found in together}) == 3


def test_language_detection_is_that_of_transformers(multilingual_checkpoint: Path, embedded: Any) -> None:
    import transformers

    model = load_model(str(multilingual_checkpoint))
    peer = transformers.WhisperForConditionalGeneration.from_pretrained(multilingual_checkpoint).eval()
    audio = noise(2.0, seed=4)
    expected = int(peer.detect_language(heard(audio))[0])
    code, probability = model.detect_language(model.encode(audio))
    assert model.vocabulary.special[f"<|{code}|>"] == expected
    assert 1 / 99 < probability < 1
    assert embedded.detect_language(embedded.encode(audio)) == ("en", 1.0)


def test_half_precision_attends_alike(embedded: Any) -> None:
    audio = speech()
    tokens = embedded.tokenize("carrots are")
    exact = embedded.attend(embedded.encode(audio), tokens).weights
    model = load_model(dtype="bfloat16")
    rough = model.attend(model.encode(audio), tokens).weights
    assert rough.dtype == np.float32 and rough.shape == exact.shape
    assert np.corrcoef(rough.ravel(), exact.ravel())[0, 1] > 0.98


def test_frames_that_stand_for_several_are_seen_as_often(model: Any) -> None:
    """Attention, scores and transcripts are those of states that are there as many times as they count."""
    audio, tokens = noise(3.0), model.tokenize(TEXT)
    thin = model.encode(audio, thin=True)
    often = replace(thin, states=thin.states.repeat_interleave(thin.counts.long(), 0), counts=None)
    one, other = (model.force(encoded, tokens, "en") for encoded in (thin, often))
    assert one.attention.logits.shape[-1] < other.attention.logits.shape[-1] == 1500
    np.testing.assert_allclose(one.attention.weights, other.attention.weights, atol=1e-6)
    np.testing.assert_allclose(one.probabilities(), other.probabilities(), rtol=1e-3)
    np.testing.assert_allclose(model.attend(thin, tokens, "en").weights, one.attention.weights, atol=1e-6)
    pair = [thin, model.encode(noise(1.0, seed=1), thin=True)]
    together = model.transcribe(pair, "en")
    assert [text.ids for text in together] == [model.transcribe([window], "en")[0].ids for window in pair]
    assert together[0].ids == model.transcribe([often], "en")[0].ids
    assert model.language_probabilities(thin) == pytest.approx(model.language_probabilities(often), rel=1e-3)


# --- what cannot be done -------------------------------------------------------------------


def test_settings_of_the_decoder_that_do_not_exist_are_refused(multilingual_checkpoint: Path, embedded: Any) -> None:
    model = load_model(str(multilingual_checkpoint))
    encoded, tokens = model.encode(noise(0.5)), model.tokenize("yes")
    with pytest.raises(SettingError, match=r"unknown language 'xx'.*\bde\b"):
        model.attend(encoded, tokens, "xx")
    with pytest.raises(SettingError, match="knows English only, not 'fr'"):
        embedded.check_language("fr")
    with pytest.raises(SettingError, match="only transcribes"):
        embedded.check_language("en", "translate")
    with pytest.raises(SettingError, match="units"):
        model.tokenize("yes", units="phone")
    model.check_language("de", "translate")
    model.check_language(None)


def test_more_tokens_than_the_decoder_takes_are_refused(multilingual_checkpoint: Path) -> None:
    model = load_model(str(multilingual_checkpoint))
    assert model.max_tokens == 448 - 4 - 1
    encoded = model.encode(noise(0.5))
    most = model.tokenize("no " * model.max_tokens)
    assert len(most) == model.max_tokens
    assert model.attend(encoded, most).weights.shape[2] == model.max_tokens + 1
    for call in (model.force, model.attend):
        with pytest.raises(InputError, match=r"444 tokens.* takes 443 .*split"):
            call(encoded, model.tokenize("no " * (model.max_tokens + 1)))


@pytest.mark.parametrize("name", ["nope", "./nope", "a/b/c", "with space/x", "x" * 120 + "/y"])
def test_names_of_no_model_are_refused_at_once(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        load_model(name)
    assert time.monotonic() - began < 3
    message = str(caught.value)
    assert repr(name) in message and "\n" not in message and "folder" in message


@pytest.mark.parametrize(
    "settings", [{"dtype": "int4"}, {"device": "gpu"}, {"device": "cuda"}, {"threads": 0}], ids=lambda s: str(s)
)
def test_settings_of_the_machine_that_do_not_exist_are_refused(settings: dict) -> None:
    if settings.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(SettingError):
        load_model(**settings)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("biased", [True, False])
def test_a_matrix_in_another_order_multiplies_alike(dtype: torch.dtype, tolerance: float, biased: bool) -> None:
    if not PackedLinear.fits(torch.device("cpu"), dtype):
        pytest.skip("oneDNN does not compute so on this processor")
    generator = torch.Generator().manual_seed(0)
    weight, hidden = torch.randn(50, 24, generator=generator), torch.randn(2, 7, 24, generator=generator)
    bias = torch.randn(50, generator=generator) if biased else None
    packed = PackedLinear(weight.half(), bias, dtype)
    expected = torch.nn.functional.linear(hidden, weight.half().float(), bias)
    with torch.inference_mode():
        found = packed(hidden.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=10 * tolerance)
    torch.testing.assert_close(packed.weight, weight.half().to(dtype))
    hidden.requires_grad_()
    (gradient,) = torch.autograd.grad(packed(hidden.to(dtype)).sum(), hidden)
    torch.testing.assert_close(
        gradient, weight.half().float().sum(0).expand_as(hidden), rtol=tolerance, atol=10 * tolerance
    )


@pytest.mark.parametrize("outputs", [51864, 51865, 31, 1])
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_a_matrix_in_half_precision_multiplies_in_single(outputs: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    weight = torch.randn(outputs, 24, generator=generator)
    if not HalfLinear.fits(weight.half()):
        pytest.skip("torch has no FBGEMM on this processor")
    assert HalfLinear.fits(weight.half().float()) and not HalfLinear.fits(weight)
    weight, bias = weight.half().float(), torch.randn(outputs, generator=generator)
    hidden = torch.randn(2, rows, 24, generator=generator)[:, ::2].requires_grad_()
    expected = torch.nn.functional.linear(hidden, weight, bias)
    made = HalfLinear(weight, bias)
    torch.testing.assert_close(made(hidden.detach()), expected, rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(made(hidden).sum(), hidden)
    torch.testing.assert_close(gradient, weight.sum(0).expand_as(hidden), rtol=1e-4, atol=1e-4)
