"""Speech-to-text models: one protocol (`base`), one file per family, loaded by `load_model`."""

from aligner.models.base import Encoded, SpeechModel, load_model, model_families

__all__ = ["Encoded", "SpeechModel", "load_model", "model_families"]
