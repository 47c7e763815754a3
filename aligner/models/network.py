"""Whisper's encoder and decoder in plain torch, parameters named as in transformers.

Built for what an aligner asks: the states after every encoder layer, a decoder
whose cross-attention keys and values are projected once for a window, and the
queries that score them, seen without hooks.

Conventions
-----------
Tensors are (batch, positions, width), inside attention (batch, heads,
positions, width of a head). `memory` is what the decoder's layers hold of the
encoder states: a tuple of (keys, values) for each.

References
----------
Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision",
2022, section 2.2; Vaswani et al., "Attention Is All You Need", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from aligner.memory import page_out
from aligner.models.products import PackedLinear, fastest
from aligner.models.shape import ACTIVATIONS, Shape, gelu
from aligner.models.silence import Thinned, bias

Pair = tuple[torch.Tensor, torch.Tensor]  # keys and values, or queries and keys
Memory = tuple[Pair, ...]
_TABLE = "decoder.embed_tokens.weight"


def _table(rows: int, width: int) -> nn.Embedding:
    """An embedding without the random start that torch gives it, which imports its compiler: two seconds."""
    return nn.Embedding.from_pretrained(torch.empty(rows, width), freeze=False)


class Attention(nn.Module):
    """Multi-head attention; keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def split(self, hidden: torch.Tensor) -> torch.Tensor:
        """(batch, positions, width) to (batch, heads, positions, width of a head)."""
        return hidden.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def queries(self, hidden: torch.Tensor) -> torch.Tensor:
        """Queries of positions that look."""
        return self.split(self.q_proj(hidden))

    def memory(self, states: torch.Tensor) -> Pair:
        """Keys and values of positions that are looked at."""
        return self.split(self.k_proj(states)), self.split(self.v_proj(states))

    def kept(self, states: Sequence[torch.Tensor] | torch.Tensor) -> Pair:
        """The same of windows (positions, width), head by head in memory for those that are read at every step.

        Shorter windows are filled up with zeros. One after another, as what is projected takes as much room again.
        """
        longest, width = max(map(len, states)), states[0].shape[-1] // self.heads
        keys, values = (states[0].new_zeros((len(states), self.heads, longest, width)) for _ in range(2))
        for number, one in enumerate(states):
            for kept, projected in zip((keys, values), self.memory(one[None]), strict=True):
                kept[number, :, : len(one)] = projected[0]
        return keys, values

    def mixed(
        self, queries: torch.Tensor, memory: Pair, causal: bool = False, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Values mixed by attention, projected; what a batch shares may come once, and a bias is added to scores."""
        batch = max(len(one) for one in (queries, *memory, *(() if bias is None else (bias,))))
        asked, keys, values = (one.expand(batch, -1, -1, -1) for one in (queries, *memory))
        mixed = functional.scaled_dot_product_attention(asked, keys, values, attn_mask=bias, is_causal=causal)
        output: torch.Tensor = self.out_proj(mixed.transpose(1, 2).flatten(-2))
        return output


def joined(first: Pair, second: Pair) -> Pair:
    """Keys and values of some positions, then of others that all of a batch share."""
    batch = len(first[0])
    keys, values = (torch.cat([a, b.expand(batch, -1, -1, -1)], 2) for a, b in zip(first, second, strict=True))
    return keys, values


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each after its norm and added to what came in."""

    def __init__(self, width: int, heads: int, inner: int, activation: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(
        self,
        hidden: torch.Tensor,
        others: Pair | None = None,
        kept: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(batch, positions, width) to the same, or to the positions `kept`.

        Positions may see others, which the whole batch shares; a bias is added to the scores of what they see.
        """
        normed = self.self_attn_layer_norm(hidden)
        memory = self.self_attn.memory(normed)
        if others is not None:
            memory = joined(memory, others)
        if kept is not None:
            hidden, normed = hidden[:, kept], normed[:, kept]
        hidden = hidden + self.self_attn.mixed(self.self_attn.queries(normed), memory, bias=bias)
        return self.fed_forward(hidden)

    def fed_forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The second half of a layer."""
        output: torch.Tensor = hidden + self.fc2(self.activation(self.fc1(self.final_layer_norm(hidden))))
        return output


class Encoder(nn.Module):
    """Two convolutions, positions, layers, a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.d_model
        self.conv1 = nn.Conv1d(shape.num_mel_bins, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.embed_positions = _table(shape.max_source_positions, width)
        self.layers = nn.ModuleList(
            EncoderLayer(width, shape.encoder_attention_heads, shape.encoder_ffn_dim, shape.activation_function)
            for _ in range(shape.encoder_layers)
        )
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, features: torch.Tensor, silence: Thinned | None = None) -> torch.Tensor:
        """Encode log-mel features.

        Parameters
        ----------
        features : tensor, shape (batch, feature frames, channels)
            At most twice `max_source_positions` frames.
        silence : Thinned, optional
            Which frames to encode to the end, where some are silence.

        Returns
        -------
        tensor, shape (batch, frames, width)
            States after the final norm.
        """
        hidden = self.heard(features)
        kept, weighed = None, None
        if silence is not None:
            kept, weighed = silence.index, bias(silence.counts[None], hidden.dtype)
        first, *others = self.layers
        hidden = first(hidden, kept=kept)
        for layer in others:
            hidden = layer(hidden, bias=weighed)
        states: torch.Tensor = self.layer_norm(hidden)
        return states

    def heard(self, features: torch.Tensor) -> torch.Tensor:
        """What the first layer gets of features."""
        hidden = gelu(self.conv1(features.transpose(1, 2)))
        # Frames first in memory too, or every layer after this one works across strides.
        hidden = gelu(self.conv2(hidden)).transpose(1, 2).contiguous()
        return hidden + self.embed_positions.weight[: hidden.shape[1]]


class DecoderLayer(EncoderLayer):
    """An encoder layer with cross-attention between its halves."""

    def __init__(self, width: int, heads: int, inner: int, activation: str) -> None:
        super().__init__(width, heads, inner, activation)
        self.encoder_attn = Attention(width, heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(width)

    def looking(self, hidden: torch.Tensor, past: Past | None, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The layer up to its cross-attention: hidden states and queries."""
        normed = self.self_attn_layer_norm(hidden)
        memory = self.self_attn.memory(normed)
        if past is not None:
            memory = past.extended(index, memory)
        several = hidden.shape[1] > 1  # one position sees all that came before; several are the first ones
        hidden = hidden + self.self_attn.mixed(self.self_attn.queries(normed), memory, causal=several)
        return hidden, self.encoder_attn.queries(self.encoder_attn_layer_norm(hidden))

    def answered(
        self, hidden: torch.Tensor, queries: torch.Tensor, memory: Pair, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The rest of it."""
        return self.fed_forward(hidden + self.encoder_attn.mixed(queries, memory, bias=bias))


class Past:
    """Keys and values of tokens that a decoder has read, in room that was made once.

    Parameters
    ----------
    shape : Shape
    batch : int
    like : tensor
        Of the dtype and on the device wanted.
    """

    def __init__(self, shape: Shape, batch: int, like: torch.Tensor) -> None:
        heads = shape.decoder_attention_heads
        size = (shape.decoder_layers, 2, batch, heads, shape.max_target_positions, shape.d_model // heads)
        self._kept = like.new_empty(size)
        self.length = 0

    def keep(self, rows: torch.Tensor) -> None:
        """Forget all rows of the batch but some."""
        self._kept = self._kept[:, :, rows]

    def extended(self, layer: int, new: Pair) -> Pair:
        """All keys and values of a layer after new ones; `length` moves when the whole pass is done."""
        stop = self.length + new[0].shape[2]
        keys, values = self._kept[layer]
        keys[:, :, self.length : stop], values[:, :, self.length : stop] = new
        return keys[:, :, :stop], values[:, :, :stop]


class Decoder(nn.Module):
    """Tokens and positions, layers, a norm; the output layer is the embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.scale = shape.d_model**0.5 if shape.scale_embedding else 1.0
        self.embed_tokens = _table(shape.vocab_size, shape.d_model)
        self.embed_positions = _table(shape.max_target_positions, shape.d_model)
        self.layers = nn.ModuleList(
            DecoderLayer(shape.d_model, shape.decoder_attention_heads, shape.decoder_ffn_dim, shape.activation_function)
            for _ in range(shape.decoder_layers)
        )
        self.layer_norm = nn.LayerNorm(shape.d_model)
        self.output: nn.Module | None = None  # the embedding, where it multiplies faster in another form

    def memory(self, states: Sequence[torch.Tensor] | torch.Tensor) -> Memory:
        """Keys and values of the encoder states of windows (frames, width) for every layer."""
        return tuple(layer.encoder_attn.kept(states) for layer in self._layers)

    @property
    def _layers(self) -> Sequence[DecoderLayer]:
        return self.layers  # type: ignore[return-value]

    def _embedded(self, ids: torch.Tensor, past: Past | None) -> torch.Tensor:
        first = past.length if past is not None else 0
        embedded: torch.Tensor = self.embed_tokens(ids).to(self.embed_positions.weight.dtype) * self.scale
        return embedded + self.embed_positions.weight[first : first + ids.shape[1]]

    def forward(
        self, ids: torch.Tensor, memory: Memory, past: Past | None = None, bias: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Read tokens; one text may be read over the memories of many windows.

        Parameters
        ----------
        ids : int tensor, shape (batch, positions)
            After those in `past` one at a time, or all at once.
        memory : Memory
        past : Past, optional
            Grows by these tokens.
        bias : tensor, shape (batch, 1, 1, frames), optional
            Added to the scores of cross-attention.

        Returns
        -------
        (hidden, queries)
            Output (batch, positions, width) after the final norm, and the cross-attention queries of each layer.
        """
        hidden = self._embedded(ids, past)
        queries = []
        for index, (layer, pair) in enumerate(zip(self._layers, memory, strict=True)):
            hidden, looking = layer.looking(hidden, past, index)
            queries.append(looking)
            hidden = layer.answered(hidden, looking, pair, bias)
        if past is not None:
            past.length += ids.shape[1]
        return self.layer_norm(hidden), tuple(queries)

    def queries(self, ids: torch.Tensor, memory: Memory, bias: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        """Cross-attention queries of each layer alone: the pass ends at the last one."""
        hidden = self._embedded(ids, None)
        queries = []
        for index, (layer, pair) in enumerate(zip(self._layers, memory, strict=True)):
            hidden, looking = layer.looking(hidden, None, index)
            queries.append(looking)
            if index + 1 < len(self._layers):
                hidden = layer.answered(hidden, looking, pair, bias)
        return tuple(queries)

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of every token of the vocabulary, float32."""
        if self.output is None:
            return functional.linear(hidden, self.embed_tokens.weight).float()
        scores: torch.Tensor = self.output(hidden).float()
        return scores


class Whisper(nn.Module):
    """Encoder and decoder.

    Parameters
    ----------
    shape : Shape
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape)


def cross_scores(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Scaled scores before the softmax, float32, shape (batch, heads, positions, frames).

    Parameters
    ----------
    queries : tensor, shape (batch, heads, positions, width of a head)
    keys : tensor, shape (batch, heads, frames, width of a head)
    """
    return torch.matmul(queries.float() * queries.shape[-1] ** -0.5, keys.float().transpose(-1, -2))


def build(shape: Shape, weights: dict[str, torch.Tensor], device: torch.device, dtype: torch.dtype) -> Whisper:
    """A network that holds given weights; nothing is initialised first.

    Parameters
    ----------
    shape : Shape
    weights : dict of tensors
        Under transformers' names; others than the network's are left out. Emptied, so that what is converted is not
        held twice.
    device, dtype
        Of the network; weights are converted. With int8 linear layers are, and what they pass on is float32.

    Raises
    ------
    ValueError
        A tensor is missing or has another shape than the config says.
    """
    held = {name.removeprefix("model."): weights.pop(name) for name in list(weights)}
    for side, count in (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers)):
        there = {name.split(".")[2] for name in held if name.startswith(f"{side}.layers.")}
        if len(there) != count:  # before as many are built as any number says
            raise ValueError(f"it has {len(there)} {side} layers, its config says {count}")
    with torch.device("meta"):
        network = Whisper(shape)
    wanted = network.state_dict()
    for name, blank in wanted.items():
        if name not in held:
            raise ValueError(f"it has no {name}")
        if held[name].shape != blank.shape:
            raise ValueError(f"{name} is {tuple(held[name].shape)}, not {tuple(blank.shape)} as its config says")
    if dtype == torch.int8 or PackedLinear.fits(device, dtype):
        for name, module in list(network.named_modules()):
            if isinstance(module, nn.Linear):
                both = held.pop(f"{name}.weight"), held.pop(f"{name}.bias", None)
                network.set_submodule(name, fastest(*both, dtype, few=name.startswith("decoder")))
        # Few rows of the embedding are ever looked up: it stays in its file, in the precision that it has there.
        table = held.pop(_TABLE)
        network.decoder.output = fastest(table, None, dtype, few=True)
        network.decoder.embed_tokens = nn.Embedding.from_pretrained(table)
        page_out(table)
    passed = torch.float32 if dtype == torch.int8 else dtype  # from layer to layer
    kept = {name: held.pop(name).to(device, passed) for name in network.state_dict() if name in held}
    network.load_state_dict(kept, assign=True, strict=False)
    return network.eval().requires_grad_(False)
