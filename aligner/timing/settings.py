"""Every choice that shapes an alignment, in one frozen value that checks and describes itself.

A preset names the choices of a published tool: what is read of the attention, the order of the steps, the decoder row
that times a token. Silence detectors and clean-up rules that tools add afterwards are not part of it.

To add a setting: a field here, checked in `__post_init__`, and its option in `aligner.command.cli`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from aligner.audio.speech import detectors
from aligner.errors import SettingError
from aligner.models.tokens import UNITS
from aligner.text.languages import code
from aligner.timing.aggregation import Aggregation
from aligner.timing.path import paths
from aligner.timing.steps import COMBINE
from aligner.timing.words import PAUSES

TASKS = ("transcribe", "translate")
# What attention is read, and how, where nothing else is chosen. One rule for every checkpoint: it was chosen with
# `align-eval run --grid attention`, across the speakers of TIMIT's development sentences, for tiny.en and for base.
ATTENTION = Aggregation("upper-half", "all", ("softmax-crop", "mean", "log"))
# Seconds. Attention turns to a word before it begins: the median edge of those sentences is early by 27 ms with tiny.en
# and by 16 ms with base.
SHIFT = 0.025
TIMINGS = ("auto", "head", "attention", "both")


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
    shift : float
        Seconds added to every edge that attention finds.
    units : str
        "subword" or "character": what the transcript is teacher-forced as.
    timing : str
        What times the words: "head" (the checkpoint's timing head), "attention", "both", or "auto": the head where one
        is known for the checkpoint and the language, else attention.
    head : str or None
        File of a timing head; the one that is shipped for the checkpoint when None.
    hints : float or None
        Words of a transcript with times lie in them, give or take so many seconds; its times are not used when None.
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

    Raises
    ------
    SettingError
        A choice that does not exist, with those that do.
    """

    aggregation: Aggregation = ATTENTION
    path: str = "dtw"
    pauses: str = "trim"
    shift: float = SHIFT
    units: str = "subword"
    timing: str = "auto"
    head: str | None = None
    hints: float | None = None
    language: str | None = None
    task: str = "transcribe"
    vad: str = "silero"
    confidence: bool = True
    tokens: bool = False
    saliency: str | None = None
    masks: int | None = None

    def __post_init__(self) -> None:
        one_of("path finder", self.path, paths)
        one_of("pause rule", self.pauses, PAUSES)
        one_of("units", self.units, UNITS)
        one_of("timing", self.timing, TIMINGS)
        if self.head is not None and self.timing == "attention":
            raise SettingError(
                f"attention times the words, the timing head {self.head} would not be used: leave it out"
            )
        one_of("task", self.task, TASKS)
        one_of("speech detector", self.vad, detectors)
        if self.saliency is not None:
            one_of("saliency method", self.saliency.partition(":")[0], _saliency_methods())
        if not -1 <= self.shift <= 1:
            raise SettingError(f"--shift {self.shift:g}: edges move by seconds, at most 1 either way")
        if self.hints is not None and not 0 <= self.hints <= 60:
            raise SettingError(f"{self.hints:g} s for hints: give 0 to 60, or no hints")
        if self.masks is not None and self.masks < 1:
            raise SettingError(f"{self.masks} masks: give at least 1, or none to draw until the map converges")

    def describe(self) -> dict[str, Any]:
        """For provenance and display: what shapes the words and their times, JSON-serialisable."""
        values = {name: value for name, value in vars(self).items() if value is not None and name not in _WRITTEN}
        return {**values, "aggregation": self.aggregation.describe()}


_WRITTEN = ("language", "confidence", "tokens")  # an alignment holds these themselves, where they were asked for


def one_of(kind: str, name: str, choices: Iterable[str]) -> None:
    """Refuse what is not among the choices.

    Parameters
    ----------
    kind : str
        What is chosen, for the message.
    name : str
    choices : iterable of str

    Raises
    ------
    SettingError
        It lists them.
    """
    known = tuple(choices)
    if name not in known:
        raise SettingError(f"unknown {kind} {name!r}: choose one of {', '.join(known)}")


def _saliency_methods() -> Iterable[str]:
    try:
        from aligner.saliency import methods
    except ImportError as error:
        raise SettingError(
            f"--saliency needs {error.name}: install the extra with pip install 'cross-attention-aligner[saliency]'"
        ) from None
    return methods


@dataclass(frozen=True)
class Preset:
    """Settings with a name.

    Attributes
    ----------
    settings : Settings
    source : str
        What they reproduce.
    """

    settings: Settings
    source: str


PRESETS: dict[str, Preset] = {
    "default": Preset(Settings(), "this tool: mean over the heads of the upper layers"),
    # Its statistics over the tokens include the prompt and the end, so the text rows are taken last.
    "openai": Preset(
        Settings(
            Aggregation(
                "upper-half", "alignment-or-all", ("crop-softmax", "standardise", "median:7", "mean", "text-rows")
            ),
            pauses="keep",
            shift=0.0,
            timing="attention",
        ),
        "openai-whisper, whisper/timing.py find_alignment",
    ),
    # It times each token by the row that reads it, one step late, and has no row for the end of the text.
    "huggingface": Preset(
        Settings(
            Aggregation("upper-half", "alignment", ("softmax-crop", "input-rows", "standardise", "median:7", "mean")),
            pauses="keep",
            shift=0.0,
            timing="attention",
        ),
        "transformers 5, WhisperForConditionalGeneration.generate(return_token_timestamps=True)",
    ),
    "whisper-timestamped": Preset(
        Settings(
            Aggregation(
                "upper-half",
                "alignment-or-all",
                ("logits", "text-rows", "median:9:repeat", "softmax", "mean", "column-norm"),
            ),
            pauses="keep",
            shift=0.0,
            timing="attention",
        ),
        "whisper-timestamped, perform_word_alignment",
    ),
    "char-alignment": Preset(
        Settings(
            Aggregation("all", "top:15", ("logits", "median:7", "softmax", "column-norm", "mean", "text-rows")),
            pauses="keep",
            shift=0.0,
            timing="attention",
            units="character",
        ),
        "whisper-char-alignment (arXiv 2509.09987)",
    ),
}


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
        Name in `PRESETS`.
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
        A preset, choice or setting that does not exist.
    """
    one_of("preset", preset, PRESETS)
    base = PRESETS[preset].settings
    given = {name: value for name, value in others.items() if value is not None}
    for name in given:
        one_of("setting", name, [f.name for f in fields(Settings)])
    chosen = tuple(step.strip() for step in steps.split(",")) if steps else base.aggregation.steps
    if combine is not None:
        one_of("aggregation", combine, COMBINE)
        chosen = tuple(combine if step in COMBINE else step for step in chosen)
    aggregation = replace(base.aggregation, steps=chosen)
    if layers is not None:
        # The checkpoint's own list names layers already; choosing layers means choosing among all heads.
        named = heads or ("all" if aggregation.heads == "alignment" else aggregation.heads)
        aggregation = replace(aggregation, layers=layers, heads=named)
    elif heads is not None:
        aggregation = replace(aggregation, heads=heads)
    if any(choice is not None for choice in (layers, heads, combine, steps, given.get("path"), given.get("shift"))):
        given.setdefault("timing", "attention")  # whoever chooses among attention wants to see it
    if isinstance(given.get("language"), str):
        given["language"] = code(str(given["language"]))
    return replace(base, **{"aggregation": aggregation, **given})  # type: ignore[arg-type]
