"""Grids of settings: every choice that published aligners make differently, one at a time and together."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aligner.errors import InputError, SettingError
from aligner.models.tokens import UNITS
from aligner.registry import Registry
from aligner.timing.aggregation import Aggregation
from aligner.timing.settings import PRESETS, Settings, choose
from aligner.timing.steps import SOURCES
from aligner.timing.words import PAUSES
from eval.baselines import baselines

TOP = (1, 2, 3, 5, 8, 10, 15, 20, 30)
NORMALISATIONS: tuple[tuple[str, ...], ...] = (
    ("mean",),
    ("max",),
    ("geometric-mean",),
    ("standardise", "mean"),
    ("column-norm", "mean"),
    ("row-max", "mean"),
    ("log", "mean"),
    ("mean", "log"),
    ("mean", "standardise"),
    ("mean", "column-norm"),
    ("median:7", "mean"),
    ("standardise", "median:7", "mean"),
    ("column-norm", "median:7", "mean"),
    ("standardise", "median:3", "mean"),
)


@dataclass(frozen=True)
class Candidate:
    """Settings with a name.

    Attributes
    ----------
    name : str
        Fit for a file name.
    family : str
        What is varied, such as "single head".
    settings : Settings
    """

    name: str
    family: str
    settings: Settings


@dataclass(frozen=True)
class DecoderShape:
    """What a grid must know of a model.

    Attributes
    ----------
    layers, heads : int
        Of the decoder.
    alignment_heads : bool
        Whether the checkpoint lists any.
    timing_head : bool
        Whether one is known for the checkpoint.
    """

    layers: int
    heads: int
    alignment_heads: bool
    timing_head: bool = False


grids: Registry[Callable[[DecoderShape], Iterable[Candidate]]] = Registry("grid")


@grids.register("small")
def small_grid(shape: DecoderShape) -> Iterable[Candidate]:
    """The presets, and attention alone where the default is a timing head."""
    for name, preset in PRESETS.items():
        if shape.alignment_heads or preset.settings.aggregation.heads != "alignment":
            yield Candidate(name, "preset", preset.settings)
    if shape.timing_head:
        yield Candidate("attention", "timing", Settings(timing="attention"))
        yield Candidate("both", "timing", Settings(timing="both"))


@grids.register("default")
def default_grid(shape: DecoderShape) -> Iterable[Candidate]:
    """Every choice, with the others as in the default preset."""
    yield from small_grid(shape)
    default = PRESETS["default"].settings
    base = default.aggregation

    def varied(name: str, family: str, **changes: Any) -> Candidate:
        aggregation = replace(base, **changes)
        return Candidate(name, family, replace(default, aggregation=aggregation, timing="attention"))

    for layer, head in np.ndindex(shape.layers, shape.heads):
        yield varied(f"head-{layer}.{head}", "single head", layers="all", heads=f"{layer}.{head}")
    for layer in range(shape.layers):
        yield varied(f"layer-{layer}", "layer mean", layers=str(layer), heads="all")
    for count in range(1, shape.layers + 1):
        yield varied(f"last-{count}", "last layers", layers=f"last:{count}", heads="all")
    for layers in ("upper-half", "all"):
        yield varied(f"{layers}-layers", "last layers", layers=layers, heads="all")
    for count in TOP:
        if count <= shape.layers * shape.heads:
            yield varied(f"top-{count}", "top heads of the utterance", layers="all", heads=f"top:{count}")
    chosen = [("default", base)]
    if shape.alignment_heads:
        yield varied("alignment-heads", "alignment heads", heads="alignment")
        if base.heads != "alignment":
            chosen.append(("alignment", replace(base, heads="alignment")))
    for label, aggregation in chosen:
        for source, steps in itertools.product(SOURCES, NORMALISATIONS):
            name = "+".join((label, source, *steps)).replace(":", "")
            yield varied(name, "steps", heads=aggregation.heads, steps=(source, *steps))
    for preset in [candidate for candidate in small_grid(shape) if candidate.family == "preset"]:
        for family, values in (("pauses", PAUSES), ("units", UNITS)):
            for value in values:
                settings = replace(preset.settings, **{family: value})  # type: ignore[arg-type]
                yield Candidate(f"{preset.name}+{family}-{value}", family, settings)
    for pauses in PAUSES:
        settings = replace(
            default, aggregation=replace(base, layers="all", heads="all"), pauses=pauses, timing="attention"
        )
        yield Candidate(f"all-layers+pauses-{pauses}", "pauses", settings)


@grids.register("attention")
def attention_grid(shape: DecoderShape) -> Iterable[Candidate]:
    """What the default of attention was chosen among: layers, normalisation, steps and a constant shift."""
    read = [("upper-half", "all"), ("last:2", "all")]
    read += [("all", "alignment")] if shape.alignment_heads else []
    for (layers, heads), source, steps, shift in itertools.product(
        read, SOURCES[:2], (("mean",), ("mean", "log")), (0.0, 0.025)
    ):
        named = layers if heads == "all" else heads
        name = "+".join((named.replace(":", ""), source, *steps, f"{1000 * shift:.0f}ms"))
        aggregation = Aggregation(layers, heads, (source, *steps))
        yield Candidate(name, "attention", Settings(aggregation, shift=shift, timing="attention"))


def read_grid(path: Path) -> list[Candidate]:
    """Settings of one's own: a JSON list of objects.

    Each has a name and arguments of `aligner.timing.settings.choose`: a preset
    to start from, layers, heads, combine, steps (a list, or a text with
    commas), and any field of `Settings`.

    Raises
    ------
    InputError, SettingError
        Not such a list, or choices that do not exist.
    """
    found = []
    try:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            name = str(entry.pop("name"))
            if isinstance(entry.get("steps"), list):
                entry["steps"] = ",".join(entry["steps"])
            try:
                found.append(Candidate(name, "own", choose(**entry)))
            except SettingError as error:
                raise SettingError(f"{path}, setting {name!r}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a grid (a JSON list of settings with names): {error}") from error
    return found


def candidates_of(grid: str, shape: DecoderShape) -> tuple[Candidate, ...]:
    """Settings of a named grid, or of a JSON file (with the presets added). None computes word probabilities.

    Raises
    ------
    SettingError
        Unknown grid, or two settings of one name.
    """
    if grid.endswith(".json"):
        own = read_grid(Path(grid))
        taken = {s.name for s in own}
        found = [*(s for s in small_grid(shape) if s.name not in taken), *own]
    else:
        found = list(grids[grid](shape))
    names = [*(s.name for s in found), *baselines]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise SettingError(f"grid {grid!r} has two settings named {sorted(twice)[0]!r}")
    for name in names:
        if not name or not all(c.isalnum() or c in "+-._" for c in name):
            raise SettingError(f"grid {grid!r}: the name {name!r} may hold letters, digits and + - . _ only")
    return tuple(replace(s, settings=replace(s.settings, confidence=False)) for s in found)
