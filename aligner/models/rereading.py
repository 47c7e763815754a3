"""A text read again over a window of which parts are hidden, for as little as that can cost.

Hidden parts change few of the numbers that a pass works with. The silence
that a window is padded with keeps its states, and so their keys and values,
in the encoder and in the decoder. A state that is zeroed has a key of zeros
and the bias for its value, whichever it was: all zeroed states of a mask are
one key with the logarithm of their number added to its score. What the first
layer of the decoder asks does not depend on the audio at all. And of a
distribution over the vocabulary the divergence needs one product with the
expected embedding and the logarithm of the sum, never the whole at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from aligner.models.network import Memory, Whisper, joined

CHUNK = 1024  # tokens of the vocabulary at a time: their scores stay in the cache
_REACH = 2  # encoder frames beyond the real ones whose convolutions hear them


class Rereading:
    """See `aligner.models.base.Rereading`.

    Parameters
    ----------
    network : Whisper
    features : tensor, shape (feature frames, channels)
        Of the whole window.
    states : tensor, shape (frames, width)
        Encoder states of them.
    frames : int
        Of the real audio.
    ids : int tensor, shape (1, positions)
        Prompt and text.
    first : int
        Position that predicts the first token of the text.
    """

    def __init__(
        self, network: Whisper, features: torch.Tensor, states: torch.Tensor, frames: int, ids: torch.Tensor, first: int
    ) -> None:
        self._network, self._features, self._states, self._frames = network, features, states, frames
        self._ids, self._first = ids, first
        decoder = network.decoder
        self._memory = decoder.memory(states[None])
        empty = decoder.memory(torch.zeros_like(states[None, :1]))
        self._with_empty = tuple(joined(some, one) for some, one in zip(self._memory, empty, strict=True))
        self._silence = tuple((keys[:, :, frames:], values[:, :, frames:]) for keys, values in self._memory)
        self._still: Memory | None = None
        # Twice the precision where large numbers cancel: a few numbers of a hidden state exceed all others.
        original, embeddings = decoder(ids, self._memory)[0][0, first:].double(), decoder.embed_tokens.weight.double()
        log_probs = torch.log_softmax(original @ embeddings.T, -1)
        weights = log_probs.exp()
        self._entropy = -(weights * log_probs).sum(-1)
        self._expected = weights @ embeddings

    def without_states(self, keep: torch.Tensor) -> torch.Tensor:
        """Divergences with whole states zeroed; see `aligner.models.base.Rereading`."""
        hidden = (~keep).sum(1, keepdim=True)
        shown = torch.zeros(keep.shape, device=keep.device).masked_fill(~keep, -torch.inf)
        still = shown.new_zeros((len(keep), len(self._states) - keep.shape[1]))
        bias = torch.cat([shown, still, hidden.log()], 1)[:, None, None].to(self._states.dtype)
        return self._divergences(self._with_empty, bias)

    def with_features(self, features: torch.Tensor) -> torch.Tensor:
        """Divergences with other features of the real audio; see `aligner.models.base.Rereading`."""
        states = self._encoded(features.to(self._states.dtype))
        changed = self._network.decoder.memory(states)
        return self._divergences(tuple(map(joined, changed, self._silence)))

    def _encoded(self, features: torch.Tensor) -> torch.Tensor:
        """States of the real frames; those of the silence are what they were, in every layer."""
        encoder, frames = self._network.encoder, self._frames
        if self._still is None:
            self._still = self._of_silence()
        after = self._features[features.shape[1] : 2 * (frames + _REACH)].to(features.dtype)
        hidden = encoder.heard(torch.cat([features, after.expand(len(features), -1, -1)], 1))[:, :frames]
        for layer, silence in zip(encoder.layers, self._still, strict=True):
            hidden = layer(hidden, silence)
        states: torch.Tensor = encoder.layer_norm(hidden)
        return states

    def _of_silence(self) -> Memory:
        """Keys and values of the silence in every layer of the encoder."""
        hidden = self._network.encoder.heard(self._features[None].to(self._states.dtype))
        layers: Any = self._network.encoder.layers
        found = []
        for layer in layers:
            found.append(layer.self_attn.memory(layer.self_attn_layer_norm(hidden[:, self._frames :])))
            hidden = layer(hidden)
        return tuple(found)

    def _divergences(self, memory: Memory, bias: torch.Tensor | None = None) -> torch.Tensor:
        decoder = self._network.decoder
        hidden = decoder(self._ids, memory, bias=bias)[0][:, self._first :].flatten(0, 1)
        total = torch.full((len(hidden),), -torch.inf, device=hidden.device)
        for some in decoder.embed_tokens.weight.split(CHUNK):
            total = torch.logaddexp(total, functional.linear(hidden, some.to(hidden.dtype)).float().logsumexp(-1))
        hidden, total = (one.unflatten(0, (-1, len(self._expected))).double() for one in (hidden, total))
        return (total - (hidden * self._expected).sum(-1) - self._entropy).float()
