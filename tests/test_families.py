"""Models of other families than Whisper against transformers' own route, on small random checkpoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from aligner import saliency
from aligner.command.cli import main
from aligner.core import Audio
from aligner.errors import InputError, ModelError, SettingError
from aligner.guard import import_torchaudio
from aligner.models import load_model
from aligner.models.base import HearsSpectrogram
from aligner.saliency.reading import kl_divergence, reread

import_torchaudio()  # transformers imports it
transformers = pytest.importorskip("transformers")

TALK = Path(__file__).parents[1] / "data" / "samples" / "carrots.flac"
TEXT = "carrots are good, it's no use"
LINES = [
    TEXT.lower(),
    "she had your dark suit in greasy wash water all year",
    "a quick brown fox jumps over lazy dogs",
] * 9


def noise(seconds: float, seed: int = 0) -> Audio:
    rng = np.random.default_rng(seed)
    count = round(seconds * 16000)
    loudness = np.repeat(rng.random(count // 800 + 1), 800)[:count]
    return Audio((rng.standard_normal(count) * loudness * 0.1).astype(np.float32), 16000)


# --- small checkpoints ---------------------------------------------------------------------


def moonshine(folder: Path) -> Path:
    """Random weights, and byte-level pieces as Llama's."""
    import tokenizers
    from tokenizers import decoders, normalizers, trainers

    pieces = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    pieces.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    pieces.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=[*special, *(f"<0x{i:02X}>" for i in range(256))], show_progress=False
    )
    pieces.train_from_iterator([line.replace(" ", "  ") for line in LINES], trainer)
    written = json.loads(pieces.to_str())  # bytes are pieces like others, not special tokens
    written["added_tokens"] = [token for token in written["added_tokens"] if token["content"] in special]
    torch.manual_seed(0)
    network = transformers.MoonshineForConditionalGeneration(
        transformers.MoonshineConfig(
            vocab_size=len(written["model"]["vocab"]), hidden_size=48, intermediate_size=96,
            encoder_num_hidden_layers=2, decoder_num_hidden_layers=3, encoder_num_attention_heads=4,
            decoder_num_attention_heads=4, encoder_num_key_value_heads=4, decoder_num_key_value_heads=4,
            max_position_embeddings=194, initializer_range=0.3,
        )
    )  # fmt: skip
    network.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(written), encoding="utf-8")
    names = dict(zip(("unk_token", "bos_token", "eos_token"), special, strict=True))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "</s>", **names})
    )
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=False, sampling_rate=16000)
    extractor.save_pretrained(folder)
    return folder


def speech2text(folder: Path) -> Path:
    """Random weights, and a SentencePiece vocabulary in lower case."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece, Speech2Text's tokenizer, is missing")
    folder.mkdir()
    trained = folder / "spm"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_prefix=str(trained), vocab_size=80, model_type="bpe", bos_id=0, pad_id=1,
        eos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    pieces = sentencepiece.SentencePieceProcessor(model_file=f"{trained}.model")
    (folder / "vocab.json").write_text(json.dumps({pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}))
    tokenizer = transformers.Speech2TextTokenizer(
        vocab_file=str(folder / "vocab.json"), spm_file=f"{trained}.model", do_lower_case=False
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    network = transformers.Speech2TextForConditionalGeneration(
        transformers.Speech2TextConfig(
            vocab_size=pieces.get_piece_size(), d_model=48, encoder_layers=2, decoder_layers=3, encoder_ffn_dim=96,
            decoder_ffn_dim=96, encoder_attention_heads=4, decoder_attention_heads=4, max_target_positions=200,
            conv_channels=32, input_feat_per_channel=80, init_std=0.3,
        )
    )  # fmt: skip
    network.save_pretrained(folder)
    transformers.Speech2TextFeatureExtractor().save_pretrained(folder)
    return folder


MADE = {"moonshine": moonshine, "speech2text": speech2text}


@pytest.fixture(scope="module", params=sorted(MADE))
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MADE[request.param](tmp_path_factory.mktemp(request.param) / "tiny")


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Any:
    return load_model(str(checkpoint))


def is_moonshine(model: Any) -> bool:
    return not isinstance(model, HearsSpectrogram)


@pytest.fixture(scope="module")
def peer(checkpoint: Path) -> Any:
    return transformers.AutoModelForSpeechSeq2Seq.from_pretrained(checkpoint, attn_implementation="eager").eval()


def heard(peer: Any, audio: Audio) -> dict[str, torch.Tensor]:
    """What transformers' own model is given of a recording."""
    if peer.main_input_name == "input_features":
        made = transformers.Speech2TextFeatureExtractor()(audio.samples, sampling_rate=16000, return_tensors="pt")
        return {"input_features": made.input_features}
    # A frame sees 895 samples and follows the one before by 384: so much silence centres it.
    return {"input_values": torch.from_numpy(np.pad(audio.samples, (255, 256)))[None]}


# --- audio ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.02, 0.5, 2.345])
def test_frames_are_as_long_as_the_shapes_say(model: Any, seconds: float) -> None:
    encoded = model.encode(noise(seconds))
    assert model.frame_duration == (0.024 if is_moonshine(model) else 0.04)
    assert encoded.frames == max(1, int(seconds / model.frame_duration))
    assert encoded.duration == pytest.approx(seconds)
    if seconds > 0.1:
        assert abs(len(encoded.states) * model.frame_duration - seconds) < model.frame_duration


def test_a_frame_hears_the_sound_around_its_place(model: Any) -> None:
    audio = noise(1.0)
    encoder, kept = model.encoder, []
    heard = model.encode(audio).features.clone()[None].requires_grad_()
    moonshine = is_moonshine(model)
    if moonshine:
        normed, encoder.groupnorm = encoder.groupnorm, torch.nn.Identity()  # it hears everything, by its mean
    hook = (encoder.conv3 if moonshine else encoder.conv).register_forward_hook(lambda *seen: kept.append(seen[2]))
    try:
        model.encode_features(heard)
    finally:
        hook.remove()
        if moonshine:
            encoder.groupnorm = normed
    frames = kept[0][0].T if moonshine else kept[0][0]
    for frame in (3, 9, 14):
        (gradient,) = torch.autograd.grad(frames[frame].sum(), heard, retain_graph=True)
        rows = gradient[0].abs().sum(-1).nonzero()[:, 0]
        middle = float(rows.min() + rows.max()) / 2
        # A filter bank is of 25 ms, a sample of none.
        seconds = (middle + 0.5) / 16000 if moonshine else middle * 0.01 + 0.0125
        assert abs(seconds - (frame + 0.5) * model.frame_duration) < (1e-4 if moonshine else 0.01)


def test_encoder_states_are_those_of_transformers(model: Any, peer: Any) -> None:
    audio = noise(1.7)
    with torch.inference_mode():
        expected = peer.get_encoder()(**heard(peer, audio)).last_hidden_state[0]
    encoded = model.encode(audio)
    np.testing.assert_allclose(encoded.states, expected, atol=1e-4)
    for one, alone in zip(model.encode_all([audio, noise(0.3)]), [encoded, model.encode(noise(0.3))], strict=True):
        np.testing.assert_array_equal(one.states, alone.states)


def test_audio_that_does_not_fit_is_refused(model: Any) -> None:
    for bad in (noise(30.5), Audio(np.zeros(0, np.float32), 16000)):
        with pytest.raises(InputError, match="do not fit"):
            model.encode(bad)


# --- text ----------------------------------------------------------------------------------


def test_words_are_the_rows_that_spell_them(model: Any) -> None:
    tokens = model.tokenize(TEXT)
    spelled = [model.vocabulary.decode(tokens.ids[word.start : word.stop]).strip() for word in tokens.words]
    assert spelled == ["carrots", "are", "good", "it's", "no", "use"]
    assert [word.text for word in tokens.words] == TEXT.split()
    whole = model.vocabulary.tokenizer(TEXT, add_special_tokens=False).input_ids
    assert list(tokens.ids) == whole


def test_characters_are_a_row_each(model: Any) -> None:
    tokens = model.tokenize("no use", units="character")
    assert [text.replace("▁", " ") or " " for text in tokens.texts] == list("no use")
    assert [(word.start, word.stop) for word in tokens.words] == [(0, 2), (3, 6)]


def test_a_vocabulary_of_one_case_reads_any(model: Any) -> None:
    found = model.tokenize("Carrots ARE")
    assert [word.text for word in found.words] == ["Carrots", "ARE"]
    # Moonshine's has bytes for what it lacks.
    assert (found.ids == model.tokenize("carrots are").ids) != is_moonshine(model)


# --- decoder -------------------------------------------------------------------------------


def forced(peer: Any, audio: Audio, ids: tuple[int, ...]) -> Any:
    special = peer.config.decoder_start_token_id, peer.config.eos_token_id
    given = torch.tensor([[special[0], *ids, special[1]]])
    with torch.inference_mode():
        return peer(**heard(peer, audio), decoder_input_ids=given, output_attentions=True, use_cache=False)


def test_attention_is_that_of_the_eager_route(model: Any, peer: Any) -> None:
    audio, tokens = noise(2.0), model.tokenize(TEXT)
    encoded = model.encode(audio)
    attention = model.attend(encoded, tokens)
    expected = torch.cat(forced(peer, audio, tokens.ids).cross_attentions).numpy()
    assert attention.logits.shape == expected.shape == (3, 4, len(tokens) + 2, len(encoded.states))
    assert expected.max() > 3 * expected.mean()  # not flat
    np.testing.assert_allclose(attention.weights, expected[:, :, :-1, : encoded.frames], atol=1e-5)
    assert (attention.prefix, attention.suffix, attention.frames) == (0, 1, encoded.frames)


def test_log_probabilities_are_those_of_transformers_and_differentiable(model: Any, peer: Any) -> None:
    audio, tokens = noise(1.0), model.tokenize(TEXT)
    encoded = model.encode(audio)
    scores = forced(peer, audio, tokens.ids).logits[0]
    expected = torch.log_softmax(scores[:-1], -1)
    states = encoded.states.clone()[None].repeat(2, 1, 1).requires_grad_()
    found = model.token_log_probs(states, tokens)
    np.testing.assert_allclose(found[1].detach(), expected, atol=1e-3)
    found[0, 2, tokens.ids[2]].backward()
    assert states.grad[0].abs().max() > 0 == states.grad[1].abs().max()
    keep = torch.rand(2, len(encoded.states)) > 0.3
    alone = model.token_log_probs((encoded.states * keep[1][:, None])[None], tokens)[0]
    whole = model.token_log_probs(encoded.states[None], tokens)[0]
    found = reread(model, encoded, tokens, None).without_states(keep[:, : encoded.frames])[1]
    np.testing.assert_allclose(found, kl_divergence(whole, alone[None])[0], atol=1e-4)
    text = [i for i in range(scores.shape[1]) if i not in {peer.config.decoder_start_token_id, 2}]
    among = torch.log_softmax(scores[:, text], -1)
    chosen = [float(among[row, text.index(token)].exp()) for row, token in enumerate(tokens.ids)]
    np.testing.assert_allclose(model.force(encoded, tokens).probabilities(), chosen, rtol=1e-3, atol=1e-7)


def test_greedy_transcripts_are_those_of_generate(model: Any, peer: Any) -> None:
    audio = noise(1.5, seed=2)
    encoded = model.encode(audio)
    (found,) = model.transcribe([encoded])
    special = {name: getattr(peer.config, name) for name in ("decoder_start_token_id", "eos_token_id", "pad_token_id")}
    peer.generation_config = transformers.GenerationConfig(**special)
    made = peer.generate(**heard(peer, audio), max_new_tokens=encoded.frames, num_beams=1, do_sample=False)
    expected = [i for i in made[0, 1:].tolist() if i != 2]
    assert len(expected) > 3 and list(found.ids) == expected
    scores = torch.log_softmax(forced(peer, audio, found.ids).logits[0], -1)
    ended = len(found.ids) < encoded.frames
    chosen = [*found.ids, *([2] if ended else [])]
    mean = scores[torch.arange(len(chosen)), torch.tensor(chosen)].mean()
    assert found.mean_log_prob == pytest.approx(float(mean), abs=1e-3)


# --- alignment -----------------------------------------------------------------------------


def test_words_carry_times_from_attention(model: Any, checkpoint: Path) -> None:
    settings = ["-t", TEXT, "--layers", "last:1", "-f", "json", "-o", "-", "-q"]
    result = CliRunner().invoke(main, [str(TALK), "-m", str(checkpoint), *settings])
    assert result.exit_code == 0, result.output
    written = json.loads(result.stdout)
    words = [word for segment in written["segments"] for word in segment["words"]]
    assert [word["word"].strip() for word in words] == TEXT.split()
    edges = [edge for word in words for edge in (word["start"], word["end"])]
    assert edges == sorted(edges) and edges[-1] <= written["duration"]
    assert written["provenance"]["fingerprint"] == model.fingerprint


# --- what cannot be done -------------------------------------------------------------------


def test_saliency_of_encoder_frames_is_for_every_family(model: Any) -> None:
    encoded, tokens = model.encode(noise(1.0)), model.tokenize("no use")
    found = saliency.compute(model, encoded, tokens, "encoder", masks=20, threshold=0)
    assert found.values.shape == (len(tokens) + 1, encoded.frames, 1)
    assert saliency.compute(model, encoded, tokens, "gradient:output").values.shape == found.values.shape


@pytest.mark.parametrize("method", ["strips:80", "spes", "gradient", "gradient:1"])
def test_saliency_of_a_spectrogram_is_for_those_who_hear_one(model: Any, method: str) -> None:
    encoded, tokens = model.encode(noise(1.0)), model.tokenize("no use")
    if is_moonshine(model):
        with pytest.raises(SettingError, match="hears the waveform: take saliency encoder") as caught:
            saliency.compute(model, encoded, tokens, method, masks=20, threshold=0)
        assert "\n" not in str(caught.value)
    else:
        found = saliency.compute(model, encoded, tokens, method, masks=20, threshold=0)
        assert np.isfinite(found.values).all() and len(found.values) == len(tokens) + 1


def test_a_language_or_task_that_cannot_be_told_is_refused(checkpoint: Path, model: Any) -> None:
    for options in (["-l", "de"], ["--task", "translate"]):
        result = CliRunner().invoke(main, [str(TALK), "-t", TEXT, "-m", str(checkpoint), "-o", "-", *options])
        (error,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert result.exit_code == 2 and "cannot" in error and str(checkpoint) in error
    model.check_language("en")
    assert model.detect_language(model.encode(noise(0.5))) == ("en", 1.0)


def test_the_language_of_a_moonshine_is_in_its_name(tmp_path: Path) -> None:
    model = load_model(str(moonshine(tmp_path / "moonshine-tiny-ja")))
    assert model.languages == ("ja",)
    model.check_language("ja")


def test_more_tokens_than_the_decoder_takes_are_refused(model: Any) -> None:
    encoded = model.encode(noise(0.5))
    assert model.max_tokens == (192 if is_moonshine(model) else 198)
    with pytest.raises(InputError, match=r"tokens.* takes .*split"):
        model.force(encoded, model.tokenize("no " * 300))


@pytest.mark.parametrize("fault", ["weights", "half", "vocabulary", "config"])
def test_files_that_do_not_make_a_model_are_one_sentence(checkpoint: Path, tmp_path: Path, fault: str) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(checkpoint, tmp_path / "broken")
    if fault == "weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    elif fault == "half":
        weights = load_file(folder / "model.safetensors")
        lost = next(name for name in weights if "encoder_attn.q_proj.weight" in name)
        save_file({name: value for name, value in weights.items() if name != lost}, folder / "model.safetensors")
    elif fault == "vocabulary":
        for name in ("tokenizer.json", "vocab.json", "sentencepiece.bpe.model"):
            (folder / name).unlink(missing_ok=True)
    else:
        config = json.loads((folder / "config.json").read_text())
        hidden = "hidden_size" if "hidden_size" in config else "d_model"
        (folder / "config.json").write_text(json.dumps({**config, hidden: 64}))
    with pytest.raises(ModelError) as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
