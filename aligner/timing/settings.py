"""Every choice that shapes an alignment, in one frozen value that provenance records."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from aligner.errors import SettingError
from aligner.text.languages import code
from aligner.timing.aggregation import Aggregation
from aligner.timing.presets import PRESETS
from aligner.timing.steps import COMBINE

TIMINGS = ("auto", "head", "attention", "both")


def _default() -> Aggregation:
    return PRESETS["default"].aggregation


@dataclass(frozen=True)
class Settings:
    """How a recording is aligned.

    Attributes
    ----------
    aggregation : Aggregation
        Layers, heads and steps that make one map of the attention.
    path : str
        Path finder: "dtw" or another of `aligner.timing.path.paths`.
    pauses : str
        "trim" (a pause belongs to no word) or "keep" (a word lasts until the next).
    units : str
        "subword" or "character": what the transcript is teacher-forced as.
    timing : str
        What times the words: "head" (the checkpoint's timing head), "attention", "both", or "auto": the head where one
        is known for the checkpoint and the language, else attention.
    head : str or None
        File of a timing head; the one that is shipped for the checkpoint when None.
    language : str or None
        Code; detected when None.
    task : str
        "transcribe" or "translate".
    vad : str
        Speech detector of `aligner.audio.speech`.
    confidence : bool
        Compute word probabilities (one more decoder pass).
    tokens : bool
        Keep the times of tokens too.
    saliency : str or None
        Method of `aligner.saliency` to compare the attention with, word by word.
    masks : int or None
        Random masks of that method; its own default when None.
    """

    aggregation: Aggregation = field(default_factory=_default)
    path: str = PRESETS["default"].path
    pauses: str = PRESETS["default"].pauses
    units: str = PRESETS["default"].units
    timing: str = PRESETS["default"].timing
    head: str | None = None
    language: str | None = None
    task: str = "transcribe"
    vad: str = "silero"
    confidence: bool = True
    tokens: bool = False
    saliency: str | None = None
    masks: int | None = None


def choose(
    preset: str = "default",
    layers: str | None = None,
    heads: str | None = None,
    combine: str | None = None,
    steps: str | None = None,
    **others: object,
) -> Settings:
    """Settings of a preset with single choices replaced; None leaves the preset's choice.

    Parameters
    ----------
    preset : str
        Name in `aligner.timing.presets.PRESETS`.
    layers, heads : str, optional
        As in `Aggregation`.
    combine : str, optional
        "mean", "max" or another of `aligner.timing.steps.COMBINE`, put where the preset combines.
    steps : str, optional
        All steps, in order, separated by commas.
    **others
        Further fields of `Settings`.

    Raises
    ------
    SettingError
        Unknown preset, step or combination.
    """
    if preset not in PRESETS:
        raise SettingError(f"unknown preset {preset!r}: choose one of {', '.join(PRESETS)}")
    base = PRESETS[preset]
    chosen = tuple(step.strip() for step in steps.split(",")) if steps else base.aggregation.steps
    if combine is not None:
        if combine not in COMBINE:
            raise SettingError(f"unknown aggregation {combine!r}: choose one of {', '.join(COMBINE)}")
        chosen = tuple(combine if step in COMBINE else step for step in chosen)
    aggregation = replace(base.aggregation, steps=chosen)
    if layers is not None:
        # The checkpoint's own list names layers already; choosing layers means choosing among all heads.
        named = heads or ("all" if aggregation.heads == "alignment" else aggregation.heads)
        aggregation = replace(aggregation, layers=layers, heads=named)
    elif heads is not None:
        aggregation = replace(aggregation, heads=heads)
    defaults: dict[str, object] = {name: getattr(base, name) for name in ("path", "pauses", "units", "timing")}
    if any(choice is not None for choice in (layers, heads, combine, steps, others.get("path"))):
        defaults["timing"] = "attention"  # whoever chooses among attention wants to see it
    given = {name: value for name, value in others.items() if value is not None}
    unknown = given.keys() - Settings.__dataclass_fields__.keys()
    if unknown:
        known = ", ".join(Settings.__dataclass_fields__)
        raise SettingError(f"unknown setting {sorted(unknown)[0]!r}: choose from {known}")
    if given.get("timing", TIMINGS[0]) not in TIMINGS:
        raise SettingError(f"unknown timing {given['timing']!r}: choose one of {', '.join(TIMINGS)}")
    if isinstance(given.get("language"), str):
        given["language"] = code(str(given["language"]))
    return Settings(aggregation=aggregation, **{**defaults, **given})  # type: ignore[arg-type]
