"""Reading a text again over a window of which parts are hidden: by the model's own short cut, or pass by pass."""

from __future__ import annotations

import torch

from aligner.core import Tokens
from aligner.models.base import Encoded, Rereading, Rereads, SpeechModel, hears_spectrogram


class Passes:
    """A `Rereading` of whole passes, for models that have no shorter way.

    Parameters
    ----------
    model : SpeechModel
    encoded : Encoded
    tokens : Tokens
    language : str or None
    """

    def __init__(self, model: SpeechModel, encoded: Encoded, tokens: Tokens, language: str | None) -> None:
        self._model, self._encoded, self._tokens, self._language = model, encoded, tokens, language
        self._original = self._log_probs(encoded.states[None])[0]

    def _log_probs(self, states: torch.Tensor) -> torch.Tensor:
        return self._model.token_log_probs(states, self._tokens, self._language)

    def without_states(self, keep: torch.Tensor) -> torch.Tensor:
        """See `aligner.models.base.Rereading`."""
        states = self._encoded.states
        shown = torch.ones((len(keep), len(states)), dtype=torch.bool, device=states.device)
        shown[:, : keep.shape[1]] = keep
        return kl_divergence(self._original, self._log_probs(states * shown[..., None]))

    def with_features(self, features: torch.Tensor) -> torch.Tensor:
        """See `aligner.models.base.Rereading`."""
        hears = hears_spectrogram(self._model, "this saliency method")
        return kl_divergence(self._original, self._log_probs(hears.encode_features(features)))


def reread(model: SpeechModel, encoded: Encoded, tokens: Tokens, language: str | None) -> Rereading:
    """A text to be read again over a window."""
    if isinstance(model, Rereads):
        return model.reread(encoded, tokens, language)
    return Passes(model, encoded, tokens, language)


def kl_divergence(original: torch.Tensor, perturbed: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of token distributions, KL(original || perturbed), in nats.

    Computed from log-probabilities, so that probabilities of zero do no harm.

    Parameters
    ----------
    original : float32 tensor, shape (rows, vocabulary)
        Log-softmax.
    perturbed : float32 tensor, shape (batch, rows, vocabulary)

    Returns
    -------
    float32 tensor, shape (batch, rows)

    References
    ----------
    Fucci et al., arXiv 2411.01710, and Papi et al., arXiv 2509.18010, section 4.3.
    """
    weights = original.exp()
    own = (weights * original).sum(-1)
    return own - torch.einsum("rv,brv->br", weights, perturbed)
