"""The same weights for every tool: Whisper checkpoints as transformers folders and as openai-whisper models.

openai-whisper and tiktoken are imported inside the functions that need them:
they serve comparisons only.
"""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any

SIZES = {"micro": (64, 2, 2), "tiny": (384, 6, 4), "base": (512, 8, 6)}  # width, heads, layers


def _ranks() -> dict[bytes, int]:
    """Byte-pair ranks of the multilingual vocabulary, from the file inside openai-whisper."""
    import whisper

    path = Path(whisper.__file__).parent / "assets" / "multilingual.tiktoken"
    lines = (line.split() for line in path.read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def _special_tokens() -> list[str]:
    from whisper.tokenizer import LANGUAGES

    return [
        "<|endoftext|>", "<|startoftranscript|>", *[f"<|{code}|>" for code in list(LANGUAGES)[:99]],
        "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
    ]  # fmt: skip


def _merge(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The pair whose merge makes a token: what is left when only earlier merges are allowed."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(a + b, len(ranks)) for a, b in itertools.pairwise(parts)]
        best = min(range(len(pairs)), key=pairs.__getitem__)
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]


def _visible_bytes() -> list[str]:
    """GPT-2's printable stand-in for every byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = (chr(256 + i) for i in range(256 - len(printable)))
    return [chr(byte) if byte in printable else next(hidden) for byte in range(256)]


def write_multilingual_tokenizer(folder: Path) -> None:
    """The multilingual tokenizer as transformers reads it, rebuilt from openai-whisper's ranks.

    Parameters
    ----------
    folder : Path
        Exists; gets tokenizer.json, tokenizer_config.json, vocab.json and merges.txt.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    ranks, symbols = _ranks(), _visible_bytes()

    def show(token: bytes) -> str:
        return "".join(symbols[byte] for byte in token)

    vocabulary = {show(token): rank for token, rank in ranks.items()}
    merges = [
        tuple(map(show, _merge(token, ranks))) for token in sorted(ranks, key=ranks.__getitem__) if len(token) > 1
    ]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _special_tokens()])
    tokenizer.add_tokens([AddedToken(f"<|{i * 0.02:.2f}|>", special=False, normalized=False) for i in range(1501)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    end = "<|endoftext|>"
    settings = {
        "tokenizer_class": "WhisperTokenizer", "bos_token": end, "eos_token": end, "unk_token": end,
        "pad_token": end, "add_prefix_space": False, "clean_up_tokenization_spaces": False, "model_max_length": 448,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def random_checkpoint(folder: Path, size: str = "micro", seed: int = 0, alignment_heads: Any = None) -> Path:
    """A multilingual Whisper checkpoint with random weights, as a transformers folder.

    Parameters
    ----------
    folder : Path
        Created.
    size : str
        "tiny" and "base" have the shapes of OpenAI's checkpoints; "micro" is for tests.
    seed : int
    alignment_heads : list of [layer, head], optional
        For the generation settings; none when left out.

    Returns
    -------
    Path
        The folder.
    """
    import torch
    from whisper.tokenizer import LANGUAGES

    from aligner.guard import import_torchaudio

    import_torchaudio()
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    width, heads, layers = SIZES[size]
    config = WhisperConfig(
        vocab_size=51865, d_model=width, encoder_attention_heads=heads, decoder_attention_heads=heads,
        encoder_layers=layers, decoder_layers=layers, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width,
        bos_token_id=50257, eos_token_id=50257, pad_token_id=50257, decoder_start_token_id=50258,
        suppress_tokens=None, begin_suppress_tokens=None,
        # Far from zero, so that attention is not flat and paths are not ties.
        init_std=0.1 if size == "micro" else 0.04,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(config).eval()
    codes = list(LANGUAGES)[:99]
    special = {token: 50257 + i for i, token in enumerate(_special_tokens())}
    settings = {
        "decoder_start_token_id": 50258, "bos_token_id": 50257, "eos_token_id": 50257, "pad_token_id": 50257,
        "max_length": 448, "is_multilingual": True, "return_timestamps": False, "max_initial_timestamp_index": 50,
        "no_timestamps_token_id": special["<|notimestamps|>"], "prev_sot_token_id": special["<|startofprev|>"],
        "lang_to_id": {f"<|{code}|>": special[f"<|{code}|>"] for code in codes},
        "task_to_id": {task: special[f"<|{task}|>"] for task in ("transcribe", "translate")},
    }  # fmt: skip
    if alignment_heads:
        settings["alignment_heads"] = [list(pair) for pair in alignment_heads]
    model.generation_config = GenerationConfig(**settings)
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    write_multilingual_tokenizer(folder)
    return folder


_NAMES = (  # transformers' part of a parameter's name, openai-whisper's
    ("model.", ""), ("layers.", "blocks."), ("embed_tokens.", "token_embedding."),
    ("embed_positions.weight", "positional_embedding"), ("self_attn_layer_norm", "attn_ln"),
    ("encoder_attn_layer_norm", "cross_attn_ln"), ("self_attn", "attn"), ("encoder_attn", "cross_attn"),
    ("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value"), ("out_proj", "out"), ("fc1", "mlp.0"),
    ("fc2", "mlp.2"), ("final_layer_norm", "mlp_ln"), ("encoder.layer_norm", "encoder.ln_post"),
    ("decoder.layer_norm", "decoder.ln"),
)  # fmt: skip


def openai_model(folder: Path) -> Any:
    """The checkpoint of a transformers folder as a `whisper.model.Whisper`, float32 on the CPU.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    whisper.model.Whisper
        With the alignment heads of the folder's generation settings; where
        there are none, openai-whisper's own default.
    """
    import torch
    import whisper
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    dims = whisper.model.ModelDimensions(
        n_mels=config["num_mel_bins"], n_audio_ctx=config["max_source_positions"], n_audio_state=config["d_model"],
        n_audio_head=config["encoder_attention_heads"], n_audio_layer=config["encoder_layers"],
        n_vocab=config["vocab_size"], n_text_ctx=config["max_target_positions"], n_text_state=config["d_model"],
        n_text_head=config["decoder_attention_heads"], n_text_layer=config["decoder_layers"],
    )  # fmt: skip
    weights = {}
    for name, value in load_file(folder / "model.safetensors").items():
        if name == "proj_out.weight":  # tied to the embedding
            continue
        for ours, theirs in _NAMES:
            name = name.replace(ours, theirs)
        weights[name] = value.float()
    model = whisper.model.Whisper(dims)
    model.load_state_dict(weights)
    generation = json.loads((folder / "generation_config.json").read_text())
    if heads := generation.get("alignment_heads"):
        mask = torch.zeros(dims.n_text_layer, dims.n_text_head, dtype=torch.bool)
        mask[tuple(torch.tensor(heads).T)] = True
        model.register_buffer("alignment_heads", mask.to_sparse(), persistent=False)
    return model.eval()


def openai_tokenizer(folder: Path, language: str = "en") -> Any:
    """The tokenizer of a transformers folder as a `whisper.tokenizer.Tokenizer`.

    Parameters
    ----------
    folder : Path
        A multilingual checkpoint, or one with a vocabulary of its own and no language tokens.
    language : str

    Returns
    -------
    whisper.tokenizer.Tokenizer
    """
    import tiktoken
    from whisper.tokenizer import Tokenizer, get_tokenizer

    if json.loads((folder / "config.json").read_text())["vocab_size"] >= 51865:
        return get_tokenizer(True, language=language, task="transcribe")
    byte_of = {symbol: byte for byte, symbol in enumerate(_visible_bytes())}
    parsed = json.loads((folder / "tokenizer.json").read_text())
    special = {added["content"]: added["id"] for added in parsed["added_tokens"]}
    ranks = {
        bytes(byte_of[symbol] for symbol in token): index
        for token, index in parsed["model"]["vocab"].items()
        if token not in special
    }
    encoding = tiktoken.Encoding(
        name="checkpoint", pat_str=r" ?\S+|\s+", mergeable_ranks=ranks, special_tokens=special,
        explicit_n_vocab=len(ranks) + len(special),
    )  # fmt: skip
    return Tokenizer(encoding=encoding, num_languages=0)


def ct2_folder(folder: Path, out: Path) -> Path:
    """The checkpoint of a transformers folder as CTranslate2 (faster-whisper) reads it, float32.

    Parameters
    ----------
    folder : Path
    out : Path
        Created; overwritten if it exists.

    Returns
    -------
    Path
        `out`, with the alignment heads of the folder's generation settings.
    """
    from aligner.guard import import_torchaudio

    import_torchaudio()
    from ctranslate2.converters import TransformersConverter

    converter = TransformersConverter(str(folder), copy_files=["tokenizer.json", "preprocessor_config.json"])
    converter.convert(str(out), quantization="float32", force=True)
    return out
