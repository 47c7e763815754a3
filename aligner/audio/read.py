"""Reading audio: the only module that decodes files.

wav, flac, mp3, ogg, opus and NIST sphere through soundfile; m4a, aac, mp4,
webm and other containers through the ffmpeg program. Stretches are read by
themselves, so that memory does not grow with the length of a file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.audio.headers import ending, is_mp3, missing_bytes
from aligner.core import Audio
from aligner.errors import InputError

SOUNDFILE_SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".caf", ".sph", ".w64",
)  # fmt: skip
FFMPEG_SUFFIXES = (".m4a", ".aac", ".mp4", ".webm", ".mkv", ".mov", ".wma", ".amr", ".3gp", ".avi", ".mp2", ".mka")
AUDIO_SUFFIXES = SOUNDFILE_SUFFIXES + FFMPEG_SUFFIXES
SHORTEST = 0.05  # seconds; below it not even one word fits
LOUDEST = 1e10  # beyond it the power spectrum overflows float32
_MARGIN = 0.05  # seconds read on both sides of a stretch, for the resampling filter
_MISSING = 0.1  # seconds that may lack before a file counts as cut off
_BLOCK = 1 << 20  # samples decoded at a time: a damaged header cannot ask for more memory than there is audio
_CUT_OFF = ("partial file", "ended prematurely", "Input buffer exhausted before END")  # what ffmpeg says of such files


@dataclass(frozen=True, eq=False)
class _Source:
    """A file that soundfile reads, and the name that its user knows it by."""

    path: Path
    given: Path
    frames: int
    rate: int
    channels: int
    doubts: tuple[str, ...] = ()


def duration(path: Path) -> float:
    """Length of a recording in seconds.

    Raises
    ------
    InputError
        Not a readable recording of at least 50 ms.
    """
    source = _open(path)
    return source.frames / source.rate


def doubts(path: Path) -> tuple[str, ...]:
    """What may be wrong with a recording although it can be read, a sentence each.

    Raises
    ------
    InputError
        Not a readable recording.
    """
    return _open(path).doubts


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
    source = _open(path)
    frames, rate = source.frames, source.rate
    if channel is not None and not 0 <= channel < source.channels:
        raise InputError(f"{path} has {source.channels} channel(s), numbered from 0: there is no channel {channel}")
    unit = Fraction(rate, sample_rate).numerator  # source samples after which both grids meet
    margin = round(_MARGIN * rate) if rate != sample_rate else 0
    first = max(0, (min(round(start * rate), frames) - margin) // unit * unit)
    last = min(frames, round(end * rate) + margin)
    resampled = resample(_mono(source, first, last - first, channel), rate, sample_rate)
    skip = round(start * sample_rate) - round(first * sample_rate / rate)
    wanted = min(round(end * sample_rate), round(frames * sample_rate / rate)) - round(start * sample_rate)
    return Audio(np.ascontiguousarray(resampled[skip : skip + max(0, wanted)]), sample_rate)


def resample(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """Samples at another rate.

    Parameters
    ----------
    samples : float32 array, shape (n,)
    rate, wanted : int
        Hz now and then.
    """
    if rate == wanted or not len(samples):
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


def _mono(source: _Source, first: int, count: int, channel: int | None) -> NDArray[np.float32]:
    """Samples of one channel, or of the mean of all, checked to be there and to be numbers."""
    import soundfile

    blocks, left = [np.zeros(0, np.float32)], count
    try:
        with _quiet_decoder(source.path), soundfile.SoundFile(_file_name(source.path)) as handle:
            if first:
                handle.seek(first)
            while left > 0:
                block = handle.read(min(left, max(1, _BLOCK // source.channels)), dtype="float32", always_2d=True)
                if not len(block):
                    break
                if not np.all(np.abs(block) < LOUDEST):
                    raise InputError(
                        f"{source.given} holds samples that are not numbers (NaN or infinite): export it again"
                    )
                blocks.append(block.mean(1) if channel is None else block[:, channel].copy())
                left -= len(block)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        message = f"{source.given} cannot be decoded: the file is damaged or cut off ({_first_line(error)})"
        raise InputError(message) from error
    if left > _MISSING * source.rate:
        raise InputError(
            f"{source.given} is cut off: {left / source.rate:.1f} s of what its header promises are missing; "
            "copy or export it again"
        )
    return np.concatenate(blocks)


def _open(path: Path) -> _Source:
    """Check that a path is a recording; decode it first where ffmpeg is needed."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a recording")
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if not path.is_file():  # opening a pipe would wait for ever
            raise InputError(f"{path} is a pipe or a device: save the recording to a file first")
        status = path.stat()
        if status.st_size == 0:
            raise InputError(f"{path} is empty")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    return _source(path.absolute(), path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _source(absolute: Path, given: Path, modified: int, size: int) -> _Source:
    """A recording's description; kept because long mp3 files are scanned to find their length."""
    if given.suffix.lower() not in FFMPEG_SUFFIXES:
        source = _describe(absolute, given)
        lost = missing_bytes(absolute)
        if lost / size * source.frames / source.rate > _MISSING:
            raise InputError(
                f"{given} is cut off: its header promises {lost} bytes more than there are; copy or export it again"
            )
        end = ending(absolute)
        if end.breaks_off:
            source = replace(source, doubts=("the file breaks off, so the end of the recording may be missing",))
        if end.seconds <= source.frames / source.rate + _MISSING:
            return source
        # An mp3 of changing bit rate that does not state its length: libsndfile guesses it, and reads no further.
    folder = Path(tempfile.mkdtemp(prefix="aligner-"))
    try:
        source = _describe(_transcode(absolute, given, folder), given)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(source, shutil.rmtree, folder, ignore_errors=True)  # when nobody reads it any more, or at exit
    return source


def _describe(path: Path, given: Path) -> _Source:
    """Length, rate and channels of a file that soundfile reads."""
    import soundfile

    try:
        with _quiet_decoder(path):
            info = soundfile.info(_file_name(path))
    except (soundfile.LibsndfileError, RuntimeError, OSError, TypeError) as error:  # TypeError: headerless .raw
        raise InputError(f"{given} is not audio in a format known here ({_first_line(error)})") from error
    if not 1_000 <= info.samplerate <= 768_000:
        raise InputError(f"{given} has a sampling rate of {info.samplerate} Hz: its header is damaged")
    if info.frames <= 0:
        raise InputError(f"{given} holds no audio: it is 0 seconds long")
    if info.frames < SHORTEST * info.samplerate:
        length = 1000 * info.frames / info.samplerate
        raise InputError(f"{given} is {length:.0f} ms long: at least {1000 * SHORTEST:.0f} ms are needed")
    if info.frames > 2**40:
        raise InputError(f"{given} promises {info.frames} samples: its header is damaged")
    return _Source(path, given, int(info.frames), int(info.samplerate), int(info.channels))


def _file_name(path: Path) -> str | bytes:
    """As soundfile takes names that are no Unicode, too."""
    return str(path) if os.name == "nt" else os.fsencode(path)


@contextmanager
def _quiet_decoder(path: Path) -> Iterator[None]:
    """Keep what libmpg123 writes straight to standard error about damaged mp3 files from the user."""
    if not is_mp3(path):
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _transcode(path: Path, given: Path, folder: Path) -> Path:
    """Write the first sound track as flac with ffmpeg."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise InputError(f"{given} needs the ffmpeg program: install it, or convert the file to wav")
    copy = folder / "audio.flac"
    command: list[Any] = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file"]
    command += ["-i", path, "-vn", "-map", "0:a:0", "-y", copy]
    done = subprocess.run(command, capture_output=True, check=False)
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode or not copy.exists():
        raise InputError(f"{given} cannot be decoded by ffmpeg ({said.splitlines()[-1] if said else 'no sound in it'})")
    if any(words in said for words in _CUT_OFF):
        raise InputError(f"{given} is cut off: ffmpeg finds that its end is missing; copy or export it again")
    return copy


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][-120:] if text else type(error).__name__
