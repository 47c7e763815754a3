"""Speech2Text: an encoder that hears log-mel filter banks, four 10 ms frames to each of its own.

References
----------
Wang et al., "fairseq S2T: Fast Speech-to-Text Modeling with fairseq", 2020, arXiv 2010.05171.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from aligner.errors import ModelError
from aligner.models.checkpoint import Checkpoint
from aligner.models.formats import read_json
from aligner.models.seq2seq import TransformersModel, transformers


class Speech2TextModel(TransformersModel):
    """A Speech2Text checkpoint behind the protocols `SpeechModel` and `HearsSpectrogram`; see `TransformersModel`."""

    architecture = "Speech2TextForConditionalGeneration"
    step = feature_duration = 0.01  # of Kaldi's filter banks

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(checkpoint, device, dtype)
        settings = read_json(checkpoint.path / "preprocessor_config.json")
        try:
            self._extractor = transformers().Speech2TextFeatureExtractor.from_dict(settings)
        except (TypeError, ValueError) as error:
            raise ModelError(f"{checkpoint.path / 'preprocessor_config.json'} is damaged: {error}") from None

    def _positions(self) -> int:
        return int(self.network.config.max_target_positions)

    def _heard(self, samples: NDArray[np.float32]) -> torch.Tensor:
        """Filter banks of the window, each channel normalised over it."""
        found = self._extractor(samples, sampling_rate=self.sample_rate, return_tensors="pt")
        features: torch.Tensor = found.input_features[0]
        return features
