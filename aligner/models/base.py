"""The one thing the rest of the project knows about models.

A model encodes a window of audio once; the encoder states serve transcription,
attention, timing and saliency. Torch is imported by the adapters, not here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from aligner.core import AttentionMap, Audio, Tokens
from aligner.errors import SettingError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

_TOGETHER = 16  # tokens whose probabilities are found at a time: each has scores of 200 kB


@dataclass(frozen=True, eq=False)
class Encoded:
    """A stretch of audio (at most one model window) after the encoder.

    Attributes
    ----------
    features : float32 tensor, shape (feature frames, channels)
        What the encoder hears, of the real audio only; (samples, 1) where it hears the waveform.
    states : tensor, shape (frames seen, width)
        Encoder output, all that the decoder sees: padding included.
    frames : int
        Encoder frames of real audio, at least one.
    duration : float
        Seconds of real audio.
    samples : float32 array, shape (samples,), optional
        The real audio itself, at the model's rate; None where the model does not keep it.
    counts : float32 tensor, shape (frames seen,), optional
        Equal frames that each state stands for, some of padding for several; None where each is one.
    """

    features: torch.Tensor
    states: torch.Tensor
    frames: int
    duration: float
    samples: NDArray[np.float32] | None = None
    counts: torch.Tensor | None = None


@dataclass(frozen=True)
class Transcription:
    """What a decoder wrote for one window.

    Attributes
    ----------
    text : str
    ids : tuple of int
        Its tokens, without special ones.
    mean_log_prob : float
        Over the tokens and the end of the text, natural logarithm.
    no_speech : float
        Probability that nobody speaks; 0 where the model does not say.
    """

    text: str
    ids: tuple[int, ...]
    mean_log_prob: float
    no_speech: float


@dataclass(frozen=True, eq=False)
class ForcedPass:
    """What one teacher-forced pass of a text over a window shows.

    Attributes
    ----------
    attend : callable
        Returns the cross-attention of every layer and head.
    ids : tuple of int
        Text tokens.
    scores : callable
        Takes a range of the text tokens; returns a float tensor (tokens, vocabulary), the decoder's scores for each,
        special ones left out.
    """

    attend: Callable[[], AttentionMap] = field(repr=False)
    ids: tuple[int, ...]
    scores: Callable[[slice], torch.Tensor] = field(repr=False)

    @cached_property
    def attention(self) -> AttentionMap:
        """Cross-attention of every layer and head; 20 MB, so only when it is asked for."""
        return self.attend()

    def probabilities(self) -> NDArray[np.float64]:
        """Probability of each text token, shape (tokens,); costs the output layer, so only when it is asked for.

        Among text tokens alone, as openai-whisper's `find_alignment`: that the text goes on is given.
        """
        import torch

        parts = [slice(k, k + _TOGETHER) for k in range(0, len(self.ids), _TOGETHER)]
        with torch.inference_mode():
            logs = [_log_probabilities(self.scores(part), self.ids[part]) for part in parts]
        result: NDArray[np.float64] = torch.cat(logs).double().exp().cpu().numpy()
        return result


def _log_probabilities(scores: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
    """Of one token for each row of scores."""
    import torch

    wanted = torch.tensor(ids, device=scores.device)
    return scores.gather(1, wanted[:, None])[:, 0] - scores.logsumexp(1)


class SpeechModel(Protocol):
    """An encoder-decoder speech-to-text model.

    Attributes
    ----------
    name, fingerprint, precision : str
        What was loaded, for provenance; the fingerprint is the same for the same weights in any file. The precision
        is one of `aligner.models.load.DTYPES`.
    sample_rate : int
        Hz that `encode` expects.
    window : float
        Most seconds of audio that one `encode` takes.
    max_tokens : int
        Most text tokens that one pass takes.
    frame_duration : float
        Seconds per encoder frame.
    alignment_heads : tuple of (layer, head)
        The checkpoint's own list; empty when it has none.
    languages : tuple of str
        Codes it can be told; ("en",) for English-only checkpoints.
    together : int
        Windows to encode and transcribe at a time where there are many.
    """

    name: str
    fingerprint: str
    precision: str
    sample_rate: int
    window: float
    max_tokens: int
    frame_duration: float
    alignment_heads: tuple[tuple[int, int], ...]
    languages: tuple[str, ...]
    together: int

    def check_language(self, language: str | None, task: str = "transcribe") -> None:
        """Refuse, with a SettingError, a language or task that the model does not know."""

    def encode(self, audio: Audio, thin: bool = False) -> Encoded:
        """Features and encoder states of at most `window` seconds at `sample_rate`.

        With `thin`, a model that pads its windows may leave out most of what they are padded with: see `counts` of
        `Encoded`. What is read there is nearly what it was; attention and saliency are asked of whole windows.
        """

    def encode_all(self, audio: Sequence[Audio], thin: bool = False) -> list[Encoded]:
        """The same of several windows, as one batch."""

    def tokenize(self, text: str, units: str = "subword", language: str | None = None) -> Tokens:
        """Tokens of a transcript and the rows of each of its words; `units` is "subword" or "character"."""

    def transcribe(
        self,
        windows: Sequence[Encoded],
        language: str | None = None,
        task: str = "transcribe",
        timestamps: bool = False,
    ) -> list[Transcription]:
        """Greedy transcripts of windows; `together` of them are worth a call.

        With `timestamps`, a model that has such tokens writes them between the pieces of its text, which keeps it
        from ending early in windows of several pieces; they are no part of the result.
        """

    def language_probabilities(self, encoded: Encoded) -> dict[str, float]:
        """Probability of each language in a window, over those that the model knows; {"en": 1.0} where only one."""

    def detect_language(self, encoded: Encoded) -> tuple[str, float]:
        """Most probable language code, and its probability among all that the model knows."""

    def force(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> ForcedPass:
        """One teacher-forced pass of a text over a window."""

    def attend(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> AttentionMap:
        """The attention of `force`, for less where that is all that is wanted."""

    def token_log_probs(self, states: torch.Tensor, tokens: Tokens, language: str | None = None) -> torch.Tensor:
        """Log-softmax (batch, tokens + 1, vocabulary) of teacher-forced passes over encoder states
        (batch, frames, width); row i predicts token i, the last row the end of the text; differentiable."""


class Rereading(Protocol):
    """How far the predictions of a text move when parts of a window are hidden.

    All else of the window stays as it was encoded: the states of the silence
    that it is padded with, where there is such. Divergences are those of
    Kullback and Leibler, of the first predictions from the new ones, in nats,
    a float32 tensor of shape (batch, tokens + 1).
    """

    def without_states(self, keep: torch.Tensor) -> torch.Tensor:
        """With whole encoder states zeroed, those where boolean (batch, frames of real audio) is false."""

    def with_features(self, features: torch.Tensor) -> torch.Tensor:
        """With other features (batch, feature frames of real audio, channels) before the encoder."""


@runtime_checkable
class Rereads(Protocol):
    """What a `SpeechModel` may also have: a way to read a text again that costs less than passes of the whole."""

    def reread(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> Rereading:
        """See `Rereading`."""


@runtime_checkable
class HearsSpectrogram(Protocol):
    """What a `SpeechModel` also has where its encoder hears a spectrogram, parts of which can be hidden from it.

    Attributes
    ----------
    feature_duration : float
        Seconds per feature frame.
    """

    feature_duration: float

    @property
    def encoder_layers(self) -> torch.nn.ModuleList:
        """Layers of the encoder, first to last, for gradients at a chosen depth."""

    def encode_features(self, features: torch.Tensor) -> torch.Tensor:
        """Encoder states (batch, frames, width) of features (batch, feature frames, channels); differentiable."""


def hears_spectrogram(model: SpeechModel, purpose: str) -> HearsSpectrogram:
    """The part of a model that hears spectrograms.

    Parameters
    ----------
    model : SpeechModel
    purpose : str
        What asks for one, for the message.

    Raises
    ------
    SettingError
        It hears waveforms.
    """
    if not isinstance(model, HearsSpectrogram):
        raise SettingError(
            f"{purpose} needs a model that hears a spectrogram, and {model.name} hears the waveform: "
            "take saliency encoder or gradient:output, which look at the encoder's frames"
        )
    return model
