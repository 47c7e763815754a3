"""Folders of transformers: `config.json` and `model.safetensors` or `pytorch_model.bin`, in one piece or several."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from aligner.errors import ModelError
from aligner.models.formats.base import Contents, read_json, tensors_only, unpickled, weights_formats

if TYPE_CHECKING:
    import torch

WHOLE = ("model.safetensors", "pytorch_model.bin")


class Transformers:
    """Folders of `config.json` and weights."""

    def owns(self, path: Path) -> bool:
        """Whether a path is a folder of transformers."""
        return (path / "config.json").is_file() and _first(path) is not None

    def wanted(self, names: Collection[str]) -> list[str]:
        """See `aligner.models.formats.WeightsFormat`; an index comes with its pieces.

        Examples
        --------
        >>> Transformers().wanted(["model.safetensors.index.json", "model-00001-of-00001.safetensors", "x.bin"])
        ['model.safetensors.index.json', 'model-00001-of-00001.safetensors']
        """
        for whole in WHOLE:
            if whole in names:
                return [whole]
            if (index := f"{whole}.index.json") in names:
                piece = re.compile(r"{}-\d+-of-\d+\.{}".format(*whole.split(".")))
                return [index, *sorted(filter(piece.fullmatch, names))]
        return []

    def read(self, path: Path) -> Contents:
        """Config of a transformers folder.

        Raises
        ------
        ModelError
            JSON that cannot be read.
        """
        config = read_json(path / "config.json")
        # Before transformers 4.28 these settings were part of the config.
        generation = {**config, **read_json(path / "generation_config.json", optional=True)}
        return Contents(config, generation, lambda: _weights(path), path)


weights_formats.register("transformers")(Transformers())


def _first(path: Path) -> Path | None:
    names = (name for whole in WHOLE for name in (whole, f"{whole}.index.json"))
    return next((path / name for name in names if (path / name).is_file()), None)


def _weights(path: Path) -> dict[str, torch.Tensor]:
    first = _first(path)
    assert first is not None  # `owns` has seen it
    if first.suffix != ".json":
        return _tensors(first)
    pieces = read_json(first).get("weight_map")
    names = set(pieces.values()) if isinstance(pieces, dict) else set()
    if not names or any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise ModelError(f"{first} does not say which files hold the weights")
    found: dict[str, torch.Tensor] = {}
    for name in sorted(names):
        found |= _tensors(path / name)
    return found


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ModelError(f"{path} is missing: the checkpoint is not complete")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is damaged or cut short: {str(error)[:160]}") from None
    return tensors_only(unpickled(path), path)
