"""Bundles of settings: this tool's default, and those that reproduce other tools.

A preset reproduces a tool's way through the attention: what is read, the order
of the steps, the decoder row that times a token. Silence detectors and
clean-up rules that tools add afterwards are not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from aligner.timing.aggregation import Aggregation


@dataclass(frozen=True)
class Preset:
    """An aggregation and what goes with it.

    Attributes
    ----------
    aggregation : Aggregation
    path, pauses, units, timing : str
        As in `aligner.timing.settings.Settings`.
    source : str
        What it reproduces.
    """

    aggregation: Aggregation
    path: str = "dtw"
    pauses: str = "keep"
    units: str = "subword"
    timing: str = "attention"
    source: str = ""


PRESETS: dict[str, Preset] = {
    "default": Preset(Aggregation(), pauses="trim", timing="auto", source="mean over all heads of the last layers"),
    # Its statistics over the tokens include the prompt and the end, so the text rows are taken last.
    "openai": Preset(
        Aggregation("upper-half", "alignment-or-all", ("crop-softmax", "standardise", "median:7", "mean", "text-rows")),
        source="openai-whisper, whisper/timing.py find_alignment",
    ),
    # It times each token by the row that reads it, one step late, and has no row for the end of the text.
    "huggingface": Preset(
        Aggregation("upper-half", "alignment", ("softmax-crop", "input-rows", "standardise", "median:7", "mean")),
        source="transformers 5, WhisperForConditionalGeneration.generate(return_token_timestamps=True)",
    ),
    "whisper-timestamped": Preset(
        Aggregation(
            "upper-half",
            "alignment-or-all",
            ("logits", "text-rows", "median:9:repeat", "softmax", "mean", "column-norm"),
        ),
        source="whisper-timestamped, perform_word_alignment",
    ),
    "char-alignment": Preset(
        Aggregation("all", "top:15", ("logits", "median:7", "softmax", "column-norm", "mean", "text-rows")),
        units="character",
        source="whisper-char-alignment (arXiv 2509.09987)",
    ),
}
