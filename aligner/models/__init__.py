"""Speech-to-text models: one protocol (`base`), one adapter per family, one reader per format of weights."""

from aligner.models.base import Encoded, HearsSpectrogram, SpeechModel, Transcription
from aligner.models.families import model_families
from aligner.models.load import load_model

__all__ = ["Encoded", "HearsSpectrogram", "SpeechModel", "Transcription", "load_model", "model_families"]
