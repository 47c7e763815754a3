"""The one thing the rest of the project knows about models.

A model encodes real audio once; the encoder states serve transcription,
attention and saliency. Torch is imported by the adapters, not here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aligner.core import AttentionMap, Audio, Tokens
from aligner.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Encoded:
    """A stretch of audio (at most one model window) after the encoder.

    Attributes
    ----------
    features : float32 tensor, shape (feature frames, channels)
        Of the real audio only.
    states : tensor, shape (frames, width)
        Encoder output, cropped to real audio.
    duration : float
        Seconds of real audio.
    """

    features: torch.Tensor
    states: torch.Tensor
    duration: float


class ForcedPass(Protocol):
    """What one teacher-forced pass of a text over a window shows.

    Attributes
    ----------
    attention : AttentionMap
        Cross-attention of every layer and head.
    """

    @property
    def attention(self) -> AttentionMap: ...

    def probabilities(self) -> NDArray[np.float64]:
        """Probability of each text token, shape (tokens,); costs the output layer, so only when it is asked for."""


class SpeechModel(Protocol):
    """An encoder-decoder speech-to-text model.

    Attributes
    ----------
    name, revision : str
        What was loaded, for provenance.
    sample_rate : int
        Hz that `encode` expects.
    window : float
        Most seconds of audio that one `encode` takes.
    max_tokens : int
        Most text tokens that one pass takes.
    feature_duration, frame_duration : float
        Seconds per feature frame and per encoder frame.
    alignment_heads : tuple of (layer, head)
        The checkpoint's own list; empty when it has none.
    supervised_heads : tuple of (layer, head)
        Heads trained towards gold times, where known; empty otherwise.
    languages : tuple of str
        Codes it can be told; ("en",) for English-only checkpoints.
    together : int
        Windows to encode and transcribe at a time where there are many.
    spelling : str
        "verbatim", or "spoken" when the model knows only the spoken form (`aligner.text.spoken.spoken_form`).
    """

    name: str
    revision: str
    sample_rate: int
    window: float
    max_tokens: int
    feature_duration: float
    frame_duration: float
    alignment_heads: tuple[tuple[int, int], ...]
    supervised_heads: tuple[tuple[int, int], ...]
    languages: tuple[str, ...]
    together: int
    spelling: str

    def encode(self, audio: Audio) -> Encoded:
        """Features and encoder states of at most `window` seconds at `sample_rate`."""

    def encode_features(self, features: torch.Tensor) -> torch.Tensor:
        """Encoder states (batch, frames, width) of features (batch, feature frames, channels); differentiable."""

    def tokenize(self, text: str, units: str = "subword", language: str | None = None) -> Tokens:
        """Tokens of a transcript and the rows of each of its words; `units` is "subword" or "character"."""

    def transcribe(self, encoded: Encoded, language: str | None = None, task: str = "transcribe") -> str:
        """Greedy transcript of one window."""

    def transcribe_all(
        self, encoded: Sequence[Encoded], language: str | None = None, task: str = "transcribe"
    ) -> list[str]:
        """Transcripts of windows, the same as one by one; `together` of them are worth a call."""

    def detect_language(self, encoded: Encoded) -> str:
        """Most probable language code."""

    def force(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> ForcedPass:
        """One teacher-forced pass of a text over a window."""

    def attend(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> AttentionMap:
        """The attention of `force`, for less where that is all that is wanted."""

    def token_log_probs(self, states: torch.Tensor, tokens: Tokens, language: str | None = None) -> torch.Tensor:
        """Log-softmax (batch, tokens + 1, vocabulary) of teacher-forced passes over encoder states
        (batch, frames, width); row i predicts token i, the last row the end of the text; differentiable."""

    def text_log_probs(
        self, encoded: Encoded, texts: Sequence[Tokens], language: str | None = None
    ) -> NDArray[np.float64]:
        """Log-probability of each text and its end, shape (texts,), teacher-forced over one window."""

    def occluded_log_probs(
        self, states: torch.Tensor, keep: torch.Tensor, tokens: Tokens, language: str | None = None
    ) -> torch.Tensor:
        """As `token_log_probs(states * keep[..., None], ...)` for states (frames, width) of one window and boolean
        keep (batch, frames), but free to project the states once."""


# The checkpoint inside the package, loaded as "embedded".
EMBEDDED = Path(__file__).parent.parent / "embedded"

model_families: Registry[Callable[..., SpeechModel]] = Registry("model family")


def load_model(name: str = "embedded", **settings: Any) -> SpeechModel:
    """Load a model by name.

    Parameters
    ----------
    name : str
        "embedded", a folder with a checkpoint, or a hub name such as "openai/whisper-small".
    **settings
        device, dtype ("float32", "bfloat16", "float16"), threads.

    Raises
    ------
    ModelError
        Unknown name, no network, broken checkpoint, family without an adapter.
    """
    from aligner.models.whisper import load_whisper

    return load_whisper(name, **settings)
