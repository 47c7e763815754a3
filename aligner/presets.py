"""Bundles of settings: this tool's default, and those that reproduce other tools (facts: their source code).

The presets of other tools keep pauses inside words, as those tools do.
"""

from __future__ import annotations

from dataclasses import dataclass

from aligner.aggregation import Aggregation


@dataclass(frozen=True)
class Preset:
    """An aggregation and what goes with it.

    Attributes
    ----------
    aggregation : Aggregation
    path, pauses, units : str
    source : str
        What it reproduces.
    """

    aggregation: Aggregation
    path: str = "dtw"
    pauses: str = "keep"
    units: str = "subword"
    source: str = ""


PRESETS: dict[str, Preset] = {
    "default": Preset(Aggregation(), pauses="trim", source="mean over all heads of the last layers"),
    "openai": Preset(
        Aggregation("upper-half", "alignment-or-all", ("crop-softmax", "standardise", "median:7", "mean")),
        source="openai-whisper, whisper/timing.py find_alignment",
    ),
    "huggingface": Preset(
        Aggregation("upper-half", "alignment", ("softmax-crop", "standardise", "median:7", "mean")),
        source="transformers, WhisperGenerationMixin._extract_token_timestamps",
    ),
    "whisper-timestamped": Preset(
        Aggregation("upper-half", "alignment-or-all", ("logits", "median:9", "softmax", "mean", "column-norm")),
        source="whisper-timestamped, perform_word_alignment",
    ),
    "char-alignment": Preset(
        Aggregation("all", "top:15", ("logits", "median:7", "softmax", "column-norm", "mean")),
        units="character",
        source="whisper-char-alignment (arXiv 2509.09987)",
    ),
}
