"""Files that hold weights: one reader for each format, found by name in `weights_formats`."""

from __future__ import annotations

from pathlib import Path

from aligner.errors import ModelError
from aligner.models.formats import ctranslate2, openai, transformers  # registers the readers
from aligner.models.formats.base import Contents, WeightsFormat, read_json, weights_formats

del ctranslate2, openai, transformers

__all__ = ["Contents", "WeightsFormat", "contents", "read_json", "weights_formats"]


def contents(path: Path) -> tuple[str, Contents]:
    """The format of a folder or file, and what it holds.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ModelError
        No format has such files, or they are damaged.
    """
    for name in weights_formats:
        if weights_formats[name].owns(path):
            return name, weights_formats[name].read(path)
    if _is_ggml(path):
        raise ModelError(
            f"{path} is a ggml file of whisper.cpp, which is not read: give the same model as openai-whisper's .pt "
            "file, a transformers folder or a faster-whisper folder"
        )
    raise ModelError(
        f"{path} holds no checkpoint: a transformers folder has config.json and model.safetensors (or "
        "pytorch_model.bin), a faster-whisper folder config.json and model.bin; openai-whisper's file ends in .pt"
    )


def _is_ggml(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) in (b"lmgg", b"GGUF")
