"""Characters at every frame, from the CTC head that some checkpoints carry beside their weights.

The head is one linear layer on the encoder states: `ctc_head.safetensors` in
the checkpoint's folder, its labels in `config.json` under "aligner".
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligner.errors import ModelError
from aligner.models.base import EMBEDDED, Encoded, SpeechModel


def labels(model: SpeechModel) -> tuple[str, ...]:
    """What the columns of `log_posteriors` stand for, the blank first; empty without a CTC head."""
    found: tuple[str, ...] = getattr(model, "ctc_labels", ())
    return found if found and _path(model.name).is_file() else ()


def log_posteriors(model: SpeechModel, encoded: Encoded, head: str = "ctc") -> NDArray[np.float32]:
    """Log-probability of every label at every frame of real audio.

    Parameters
    ----------
    model : SpeechModel
        With a CTC head.
    encoded : Encoded
    head : str
        "ctc", "frame" (which character sounds at each frame; the first label is silence), or "phone" (likewise).

    Returns
    -------
    float32 array, shape (frames, labels)

    Raises
    ------
    ModelError
        The checkpoint has no CTC head.
    """
    weight, bias = _head(model.name, head)
    frames = -(-len(encoded.features) // round(model.frame_duration / model.feature_duration))
    scores = encoded.states[:frames].float().cpu().numpy() @ weight.T + bias
    scores -= scores.max(1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


def beside(name: str, file: str) -> Path:
    """A file in the folder of a checkpoint, by the name that the checkpoint was loaded with."""
    return (EMBEDDED if name == "embedded" else Path(name)) / file


def _path(name: str) -> Path:
    return beside(name, "ctc_head.safetensors")


@lru_cache(maxsize=4)
def _head(name: str, head: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from safetensors.numpy import load_file

    if not _path(name).is_file():
        raise ModelError(f"model {name!r} has no CTC head: there is no {_path(name).name} in its folder")
    tensors = load_file(_path(name))
    return tensors[f"{head}.weight"].astype(np.float32), tensors[f"{head}.bias"].astype(np.float32)
