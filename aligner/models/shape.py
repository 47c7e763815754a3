"""The numbers that make a Whisper, as a checkpoint's config gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch.nn import functional


def gelu(hidden: torch.Tensor) -> torch.Tensor:
    """In place, where no gradient needs what was there: the widest states of a layer are not held twice."""
    if hidden.requires_grad:
        return functional.gelu(hidden)
    found: torch.Tensor = torch.ops.aten.gelu_.default(hidden)
    return found


# "quick_gelu" and the like do not occur in Whisper, but config.json names its function.
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": gelu,
    "relu": functional.relu,
    "silu": functional.silu,
}


@dataclass(frozen=True)
class Shape:
    """The numbers that make a network, under transformers' names in `config.json`."""

    d_model: int
    vocab_size: int
    num_mel_bins: int
    encoder_layers: int
    decoder_layers: int
    encoder_attention_heads: int
    decoder_attention_heads: int
    encoder_ffn_dim: int
    decoder_ffn_dim: int
    max_source_positions: int = 1500
    max_target_positions: int = 448
    activation_function: str = "gelu"
    scale_embedding: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and not (isinstance(value, int) and value > 0):
                raise ValueError(f"its config says {field.name} = {str(value)[:40]!r}")
        for heads in (self.encoder_attention_heads, self.decoder_attention_heads):
            if self.d_model % heads:
                raise ValueError(f"its config shares a width of {self.d_model} among {heads} heads")
        if self.activation_function not in ACTIVATIONS:
            raise ValueError(f"its config names the unknown activation {str(self.activation_function)[:40]!r}")

    @classmethod
    def of(cls, config: dict[str, Any]) -> Shape:
        """The shape that a checkpoint's config describes.

        Raises
        ------
        ValueError
            A number is missing or makes no sense.
        """
        missing = [name for name in _NEEDED if name not in config]
        if missing:
            raise ValueError(f"its config has no {missing[0]}")
        return cls(**{name: config[name] for name in cls.__dataclass_fields__ if name in config})


_NEEDED = tuple(name for name in Shape.__dataclass_fields__ if not hasattr(Shape, name))
