"""The loop that perturbation methods share: draw masks, score them, stop when the map repeats itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from aligner.core import SaliencyMap
from aligner.errors import SettingError
from aligner.models.base import Rereading
from aligner.saliency.base import Request
from aligner.saliency.masks import Estimate, draw, split_half
from aligner.saliency.reading import reread

BATCH = 32  # masks per forward pass; larger batches leave the cache and gain nothing on a CPU
CHECK = 512  # masks between two looks at the convergence
MOST_MASKS = 20_000

_log = logging.getLogger("aligner.saliency")

Reads = Callable[[Rereading, torch.Tensor], torch.Tensor]


def occlude(
    request: Request,
    partitions: Sequence[NDArray[np.intp]],
    probability: float,
    frame_duration: float,
    reads: Reads,
    most: int = MOST_MASKS,
) -> SaliencyMap:
    """Estimate what each segment is worth to each token.

    Parameters
    ----------
    request : Request
    partitions : sequence of int arrays, shape (frames, channels)
        Segment of each cell, from 0; masks are shared out equally among them.
    probability : float
        That a mask drops a segment.
    frame_duration : float
        Seconds per frame of the partitions.
    reads : callable
        From a `Rereading` and a bool tensor keep, (batch, frames, channels), to divergences (batch, rows).
    most : int
        Masks after which drawing stops though the map has not converged.

    Returns
    -------
    SaliencyMap
        Cells of several partitions hold their mean.

    Raises
    ------
    SettingError
        Too few masks for two halves.
    """
    n_parts = len(partitions)
    if request.masks is not None and request.masks < 4 * n_parts:
        raise SettingError(
            f"{request.masks} masks are too few for saliency, whose convergence is the agreement of two halves of the "
            f"masks: give --masks {4 * n_parts} or more, or leave it out to draw until the map converges"
        )
    rng = np.random.default_rng(request.seed)
    rows = len(request.tokens) + 1
    sizes = [int(labels.max()) + 1 for labels in partitions]
    halves = [[Estimate(size, rows, probability) for size in sizes] for _ in range(2)]
    device = request.encoded.states.device
    index = [torch.from_numpy(labels).to(device) for labels in partitions]
    wanted = request.masks or most
    drawn, due = 0, CHECK
    with torch.inference_mode():
        reading = reread(request.model, request.encoded, request.tokens, request.language)
        turn = 0
        while drawn < wanted:
            part, half = turn % n_parts, turn // n_parts % 2
            # An early end of a fixed number still leaves every half of every partition its masks.
            count = min(BATCH, max(1, wanted // (2 * n_parts)), wanted - drawn)
            dropped = draw(rng, count, sizes[part], probability)
            keep = ~torch.from_numpy(dropped).to(device)[:, index[part]]
            scores = reads(reading, keep).double().cpu().numpy()
            halves[half][part].add(dropped, scores)
            drawn, turn = drawn + count, turn + 1
            if request.masks is None and turn % (2 * n_parts) == 0 and drawn >= due:
                due += CHECK
                if split_half(*(_map(half, partitions) for half in halves)) >= request.threshold:
                    break
    convergence = split_half(*(_map(half, partitions) for half in halves))
    if convergence < request.threshold:
        _log.warning(
            "saliency has not converged: split-half correlation %.2f after %d masks, %g wanted; give more --masks",
            convergence,
            drawn,
            request.threshold,
        )
    whole = [first + second for first, second in zip(*halves, strict=True)]
    return SaliencyMap(_map(whole, partitions), frame_duration, convergence, drawn)


def _map(estimates: Sequence[Estimate], partitions: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
    """Cells hold the mean of their segments over the partitions, shape (rows, frames, channels)."""
    maps = [estimate.worth()[:, labels] for estimate, labels in zip(estimates, partitions, strict=True)]
    return np.asarray(sum(maps) / len(maps))


def occlude_features(
    request: Request, partitions: Sequence[NDArray[np.intp]], probability: float, most: int = MOST_MASKS
) -> SaliencyMap:
    """`occlude` on the features, hidden cells replaced by the fill; the padding is never touched."""
    hears, features, filling = request.spectrogram(), request.encoded.features, request.filling()

    def reads(reading: Rereading, keep: torch.Tensor) -> torch.Tensor:
        return reading.with_features(torch.where(keep, features, filling))

    return occlude(request, partitions, probability, hears.feature_duration, reads, most)
