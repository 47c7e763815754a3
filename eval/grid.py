"""Grids of settings: every choice that published aligners make differently, one at a time and together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aligner.errors import InputError, SettingError
from aligner.registry import Registry
from aligner.timing.aggregation import Aggregation
from aligner.timing.presets import PRESETS
from aligner.timing.settings import Settings

TOP = (1, 2, 3, 5, 8, 10, 15, 20, 30)
SOURCES = ("softmax-crop", "crop-softmax", "logits")
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
class Setting:
    """One way to align.

    Attributes
    ----------
    name : str
        Fit for a file name.
    family : str
        What is varied, such as "single head".
    aggregation : Aggregation or None
        None for baselines.
    units, path, pauses : str
        As in `aligner.timing.settings.Settings`.
    baseline : str or None
        "uniform".
    """

    name: str
    family: str
    aggregation: Aggregation | None
    units: str = PRESETS["default"].units
    path: str = PRESETS["default"].path
    pauses: str = PRESETS["default"].pauses
    baseline: str | None = None

    @property
    def settings(self) -> Settings | None:
        """For `aligner.timing.case.Case`; None for baselines."""
        if self.aggregation is None:
            return None
        return Settings(self.aggregation, self.path, self.pauses, self.units, confidence=False)

    def describe(self) -> dict[str, Any]:
        """For display and provenance."""
        if self.aggregation is None:
            return {"baseline": self.baseline}
        return {**self.aggregation.describe(), "units": self.units, "path": self.path, "pauses": self.pauses}


@dataclass(frozen=True)
class Shape:
    """What a grid must know of a model.

    Attributes
    ----------
    layers, heads : int
        Of the decoder.
    alignment_heads : bool
        Whether the checkpoint lists any.
    """

    layers: int
    heads: int
    alignment_heads: bool


grids: Registry[Callable[[Shape], Iterable[Setting]]] = Registry("grid")


def _of_preset(name: str, setting_name: str, family: str, **changes: Any) -> Setting:
    preset = PRESETS[name]
    fields = {"units": preset.units, "path": preset.path, "pauses": preset.pauses, **changes}
    aggregation = fields.pop("aggregation", preset.aggregation)
    return Setting(setting_name, family, aggregation, **fields)


@grids.register("small")
def small_grid(shape: Shape) -> Iterable[Setting]:
    """The presets and the baselines."""
    for name in PRESETS:
        if shape.alignment_heads or PRESETS[name].aggregation.heads != "alignment":
            yield _of_preset(name, name, "preset")
    yield Setting("uniform", "baseline", None, baseline="uniform")


@grids.register("default")
def default_grid(shape: Shape) -> Iterable[Setting]:
    """Every choice, with the others as in the default preset."""
    yield from small_grid(shape)
    base = PRESETS["default"].aggregation
    for layer in range(shape.layers):
        for head in range(shape.heads):
            yield Setting(f"head-{layer}.{head}", "single head", replace(base, layers="all", heads=f"{layer}.{head}"))
    for layer in range(shape.layers):
        yield Setting(f"layer-{layer}", "layer mean", replace(base, layers=str(layer), heads="all"))
    for count in range(1, shape.layers + 1):
        yield Setting(f"last-{count}", "last layers", replace(base, layers=f"last:{count}", heads="all"))
    for layers in ("upper-half", "all"):
        yield Setting(f"{layers}-layers", "last layers", replace(base, layers=layers, heads="all"))
    for count in TOP:
        if count <= shape.layers * shape.heads:
            yield Setting(
                f"top-{count}", "top heads of the utterance", replace(base, layers="all", heads=f"top:{count}")
            )
    chosen = [("default", base)]
    if shape.alignment_heads:
        named = replace(base, heads="alignment")
        yield Setting("alignment-heads", "alignment heads", named)
        if base.heads != "alignment":
            chosen.append(("alignment", named))
    for label, aggregation in chosen:
        for source in SOURCES:
            for steps in NORMALISATIONS:
                name = "+".join((label, source, *steps)).replace(":", "")
                yield Setting(name, "steps", replace(aggregation, steps=(source, *steps)))
    for name in PRESETS:
        preset = PRESETS[name]
        if not shape.alignment_heads and preset.aggregation.heads == "alignment":
            continue
        for pauses in ("keep", "trim"):
            yield _of_preset(name, f"{name}+pauses-{pauses}", "pauses", pauses=pauses)
        for units in ("subword", "character"):
            yield _of_preset(name, f"{name}+units-{units}", "units", units=units)
    for pauses in ("keep", "trim"):
        yield Setting(f"all-layers+pauses-{pauses}", "pauses", replace(base, layers="all", heads="all"), pauses=pauses)


def read_grid(path: Path) -> list[Setting]:
    """Settings of one's own: a JSON list of objects.

    Each has a name and the choices of `Aggregation` (layers, heads, steps) and
    of `Settings` (units, path, pauses) that differ from the default preset.

    Raises
    ------
    InputError, SettingError
        Not such a list, or choices that do not exist.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        found = []
        for entry in entries:
            choices = {name: entry[name] for name in ("layers", "heads") if name in entry}
            if "steps" in entry:
                choices["steps"] = tuple(entry["steps"])
            rest = {name: entry[name] for name in ("units", "path", "pauses") if name in entry}
            unknown = entry.keys() - {"name", "layers", "heads", "steps", "units", "path", "pauses"}
            if unknown:
                raise SettingError(f"{path}: unknown choice {sorted(unknown)[0]!r} in setting {entry['name']!r}")
            aggregation = replace(PRESETS["default"].aggregation, **choices)
            found.append(Setting(str(entry["name"]), "own", aggregation, **rest))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a grid (a JSON list of settings with names): {error}") from error
    return found


def settings_of(grid: str, shape: Shape) -> tuple[Setting, ...]:
    """Settings of a named grid, or of a JSON file (with the default preset and the baselines added).

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
    names = [s.name for s in found]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise SettingError(f"grid {grid!r} has two settings named {sorted(twice)[0]!r}")
    for name in names:
        if not name or not all(c.isalnum() or c in "+-._" for c in name):
            raise SettingError(f"grid {grid!r}: the name {name!r} may hold letters, digits and + - . _ only")
    return tuple(found)
