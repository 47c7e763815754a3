"""Moonshine: an encoder that hears the waveform itself, through three convolutions.

References
----------
Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands", 2024, arXiv 2410.15608.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from aligner.models import known
from aligner.models.checkpoint import Checkpoint
from aligner.models.seq2seq import TransformersModel


class MoonshineModel(TransformersModel):
    """A Moonshine checkpoint behind the `SpeechModel` protocol; see `TransformersModel`.

    Its convolutions do not reach beyond the audio, so that frame i would be
    centred later than its place of `frame_duration`: silence on both sides
    moves it there.
    """

    architecture = "MoonshineForConditionalGeneration"
    step = 1 / TransformersModel.sample_rate

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(checkpoint, device, dtype)
        field, stride = 1, 1  # samples that a frame sees, and samples between frames
        for module in (module for module in self.encoder.modules() if isinstance(module, torch.nn.Conv1d)):
            field += (module.kernel_size[0] - 1) * stride
            stride *= module.stride[0]
        self._silence = (field - stride) // 2, (field - stride + 1) // 2
        # Nothing in its files says which language a checkpoint writes; its name does: moonshine-tiny-zh.
        language = checkpoint.name.rstrip("/").rpartition("-")[2]
        self.languages = (language if language in known.LANGUAGES else "en",)

    def _positions(self) -> int:
        return int(self.network.config.max_position_embeddings)

    def _heard(self, samples: NDArray[np.float32]) -> torch.Tensor:
        """The waveform, a channel of samples."""
        return torch.from_numpy(samples.astype(np.float32))[:, None]

    def encode_features(self, features: torch.Tensor) -> torch.Tensor:
        """Encoder states (batch, frames, width) of waveforms (batch, samples, 1)."""
        waveform = functional.pad(features[..., 0], self._silence).to(self.dtype)
        states: torch.Tensor = self.encoder(waveform).last_hidden_state
        return states

    def _encoder_output(self, states: torch.Tensor) -> Any:
        from transformers.models.moonshine.modeling_moonshine import MoonshineEncoderModelOutput

        return MoonshineEncoderModelOutput(last_hidden_state=states)
