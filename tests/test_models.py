"""The Whisper adapter against transformers' own route, on a random multilingual checkpoint and the embedded one."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aligner.audio.read import read_audio
from aligner.core import Audio
from aligner.errors import AlignerError, InputError, ModelError, SettingError
from aligner.models import load_model
from aligner.models.base import EMBEDDED

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def noise(seconds: float, seed: int = 0) -> Audio:
    """Noise of changing loudness, so that no two frames are alike."""
    rng = np.random.default_rng(seed)
    count = round(seconds * 16000)
    loudness = np.repeat(rng.random(count // 800 + 1), 800)[:count]
    return Audio((rng.standard_normal(count) * loudness * 0.1).astype(np.float32), 16000)


def speech(limit: float | None = None) -> Audio:
    audio = read_audio(SAMPLES / "kitchen.flac", 16000)
    return audio if limit is None else Audio(audio.samples[: round(limit * 16000)], 16000)


@pytest.fixture(scope="module")
def padded_embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded weights as a checkpoint that hears padding to 30 s, as other tools run it."""
    folder = tmp_path_factory.mktemp("embedded") / "padded"
    shutil.copytree(EMBEDDED, folder)
    config = json.loads((folder / "config.json").read_text())
    config["aligner"]["trimmed"] = False
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module", params=["multilingual", "embedded"])
def checkpoint(request: pytest.FixtureRequest, padded_embedded: Path) -> Path:
    """A checkpoint that is padded to 30 s."""
    if request.param == "embedded":
        return padded_embedded
    return request.getfixturevalue("multilingual_checkpoint")


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


@pytest.mark.parametrize("seconds", [0.05, 1.0, 2.345, 4.0081])
def test_features_are_the_first_frames_of_the_official_front_end(seconds: float, model: Any, embedded: Any) -> None:
    audio = noise(seconds)
    expected = heard(audio)[0].T[: -(-len(audio.samples) // 160)]
    np.testing.assert_allclose(model.features(audio), expected, atol=2e-5)
    np.testing.assert_allclose(embedded.features(audio), expected, atol=2e-5)


@pytest.mark.parametrize("seconds", [0.5, 2.345, 3.01])
def test_padded_encoder_states_are_those_of_transformers(seconds: float, model: Any, eager: Any) -> None:
    audio = noise(seconds)
    with torch.inference_mode():
        expected = eager.model.encoder(heard(audio)).last_hidden_state[0]
    encoded = model.encode(audio)
    assert encoded.states.shape == (1500, expected.shape[1])
    # Also in the frames around the end of the audio, whose windows hear speech and padding.
    np.testing.assert_allclose(encoded.states, expected, atol=2e-3)
    assert torch.nn.functional.cosine_similarity(encoded.states, expected).min() > 0.99999
    assert encoded.features.shape == (-(-len(audio.samples) // 160), 80)
    assert model.real_frames(encoded) == len(audio.samples) // 320
    assert encoded.duration == audio.duration


def test_trimmed_encoder_is_the_same_network_on_real_audio_only(embedded: Any) -> None:
    import transformers

    audio = noise(2.0)
    reference = transformers.WhisperForConditionalGeneration.from_pretrained(
        EMBEDDED, attn_implementation="eager", dtype=torch.float32
    ).eval()
    encoder = reference.model.encoder
    # A network whose whole window is these two seconds.
    encoder.config.max_source_positions = 100
    encoder.embed_positions = torch.nn.Embedding.from_pretrained(encoder.embed_positions.weight[:100])
    with torch.inference_mode():
        expected = encoder(embedded.features(audio).T[None]).last_hidden_state[0]
    np.testing.assert_allclose(embedded.encode(audio).states, expected, atol=1e-4)
    odd = embedded.encode(noise(1.01))  # 101 feature frames are 51 encoder frames, 50 of them full
    assert odd.states.shape[0] == 51 and embedded.real_frames(odd) == 50


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
    tokenizer = model.tokenizer
    names = ["<|startoftranscript|>", *(["<|en|>", "<|transcribe|>"] if model.multilingual else []), "<|notimestamps|>"]
    prompt = tokenizer.convert_tokens_to_ids(names)
    return torch.tensor([[*prompt, *tokens.ids, tokenizer.convert_tokens_to_ids("<|endoftext|>")]]), len(prompt)


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


def test_attention_without_and_with_spurious_hooks(model: Any) -> None:
    encoded, tokens = model.encode(noise(1.0)), model.tokenize("one two")
    first = model.attend(encoded, tokens).logits
    np.testing.assert_array_equal(model.attend(encoded, tokens).logits, first)
    np.testing.assert_array_equal(model.force(encoded, tokens).attention.logits, first)
    projections = [m for layer in model.network.model.decoder.layers for m in layer.encoder_attn.children()]
    assert not any(module._forward_hooks for module in projections)  # none stays behind


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
    chosen = expected[torch.arange(len(tokens)), torch.tensor(tokens.ids)].exp()
    np.testing.assert_allclose(model.force(encoded, tokens, "en").probabilities(), chosen, rtol=1e-2, atol=1e-7)


def test_features_carry_gradients_to_the_output(embedded: Any) -> None:
    features = embedded.features(noise(1.0)).clone().requires_grad_()
    tokens = embedded.tokenize("two words")
    embedded.token_log_probs(embedded.encode_features(features[None]), tokens)[0, 0, tokens.ids[0]].backward()
    assert features.grad is not None and torch.isfinite(features.grad).all() and features.grad.abs().max() > 0


def test_greedy_transcripts_are_those_of_generate(model: Any, eager: Any) -> None:
    audio = speech(4.0)
    told = {"language": "de", "task": "translate"} if model.multilingual else {}
    made = eager.generate(heard(audio), do_sample=False, num_beams=1, max_new_tokens=60, **told)[0].tolist()
    end = model.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    text = [token for token in made if token < end]
    found = model.greedy(model.encode(audio).states[None], **told)[0]
    assert len(text) >= 10
    assert found[: len(text)] == text
    if len(text) < 60:
        assert found == text
        assert model.transcribe(model.encode(audio), **told) == model.decode(text).strip()


def test_greedy_decodes_each_item_of_a_batch_as_if_alone(padded_embedded: Path) -> None:
    model = load_model(str(padded_embedded))
    parts = [read_audio(path, 16000) for path in sorted(SAMPLES.glob("*.flac"))[:2]]
    states = torch.stack([model.encode(part).states for part in parts])
    together = model.greedy(states)
    assert together == [model.greedy(one[None])[0] for one in states]
    assert together[0] != together[1] and all(together)


def test_windows_are_transcribed_together_as_if_alone(padded_embedded: Path, embedded: Any) -> None:
    parts = [speech(2.0), Audio(speech(6.0).samples[48000:], 16000)]  # of different length
    padded = load_model(str(padded_embedded))
    assert embedded.together == 1 < padded.together
    for model in (padded, embedded):
        encoded = [model.encode(part) for part in parts]
        assert model.transcribe_all(encoded) == [model.transcribe(one) for one in encoded]


def test_language_detection_is_that_of_transformers(multilingual_checkpoint: Path, embedded: Any) -> None:
    import transformers

    model = load_model(str(multilingual_checkpoint))
    peer = transformers.WhisperForConditionalGeneration.from_pretrained(multilingual_checkpoint).eval()
    audio = noise(2.0, seed=4)
    expected = int(peer.detect_language(heard(audio))[0])
    assert f"<|{model.detect_language(model.encode(audio))}|>" == model.tokenizer.convert_ids_to_tokens(expected)
    assert embedded.detect_language(embedded.encode(audio)) == "en"


def test_half_precision_attends_alike(embedded: Any) -> None:
    audio = speech(3.0)
    tokens = embedded.tokenize("the kitchen")
    exact = embedded.attend(embedded.encode(audio), tokens).weights
    model = load_model(dtype="bfloat16")
    rough = model.attend(model.encode(audio), tokens).weights
    assert rough.dtype == np.float32 and rough.shape == exact.shape
    assert np.corrcoef(rough.ravel(), exact.ravel())[0, 1] > 0.98


# --- what cannot be done -------------------------------------------------------------------


def test_settings_of_the_decoder_that_do_not_exist_are_refused(multilingual_checkpoint: Path, embedded: Any) -> None:
    model = load_model(str(multilingual_checkpoint))
    encoded, tokens = model.encode(noise(0.5)), model.tokenize("yes")
    with pytest.raises(SettingError, match=r"unknown language 'xx'.*\bde\b"):
        model.attend(encoded, tokens, "xx")
    with pytest.raises(SettingError, match="unknown language 'fr'"):
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


@pytest.mark.parametrize(
    "name", ["", "nope", "./nope", "a/b/c", "with space/x", "openai/whisper-nope", "x" * 120 + "/y"]
)
def test_names_of_no_model_are_refused_at_once(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        load_model(name)
    assert time.monotonic() - began < 10
    message = str(caught.value)
    assert repr(name) in message and "\n" not in message and "folder" in message


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "not a complete checkpoint"),
        ({"config.json": "{oops"}, "not a complete checkpoint"),
        ({"config.json": '{"model_type": "whisper"}'}, "not a complete checkpoint"),
        ({"config.json": '{"model_type": "bert"}'}, "family 'bert'; supported: whisper"),
    ],
)
def test_folders_that_hold_no_whisper_checkpoint_are_refused(files: dict, reason: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match=reason) as caught:
        load_model(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_refused(padded_embedded: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(padded_embedded, folder)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(AlignerError, match="not a complete checkpoint"):
        load_model(str(folder))


@pytest.mark.parametrize(
    "settings", [{"dtype": "int8"}, {"device": "gpu"}, {"device": "cuda"}, {"threads": 0}], ids=lambda s: str(s)
)
def test_settings_of_the_machine_that_do_not_exist_are_refused(settings: dict) -> None:
    if settings.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(SettingError):
        load_model(**settings)
