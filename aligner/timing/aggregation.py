"""From attention per layer and head to one token-by-frame map: the choice under study.

An aggregation is layers, heads and an ordered tuple of steps, the first of
which says what is read ("softmax-crop": attention as the decoder used it;
"crop-softmax": the scores, cut to real audio, then normalised; "logits").
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.core import AttentionMap, TokenFrameMap, softmax
from aligner.errors import SettingError
from aligner.timing.steps import COMBINE, SOURCES, Array, Rows, apply, check

Head = tuple[int, int]
LAYERS = r"all|upper-half|last:\d+|\d+(,\d+)*"
HEADS = r"all|alignment|alignment-or-all|top:\d+|\d+\.\d+(,\d+\.\d+)*"


@dataclass(frozen=True)
class Aggregation:
    """Which attention is read and how it becomes one map.

    Attributes
    ----------
    layers : str
        "last:N", "upper-half", "all", or indices such as "3,4" (from 0).
    heads : str
        "all", "alignment" (the checkpoint's own list, whatever its layers),
        "alignment-or-all" (that list where there is one, else all heads of the layers),
        "top:K" (the K best of this utterance by `norm_score`), or pairs "3.1,3.5".
    steps : tuple of str
        A source, then steps of `aligner.timing.steps`, one of them combining.
    """

    layers: str = "last:2"
    heads: str = "all"
    steps: tuple[str, ...] = ("softmax-crop", "mean")

    def __post_init__(self) -> None:
        if not self.steps or self.steps[0] not in SOURCES:
            raise SettingError(f"the first attention step must be one of {', '.join(SOURCES)}, not {self.steps[:1]}")
        if sum(step in COMBINE for step in self.steps) != 1:
            raise SettingError(f"attention steps {self.steps} need exactly one of {', '.join(COMBINE)}")
        if self.heads.startswith("top:") and self.steps[0] == "logits" and "softmax" not in self.steps:
            raise SettingError(f"--heads {self.heads} ranks attention, steps {self.steps} make none: add softmax")

        check(self.steps[1:])
        if not re.fullmatch(LAYERS, self.layers):
            raise SettingError(f"--layers {self.layers!r} is not last:N, upper-half, all or indices such as 3,4")
        if not re.fullmatch(HEADS, self.heads):
            raise SettingError(
                f"--heads {self.heads!r} is not all, alignment, alignment-or-all, top:K or pairs such as 3.1,3.5"
            )

    def describe(self) -> dict[str, Any]:
        """For provenance."""
        return {**asdict(self), "steps": list(self.steps)}


def choose_layers(layers: str, n_layers: int) -> tuple[int, ...]:
    """Layer indices that a setting names.

    Raises
    ------
    SettingError
        A layer the model does not have.
    """
    if layers == "all":
        return tuple(range(n_layers))
    if layers == "upper-half":
        return tuple(range(n_layers // 2, n_layers))
    if match := re.fullmatch(r"last:(\d+)", layers):
        count = int(match[1])
        if not 1 <= count <= n_layers:
            raise SettingError(f"--layers {layers}: the model has {n_layers} decoder layers")
        return tuple(range(n_layers - count, n_layers))
    chosen = tuple(int(layer) for layer in layers.split(","))
    if max(chosen) >= n_layers:
        raise SettingError(f"--layers {layers}: the model has decoder layers 0 to {n_layers - 1}")
    return chosen


def choose_heads(
    aggregation: Aggregation, attention: AttentionMap, alignment_heads: tuple[Head, ...] = ()
) -> tuple[Head, ...]:
    """(layer, head) pairs that an aggregation reads.

    Parameters
    ----------
    aggregation : Aggregation
    attention : AttentionMap
        Says how many layers and heads there are; "top:K" looks into it.
    alignment_heads : tuple of (int, int)
        The checkpoint's own list; empty where it has none.

    Raises
    ------
    SettingError
        Heads the model does not have, or no list in the checkpoint.
    """
    n_layers, n_heads = attention.logits.shape[:2]
    if aggregation.heads == "alignment" or (aggregation.heads == "alignment-or-all" and alignment_heads):
        if not alignment_heads:
            raise SettingError("--heads alignment: this checkpoint lists no alignment heads; try --heads top:10")
        if any(layer >= n_layers or head >= n_heads for layer, head in alignment_heads):
            raise SettingError(
                f"--heads alignment: the checkpoint's list {alignment_heads} does not fit its {n_layers} decoder "
                f"layers of {n_heads} heads; try --heads top:10"
            )
        return alignment_heads
    if aggregation.heads[0].isdigit():
        pairs = [tuple(map(int, pair.split("."))) for pair in aggregation.heads.split(",")]
        chosen = tuple((layer, head) for layer, head in pairs)
        if any(layer >= n_layers or head >= n_heads for layer, head in chosen):
            raise SettingError(f"--heads {aggregation.heads}: the model has {n_layers} layers of {n_heads} heads")
        return chosen
    candidates = tuple(
        (layer, head) for layer in choose_layers(aggregation.layers, n_layers) for head in range(n_heads)
    )
    if aggregation.heads in ("all", "alignment-or-all"):
        return candidates
    count = int(aggregation.heads.removeprefix("top:"))
    if not 1 <= count <= len(candidates):
        raise SettingError(f"--heads {aggregation.heads}: there are {len(candidates)} heads in these layers")
    made = aggregation.steps.index("softmax") + 1 if aggregation.steps[0] == "logits" else 1
    ranked = sorted(
        candidates, key=lambda pair: -norm_score(_values(attention, (pair,), aggregation.steps[:made])[0][0])
    )
    return tuple(ranked[:count])


def norm_score(weights: NDArray[np.float32]) -> float:
    """How concentrated a head's attention is, over tokens and over frames (arXiv 2509.09987).

    Sum over frames of the L2 norm over rows plus sum over rows of the L2 norm over frames.

    Parameters
    ----------
    weights : float32 array, shape (rows, frames)
        Attention as probabilities; the prompt's rows count, as in the paper's code.
    """
    return float(np.linalg.norm(weights, axis=0).sum() + np.linalg.norm(weights, axis=1).sum())


def aggregate(
    attention: AttentionMap, aggregation: Aggregation, alignment_heads: tuple[Head, ...] = ()
) -> TokenFrameMap:
    """One token-by-frame map from the attention of many heads.

    Parameters
    ----------
    attention : AttentionMap
    aggregation : Aggregation
    alignment_heads : tuple of (layer, head)
        The checkpoint's list, for heads="alignment".

    Returns
    -------
    TokenFrameMap
        One row per text token and one for the end of the text (which "input-rows" has not).

    Raises
    ------
    SettingError
        Settings that do not exist or do not fit the model.
    """
    chosen = choose_heads(aggregation, attention, alignment_heads)
    values, rows = _values(attention, chosen, aggregation.steps)
    return TokenFrameMap(values[0, rows.text].astype(np.float64), attention.frame_duration)


def _values(attention: AttentionMap, chosen: tuple[Head, ...], steps: tuple[str, ...]) -> tuple[Array, Rows]:
    """A source and the steps after it, on some heads."""
    layers, heads = np.array(chosen).T
    values = attention.logits[layers, heads]
    if steps[0] == "softmax-crop":
        values = softmax(values)[..., : attention.frames]
    else:
        values = values[..., : attention.frames]
        if steps[0] == "crop-softmax":
            values = softmax(values)
    return apply(values, Rows(attention.text_rows), steps[1:])
