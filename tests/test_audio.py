"""Every format reads, every stretch equals the whole, every bad file is one sentence."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aligner.audio import read as audio
from aligner.audio.read import AUDIO_SUFFIXES, doubts, duration, read_audio, stream
from aligner.errors import InputError

FORMATS = {
    ".wav": ("WAV", None), ".flac": ("FLAC", None), ".mp3": ("MP3", None), ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"), ".aiff": ("AIFF", None), ".au": ("AU", None), ".caf": ("CAF", None),
    ".sph": ("NIST", None), ".w64": ("W64", None),
}  # fmt: skip
CONTAINERS = {".m4a": ["-movflags", "+faststart"], ".mp4": [], ".aac": [], ".webm": ["-c:a", "libopus"], ".mkv": []}
RATE = 48_000
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")


def wave(seconds: float = 3.0, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """Tones of 300 Hz, 500 Hz and so on, one a channel."""
    time_axis = np.arange(round(seconds * rate)) / rate
    return np.stack([0.4 * np.sin(2 * np.pi * (300 + 200 * k) * time_axis) for k in range(channels)], 1)


def save(folder: Path, suffix: str, samples: np.ndarray | None = None, rate: int = RATE) -> Path:
    path = folder / f"talk{suffix}"
    samples = wave() if samples is None else samples
    if suffix in FORMATS:
        soundfile.write(path, samples, rate, format=FORMATS[suffix][0], subtype=FORMATS[suffix][1])
        return path
    soundfile.write(folder / "source.wav", samples, rate)
    command = ["ffmpeg", "-v", "error", "-y", "-i", folder / "source.wav", *CONTAINERS[suffix], path]
    if subprocess.run(command, check=False).returncode:
        pytest.skip(f"this ffmpeg makes no {suffix}")
    return path


EVERY = [*FORMATS, *(pytest.param(s, marks=needs_ffmpeg) for s in CONTAINERS)]


@pytest.mark.parametrize("suffix", EVERY)
def test_every_format_is_read_at_the_wanted_rate(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path, suffix)
    found = read_audio(path)
    assert suffix in AUDIO_SUFFIXES
    assert found.sample_rate == 16_000 and found.duration == pytest.approx(3.0, abs=0.06)
    assert duration(path) == pytest.approx(found.duration, abs=1e-4)
    middle = found.samples[16_000:32_000]
    spectrum = np.abs(np.fft.rfft(middle))
    assert spectrum.argmax() == 300  # Hz: the window is 1 s
    assert np.abs(middle).max() == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", ".opus", ".sph"])
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_stretch_equals_the_whole(tmp_path: Path, suffix: str, rate: int) -> None:
    if suffix == ".opus" and rate == 44_100:
        pytest.skip("opus has no such rate")
    rng = np.random.default_rng(0)
    path = save(tmp_path, suffix, 0.1 * rng.normal(size=4 * rate), rate)
    whole = read_audio(path).samples
    for start, end in [(0, 1), (0.5, 1.777), (2.001, 3.3), (1.23456, 2.34567), (3, 60), (70, 80)]:
        found = stream(path, 16_000, start, end).samples
        expected = whole[round(start * 16_000) : round(end * 16_000)]
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_101, 192_000])
def test_unusual_rates(tmp_path: Path, rate: int) -> None:
    found = read_audio(save(tmp_path, ".wav", wave(2.0, rate), rate)).samples
    expected = wave(2.0, 16_000)[:, 0]
    assert len(found) == len(expected)
    np.testing.assert_allclose(found[800:-800], expected[800:-800], atol=0.01)


def test_channels(tmp_path: Path) -> None:
    path = save(tmp_path, ".wav", wave(1.0, 16_000, 8), 16_000)
    each = [read_audio(path, channel=k).samples for k in range(8)]
    assert [int(np.abs(np.fft.rfft(samples)).argmax()) for samples in each] == [300 + 200 * k for k in range(8)]
    np.testing.assert_allclose(read_audio(path).samples, np.mean(each, 0), atol=1e-6)
    for wrong in (8, -1):
        with pytest.raises(InputError, match=f"8 channel.* no channel {wrong}"):
            read_audio(path, channel=wrong)


@pytest.mark.parametrize("suffix", EVERY)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_off_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = save(tmp_path, suffix, 0.1 * np.random.default_rng(0).normal(size=3 * RATE))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=rf"talk\{suffix} (is cut off|cannot be decoded|is not audio)"):
        read_audio(path)


def test_a_wav_streamed_to_a_pipe_has_no_length_and_is_read(tmp_path: Path) -> None:
    path = save(tmp_path, ".wav")
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    assert content[36:40] == b"data"
    path.write_bytes(content)
    assert duration(path) == 3.0


def test_what_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not audio " * 100)
    (tmp_path / "text.raw").write_text("not audio " * 100)
    os.mkfifo(tmp_path / "pipe.wav")
    soundfile.write(tmp_path / "zero.wav", np.zeros(0), RATE)
    soundfile.write(tmp_path / "short.wav", np.zeros(RATE // 100), RATE)
    expected = {
        "none.wav": "does not exist", ".": "is a folder", "empty.wav": "is empty", "text.wav": "is not audio",
        "text.raw": "is not audio", "pipe.wav": "pipe or a device", "zero.wav": "0 seconds", "short.wav": "10 ms long",
    }  # fmt: skip
    for name, words in expected.items():
        with pytest.raises(InputError, match=words) as caught:
            read_audio(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_samples_that_are_not_numbers(tmp_path: Path, value: float) -> None:
    samples = wave()
    samples[70_000] = value
    path = tmp_path / "talk.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    with pytest.raises(InputError, match="NaN"):
        read_audio(path)


@needs_ffmpeg
def test_text_named_as_a_container(tmp_path: Path) -> None:
    (tmp_path / "text.m4a").write_text("not audio " * 100)
    with pytest.raises(InputError, match="cannot be decoded by ffmpeg"):
        read_audio(tmp_path / "text.m4a")


def test_missing_ffmpeg_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "talk.m4a").write_bytes(b"anything")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="needs the ffmpeg program: install it"):
        read_audio(tmp_path / "talk.m4a")


@needs_ffmpeg
def test_decoded_copies_are_removed_when_nobody_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, ".m4a")
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(audio.tempfile, "tempdir", str(copies))
    read_audio(path)
    assert len(list(copies.iterdir())) == 1
    audio._source.cache_clear()
    assert list(copies.iterdir()) == []


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    rng = random.Random(0)
    suffixes = [".wav", ".flac", ".mp3", ".ogg", ".sph", ".aiff"]
    whole = {suffix: save(tmp_path, suffix, wave(0.5, 16_000), 16_000).read_bytes() for suffix in suffixes}
    outcomes = []
    for number in range(120):
        suffix = suffixes[number % len(suffixes)]
        content = bytearray(whole[suffix])
        reach = rng.choice([200, len(content)])  # the header, or anywhere
        for _ in range(rng.randrange(1, 20)):
            content[rng.randrange(min(reach, len(content)))] = rng.randrange(256)
        if rng.random() < 0.3:
            del content[rng.randrange(1, len(content)) :]
        path = tmp_path / f"mutated{suffix}"
        path.write_bytes(content)
        try:
            found = read_audio(path)
            assert np.all(np.isfinite(found.samples))
            outcomes.append("read")
        except InputError as error:
            assert str(path) in str(error)
            outcomes.append("refused")
    assert {"read", "refused"} == set(outcomes)


def mp3_frames(content: bytes) -> list[int]:
    """Where the frames of the mp3 files made here begin."""
    return [match.start() for match in re.finditer(rb"\xff[\xf2\xf3\xfa\xfb]", content)]


def constant_mp3(path: Path) -> bytes:
    """Content of an mp3 of constant bit rate without the first frame, which states the length."""
    noise = 0.1 * np.random.default_rng(0).normal(size=3 * 16_000)
    soundfile.write(path, noise, 16_000, format="MP3", bitrate_mode="CONSTANT", compression_level=0.5)
    content = path.read_bytes()
    assert b"Info" in content[:200] or b"Xing" in content[:200]
    length = next(at for at in mp3_frames(content) if at > 0)
    return content[length:]


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_an_ogg_stream_without_its_end_is_doubted(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path, suffix, 0.1 * np.random.default_rng(0).normal(size=3 * RATE))
    assert doubts(path) == ()
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"OggS")])  # at the joint of two pages: what is left is whole
    assert "breaks off" in doubts(path)[0]
    assert duration(path) < 3


def test_an_mp3_without_a_stated_length_is_doubted_when_it_ends_inside_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp3"
    content = constant_mp3(path)
    path.write_bytes(content)
    assert doubts(path) == () and duration(path) == pytest.approx(3.0, abs=0.2)
    path.write_bytes(content + b"TAG" + bytes(125))
    assert doubts(path) == ()
    path.write_bytes(content[: len(content) // 2 + 13])
    assert "breaks off" in doubts(path)[0]


@pytest.mark.skipif(shutil.which("ffmpeg") is not None, reason="ffmpeg reads such files")
def test_an_mp3_of_changing_rate_and_unknown_length_is_not_cut_short_silently(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp3"
    speech, rate = soundfile.read(Path(__file__).parents[1] / "data" / "samples" / "kitchen.flac")
    soundfile.write(path, speech, rate, format="MP3", bitrate_mode="VARIABLE")
    content = path.read_bytes()
    path.write_bytes(content[next(at for at in mp3_frames(content) if at > 0) :])
    with pytest.raises(InputError, match="ffmpeg"):
        duration(path)


def test_damaged_mp3_files_say_nothing_behind_the_users_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, ".mp3", 0.1 * np.random.default_rng(0).normal(size=3 * RATE))
    content = bytearray(path.read_bytes())
    rng = random.Random(3)
    for _ in range(60):
        content[rng.randrange(3000, len(content))] ^= 255
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        read_audio(path)
    assert capfd.readouterr().err == ""
