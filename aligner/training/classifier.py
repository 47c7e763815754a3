"""The classifier of encoder states, taught with cross-entropy on the sounds of a path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aligner.timing.head import HALVES, Classifier

UNITS = 128
_PASSES, _BATCH, _RATE, _DECAY = 6, 1024, 4e-3, 1e-2


def teach(states: NDArray[np.float16], classes: NDArray[np.intp], count: int, seed: int = 0) -> Classifier:
    """Teach a classifier.

    Parameters
    ----------
    states : float16 array, shape (frames, width)
        Of all recordings.
    classes : int array, shape (frames, HALVES)
        Of both halves of every state.
    count : int
        Classes.
    seed : int
        Of the first weights and of the order of frames.

    Returns
    -------
    Classifier
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    inputs, targets = torch.from_numpy(states), torch.from_numpy(classes.astype(np.int64))
    sample = inputs[torch.randperm(len(inputs))[:100_000]].float()
    mean, scale = sample.mean(0), sample.std(0) + 1e-3
    network = nn.Sequential(nn.Linear(inputs.shape[1], UNITS), nn.ReLU(), nn.Linear(UNITS, HALVES * count))
    steps = _PASSES * -(-len(inputs) // _BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
    for _ in range(_PASSES):
        for batch in torch.randperm(len(inputs)).split(_BATCH):
            scores = network((inputs[batch].float() - mean) / scale).view(-1, count)
            loss = nn.functional.cross_entropy(scores, targets[batch].view(-1))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
    prior = np.log((np.bincount(classes.ravel(), minlength=count) + 1) / (classes.size + count)).astype(np.float32)
    weights = [number.detach().numpy() for number in network.parameters()]
    return Classifier(mean.numpy(), scale.numpy(), weights[0], weights[1], weights[2], weights[3], prior)
