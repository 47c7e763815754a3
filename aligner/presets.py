"""Named bundles of choices: this project's default, and what published tools do.

Each preset reproduces a tool's path through the attention: what is read, the
order of the steps, the row of the decoder that a token is timed by. Silence
detectors and clean-up rules that tools add afterwards are not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from aligner.aggregation import Aggregation


@dataclass(frozen=True)
class Preset:
    """Choices that belong together.

    Attributes
    ----------
    aggregation : Aggregation
    path : str
        A finder of `aligner.warping.paths`.
    pauses : str
        "trim" or "keep".
    units : str
        "subword" or "character".
    """

    aggregation: Aggregation
    path: str = "dtw"
    pauses: str = "keep"
    units: str = "subword"


PRESETS: dict[str, Preset] = {
    "default": Preset(Aggregation("last:1", "all", ("softmax-crop", "mean")), pauses="trim"),
    # openai-whisper `find_alignment`: its statistics run over the prompt's rows too.
    "openai": Preset(
        Aggregation("all", "alignment", ("crop-softmax", "standardise", "median:7", "mean", "text-rows"))
    ),
    # transformers `return_token_timestamps`: no attention for the first token, which starts at 0.
    "huggingface": Preset(
        Aggregation("all", "alignment", ("softmax-crop", "later-rows", "standardise", "median:7", "mean")),
        path="dtw-later",
    ),
    # whisper-timestamped `perform_word_alignment`.
    "whisper-timestamped": Preset(
        Aggregation(
            "all", "alignment", ("logits", "text-rows", "median:9", "softmax", "mean", "column-norm")
        )
    ),
    # arXiv 2509.09987, released code: median before the softmax, heads ranked per utterance.
    "char-alignment": Preset(
        Aggregation(
            "all", "top:15", ("logits", "median:7", "softmax", "column-norm", "mean", "text-rows")
        ),
        units="character",
    ),
}
