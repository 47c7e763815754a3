"""How likely each moment is speech, by the Silero voice activity detector.

`silero_vad.safetensors` holds the 16 kHz network of silero-vad 6.2
(https://github.com/snakers4/silero-vad, MIT; `silero_vad.LICENSE`): a spectrum, four
convolutions and an LSTM over frames of 32 ms. Run here as one batch a block, it takes a
twelfth of the time of the package's own frame-by-frame model and gives the same numbers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

RATE = 16_000  # Hz
FRAME = 512  # samples per probability
SECONDS = FRAME / RATE  # per probability
_CONTEXT = 64  # samples before a frame that it is read with
# The network overlooks speech far below full scale: half a talk at -26 dB lost a sixth of its words. Heard at these
# gains too, none is lost, and hardly more noise or music passes for speech as long as a gain counts only where it does
# not clip.
_GAINS = (1.0, 10.0, 100.0)


class _Network(nn.Module):
    """Speech probability of frames that follow each other."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        sizes = ((129, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1))
        layers = [(nn.Conv1d(low, high, 3, stride, padding=1), nn.ReLU()) for low, high, stride in sizes]
        self.encoder = nn.Sequential(*(part for pair in layers for part in pair))
        self.memory = nn.LSTM(128, 128, batch_first=True)
        self.output = nn.Conv1d(128, 1, 1)

    def forward(self, frames: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Frames (streams, frames, context + samples) to probabilities (streams, frames), and the state after them."""
        streams, count, width = frames.shape
        padded = functional.pad(frames.reshape(streams * count, 1, width), (0, _CONTEXT), mode="reflect")
        real, imaginary = self.spectrum(padded).chunk(2, dim=1)
        encoded = self.encoder(torch.sqrt(real**2 + imaginary**2)).reshape(streams, count, -1)
        remembered, state = self.memory(encoded, state)
        return torch.sigmoid(self.output(functional.relu(remembered).transpose(1, 2)))[:, 0], state


@cache
def _network() -> _Network:
    from safetensors.torch import load_file

    network = _Network()
    network.load_state_dict(load_file(Path(__file__).with_name("silero_vad.safetensors")))
    return network.eval()


class SpeechProbability:
    """Listens to a recording block by block; memory does not grow with its length.

    Parameters
    ----------
    gains : tuple of float
        The recording is heard at each; of those that do not clip a frame, the likeliest counts. The first always does.
    """

    def __init__(self, gains: tuple[float, ...] = _GAINS) -> None:
        self._gains = np.array(gains, np.float32)[:, None]
        self._waiting = np.zeros(_CONTEXT, np.float32)  # what the next frame begins with, context included
        self._state: tuple[Tensor, Tensor] | None = None

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of the frames that are whole now.

        Parameters
        ----------
        samples : float32 array, shape (n,)
            The next of the recording, at 16 kHz.

        Returns
        -------
        float32 array, shape (frames,)
        """
        waiting = np.concatenate([self._waiting, samples])
        count = (len(waiting) - _CONTEXT) // FRAME
        self._waiting = waiting[count * FRAME :]
        if not count:
            return np.zeros(0, np.float32)
        heard = waiting[: count * FRAME + _CONTEXT]
        peaks = np.abs(heard[_CONTEXT:].reshape(count, FRAME)).max(1)
        heard = np.clip(heard * self._gains, -1, 1)
        frames = np.lib.stride_tricks.sliding_window_view(heard, _CONTEXT + FRAME, axis=1)[:, ::FRAME]
        with torch.inference_mode():
            found, self._state = _network()(torch.from_numpy(frames.copy()), self._state)
        counts = peaks * self._gains <= 1
        counts[0] = True
        probabilities: NDArray[np.float32] = np.where(counts, found.numpy(), 0).max(0)
        return probabilities

    def finish(self) -> NDArray[np.float32]:
        """Probability of what is left, filled up with silence; shape (1,) or (0,)."""
        left = len(self._waiting) - _CONTEXT
        return self.feed(np.zeros(FRAME - left, np.float32)) if left else np.zeros(0, np.float32)
