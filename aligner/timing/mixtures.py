"""Mixtures of diagonal Gaussians, one for each part of each sound: how it looks in a single frame.

A generative model settles where the sound changes; a classifier settles where its labels were. So this is what makes
edges sharp.

References
----------
Rabiner, "A Tutorial on Hidden Markov Models and Selected Applications in Speech Recognition", 1989, section IV.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_ABSENT = -500.0  # log-weight below which a component is not there
_FLOOR = 0.01  # of the variance over all frames: the least that a component has
_FEWEST = 30  # frames to a component
_PASSES = 2  # of expectation and maximisation after every split


@dataclass(frozen=True, eq=False)
class Mixtures:
    """A mixture of diagonal Gaussians for each of several classes.

    Attributes
    ----------
    means, variances : float32 arrays, shape (classes, components, values)
    log_weights : float32 array, shape (classes, components)
        Far below zero for components that a class does not have.
    """

    means: NDArray[np.float32]
    variances: NDArray[np.float32]
    log_weights: NDArray[np.float32]

    @cached_property
    def _linear(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Log-density as a product with squares and values of a frame, and a constant, of every component."""
        classes, components, values = self.means.shape
        precision = 1 / self.variances.astype(np.float64)
        weights = np.stack([-0.5 * precision, self.means * precision], 2).reshape(classes * components, 2 * values)
        constant = self.log_weights - 0.5 * (self.means**2 * precision - np.log(precision / (2 * np.pi))).sum(2)
        return weights.T.astype(np.float32), constant.reshape(-1).astype(np.float32)

    def log_likelihood(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-density of every frame under every class.

        Parameters
        ----------
        frames : float32 array, shape (frames, values)

        Returns
        -------
        float32 array, shape (frames, classes)
        """
        weights, constant = self._linear
        each = (np.concatenate([frames * frames, frames], 1) @ weights + constant).reshape(len(frames), *self._shape)
        top = each.max(2)
        each -= top[..., None]
        found: NDArray[np.float32] = top + np.log(np.exp(each, out=each).sum(2))
        return found

    @property
    def _shape(self) -> tuple[int, int]:
        return self.means.shape[0], self.means.shape[1]


def fit(
    frames: NDArray[np.float32], classes: NDArray[np.intp], count: int, components: int, start: Mixtures | None = None
) -> Mixtures:
    """Mixtures that fit labelled frames, grown by splitting the heaviest components.

    Parameters
    ----------
    frames : float32 array, shape (frames, values)
    classes : int array, shape (frames,)
        Class of every frame.
    count : int
        Classes.
    components : int
        Most for a class; a class of few frames has fewer.
    start : Mixtures, optional
        What to go on from; one Gaussian a class when None.
    """
    values = frames.shape[1]
    shape = (count, components, values)
    means, variances = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    log_weights = np.full(shape[:2], 2 * _ABSENT, np.float32)
    mean, variance = frames.mean(0, dtype=np.float64), frames.var(0, dtype=np.float64)
    order = np.argsort(classes, kind="stable")
    bounds = np.searchsorted(classes[order], np.arange(count + 1))
    rng = np.random.default_rng(0)
    for k in range(count):
        own = frames[order[bounds[k] : bounds[k + 1]]]
        if len(own) < 5:  # hardly heard: anything may be it, a little
            parts = (mean[None], variance[None], np.ones(1))
        else:
            parts = _grown(own, _parts(own, start, k, _FLOOR * variance), components, _FLOOR * variance, rng)
        size = len(parts[2])
        means[k, :size], variances[k, :size], log_weights[k, :size] = parts[0], parts[1], np.log(parts[2])
    return Mixtures(means, variances, log_weights)


_Parts = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]  # means, variances, weights


def _parts(own: NDArray[np.float32], start: Mixtures | None, k: int, floor: NDArray[np.float64]) -> _Parts:
    if start is None:
        return own.mean(0, dtype=np.float64)[None], own.var(0, dtype=np.float64)[None] + floor, np.ones(1)
    there = start.log_weights[k] > _ABSENT
    weights = np.exp(start.log_weights[k][there].astype(np.float64))
    return start.means[k][there].astype(np.float64), start.variances[k][there].astype(np.float64), weights


def _grown(
    own: NDArray[np.float32], parts: _Parts, most: int, floor: NDArray[np.float64], rng: np.random.Generator
) -> _Parts:
    """Components of one class after expectation, maximisation and splits."""
    wanted = max(1, min(most, len(own) // _FEWEST))
    both = np.concatenate([own * own, own], 1)
    while True:
        for _ in range(_PASSES):
            parts = _maximised(own, both, parts, floor)
        mean, variance, weight = parts
        if len(weight) >= wanted:
            return parts
        heaviest = np.argsort(-weight)[: min(len(weight), wanted - len(weight))]
        apart = 0.2 * np.sqrt(variance[heaviest]) * rng.choice([-1.0, 1.0], variance[heaviest].shape)
        mean = np.concatenate([mean, mean[heaviest] + apart])
        mean[heaviest] -= apart
        weight[heaviest] /= 2
        parts = mean, np.concatenate([variance, variance[heaviest]]), np.concatenate([weight, weight[heaviest]])


def _maximised(
    own: NDArray[np.float32], both: NDArray[np.float32], parts: _Parts, floor: NDArray[np.float64]
) -> _Parts:
    """One pass of expectation and maximisation; components that lose their frames go."""
    mean, variance, weight = parts
    linear = np.concatenate([-0.5 / variance, mean / variance], 1).T.astype(np.float32)
    constant = np.log(weight) - 0.5 * (mean**2 / variance + np.log(2 * np.pi * variance)).sum(1)
    share = both @ linear + constant.astype(np.float32)
    share -= share.max(1, keepdims=True)
    np.exp(share, out=share)
    share /= share.sum(1, keepdims=True)
    size = share.sum(0, dtype=np.float64) + 1e-6
    moments = (share.T @ both).astype(np.float64) / size[:, None]
    mean = moments[:, own.shape[1] :]
    variance = np.maximum(moments[:, : own.shape[1]] - mean**2, floor)
    kept = size > _FEWEST / 3
    if not kept.any():
        kept[:] = True
    return mean[kept], variance[kept], size[kept] / size[kept].sum()
