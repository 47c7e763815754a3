"""Reading audio: the only module that decodes files.

wav, flac, mp3, ogg, opus and NIST sphere through soundfile; m4a, aac, mp4,
webm and other containers through the ffmpeg program. Stretches are read by
themselves, so that memory does not grow with the length of a file.
"""

from __future__ import annotations

import atexit
import shutil
import struct
import subprocess
import tempfile
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.core import Audio
from aligner.errors import InputError

SOUNDFILE_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".caf", ".sph", ".w64")
FFMPEG_SUFFIXES = (".m4a", ".aac", ".mp4", ".webm", ".mkv", ".mov", ".wma", ".amr", ".3gp", ".avi", ".mp2", ".mka")
AUDIO_SUFFIXES = SOUNDFILE_SUFFIXES + FFMPEG_SUFFIXES
SHORTEST = 0.05  # seconds; below it not even one word fits
_MARGIN = 0.05  # seconds read on both sides of a stretch, for the resampling filter
_MISSING = 0.1  # seconds that may lack before a file counts as cut off


def duration(path: Path) -> float:
    """Length of a recording in seconds.

    Raises
    ------
    InputError
        Not a readable recording of at least 50 ms.
    """
    frames, rate, _ = _header(_readable(path), path)
    return frames / rate


def read_audio(path: Path, sample_rate: int = 16_000, channel: int | None = None) -> Audio:
    """A whole recording as mono audio.

    Parameters
    ----------
    path : Path
    sample_rate : int
        Hz to resample to.
    channel : int, optional
        From 0; the mean of all channels by default.

    Raises
    ------
    InputError
        Not a readable recording, or no such channel.
    """
    return stream(path, sample_rate, 0.0, duration(path), channel)


def stream(path: Path, sample_rate: int, start: float, end: float, channel: int | None = None) -> Audio:
    """The stretch from `start` to `end` seconds; samples equal those of the whole file resampled.

    See `read_audio` for the other parameters and errors.
    """
    readable = _readable(path)
    frames, rate, channels = _header(readable, path)
    if channel is not None and not 0 <= channel < channels:
        raise InputError(f"{path} has {channels} channel(s), numbered from 0: there is no channel {channel}")
    unit = Fraction(rate, sample_rate).numerator  # source samples after which both grids meet
    margin = round(_MARGIN * rate) if rate != sample_rate else 0
    first = max(0, (round(start * rate) - margin) // unit * unit)
    last = min(frames, round(end * rate) + margin)
    samples = _samples(readable, path, first, last - first, rate)
    if not np.all(np.isfinite(samples)):
        raise InputError(f"{path} holds samples that are not numbers (NaN or infinite): export it again")
    mono = samples.mean(1) if channel is None else samples[:, channel]
    resampled = _resample(mono, rate, sample_rate)
    skip = round(start * sample_rate) - round(first * sample_rate / rate)
    wanted = min(round(end * sample_rate), round(frames * sample_rate / rate)) - round(start * sample_rate)
    return Audio(np.ascontiguousarray(resampled[skip : skip + wanted]), sample_rate)


def _resample(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    if rate == wanted:
        return samples
    ratio = Fraction(wanted, rate)
    if ratio.denominator > 2000:  # odd rates: the exact filter bank would take gigabytes
        from scipy.signal import resample_poly

        ratio = ratio.limit_denominator(2000)
        result: NDArray[np.float32] = resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32)
        return result
    import torch

    from aligner.guard import import_torchaudio

    resampled: NDArray[np.float32] = (
        import_torchaudio().functional.resample(torch.from_numpy(np.ascontiguousarray(samples)), rate, wanted).numpy()
    )
    return resampled


def _samples(readable: Path, path: Path, first: int, count: int, rate: int) -> NDArray[np.float32]:
    import soundfile

    try:
        with soundfile.SoundFile(readable) as handle:
            if first:
                handle.seek(first)
            samples: NDArray[np.float32] = handle.read(count, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise InputError(f"{path} cannot be decoded: the file is damaged or cut off ({_first_line(error)})") from error
    if count - len(samples) > _MISSING * rate:
        raise InputError(
            f"{path} is cut off: {(count - len(samples)) / rate:.1f} s of what its header promises are missing; "
            "copy or export it again"
        )
    return samples


def _header(readable: Path, path: Path) -> tuple[int, int, int]:
    """Frames, rate and channels of a file that soundfile reads."""
    import soundfile

    try:
        info = soundfile.info(str(readable))
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise InputError(f"{path} is not audio in a format known here ({_first_line(error)})") from error
    if not 1_000 <= info.samplerate <= 768_000:
        raise InputError(f"{path} has a sampling rate of {info.samplerate} Hz: its header is damaged")
    if info.frames <= 0:
        raise InputError(f"{path} holds no audio: it is 0 seconds long")
    if info.frames < SHORTEST * info.samplerate:
        raise InputError(
            f"{path} is {1000 * info.frames / info.samplerate:.0f} ms long: at least {1000 * SHORTEST:.0f} ms are needed"
        )
    if info.frames > 2**40:
        raise InputError(f"{path} promises {info.frames} samples: its header is damaged")
    if readable == path:
        _check_riff(path, info.samplerate * info.channels)
    return int(info.frames), int(info.samplerate), int(info.channels)


def _check_riff(path: Path, rate: int) -> None:
    """Refuse a RIFF file whose data chunk promises more than the file holds: libsndfile reads on silently."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        if handle.read(4) != b"RIFF":
            return
        handle.seek(12)
        while len(head := handle.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                missing = handle.tell() + length - size
                # 0 and the largest values are what programs write that stream to a pipe.
                if 0 < length < 0x7FFFFF00 and missing > _MISSING * rate:
                    raise InputError(
                        f"{path} is cut off: its header promises {missing} bytes more than there are; "
                        "copy or export it again"
                    )
                return
            handle.seek(length + length % 2, 1)


def _readable(path: Path) -> Path:
    """The file itself, or what ffmpeg makes of it."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a recording")
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if path.suffix.lower() in FFMPEG_SUFFIXES:
        stat = path.stat()
        return _transcoded(path, stat.st_mtime_ns, stat.st_size)
    return path


@lru_cache(maxsize=2)
def _transcoded(path: Path, modified: int, size: int) -> Path:
    """A flac copy in a temporary folder, made once per file and removed at exit."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise InputError(f"{path} needs the ffmpeg program, which is not installed: install it, or convert the file to wav")
    folder = Path(tempfile.mkdtemp(prefix="aligner-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = folder / "audio.flac"
    command: list[Any] = [program, "-nostdin", "-v", "error", "-i", path.resolve(), "-vn", "-map", "0:a:0", "-y", copy]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or not copy.exists():
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InputError(f"{path} cannot be decoded by ffmpeg ({reason[-1] if reason else 'no audio in it'})")
    return copy


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][-120:] if text else type(error).__name__
