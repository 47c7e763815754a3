"""Preprocessing steps on attention, in the order the user names them.

Each step maps an array (heads, rows, frames) to one of the same shape, except
the combining steps, which leave a single head, and "text-rows" and
"input-rows", which drop rows. The order is part of a result: published tools
differ in little else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.core import softmax
from aligner.errors import SettingError
from aligner.registry import Registry

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """What a step may know of the map beyond its values: the rows that are text or its end."""

    text: slice


steps: Registry[Callable[[Array, Rows, str], tuple[Array, Rows]]] = Registry("attention step")
COMBINE = ("mean", "max", "geometric-mean")
SOURCES = ("crop-softmax", "softmax-crop", "logits")


def _elementwise(name: str) -> Callable[[Callable[[Array], Array]], Callable[[Array], Array]]:
    """Register a step that needs neither rows nor an argument."""

    def add(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
        steps.register(name)(lambda values, rows, argument: (function(values), rows))
        return function

    return add


@_elementwise("softmax")
def _softmax(values: Array) -> Array:
    return softmax(values)


@_elementwise("renormalise")
def renormalise(values: Array) -> Array:
    """Make each row sum to one over the real frames."""
    return values / np.maximum(values.sum(-1, keepdims=True), 1e-12)


@_elementwise("standardise")
def standardise(values: Array) -> Array:
    """z-score of each frame over the tokens, population deviation (openai-whisper `find_alignment`)."""
    centred = values - values.mean(-2, keepdims=True)
    deviation = np.sqrt(np.einsum("htf,htf->hf", centred, centred) / values.shape[-2])[:, None]
    centred /= np.where(deviation > 0, deviation, 1)
    return centred


@_elementwise("column-norm")
def column_norm(values: Array) -> Array:
    """Divide each frame by its L2 norm over the tokens (whisper-timestamped, arXiv 2509.09987)."""
    return values / np.maximum(np.linalg.norm(values, axis=-2, keepdims=True), 1e-12)


@_elementwise("log")
def log(values: Array) -> Array:
    """Natural logarithm, floored at 1e-6."""
    return np.log(np.maximum(values, 1e-6))


@_elementwise("row-max")
def row_max(values: Array) -> Array:
    """Divide each token's row by its peak."""
    return values / np.maximum(values.max(-1, keepdims=True), 1e-12)


@_elementwise("mean")
def _mean(values: Array) -> Array:
    return values.mean(0, keepdims=True)


@_elementwise("max")
def _max(values: Array) -> Array:
    return values.max(0, keepdims=True)


@_elementwise("geometric-mean")
def _geometric_mean(values: Array) -> Array:
    return np.exp(log(values).mean(0, keepdims=True))


@steps.register("text-rows")
def _text_rows(values: Array, rows: Rows, argument: str) -> tuple[Array, Rows]:
    kept = values[:, rows.text]
    return kept, Rows(slice(0, kept.shape[1]))


@steps.register("input-rows")
def _input_rows(values: Array, rows: Rows, argument: str) -> tuple[Array, Rows]:
    """Rows that read each token instead of those that predict it: none for the end of the text (transformers)."""
    kept = values[:, rows.text.start + 1 : rows.text.stop]
    return kept, Rows(slice(0, kept.shape[1]))


@steps.register("median")
def _median(values: Array, rows: Rows, argument: str) -> tuple[Array, Rows]:
    size, _, edges = argument.partition(":")
    width = int(size) if size.isdigit() else 0
    if width % 2 == 0 or edges not in ("", "repeat"):
        raise SettingError(f"median filter {argument!r} must be an odd width, as in median:7 or median:7:repeat")
    return median_filter(values, width, repeat=bool(edges)), rows


def median_filter(values: Array, width: int, repeat: bool = False) -> Array:
    """Running median over the last axis, edges mirrored.

    Equal to `scipy.ndimage.median_filter(mode="mirror")`, but sorts whole
    shifted planes with a network of minima and maxima: many times faster.

    Parameters
    ----------
    values : array, shape (..., frames)
    width : int
        Odd. Left undone where half of it does not fit (as openai-whisper does).
    repeat : bool
        Mirror between frames instead of at the outer ones, which are thus
        repeated: scipy's default, `mode="reflect"`.

    Returns
    -------
    array of the same shape and dtype
    """
    half = width // 2
    if half == 0 or values.shape[-1] <= half:
        return values
    n_frames = values.shape[-1]
    flat = values.reshape(-1, n_frames)
    result = np.empty_like(flat)
    mirrored = np.pad(np.arange(n_frames), half, mode="symmetric" if repeat else "reflect")
    for first in range(0, len(flat), 16):  # blocks that stay in the cache
        padded = flat[first : first + 16][:, mirrored]
        result[first : first + 16] = _median_of([padded[:, k : k + n_frames] for k in range(width)])
    return result.reshape(values.shape)


def _median_of(planes: list[Array]) -> Array:
    """Median of an odd number of equal arrays by forgetful selection.

    Holding half + 2 values, the extremes cannot be the median: drop them,
    take the next value, repeat.
    """
    if len(planes) == 1:
        return planes[0]
    count = len(planes) // 2 + 2
    held, waiting = planes[:count], planes[count:]
    while True:
        held = _without(held, np.maximum, np.minimum)
        held = _without(held, np.minimum, np.maximum)
        if not waiting:
            return held[0]
        held.append(waiting.pop())


def _without(held: list[Array], extreme: np.ufunc, other: np.ufunc) -> list[Array]:
    """Several arrays but the extremes of each element, which pass from array to array and out."""
    passing, kept = held[0], []
    for plane in held[1:-1]:
        kept.append(other(passing, plane))
        passing = extreme(passing, plane)
    return [*kept, other(passing, held[-1])]


def apply(values: Array, rows: Rows, names: tuple[str, ...]) -> tuple[Array, Rows]:
    """Run steps in order.

    Parameters
    ----------
    values : float32 array, shape (heads, rows, frames)
    rows : Rows
    names : tuple of str
        Registered names, with an argument after a colon where a step takes one.

    Raises
    ------
    SettingError
        Unknown step or bad argument.
    """
    for name in names:
        step, _, argument = name.partition(":")
        values, rows = steps[step](values, rows, argument)
    return values, rows


def check(names: tuple[str, ...]) -> None:
    """Refuse steps that do not exist.

    Raises
    ------
    SettingError
        The first of them, with those that do.
    """
    for name in names:
        steps[name.partition(":")[0]]
