"""Whisper's log-mel features, of the real audio only.

The official front ends pad every recording to 30 s before the transform. The
frames of the real audio do not depend on that padding (but for the last
window, which sees zeros), so it is left out here; whoever wants the padded
window appends `padding_value` frames.

References
----------
Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision",
2022, section 2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
N_FFT = 400
HOP = 160
FEATURE_DURATION = HOP / SAMPLE_RATE  # seconds per feature frame


def log_mel(samples: torch.Tensor, mel_filters: torch.Tensor) -> torch.Tensor:
    """Log-mel spectrogram as Whisper defines it, without the 30 s padding.

    Parameters
    ----------
    samples : float32 tensor, shape (n_samples,)
        Mono audio at 16 kHz.
    mel_filters : float32 tensor, shape (201, n_mels)
        Filter bank of the checkpoint's feature extractor.

    Returns
    -------
    float32 tensor, shape (ceil(n_samples / 160), n_mels)
        One row per 10 ms; values are (log10 power clamped to 8 below the
        maximum, plus 4) / 4.
    """
    import torch

    n_frames = -(-samples.shape[-1] // HOP)
    # Zeros up to a whole window after the last frame: what the frame would see in a padded clip.
    padded = torch.nn.functional.pad(samples, (0, n_frames * HOP - samples.shape[-1] + N_FFT))
    window = torch.hann_window(N_FFT, device=samples.device)
    spectrum = torch.stft(padded, N_FFT, HOP, window=window, return_complex=True)
    power = spectrum[..., :n_frames].abs() ** 2
    log_power = (mel_filters.T.to(power) @ power).clamp(min=1e-10).log10()
    log_power = torch.maximum(log_power, log_power.max() - 8.0)
    return ((log_power + 4.0) / 4.0).T.contiguous()


def mel_filters(channels: int) -> NDArray[np.float32]:
    """Triangular filters, evenly spaced on Slaney's mel scale, of equal area.

    Parameters
    ----------
    channels : int
        80, or 128 from large-v3 on.

    Returns
    -------
    float32 array, shape (201, channels)
        As librosa's `filters.mel(sr=16000, n_fft=400)`, which Whisper was trained with.

    References
    ----------
    Slaney, "Auditory Toolbox", 1998: linear below 1 kHz, then 27 mels for each factor of 6.4.
    """
    import numpy as np

    per_mel, knee, step = 200.0 / 3, 1000.0, np.log(6.4) / 27.0
    most = knee / per_mel + np.log(SAMPLE_RATE / 2 / knee) / step
    mels = np.linspace(0.0, most, channels + 2)
    edges = np.where(mels < knee / per_mel, mels * per_mel, knee * np.exp(step * (mels - knee / per_mel)))
    bins = np.linspace(0.0, SAMPLE_RATE / 2, N_FFT // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters: NDArray[np.float32] = (
        np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (edges[2:] - edges[:-2])
    ).astype(np.float32)
    return filters


def padding_value(features: torch.Tensor) -> float:
    """Value that Whisper's front end gives to digital silence in this clip.

    Parameters
    ----------
    features : float32 tensor, shape (frames, n_mels)

    Returns
    -------
    float
        The floor, 8 decades below the maximum (or the smallest power, if that is higher).
    """
    return max(float(features.max()) - 2.0, (-10.0 + 4.0) / 4.0)
