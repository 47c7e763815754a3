"""Saliency maps: which stretches of the audio a token's prediction hangs on, found without looking at attention.

One file per method. Each gives (tokens + 1, frames, channels), and `pool`
reduces any of them to the token-by-frame map that attention gives too.
"""

from aligner.saliency import encoder, gradient, spes, strips
from aligner.saliency.base import FILLS, Request, methods
from aligner.saliency.comparison import agreement, evidence, utterance_agreement
from aligner.saliency.compute import compute
from aligner.saliency.pooling import pool

__all__ = [
    "FILLS",
    "Request",
    "agreement",
    "compute",
    "encoder",
    "evidence",
    "gradient",
    "methods",
    "pool",
    "spes",
    "strips",
    "utterance_agreement",
]
