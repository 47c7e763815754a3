"""Mixtures of diagonal Gaussians, one for each part of each sound: how it looks in a single frame.

A generative model settles where the sound changes; a classifier settles where its labels were. So this is what makes
edges sharp.

References
----------
Rabiner, "A Tutorial on Hidden Markov Models and Selected Applications in Speech Recognition", 1989, section IV; Povey
et al., "The Kaldi Speech Recognition Toolkit", 2011 (components by a power of how often a class is heard).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_ABSENT = -500.0  # log-weight below which a component is not there
_FLOOR = 0.01  # of the variance over all frames: the least that a component has
_FEWEST = 10  # frames to a component
_BLOCK = 128  # frames whose components stay in the processor's cache
_HARDLY = 5  # frames of a class from which nothing is learned
_POWER = 0.25  # a class that is heard 16 times as often has twice as many components
_APART = 0.01  # of a standard deviation, between the halves of a component that is split


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
    def _sizes(self) -> NDArray[np.intp]:
        """Components of each class, up to its last that is there."""
        there = self.log_weights > _ABSENT
        return np.maximum(np.where(there, np.arange(1, there.shape[1] + 1), 0).max(1), 1)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        """Classes, those of most components first."""
        return np.argsort(-self._sizes, kind="stable")

    @cached_property
    def _linear(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Log-density as a product with squares and values of a frame, and a constant, of every component.

        First components of all classes in their order, then second ones of those that have them, and so on: sums over
        components are then sums of neighbouring rows.
        """
        components = self.means.shape[1]
        precision = 1 / self.variances.astype(np.float64)
        weights = np.concatenate([-0.5 * precision, self.means * precision], 2)
        constant = self.log_weights - 0.5 * (self.means**2 * precision - np.log(precision / (2 * np.pi))).sum(2)
        number, place = np.nonzero(np.arange(components)[:, None] < self._sizes[self._order])
        of_class = self._order[place]
        return (
            np.ascontiguousarray(weights[of_class, number], np.float32),
            constant[of_class, number, None].astype(np.float32),
        )

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
        classes, components, _ = self.means.shape
        counts = [int((self._sizes > k).sum()) for k in range(components)]
        spans = [(slice(end - count, end), slice(count)) for end, count in zip(np.cumsum(counts), counts, strict=True)]
        found = np.empty((len(frames), classes), np.float32)
        for low in range(0, len(frames), _BLOCK):
            part = frames[low : low + _BLOCK]
            each = weights @ np.concatenate([part * part, part], 1).T
            each += constant
            top = each[:classes].copy()
            for rows, first in spans[1:]:
                np.maximum(top[first], each[rows], out=top[first])
            for rows, first in spans:
                each[rows] -= top[first]
            np.exp(each, out=each)
            total = each[:classes]
            for rows, first in spans[1:]:
                total[first] += each[rows]
            found[low : low + _BLOCK, self._order] = (top + np.log(total)).T
        return found


def one_for_all(frames: NDArray[np.float32], count: int) -> Mixtures:
    """The Gaussian of all frames for each of several classes: nothing is known of them yet."""
    mean, variance = frames.mean(0, dtype=np.float64), frames.var(0, dtype=np.float64)
    means, variances = (np.tile(one.astype(np.float32), (count, 1, 1)) for one in (mean, variance))
    return Mixtures(means, variances, np.zeros((count, 1), np.float32))


def sizes(heard: NDArray[np.intp], total: int, most: int) -> NDArray[np.intp]:
    """How many components each class may have.

    Parameters
    ----------
    heard : int array, shape (classes,)
        Frames of each class.
    total : int
        Components of all classes.
    most : int
        For a class.
    """
    found, share = np.ones(len(heard), np.intp), heard.astype(np.float64) ** _POWER
    for _ in range(total - len(heard)):
        worth = np.where((found < most) & (heard >= _FEWEST * (found + 1)), share / found, 0)
        if not worth.any():
            break
        found[worth.argmax()] += 1
    return found


def fit(
    frames: NDArray[np.float32], classes: NDArray[np.intp], start: Mixtures, components: NDArray[np.intp]
) -> Mixtures:
    """One pass of expectation and maximisation in every class, and splits of its heaviest components.

    Parameters
    ----------
    frames : float32 array, shape (frames, values)
    classes : int array, shape (frames,)
        Class of every frame.
    start : Mixtures
        What to go on from; a class of hardly any frames stays as it is.
    components : int array, shape (classes,)
        Components of each class after the splits.
    """
    floor = _FLOOR * frames.var(0)
    order = np.argsort(classes, kind="stable")
    bounds = np.searchsorted(classes[order], np.arange(len(components) + 1))
    rng = np.random.default_rng(0)
    parts = []
    for k, wanted in enumerate(components):
        there = start.log_weights[k] > _ABSENT
        own = frames[order[bounds[k] : bounds[k + 1]]]
        part = start.means[k][there], start.variances[k][there], np.exp(start.log_weights[k][there])
        parts.append(_split(_maximised(own, part, floor), int(wanted), rng) if len(own) >= _HARDLY else part)
    shape = (len(parts), max(len(part[2]) for part in parts))
    means, variances = (np.full((*shape, frames.shape[1]), fill, np.float32) for fill in (0.0, 1.0))
    log_weights = np.full(shape, 2 * _ABSENT, np.float32)
    for k, (mean, variance, weight) in enumerate(parts):
        size = len(weight)
        means[k, :size], variances[k, :size], log_weights[k, :size] = mean, variance, np.log(weight)
    return Mixtures(means, variances, log_weights)


_Parts = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]  # means, variances, weights of a class


def _maximised(own: NDArray[np.float32], parts: _Parts, floor: NDArray[np.float32]) -> _Parts:
    """One pass of expectation and maximisation; components that lose their frames go."""
    mean, variance, weight = parts
    both = np.concatenate([own * own, own], 1)
    share = both @ np.concatenate([-0.5 / variance, mean / variance], 1).T
    share += np.log(weight) - 0.5 * (mean**2 / variance + np.log(2 * np.pi * variance)).sum(1)
    share -= share.max(1, keepdims=True)
    np.exp(share, out=share)
    share /= share.sum(1, keepdims=True)
    size = share.sum(0, dtype=np.float64)
    moments = (share.T @ both).astype(np.float64) / np.maximum(size, 1e-6)[:, None]
    mean = moments[:, own.shape[1] :]
    variance = np.maximum(moments[:, : own.shape[1]] - mean**2, floor)
    kept = size > min(_FEWEST, size.max() / 2)
    kept_mean, kept_variance, kept_size = (a[kept].astype(np.float32) for a in (mean, variance, size))
    return kept_mean, kept_variance, kept_size / kept_size.sum()


def _split(parts: _Parts, wanted: int, rng: np.random.Generator) -> _Parts:
    """Components, the heaviest of which are two, a little apart, until there are enough."""
    mean, variance, weight = parts
    while len(weight) < wanted:
        heaviest = int(weight.argmax())
        apart = (_APART * np.sqrt(variance[heaviest]) * rng.standard_normal(variance.shape[1])).astype(np.float32)
        mean = np.concatenate([mean, mean[heaviest][None] + apart])
        mean[heaviest] -= apart
        variance = np.concatenate([variance, variance[heaviest][None]])
        weight = np.append(weight, weight[heaviest] / 2)
        weight[heaviest] /= 2
    return mean, variance, weight
