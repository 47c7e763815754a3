"""What every saliency method is given, and the registry of methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aligner.core import SaliencyMap, Tokens
from aligner.errors import SettingError
from aligner.models.base import Encoded, HearsSpectrogram, SpeechModel, hears_spectrogram
from aligner.registry import Registry

if TYPE_CHECKING:
    import torch

FILLS = ("mean", "zero", "min")


@dataclass(frozen=True, eq=False)
class Request:
    """A saliency map to compute.

    Attributes
    ----------
    model : SpeechModel
    encoded : Encoded
    tokens : Tokens
    language : str or None
    argument : str
        What followed the colon of the method's name, such as a preset; empty for the method's default.
    masks : int or None
        Random masks; None draws until the map has converged.
    seed : int
    fill : str
        What takes the place of hidden features: "mean" (of each channel over
        the utterance), "zero" or "min" (of the utterance). Whisper's zero is
        neither silence nor the mean, so the choice matters and is recorded.
    threshold : float
        Split-half correlation at which a map counts as converged.
    """

    model: SpeechModel
    encoded: Encoded
    tokens: Tokens
    language: str | None = None
    argument: str = ""
    masks: int | None = None
    seed: int = 0
    fill: str = "mean"
    threshold: float = 0.95

    @property
    def frames(self) -> int:
        """Encoder frames that real audio fills; the states of padded models hold more."""
        return max(1, int(self.encoded.duration / self.model.frame_duration + 1e-6))

    def spectrogram(self) -> HearsSpectrogram:
        """What methods need that change what the encoder hears.

        Raises
        ------
        SettingError
            It hears waveforms.
        """
        return hears_spectrogram(self.model, "this saliency method")

    def filling(self) -> torch.Tensor:
        """The fill of each channel, float32 tensor of shape (channels,).

        Raises
        ------
        SettingError
            Unknown fill.
        """
        import torch

        features = self.encoded.features
        if self.fill == "mean":
            return features.mean(0)
        if self.fill == "zero":
            return torch.zeros_like(features[0])
        if self.fill == "min":
            return features.min().expand(features.shape[1])
        raise SettingError(f"unknown fill {self.fill!r}: choose one of {', '.join(FILLS)}")


methods: Registry[Callable[[Request], SaliencyMap]] = Registry("saliency method")
