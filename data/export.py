"""Export a training run as a Whisper checkpoint: `python -m data.export RUN/last.pt FOLDER`.

The folder loads unmodified in transformers, converts with CTranslate2 and maps
by name onto openai-whisper. Beside the usual files it holds
`ctc_head.safetensors` (the CTC and the per-frame character classifier, both
linear on the encoder output) and, under the key "aligner" of `config.json`,
what an aligner needs to know: that only spoken forms were trained, that
encoding real audio without padding is safe, and which heads were supervised.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch

from data.train import GUIDED_HEADS, Recogniser
from data.vocabulary import CTC_LABELS, END, IDS, NO_TIMESTAMPS, SPECIALS, START, TIMESTAMPS, byte_symbols


def write_tokenizer(folder: Path) -> None:
    """GPT-2 style byte-level tokenizer without merges, as fast and as slow tokenizer files."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    symbols = byte_symbols()
    vocabulary = {symbol: i for i, symbol in enumerate(symbols)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in TIMESTAMPS])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftranscript|> <|notimestamps|> $A <|endoftext|>",
        special_tokens=[
            (token, IDS[token]) for token in ("<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>")
        ],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    end = "<|endoftext|>"
    common = {"bos_token": end, "eos_token": end, "unk_token": end, "pad_token": end}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                **common,
                "tokenizer_class": "WhisperTokenizer",
                "add_prefix_space": False,
                "clean_up_tokenization_spaces": False,
                "errors": "replace",
                "model_max_length": 448,
                "return_attention_mask": False,
                "additional_special_tokens": list(SPECIALS),
            },
            indent=1,
        )
    )
    (folder / "special_tokens_map.json").write_text(json.dumps(common, indent=1))
    added = {token: IDS[token] for token in (*SPECIALS, *TIMESTAMPS)}
    (folder / "added_tokens.json").write_text(json.dumps(added))
    (folder / "normalizer.json").write_text("{}")


def export(state: dict, folder: Path) -> None:
    """Write the checkpoint folder from a training state (a dict with "model" and "position")."""
    from safetensors.torch import save_file
    from transformers import GenerationConfig, WhisperFeatureExtractor

    folder.mkdir(parents=True, exist_ok=True)
    model = Recogniser()
    model.load_state_dict(state["model"])
    write_tokenizer(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    whisper = model.whisper.half()
    whisper.config.aligner = {
        "spelling": "spoken",
        "trimmed": True,
        "supervised_heads": [list(pair) for pair in GUIDED_HEADS],
        "ctc_labels": list(CTC_LABELS),
        "steps": state["position"][0],
    }
    whisper.generation_config = GenerationConfig(
        decoder_start_token_id=START, bos_token_id=END, eos_token_id=END, pad_token_id=END,
        max_length=448, is_multilingual=False, no_timestamps_token_id=NO_TIMESTAMPS,
        prev_sot_token_id=IDS["<|startofprev|>"], max_initial_timestamp_index=50, return_timestamps=False,
        alignment_heads=[list(pair) for pair in GUIDED_HEADS],
    )  # fmt: skip
    whisper.save_pretrained(folder)
    heads = {
        f"{name}.{part}": getattr(getattr(model, name), part).detach().half().contiguous()
        for name in ("ctc", "frame", "phone")
        for part in ("weight", "bias")
    }
    save_file(heads, folder / "ctc_head.safetensors")


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def main(checkpoint: Path, folder: Path) -> None:
    """Export CHECKPOINT (a run's last.pt) to FOLDER."""
    export(torch.load(checkpoint, map_location="cpu"), folder)
    size = sum(f.stat().st_size for f in folder.iterdir()) / 1e6
    click.echo(f"{folder}: {size:.1f} MB", err=True)


if __name__ == "__main__":
    main()
