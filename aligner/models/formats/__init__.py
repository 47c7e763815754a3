"""Files that hold weights: one reader for each format, each in its own module.

A reader has the functions of `Reader`; it reads headers only. Tensors are read
when they are asked for, memory-mapped where the format allows. A new format is
a module here and its name in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from aligner.errors import ModelError

if TYPE_CHECKING:
    import torch

READERS = ("ctranslate2", "transformers", "openai")


@dataclass(frozen=True, eq=False)
class Contents:
    """What the files of a checkpoint hold.

    Attributes
    ----------
    config : dict
        In transformers' keys, `model_type` among them.
    generation : dict
        Likewise, those of `generation_config.json` that the files have.
    weights : callable
        Returns tensors by transformers' names.
    vocabulary : Path or None
        Folder with `tokenizer.json` (or what a family reads); None where the files have none.
    """

    config: dict[str, Any]
    generation: dict[str, Any]
    weights: Callable[[], dict[str, torch.Tensor]] = field(repr=False)
    vocabulary: Path | None = None


class Reader(Protocol):
    """What a module of a format defines."""

    def owns(self, path: Path) -> bool:
        """Whether a path holds a checkpoint of this format."""

    def read(self, path: Path) -> Contents:
        """What it holds; raises a ModelError where that is damaged."""

    def wanted(self, names: Collection[str]) -> list[str]:
        """Files of weights to fetch, of those that a repository has; empty where it has none of this format."""


def readers() -> Iterator[tuple[str, Reader]]:
    """Readers by the name of their format."""
    for name in READERS:
        yield name, cast(Reader, import_module(f"aligner.models.formats.{name}"))


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
    for name, reader in readers():
        if reader.owns(path):
            return name, reader.read(path)
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
