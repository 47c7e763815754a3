"""How far hidden audio moves a prediction."""

from __future__ import annotations

import torch


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
