"""Attention against saliency, and saliency as evidence for a path."""

from __future__ import annotations

import numpy as np

from aligner.core import SaliencyMap, TokenFrameMap, Tokens
from aligner.metrics.saliency import Correlation, correlation, word_correlations
from aligner.saliency.pooling import pool


def agreement(attention: TokenFrameMap, saliency: SaliencyMap, tokens: Tokens) -> tuple[float, ...]:
    """How far attention and saliency agree on each word, -1 to 1.

    Parameters
    ----------
    attention : TokenFrameMap
    saliency : SaliencyMap
        Pooled by maximum to the frames of the attention.
    tokens : Tokens

    Returns
    -------
    tuple of float
        Per word, the correlation of both maps over the word's rows, attention
        standardised over the tokens and saliency over the frames of the
        utterance (`aligner.metrics.saliency`).
    """
    pooled = pool(saliency, attention.frame_duration, attention.values.shape[1])
    return word_correlations(attention.values, pooled.values, tokens.words)


def utterance_agreement(attention: TokenFrameMap, saliency: SaliencyMap) -> Correlation:
    """Agreement over all tokens, as arXiv 2509.18010 reports it."""
    pooled = pool(saliency, attention.frame_duration, attention.values.shape[1])
    return correlation(attention.values, pooled.values)


def evidence(saliency: SaliencyMap, frame_duration: float, n_frames: int, log: bool = False) -> TokenFrameMap:
    """A saliency map in the form of attention, to be warped like it.

    Each token's row is lowered by its median, cut at 0 and scaled to sum 1:
    what every frame shares is no evidence, and strong tokens weigh no more
    than weak ones.

    Parameters
    ----------
    saliency : SaliencyMap
    frame_duration : float
        Seconds.
    n_frames : int
    log : bool
        Whether the map holds logarithms, as that of "gradient" does.
    """
    values = pool(saliency, frame_duration, n_frames).values
    if log:
        values = np.exp(values - values.max(1, keepdims=True))
    above = np.maximum(values - np.median(values, axis=1, keepdims=True), 0)
    total = above.sum(1, keepdims=True)
    return TokenFrameMap(np.where(total > 0, above / np.where(total > 0, total, 1), 1 / n_frames), frame_duration)
