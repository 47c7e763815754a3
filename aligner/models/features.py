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
    import torch

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
