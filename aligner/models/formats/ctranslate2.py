"""CTranslate2's `model.bin`, the format of faster-whisper: float32, float16, int16 and int8.

Layout, all little-endian: version (uint32), name of the specification,
revision (uint32), number of variables (uint32); for each its name, rank
(uint8), dimensions (uint32), type (uint8), size in bytes (uint32) and data;
then the number of aliases (uint32) and pairs of names. Strings are a uint16
length and bytes that end in a zero. Whole numbers stand for
`value * scale`, with `NAME_scale` of one number or one for each row.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aligner.errors import ModelError
from aligner.models.formats.base import Contents, read_json, weights_formats

if TYPE_CHECKING:
    import torch

VERSIONS = range(4, 7)
SPECIFICATION = "WhisperSpec"
_TYPES: dict[int, str] = {0: "float32", 1: "int8", 2: "int16", 3: "int32", 4: "float16"}
_LONGEST_NAME = 1000  # bytes; what is longer makes no sense, and the next read will show it


@dataclass(frozen=True)
class _Variable:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def n_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)


class CTranslate2:
    """Folders with a `model.bin`."""

    def owns(self, path: Path) -> bool:
        """Whether a path is a CTranslate2 folder."""
        return (path / "model.bin").is_file()

    def wanted(self, names: Collection[str]) -> list[str]:
        """See `aligner.models.formats.WeightsFormat`."""
        return [name for name in ("model.bin",) if name in names]

    def read(self, path: Path) -> Contents:
        """Header and config of a CTranslate2 folder.

        Raises
        ------
        ModelError
            Not a Whisper, cut short, or damaged.
        """
        file = path / "model.bin"
        try:
            variables = _variables(file)
            config = _config(file, variables)
        except (struct.error, UnicodeDecodeError):
            raise ModelError(f"{file} is damaged, or not of CTranslate2: its header makes no sense") from None
        except KeyError as error:
            raise ModelError(f"{file} is damaged, or another family's: it has no {error.args[0]}") from None
        except ValueError as error:
            raise ModelError(f"{file} is damaged, or not a Whisper of CTranslate2: {error}") from None
        said = read_json(path / "config.json", optional=True)
        _check_mel(path, config)
        generation = {
            "alignment_heads": said.get("alignment_heads"),
            "suppress_tokens": said.get("suppress_ids"),
            "begin_suppress_tokens": said.get("suppress_ids_begin"),
        }
        return Contents(config, generation, lambda: _weights(file, variables), path)


weights_formats.register("ctranslate2")(CTranslate2())


def _check_mel(path: Path, config: dict[str, Any]) -> None:
    """Files of two checkpoints in one folder are no checkpoint."""
    said = read_json(path / "preprocessor_config.json", optional=True).get("feature_size", config["num_mel_bins"])
    if said != config["num_mel_bins"]:
        raise ModelError(
            f"{path} mixes two checkpoints: model.bin takes {config['num_mel_bins']} mel channels, "
            f"preprocessor_config.json says {said}"
        )


def _variables(path: Path) -> dict[str, _Variable]:
    """Where each variable lies. Nothing is allocated by a number that the file's size does not bear out."""
    size = path.stat().st_size
    with path.open("rb") as file:

        def take(form: str) -> tuple[Any, ...]:
            return struct.unpack("<" + form, file.read(struct.calcsize("<" + form)))

        def string() -> str:
            (length,) = take("H")
            raw = take(f"{min(length, _LONGEST_NAME)}s")[0]
            return str(raw[:-1], "utf-8")

        (version,) = take("I")
        if version not in VERSIONS:
            raise ValueError(f"version {version} of the format is unknown")
        specification = string()
        if specification != SPECIFICATION:
            raise ValueError(f"it is a {specification[:40]!r}")
        _revision, count = take("II")
        variables: dict[str, _Variable] = {}
        for _ in range(count):
            name = string()
            (rank,) = take("B")
            shape = take(f"{rank}I")
            kind, n_bytes = take("BI")
            if kind not in _TYPES:
                raise ValueError(f"{name} has the type {kind}, known are {', '.join(_TYPES.values())}")
            variable = _Variable(np.dtype(_TYPES[kind]), shape, file.tell())
            if variable.n_bytes != n_bytes:
                raise ValueError(f"{name} of shape {shape} has {n_bytes} bytes")
            if variable.offset + n_bytes > size:
                raise ValueError(f"it ends within {name}, after {size} bytes; get it again")
            variables[name] = variable
            file.seek(n_bytes, 1)
        for _ in range(take("I")[0]):
            alias, original = string(), string()
            variables[alias] = variables[original]
    return variables


def _layers(variables: dict[str, _Variable], side: str) -> list[int]:
    """Indices of the layers of the encoder or the decoder."""
    found = {match[1] for name in variables if (match := re.match(rf"{side}/layer_(\d+)/", name))}
    return sorted(map(int, found))


def _config(path: Path, variables: dict[str, _Variable]) -> dict[str, Any]:
    """What the shapes of the variables say of a Whisper."""
    tokens, width = variables["decoder/embeddings/weight"].shape
    config: dict[str, Any] = {
        "model_type": "whisper",
        "d_model": width,
        "vocab_size": tokens,
        "num_mel_bins": variables["encoder/conv1/weight"].shape[1],
        "max_source_positions": variables["encoder/position_encodings/encodings"].shape[0],
        "max_target_positions": variables["decoder/position_encodings/encodings"].shape[0],
    }
    with path.open("rb") as file:
        for side in ("encoder", "decoder"):
            config[f"{side}_layers"] = len(_layers(variables, side))
            config[f"{side}_ffn_dim"] = variables[f"{side}/layer_0/ffn/linear_0/weight"].shape[0]
            heads = variables[f"{side}/num_heads"]
            file.seek(heads.offset)
            config[f"{side}_attention_heads"] = int(np.frombuffer(file.read(heads.n_bytes), heads.dtype)[0])
    return config


def _weights(path: Path, variables: dict[str, _Variable]) -> dict[str, torch.Tensor]:
    """Tensors by transformers' names: parts of the file, each mapped on its own, but for whole numbers."""
    import torch

    def array(name: str) -> NDArray[Any]:
        variable = variables[name]
        # Private, since torch warns of what it must not write to. Most begin at an odd byte: torch reads them there.
        return np.memmap(path, variable.dtype, "c", variable.offset, variable.shape)

    def tensor(name: str) -> torch.Tensor:
        values = array(name)
        if values.dtype.kind == "i":
            if f"{name}_scale" not in variables:
                raise ModelError(f"{path} is damaged: {name} holds whole numbers without their scale")
            scale = array(f"{name}_scale").astype(np.float32)
            values = values / scale.reshape(scale.shape + (1,) * (values.ndim - scale.ndim))
        return torch.from_numpy(values)

    found = {
        f"model.{side}.embed_positions.weight": tensor(f"{side}/position_encodings/encodings")
        for side in ("encoder", "decoder")
    }
    found["model.decoder.embed_tokens.weight"] = tensor("decoder/embeddings/weight")
    for theirs, ours in _modules(variables):
        for kind, named in (("weight", "weight"), ("bias", "bias"), ("gamma", "weight"), ("beta", "bias")):
            if f"{theirs}/{kind}" not in variables:
                continue
            for module, part in zip(ours, tensor(f"{theirs}/{kind}").chunk(len(ours)), strict=True):
                if not (kind == "bias" and module.endswith("k_proj")):  # rows of zeros: keys have no bias
                    found[f"{module}.{named}"] = part
    return found


def _modules(variables: dict[str, _Variable]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Modules of CTranslate2 and those of transformers that each holds: projections of the same states are stacked."""
    yield from ((f"encoder/conv{number}", (f"model.encoder.conv{number}",)) for number in (1, 2))
    for side in ("encoder", "decoder"):
        yield f"{side}/layer_norm", (f"model.{side}.layer_norm",)
        for index in _layers(variables, side):
            theirs, ours = f"{side}/layer_{index}", f"model.{side}.layers.{index}"
            yield f"{theirs}/self_attention/linear_0", tuple(f"{ours}.self_attn.{part}_proj" for part in "qkv")
            yield f"{theirs}/self_attention/linear_1", (f"{ours}.self_attn.out_proj",)
            yield f"{theirs}/self_attention/layer_norm", (f"{ours}.self_attn_layer_norm",)
            if side == "decoder":
                yield f"{theirs}/attention/linear_0", (f"{ours}.encoder_attn.q_proj",)
                yield f"{theirs}/attention/linear_1", tuple(f"{ours}.encoder_attn.{part}_proj" for part in "kv")
                yield f"{theirs}/attention/linear_2", (f"{ours}.encoder_attn.out_proj",)
                yield f"{theirs}/attention/layer_norm", (f"{ours}.encoder_attn_layer_norm",)
            yield f"{theirs}/ffn/linear_0", (f"{ours}.fc1",)
            yield f"{theirs}/ffn/linear_1", (f"{ours}.fc2",)
            yield f"{theirs}/ffn/layer_norm", (f"{ours}.final_layer_norm",)
