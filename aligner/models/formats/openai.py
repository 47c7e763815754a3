"""openai-whisper's `.pt` files: a dictionary of "dims" and "model_state_dict", pickled.

A pickle can run any code. These are read with torch's `weights_only`, which
knows tensors and plain containers and refuses everything else.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aligner.errors import ModelError
from aligner.models.formats.base import Contents, tensors_only, unpickled, weights_formats

if TYPE_CHECKING:
    import torch

_DIMENSIONS = {
    "n_mels": "num_mel_bins", "n_vocab": "vocab_size", "n_audio_ctx": "max_source_positions",
    "n_audio_state": "d_model", "n_audio_head": "encoder_attention_heads", "n_audio_layer": "encoder_layers",
    "n_text_ctx": "max_target_positions", "n_text_head": "decoder_attention_heads", "n_text_layer": "decoder_layers",
}  # fmt: skip
# Parts of a parameter's name, theirs and transformers', in the order in which they are replaced.
_NAMES = (
    (r"^(encoder|decoder)\.", r"model.\1."),
    (r"\.blocks\.", ".layers."),
    (r"\.cross_attn_ln\.", ".encoder_attn_layer_norm."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."),
    (r"\.mlp_ln\.", ".final_layer_norm."),
    (r"\.cross_attn\.", ".encoder_attn."),
    (r"\.attn\.", ".self_attn."),
    (r"\.(query|key|value)\.", lambda match: f".{match[1][0]}_proj."),
    (r"\.out\.", ".out_proj."),
    (r"\.mlp\.0\.", ".fc1."),
    (r"\.mlp\.2\.", ".fc2."),
    (r"\.(ln_post|ln)\.", ".layer_norm."),
    (r"\.token_embedding\.", ".embed_tokens."),
    (r"\.positional_embedding$", ".embed_positions.weight"),
)


class OpenAI:
    """`.pt` files."""

    def owns(self, path: Path) -> bool:
        """Whether a path is a `.pt` file."""
        return path.suffix == ".pt" and path.is_file()

    def wanted(self, names: Collection[str]) -> list[str]:
        """None: OpenAI's own server has these files, no hub."""
        return []

    def read(self, path: Path) -> Contents:
        """Config of a `.pt` file, which says nothing else.

        Raises
        ------
        ModelError
            Damaged, of something else than Whisper, or with code in it.
        """
        found = unpickled(path)
        if not isinstance(found, dict) or not {"dims", "model_state_dict"} <= found.keys():
            raise ModelError(f"{path} is not a checkpoint of openai-whisper: it has no 'dims' and 'model_state_dict'")
        dimensions, tensors = found["dims"], found["model_state_dict"]
        wanted = dimensions if isinstance(dimensions, dict) else {}
        if not all(isinstance(wanted.get(name), int) for name in _DIMENSIONS) or not isinstance(tensors, dict):
            raise ModelError(f"{path} is not a checkpoint of openai-whisper: its 'dims' are not those of a Whisper")
        config: dict[str, Any] = {"model_type": "whisper"}
        config |= {ours: wanted[theirs] for theirs, ours in _DIMENSIONS.items()}
        config["encoder_ffn_dim"] = config["decoder_ffn_dim"] = 4 * config["d_model"]
        return Contents(config, {}, lambda: _renamed(tensors, path))


weights_formats.register("openai")(OpenAI())


def _renamed(tensors: dict[str, Any], path: Path) -> dict[str, torch.Tensor]:
    return {renamed(name): tensor for name, tensor in tensors_only(tensors, path).items()}


def renamed(name: str) -> str:
    """transformers' name of a parameter.

    Examples
    --------
    >>> renamed("decoder.blocks.3.cross_attn.query.weight")
    'model.decoder.layers.3.encoder_attn.q_proj.weight'
    """
    for theirs, ours in _NAMES:
        name = re.sub(theirs, ours, name)
    return name
