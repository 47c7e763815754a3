"""Reading audio: the only module that decodes files.

wav, flac, mp3, ogg, opus and NIST sphere through soundfile; m4a, aac, mp4,
webm and other containers through `aligner.audio.container`. Stretches are read
by themselves, so that memory does not grow with the length of a file.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.audio import container
from aligner.audio.endings import ending, is_mp3
from aligner.audio.headers import Mended, extent
from aligner.core import Audio
from aligner.errors import InputError

SOUNDFILE_SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".caf", ".sph", ".w64",
)  # fmt: skip
AUDIO_SUFFIXES = SOUNDFILE_SUFFIXES + container.SUFFIXES
SHORTEST_RECORDING = 0.05  # seconds; below it not even one word fits
LOUDEST = 1e10  # beyond it the power spectrum overflows float32
_MARGIN = 0.05  # seconds read on both sides of a stretch, for the resampling filter
_MISSING = 0.1  # seconds that may lack before a file counts as cut off
_BLOCK = 1 << 20  # samples decoded at a time: a damaged header cannot ask for more memory than there is audio


@dataclass(frozen=True, eq=False)
class _Source:
    """A file that soundfile reads, and the name that its user knows it by."""

    path: Path
    given: Path
    frames: int
    rate: int
    channels: int
    doubts: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ("",)
    mended: Mapping[int, bytes] = field(default_factory=dict)


def duration(path: Path, track: int | None = None) -> float:
    """Length of a recording in seconds.

    Parameters
    ----------
    path : Path
    track : int, optional
        Of a container, from 0 among its sound tracks; the first by default.

    Raises
    ------
    InputError
        Not a readable recording of at least 50 ms, or no such track.
    """
    source = _open(path, track)
    return source.frames / source.rate


def doubts(path: Path, track: int | None = None) -> tuple[str, ...]:
    """What may be wrong with a recording although it can be read, a sentence each.

    See `duration` for the parameters and errors.
    """
    return _open(path, track).doubts


def tracks(path: Path) -> tuple[str, ...]:
    """The sound tracks of a file: each as its container describes it, "" for a file that is one.

    Raises
    ------
    InputError
        Not a readable recording.
    """
    return _open(path, None).tracks


def read_audio(path: Path, sample_rate: int = 16_000, channel: int | None = None, track: int | None = None) -> Audio:
    """A whole recording as mono audio.

    Parameters
    ----------
    path : Path
    sample_rate : int
        Hz to resample to.
    channel : int, optional
        From 0; the mean of all channels by default.
    track : int, optional
        Of a container, from 0 among its sound tracks; the first by default.

    Raises
    ------
    InputError
        Not a readable recording, or no such channel or track.
    """
    return stream(path, sample_rate, 0.0, duration(path, track), channel, track)


def stream(
    path: Path, sample_rate: int, start: float, end: float, channel: int | None = None, track: int | None = None
) -> Audio:
    """A stretch of a recording as mono audio; its samples equal those of the whole file resampled.

    Parameters
    ----------
    path : Path
    sample_rate : int
        Hz to resample to.
    start, end : float
        Seconds.
    channel, track : int, optional
        As in `read_audio`.

    Raises
    ------
    InputError
        Not readable as audio, or no such channel or track.
    """
    source = _open(path, track)
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
    from scipy.signal import resample_poly

    ratio = Fraction(wanted, rate).limit_denominator(2000)  # of odd rates the exact filter would take gigabytes
    resampled: NDArray[np.float32] = resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32)
    return resampled


def _mono(source: _Source, first: int, count: int, channel: int | None) -> NDArray[np.float32]:
    """Samples of one channel, or of the mean of all, checked to be there and to be numbers."""
    import soundfile

    blocks, left = [np.zeros(0, np.float32)], count
    try:
        with _opened(source.path, source.mended) as handle:
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


def _open(path: Path, track: int | None) -> _Source:
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
    return _source(path.absolute(), path, status.st_mtime_ns, status.st_size, track or 0)


@lru_cache(maxsize=4)
def _source(absolute: Path, given: Path, modified: int, size: int, track: int) -> _Source:
    """A recording's description; kept because long mp3 files are scanned to find their length."""
    if container.is_container(absolute):
        return _decoded(absolute, given, track)
    if track:
        raise InputError(f"{given} has 1 sound track: there is no track {track}")
    header, end = extent(absolute), ending(absolute)
    if not header.stated and not header.mended:  # libsndfile would not find the end
        return _decoded(absolute, given, track, stated=False)
    source = _describe(absolute, given, header.mended)
    seconds = source.frames / source.rate
    lost = header.missing + end.lost
    if lost / size * seconds > _MISSING:
        raise InputError(
            f"{given} is cut off: its header promises {lost} bytes more than there are; copy or export it again"
        )
    if end.seconds > seconds + _MISSING:
        # An mp3 of changing bit rate that does not state its length: libsndfile guesses it, and reads no further.
        return _decoded(absolute, given, track)
    found = []
    if not header.stated:
        found.append(_unstated(source))
    behind = header.behind / (size - header.behind) * seconds
    if behind > _MISSING:
        found.append(
            f"its header says that it ends at {seconds:.1f} s, but about {behind:.1f} s more lie behind, which are not "
            "read: 'ffmpeg -ignore_length 1 -i' copies all of it"
        )
    if end.breaks_off:
        found.append("the file breaks off, so the end of the recording may be missing")
    return replace(source, doubts=tuple(found))


def _unstated(source: _Source) -> str:
    return (
        "its header does not say how long it is, as recorders that crash and programs that stream leave it: "
        f"all {source.frames / source.rate:.1f} s that are there are read"
    )


def _decoded(absolute: Path, given: Path, track: int, stated: bool = True) -> _Source:
    """A sound track that ffmpeg has decoded to a copy."""
    held = container.contents(absolute, given)
    if not 0 <= track < len(held.tracks):
        raise InputError(f"{given} has {len(held.tracks)} sound track(s), numbered from 0: there is no track {track}")
    folder = Path(tempfile.mkdtemp(prefix="aligner-"))
    try:
        copy = folder / "audio.flac"
        container.decode(absolute, given, held, track, copy)
        source = _describe(copy, given)
        source = replace(source, tracks=held.tracks, doubts=() if stated else (_unstated(source),))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(source, shutil.rmtree, folder, ignore_errors=True)  # when nobody reads it any more, or at exit
    return source


def _describe(path: Path, given: Path, mended: Mapping[int, bytes] | None = None) -> _Source:
    """Length, rate and channels of a file that soundfile reads."""
    import soundfile

    mended = mended or {}
    try:
        with _opened(path, mended) as handle:
            frames, rate, channels = int(handle.frames), int(handle.samplerate), int(handle.channels)
    except (soundfile.LibsndfileError, RuntimeError, OSError, TypeError) as error:  # TypeError: headerless .raw
        raise InputError(f"{given} is not audio in a format known here ({_first_line(error)})") from error
    if not 1_000 <= rate <= 768_000:
        raise InputError(f"{given} has a sampling rate of {rate} Hz: its header is damaged")
    if frames <= 0:
        raise InputError(f"{given} holds no audio: it is 0 seconds long")
    if frames < SHORTEST_RECORDING * rate:
        length = 1000 * frames / rate
        raise InputError(f"{given} is {length:.0f} ms long: at least {1000 * SHORTEST_RECORDING:.0f} ms are needed")
    if frames > 2**40:
        raise InputError(f"{given} promises {frames} samples: its header is damaged")
    return _Source(path, given, frames, rate, channels, mended=mended)


@contextmanager
def _opened(path: Path, mended: Mapping[int, bytes]) -> Iterator[Any]:
    """A file opened by soundfile, its header read as it should be."""
    import soundfile

    with _quiet_decoder(path):
        if not mended:
            with soundfile.SoundFile(_file_name(path)) as handle:
                yield handle
            return
        with Mended(path, mended) as file, soundfile.SoundFile(file) as handle:
            yield handle


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


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][-120:] if text else type(error).__name__
