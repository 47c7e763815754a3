"""What readers of weights share: the protocol, what they give, and files that several of them hold."""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aligner.errors import ModelError
from aligner.registry import Registry

if TYPE_CHECKING:
    import torch


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


class WeightsFormat(Protocol):
    """What reads one format. It reads headers; tensors are read when they are asked for, mapped where that can be."""

    def owns(self, path: Path) -> bool:
        """Whether a folder or file is a checkpoint of this format."""

    def read(self, path: Path) -> Contents:
        """What it holds; raises a ModelError where that is damaged."""

    def wanted(self, names: Collection[str]) -> list[str]:
        """Files of weights to fetch, of those that a repository has; empty where it has none of this format."""


weights_formats: Registry[WeightsFormat] = Registry("weights format")


def read_json(path: Path, optional: bool = False) -> dict[str, Any]:
    """A JSON object from a file.

    Parameters
    ----------
    path : Path
    optional : bool
        A file that is not there is empty.

    Raises
    ------
    ModelError
        Missing, or not a JSON object.
    """
    if optional and not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot read {path}: {str(error).partition(chr(10))[0][:160]}") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no JSON object")
    return found


def unpickled(path: Path) -> Any:
    """Tensors and plain values of a file that torch saved; mapped, where it is of the newer kind.

    Raises
    ------
    ModelError
        Damaged, or it would run code.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch doubts is refused below, or harmless
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|global|Unsupported class) ([\w.]+)", str(error))
        what = f" ({named[1]})" if named else ""
        raise ModelError(
            f"{path} is not read: it is damaged, or asks for more than tensors{what}, so it could run any program; "
            "get the checkpoint from its author again"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise ModelError(f"{path} is damaged or cut short: {str(error).partition(chr(10))[0][:160]}") from None


def tensors_only(found: Any, path: Path) -> dict[str, torch.Tensor]:
    """A dictionary of tensors, or an error.

    Raises
    ------
    ModelError
    """
    import torch

    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelError(f"{path} holds something else than named tensors")
    return found
