"""What needs no attention: words spread evenly, and the forced path of a CTC head.

References
----------
Graves et al., "Connectionist Temporal Classification", ICML 2006.
Kürzinger et al., "CTC-Segmentation of Large Corpora", 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aligner.text import spoken_form

if TYPE_CHECKING:
    from aligner.models import Encoded


def uniform_times(texts: Sequence[str], duration: float) -> list[tuple[float, float]]:
    """Words over the whole recording, each as long as its share of the characters.

    Examples
    --------
    >>> uniform_times(["a", "cat"], 2.0)
    [(0.0, 0.5), (0.5, 2.0)]
    """
    edges = np.cumsum([0, *(max(1, len(t)) for t in texts)])
    edges = edges / edges[-1] * duration
    return [(float(a), float(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)]


@dataclass(frozen=True)
class CtcHead:
    """The linear CTC classifier on the encoder of a checkpoint made by this project.

    Attributes
    ----------
    weight, bias : float32 arrays, shapes (labels, width) and (labels,)
    labels : tuple of str
        The first is the blank.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    labels: tuple[str, ...]

    def times(self, texts: Sequence[str], encoded: Encoded, frame_duration: float) -> list[tuple[float, float]]:
        """Seconds of each word: from the first frame of its first letter to the last frame of its last."""
        scores = encoded.states.float().cpu().numpy() @ self.weight.T + self.bias
        scores -= scores.max(1, keepdims=True)
        log_probabilities = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        index = {label: k for k, label in enumerate(self.labels)}
        targets, owners = [], []
        for k, text in enumerate(texts):
            if targets:
                targets.append(index[" "])
                owners.append(-1)
            letters = [index[c] for c in (spoken_form(text).replace(" ", "") or "a")]
            targets += letters
            owners += [k] * len(letters)
        frames = forced_frames(log_probabilities, targets)
        found = []
        for k in range(len(texts)):
            mine = [frame for frame, owner in zip(frames, owners, strict=True) if owner == k]
            found.append((mine[0][0] * frame_duration, (mine[-1][1] + 1) * frame_duration))
        return found


def load_ctc_head(model: str) -> CtcHead | None:
    """CTC head of the embedded checkpoint or of a checkpoint folder; None where there is none."""
    import json

    import aligner

    folder = Path(aligner.__file__).parent / "embedded" if model == "embedded" else Path(model)
    path = folder / "ctc_head.safetensors"
    if not path.is_file():
        return None
    from safetensors.numpy import load_file

    tensors = load_file(path)
    labels = json.loads((folder / "config.json").read_text())["aligner"]["ctc_labels"]
    weight, bias = tensors["ctc.weight"].astype(np.float32), tensors["ctc.bias"].astype(np.float32)
    return CtcHead(weight, bias, tuple(labels))


def forced_frames(log_probabilities: NDArray[np.float32], targets: Sequence[int]) -> list[tuple[int, int]]:
    """Most probable CTC path through a label sequence; label 0 is the blank.

    Parameters
    ----------
    log_probabilities : float32 array, shape (frames, labels)
    targets : sequence of int

    Returns
    -------
    list of (int, int)
        First and last frame of each target. Where there are too few frames
        for all targets, they are spread evenly.
    """
    n_frames, n = len(log_probabilities), len(targets)
    states = np.zeros(2 * n + 1, dtype=np.intp)
    states[1::2] = targets
    emitted = log_probabilities[:, states].astype(np.float64)
    may_skip = np.zeros(len(states), dtype=bool)
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), -np.inf)
    score[:2] = emitted[0, :2]
    came_from = np.zeros((n_frames, len(states)), dtype=np.int8)
    for frame in range(1, n_frames):
        stay, step = score, np.concatenate([[-np.inf], score[:-1]])
        skip = np.where(may_skip, np.concatenate([[-np.inf, -np.inf], score[:-2]]), -np.inf)
        options = np.stack([stay, step, skip])
        came_from[frame] = options.argmax(0)
        score = options.max(0) + emitted[frame]
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    if not np.isfinite(score[state]):
        edges = np.linspace(0, n_frames, n + 1).astype(int)
        return [(int(a), max(int(a), int(b) - 1)) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    first, last = [0] * n, [0] * n
    for frame in range(n_frames - 1, -1, -1):
        if state % 2:
            first[state // 2] = frame
            last[state // 2] = max(last[state // 2], frame)
        state -= int(came_from[frame, state])
    return list(zip(first, last, strict=True))
