"""Every format reads, every stretch equals the whole, every bad file is one sentence."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import aligner
from aligner.audio import container
from aligner.audio import read as audio
from aligner.audio.file import of_file
from aligner.audio.read import AUDIO_SUFFIXES, doubts, duration, read_audio, stream, tracks
from aligner.command.cli import main
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


def test_a_recording_that_a_crash_left_without_its_size_is_read_with_a_warning(cases: Path) -> None:
    path = cases / "zerosize_en.wav"
    found = read_audio(path)
    assert found.duration == duration(path) == pytest.approx(7.24, abs=0.01)
    assert np.abs(found.samples[-8000:]).max() > 0 and np.abs(found.samples[:8000]).max() > 0.05
    assert len(doubts(path)) == 1 and "does not say how long it is" in doubts(path)[0] and "7.2 s" in doubts(path)[0]
    aligned = aligner.align(path, language="en")
    assert aligned.words[0].text == "Please" and aligned.words[-1].text == "city."
    assert "does not say how long it is" in aligned.provenance["warnings"][0]


def size_at(content: bytes, suffix: str) -> tuple[int, str]:
    """Where the size of the audio stands in the files made here, and its layout."""
    if suffix == ".w64":
        return content.index(b"data\xf3\xac\xd3\x11") + 16, "<Q"
    if suffix == ".rf64":
        return 28, "<Q"
    if suffix == ".au":
        return 8, ">I"
    if suffix == ".aiff":
        return content.index(b"SSND") + 4, ">I"
    return content.index(b"data") + 4, "<I"


def sized(folder: Path, suffix: str, value: int) -> tuple[Path, np.ndarray, bytes]:
    """A file whose header states another size than it has, its samples, and its content as it was."""
    samples = 0.1 * np.random.default_rng(0).normal(size=(3 * RATE, 1))
    path = folder / f"talk{suffix.replace('rf64', 'wav')}"
    kind = {".rf64": "RF64", ".wav": "WAV", ".w64": "W64", ".aiff": "AIFF", ".au": "AU"}[suffix]
    soundfile.write(path, samples, RATE, format=kind)
    whole = path.read_bytes()
    place, layout = size_at(whole, suffix)
    content = bytearray(whole)
    content[place : place + struct.calcsize(layout)] = struct.pack(layout, value)
    path.write_bytes(content)
    return path, samples[:, 0], whole


@pytest.mark.parametrize(
    ("suffix", "value"),
    [
        *((suffix, 0) for suffix in (".wav", ".rf64", ".w64", ".aiff", ".au")),
        *((suffix, 0xFFFFFFFF) for suffix in (".wav", ".aiff", ".au")),
        *((".wav", value) for value in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF - 36)),
        *((suffix, value) for suffix in (".rf64", ".w64") for value in (0xFFFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF)),
    ],
)
def test_a_size_that_was_never_filled_in_is_read_past_and_named(tmp_path: Path, suffix: str, value: int) -> None:
    path, samples, _ = sized(tmp_path, suffix, value)
    np.testing.assert_allclose(read_audio(path, RATE).samples, samples, atol=1e-4)
    assert duration(path) == 3.0
    np.testing.assert_allclose(stream(path, RATE, 1.0, 2.0).samples, samples[RATE : 2 * RATE], atol=1e-4)
    assert len(doubts(path)) == 1 and "all 3.0 s that are there are read" in doubts(path)[0]


@pytest.mark.parametrize("suffix", [".wav", ".rf64", ".aiff", ".au"])
def test_what_lies_behind_the_end_by_the_header_is_named(tmp_path: Path, suffix: str) -> None:
    """Recorders that mend their header every minute leave such files when they crash."""
    path, _, whole = sized(tmp_path, suffix, 2 * RATE + 8 * (suffix == ".aiff"))
    assert duration(path) == 1.0
    assert "ends at 1.0 s, but about 2.0 s more" in doubts(path)[0]
    path.write_bytes(whole)
    assert doubts(path) == ()


@pytest.mark.parametrize("suffix", [".wav", ".rf64", ".w64", ".aiff"])
def test_a_size_that_is_a_little_too_large_is_a_file_cut_off(tmp_path: Path, suffix: str) -> None:
    path, _, _ = sized(tmp_path, suffix, 8 * RATE)
    with pytest.raises(InputError, match="is cut off"):
        read_audio(path)


def test_chunks_and_tags_behind_the_audio_are_no_audio(tmp_path: Path) -> None:
    path = save(tmp_path, ".wav")
    whole = path.read_bytes()
    for tail in (
        b"LIST\x04\x00\x00\x00INFO",
        b"id3 \x03\x00\x00\x00abc\x00" * 2,
        b"ID3\x04" + bytes(9000),
        bytes(60_000),
    ):
        path.write_bytes(whole + tail)
        assert doubts(path) == () and duration(path) == 3.0, tail[:4]
    soundfile.write(path, np.zeros(0), RATE)
    path.write_bytes(path.read_bytes() + b"LIST\x04\x00\x00\x00INFO")
    with pytest.raises(InputError, match="0 seconds"):
        duration(path)


@needs_ffmpeg
def test_a_flac_stream_without_its_number_of_samples_is_read_and_named(tmp_path: Path) -> None:
    path = save(tmp_path, ".flac", 0.1 * np.random.default_rng(0).normal(size=3 * RATE))
    expected = read_audio(path).samples
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    np.testing.assert_allclose(read_audio(path).samples, expected, atol=1e-6)
    np.testing.assert_allclose(stream(path, 16_000, 1.5, 2.0).samples, expected[24_000:32_000], atol=1e-6)
    assert "all 3.0 s that are there are read" in doubts(path)[0]


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
    for number in range(4):  # as many descriptions as are kept
        soundfile.write(tmp_path / f"{number}.wav", wave(0.1), RATE)
        read_audio(tmp_path / f"{number}.wav")
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
    speech, rate = soundfile.read(Path(__file__).parents[1] / "data" / "samples" / "carrots.flac")
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


def video(folder: Path, suffix: str, *tracks: tuple[float, np.ndarray], codec: tuple[str, ...] = ()) -> Path:
    """A video of 4 s with sound tracks, each of which starts at a time; skips what this ffmpeg cannot make."""
    path = folder / f"video{suffix}"
    command: list[object] = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=d=4:s=64x64:r=25"]
    maps: list[object] = ["-map", "0:v"]
    for number, (start, samples) in enumerate(tracks):
        soundfile.write(folder / f"{number}.wav", samples, 44_100)
        command += ["-itsoffset", start, "-i", folder / f"{number}.wav"]
        maps += ["-map", f"{number + 1}:a"]
    if subprocess.run([str(part) for part in [*command, *maps, *codec, path]], check=False).returncode:
        pytest.skip(f"this ffmpeg makes no {suffix}")
    return path


def click(at: float, seconds: float = 3.0) -> np.ndarray:
    """A click in faint noise."""
    samples = 1e-3 * np.random.default_rng(0).normal(size=round(seconds * 44_100))
    samples[round(at * 44_100) :][:900] += 0.8 * np.sin(np.arange(900) / 7) * np.exp(-np.arange(900) / 130)
    return samples


def heard_at(path: Path, track: int | None = None) -> float:
    """Seconds at which a click begins."""
    return float(np.flatnonzero(np.abs(read_audio(path, track=track).samples) > 0.2)[0]) / 16_000


@needs_ffmpeg
def test_a_track_that_starts_late_keeps_the_time_of_its_video(cases: Path) -> None:
    found = read_audio(cases / "delay4_en.mkv").samples
    assert np.abs(found[: round(3.95 * 16_000)]).max() == 0
    first = float(np.flatnonzero(np.abs(found) > 0.05)[0]) / 16_000
    assert first == pytest.approx(4.05, abs=0.05)
    (word, *_) = aligner.align(cases / "delay4_en.mkv", language="en").words
    assert word.text == "Please" and word.start == pytest.approx(4.05, abs=0.1)


@needs_ffmpeg
@pytest.mark.parametrize("start", [0.0, 2.0])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov", ".ts", ".flv", ".mpg", ".m4v", ".wmv"])
def test_every_video_keeps_its_time(tmp_path: Path, suffix: str, start: float) -> None:
    path = video(tmp_path, suffix, (start, click(1.5)))
    # What its codec puts before the sound, a part of a packet, is left in by some containers.
    assert heard_at(path) == pytest.approx(1.5 + start, abs=0.05)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".m4a", ".mka", ".mp3", ".opus", ".ogg", ".flac", ".caf", ".3gp"])
def test_what_a_codec_puts_before_the_sound_is_left_out(tmp_path: Path, suffix: str) -> None:
    soundfile.write(tmp_path / "source.wav", click(1.5), 44_100)
    rate = ["-ar", "8000", "-c:a", "aac"] if suffix == ".3gp" else []
    path = tmp_path / f"talk{suffix}"
    command = ["ffmpeg", "-v", "error", "-y", "-i", tmp_path / "source.wav", *rate, path]
    if subprocess.run(command, check=False).returncode:
        pytest.skip(f"this ffmpeg makes no {suffix}")
    assert heard_at(path) == pytest.approx(1.5, abs=0.003)


@needs_ffmpeg
def test_a_gap_in_a_track_keeps_what_follows_in_its_place(tmp_path: Path) -> None:
    """Recordings of calls have gaps where nothing arrived."""
    soundfile.write(tmp_path / "source.wav", click(2.5), 48_000)
    path = tmp_path / "call.mka"
    drop = "aselect='lt(t,1)+gt(t,2)'"  # the middle second is not there, the time stamps stay
    command = ["ffmpeg", "-v", "error", "-y", "-i", tmp_path / "source.wav", "-af", drop, "-c:a", "libopus", path]
    subprocess.run(command, check=True)
    assert heard_at(path) == pytest.approx(2.5 * 44_100 / 48_000, abs=0.03)


@needs_ffmpeg
def test_the_cover_of_an_album_is_no_video(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "source.wav", click(1.5), 44_100)
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=d=0.04:s=64x64:r=25"]
    command += ["-i", tmp_path / "source.wav", "-c:v", "mjpeg", "-disposition:v", "attached_pic", tmp_path / "song.m4a"]
    subprocess.run(command, check=True)
    assert not container.contents(tmp_path / "song.m4a", tmp_path / "song.m4a").pictures
    assert heard_at(tmp_path / "song.m4a") == pytest.approx(1.5, abs=0.003)


@needs_ffmpeg
def test_a_container_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = save(tmp_path, ".m4a")
    for suffix in (".wav", ".mp3", ".audio", ""):
        other = tmp_path / f"named{suffix}"
        shutil.copy(path, other)
        assert duration(other) == pytest.approx(3.0, abs=0.06)


@needs_ffmpeg
def test_every_track_can_be_read(tmp_path: Path) -> None:
    path = video(tmp_path, ".mkv", (0.0, click(0.5)), (0.0, click(1.0)), (1.0, click(1.5)))
    assert [round(heard_at(path, number), 1) for number in (None, 0, 1, 2)] == [0.5, 0.5, 1.0, 2.5]
    assert len(tracks(path)) == 3
    with pytest.raises(InputError, match=r"3 sound track.* no track 3"):
        duration(path, 3)


def test_a_file_that_is_one_track_has_no_second(tmp_path: Path) -> None:
    path = save(tmp_path, ".wav")
    assert duration(path, 0) == 3.0 and tracks(path) == ("",)
    with pytest.raises(InputError, match="has 1 sound track"):
        duration(path, 1)


@needs_ffmpeg
@pytest.mark.parametrize("first", ["silence", "noise", "speech"])
def test_a_first_track_without_speech_is_named(tmp_path: Path, cases: Path, first: str) -> None:
    speech = read_audio(cases / "bump_cut.flac", 44_100).samples[:-44_100]
    other = {"silence": np.zeros(len(speech)), "noise": 0.05 * click(0.1, len(speech) / 44_100), "speech": speech}[
        first
    ]
    path = video(tmp_path, ".mkv", (0.0, other), (0.0, speech))
    (said,) = of_file(path, 16_000).doubts
    if first == "speech":
        assert "of its 2 sound tracks the first is read" in said and "--track chooses track 1" in said
    else:
        assert "holds no speech, but track 1" in said and "--track 1 reads it" in said
    assert of_file(path, 16_000, track=1).doubts == of_file(path, 16_000, track=0).doubts == ()


@needs_ffmpeg
def test_a_silent_first_track_is_refused_with_the_way_out(tmp_path: Path, cases: Path) -> None:
    speech = read_audio(cases / "bump_cut.flac", 44_100).samples
    path = video(tmp_path, ".mkv", (0.0, np.zeros(len(speech))), (0.0, speech))
    done = CliRunner().invoke(main, [str(path), "--text", "hello there", "-o", f"{tmp_path / 'out'}/"])
    assert done.exit_code == 1 and "is silent" in done.stderr and "--track 1 reads it" in done.stderr
    done = CliRunner().invoke(main, [str(path), "--track", "2", "--text", "hello", "-o", f"{tmp_path / 'out'}/"])
    assert done.exit_code == 1 and "no track 2" in done.stderr
