"""Families of models: adapters by the `model_type` of a checkpoint's config.

An adapter is called with a `Checkpoint`, a `torch.device` and a `torch.dtype`.
Its module is imported when one of its checkpoints is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aligner.registry import Registry

if TYPE_CHECKING:
    from aligner.models.base import SpeechModel
    from aligner.models.checkpoint import Checkpoint

model_families: Registry[Callable[[Checkpoint, Any, Any], SpeechModel]] = Registry("model family")


@model_families.register("whisper")
def _whisper(checkpoint: Checkpoint, device: Any, dtype: Any) -> SpeechModel:
    from aligner.models.whisper import WhisperModel

    return WhisperModel(checkpoint, device, dtype)


@model_families.register("speech_to_text")
def _speech2text(checkpoint: Checkpoint, device: Any, dtype: Any) -> SpeechModel:
    from aligner.models.speech2text import Speech2TextModel

    return Speech2TextModel(checkpoint, device, dtype)


@model_families.register("moonshine")
def _moonshine(checkpoint: Checkpoint, device: Any, dtype: Any) -> SpeechModel:
    from aligner.models.moonshine import MoonshineModel

    return MoonshineModel(checkpoint, device, dtype)
