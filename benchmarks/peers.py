"""The same weights for every tool: checkpoints as transformers, openai-whisper and CTranslate2 have them.

The other tools are imported inside the functions that need them: they serve comparisons only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aligner.models.checkpoint import Checkpoint
from aligner.models.load import open_checkpoint
from aligner.models.shape import Shape
from aligner.models.tokens import Vocabulary, read_vocabulary
from aligner.models.whisper import Special

SIZES = {"micro": (64, 2, 2), "tiny": (384, 6, 4), "base": (512, 8, 6)}  # width, heads, layers


def random_checkpoint(
    folder: Path, size: str = "micro", seed: int = 0, alignment_heads: Sequence[tuple[int, int]] = ()
) -> Path:
    """A multilingual Whisper checkpoint with random weights, as a transformers folder.

    Parameters
    ----------
    folder : Path
        Created.
    size : str
        "tiny" and "base" have the shapes of OpenAI's checkpoints; "micro" is for tests.
    seed : int
    alignment_heads : sequence of (layer, head)
        For the generation settings.

    Returns
    -------
    Path
        The folder.
    """
    import torch

    width, heads, layers = SIZES[size]
    vocabulary = read_vocabulary(None, 51865)
    config = _config(
        vocabulary.special, vocab_size=51865, num_mel_bins=80, d_model=width, encoder_attention_heads=heads,
        decoder_attention_heads=heads, encoder_layers=layers, decoder_layers=layers, encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        # Far from zero, so that attention is not flat and paths are not ties.
        init_std=0.1 if size == "micro" else 0.04,
    )  # fmt: skip
    torch.manual_seed(seed)
    return _save(folder, _transformers().WhisperForConditionalGeneration(config), vocabulary, True, alignment_heads)


def transformers_folder(name: str, folder: Path) -> Path:
    """A checkpoint as transformers saves it, in the precision of its files.

    Parameters
    ----------
    name : str
        As for `aligner.load_model`.
    folder : Path
        Created.

    Returns
    -------
    Path
        The folder.
    """
    import torch

    checkpoint = open_checkpoint(name)
    special = Special.of(checkpoint)
    config = _config(checkpoint.vocabulary.special, **vars(Shape.of(checkpoint.config)))
    weights = {name: tensor.clone() for name, tensor in checkpoint.weights().items()}
    with torch.device("meta"):
        network = _transformers().WhisperForConditionalGeneration(config)
    weights["proj_out.weight"] = weights["model.decoder.embed_tokens.weight"]
    network.load_state_dict(weights, assign=True)
    network.tie_weights()
    never, first = checkpoint.suppressed
    return _save(
        folder, network, checkpoint.vocabulary, bool(special.languages), checkpoint.alignment_heads,
        suppress_tokens=list(never), begin_suppress_tokens=list(first),
    )  # fmt: skip


def _transformers() -> Any:
    from aligner.guard import import_torchaudio

    import_torchaudio()  # transformers imports it
    import transformers

    return transformers


def _config(special: dict[str, int], **numbers: Any) -> Any:
    end = special["<|endoftext|>"]
    return _transformers().WhisperConfig(
        bos_token_id=end, eos_token_id=end, pad_token_id=end, decoder_start_token_id=special["<|startoftranscript|>"],
        suppress_tokens=None, begin_suppress_tokens=None, **numbers,
    )  # fmt: skip


def _save(
    folder: Path, network: Any, vocabulary: Any, multilingual: bool, heads: Sequence[tuple[int, int]], **generation: Any
) -> Path:
    import json

    special = vocabulary.special
    end, start = special["<|endoftext|>"], special["<|startoftranscript|>"]
    settings: dict[str, Any] = {
        "decoder_start_token_id": start, "bos_token_id": end, "eos_token_id": end, "pad_token_id": end,
        "max_length": 448, "is_multilingual": multilingual, "return_timestamps": False,
        "max_initial_timestamp_index": 50, "no_timestamps_token_id": special["<|notimestamps|>"],
        "prev_sot_token_id": special["<|startofprev|>"], **generation,
    }  # fmt: skip
    if multilingual:
        settings["lang_to_id"] = {token: index for token, index in special.items() if len(token) in (6, 7)}
        settings["task_to_id"] = {task: special[f"<|{task}|>"] for task in ("transcribe", "translate")}
    if heads:
        settings["alignment_heads"] = [list(pair) for pair in heads]
    folder.mkdir(parents=True, exist_ok=True)
    network.eval().generation_config = _transformers().GenerationConfig(**settings)
    network.save_pretrained(folder)
    _transformers().WhisperFeatureExtractor(feature_size=network.config.num_mel_bins).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(with_special_tokens(vocabulary), encoding="utf-8")
    said = {"tokenizer_class": "WhisperTokenizer", "clean_up_tokenization_spaces": False, "model_max_length": 448}
    said |= dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "<|endoftext|>")
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


def with_special_tokens(vocabulary: Vocabulary) -> str:
    """`tokenizer.json` of a vocabulary."""
    from tokenizers import AddedToken, Tokenizer

    whole = Tokenizer.from_str(vocabulary.tokenizer.to_str())
    names = sorted(vocabulary.special, key=vocabulary.special.__getitem__)
    whole.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    assert all(whole.token_to_id(name) == index for name, index in vocabulary.special.items())
    return str(whole.to_str())


_NAMES = (  # transformers' part of a parameter's name, openai-whisper's
    ("model.", ""), ("layers.", "blocks."), ("embed_tokens.", "token_embedding."),
    ("embed_positions.weight", "positional_embedding"), ("self_attn_layer_norm", "attn_ln"),
    ("encoder_attn_layer_norm", "cross_attn_ln"), ("self_attn", "attn"), ("encoder_attn", "cross_attn"),
    ("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value"), ("out_proj", "out"), ("fc1", "mlp.0"),
    ("fc2", "mlp.2"), ("final_layer_norm", "mlp_ln"), ("encoder.layer_norm", "encoder.ln_post"),
    ("decoder.layer_norm", "decoder.ln"),
)  # fmt: skip


def _openai(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a `.pt` file of openai-whisper holds."""
    shape, weights = Shape.of(checkpoint.config), {}
    for name, value in checkpoint.weights().items():
        if name == "proj_out.weight":  # tied to the embedding
            continue
        for ours, theirs in _NAMES:
            name = name.replace(ours, theirs)
        weights[name] = value
    dims = {
        "n_mels": shape.num_mel_bins, "n_audio_ctx": shape.max_source_positions, "n_audio_state": shape.d_model,
        "n_audio_head": shape.encoder_attention_heads, "n_audio_layer": shape.encoder_layers,
        "n_vocab": shape.vocab_size, "n_text_ctx": shape.max_target_positions, "n_text_state": shape.d_model,
        "n_text_head": shape.decoder_attention_heads, "n_text_layer": shape.decoder_layers,
    }  # fmt: skip
    return {"dims": dims, "model_state_dict": weights}


def openai_file(name: str, path: Path) -> Path:
    """A checkpoint as a `.pt` file of openai-whisper, in the precision of its files."""
    import torch

    torch.save(_openai(open_checkpoint(name)), path)
    return path


def openai_model(name: str | Path) -> Any:
    """A checkpoint as a `whisper.model.Whisper`, float32 on the CPU.

    Parameters
    ----------
    name : str or Path

    Returns
    -------
    whisper.model.Whisper
        With the checkpoint's alignment heads; where there are none, openai-whisper's own default.
    """
    import torch
    import whisper

    checkpoint = open_checkpoint(str(name))
    parts = _openai(checkpoint)
    model = whisper.model.Whisper(whisper.model.ModelDimensions(**parts["dims"]))
    model.load_state_dict({name: tensor.float() for name, tensor in parts["model_state_dict"].items()})
    if checkpoint.alignment_heads:
        mask = torch.zeros(model.dims.n_text_layer, model.dims.n_text_head, dtype=torch.bool)
        mask[tuple(torch.tensor(checkpoint.alignment_heads).T)] = True
        model.register_buffer("alignment_heads", mask.to_sparse(), persistent=False)
    return model.eval()


def openai_tokenizer(name: str | Path, language: str = "en") -> Any:
    """openai-whisper's own tokenizer for a checkpoint."""
    from whisper.tokenizer import get_tokenizer

    languages = Special.of(open_checkpoint(str(name))).languages
    if not languages:
        return get_tokenizer(False)
    return get_tokenizer(True, num_languages=len(languages), language=language, task="transcribe")


def ct2_folder(name: str | Path, out: Path, quantization: str = "float32") -> Path:
    """A checkpoint as CTranslate2 (faster-whisper) reads it, converted by its own converter.

    Parameters
    ----------
    name : str or Path
    out : Path
        Created; overwritten if it exists.
    quantization : str
        "float32", "float16", "int16", "int8" and the mixtures that CTranslate2 knows.

    Returns
    -------
    Path
        `out`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(name) if (Path(name) / "model.safetensors").is_file() else Path(temporary) / "transformers"
        if folder != Path(name):
            transformers_folder(str(name), folder)
        _transformers()
        from ctranslate2.converters import TransformersConverter

        converter = TransformersConverter(str(folder), copy_files=["tokenizer.json", "preprocessor_config.json"])
        converter.convert(str(out), quantization=quantization, force=True)
    return out
