"""Everything a user can get wrong: one clear sentence, a non-zero exit code, nothing half-written."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from aligner.command.cli import main

RATE = 16_000


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def babble(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Something with the level changes of speech, made of noise bursts."""
    rng = np.random.default_rng(seed)
    time_axis = np.arange(round(seconds * rate)) / rate
    return (0.2 * rng.normal(size=len(time_axis)) * (np.sin(2 * np.pi * 3 * time_axis) > 0)).astype(np.float32)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "talk.wav"
    path.parent.mkdir()
    soundfile.write(path, babble(2.0), RATE)
    return path


def run(*arguments: object, folder: Path) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments] + ["-o", f"{folder / 'out'}/"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def refused(result: Result, folder: Path, *expected: str, code: int = 1) -> None:
    """One `Error:` sentence that holds the expected words; no traceback, no output file."""
    assert result.exit_code == code, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.output
    for words in expected:
        assert words in errors[0]
    out = folder / "out"
    assert not out.exists() or not [p for p in out.rglob("*") if p.is_file()]


def test_missing_file(tmp_path: Path) -> None:
    refused(run(tmp_path / "none.wav", folder=tmp_path), tmp_path, "none.wav", "does not exist")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").touch()
    refused(run(tmp_path / "talk.wav", folder=tmp_path), tmp_path, "talk.wav", "empty")


def test_text_named_wav(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_text("not audio at all " * 50)
    refused(run(tmp_path / "talk.wav", folder=tmp_path), tmp_path, "talk.wav", "not audio")


def test_truncated_file(talk: Path, tmp_path: Path) -> None:
    talk.write_bytes(talk.read_bytes()[:20_000])
    refused(run(talk, folder=tmp_path), tmp_path, "talk.wav", "cut off")


def test_zero_length(talk: Path, tmp_path: Path) -> None:
    soundfile.write(talk, np.zeros(0, np.float32), RATE)
    refused(run(talk, folder=tmp_path), tmp_path, "talk.wav", "no audio")


def test_ten_milliseconds(talk: Path, tmp_path: Path) -> None:
    soundfile.write(talk, babble(0.01), RATE)
    refused(run(talk, "--text", "hello", folder=tmp_path), tmp_path, "talk.wav", "10 ms")


@pytest.mark.parametrize("text", [[], ["--text", "hello there"]])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_silence(talk: Path, tmp_path: Path, text: list[str], offset: float) -> None:
    soundfile.write(talk, np.full(2 * RATE, offset, np.float32), RATE)
    refused(run(talk, *text, folder=tmp_path), tmp_path, "talk.wav", "silent")


def test_nan_samples(talk: Path, tmp_path: Path) -> None:
    samples = babble(1.0)
    samples[500] = np.nan
    soundfile.write(talk, samples, RATE, subtype="FLOAT")
    refused(run(talk, "--text", "hello", folder=tmp_path), tmp_path, "talk.wav", "NaN")


@pytest.mark.parametrize(("channels", "rate"), [(8, 16_000), (1, 8_000), (1, 192_000), (2, 44_100)])
def test_unusual_but_good_audio_is_aligned(talk: Path, tmp_path: Path, channels: int, rate: int) -> None:
    soundfile.write(talk, np.repeat(babble(2.0, rate)[:, None], channels, 1), rate)
    result = run(talk, "--text", "three small words", "-f", "json", folder=tmp_path)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "talk.json").exists()


def test_channel_that_is_not_there(talk: Path, tmp_path: Path) -> None:
    refused(run(talk, "--channel", 3, "--text", "hello", folder=tmp_path), tmp_path, "1 channel", "no channel 3")


@pytest.mark.parametrize("text", ["", "   ", "\t\n", "\x00\x07"])
def test_empty_transcript(talk: Path, tmp_path: Path, text: str) -> None:
    refused(run(talk, "--text", text, folder=tmp_path), tmp_path, "empty")


def test_empty_transcript_file(talk: Path, tmp_path: Path) -> None:
    talk.with_suffix(".txt").write_text(" \n")
    refused(run(talk, "--text", talk.with_suffix(".txt"), folder=tmp_path), tmp_path, "talk.txt", "empty")


def test_transcript_without_words(talk: Path, tmp_path: Path) -> None:
    refused(run(talk, "--text", "... -- !", folder=tmp_path), tmp_path, "no words")


def test_missing_transcript(talk: Path, tmp_path: Path) -> None:
    refused(run(talk, "--text", tmp_path / "talk.txt", folder=tmp_path), tmp_path, "talk.txt", "check the path")


def test_no_transcript_of_that_stem(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    refused(run(talk, "--text", tmp_path / "texts", folder=tmp_path), tmp_path, "talk.txt or talk.lab")


@pytest.mark.parametrize("content", [b"caf\xe9 talk", b"RIFF\x00\x01\x02"])
def test_transcript_that_is_no_utf8(talk: Path, tmp_path: Path, content: bytes) -> None:
    talk.with_suffix(".txt").write_bytes(content)
    refused(run(talk, "--text", talk.with_suffix(".txt"), folder=tmp_path), tmp_path, "talk.txt")


def test_named_encoding_is_read(talk: Path, tmp_path: Path) -> None:
    talk.with_suffix(".txt").write_bytes("café talk".encode("cp1252"))
    result = run(talk, "--text", talk.with_suffix(".txt"), "--encoding", "cp1252", "-f", "tsv", folder=tmp_path)
    assert result.exit_code == 0, result.output
    assert "café" in (tmp_path / "out" / "talk.tsv").read_text(encoding="utf-8")


def test_transcript_with_more_characters_than_frames(talk: Path, tmp_path: Path) -> None:
    result = run(talk, "--text", "these are far too many words " * 5, folder=tmp_path)
    refused(result, tmp_path, "characters", "frames", "right transcript")


def test_transcript_of_100_000_words_is_refused_at_once(talk: Path, tmp_path: Path) -> None:
    talk.with_suffix(".txt").write_text("word " * 100_000)
    began = time.monotonic()
    refused(run(talk, "--text", talk.with_suffix(".txt"), folder=tmp_path), tmp_path, "right transcript")
    assert time.monotonic() - began < 10


def test_transcript_of_more_tokens_than_frames(talk: Path, tmp_path: Path) -> None:
    """Few characters, each of several tokens."""
    result = run(talk, "--text", "👩‍👩‍👧‍👦" * 12, "--timing", "attention", folder=tmp_path)
    refused(result, tmp_path, "tokens", "frames")


def test_noise_with_a_transcript_is_doubted(talk: Path, tmp_path: Path) -> None:
    result = run(talk, "--text", "zyxwv qqq xkcd zzz", "-f", "json", folder=tmp_path)
    assert result.exit_code == 0
    assert "hardly matches" in result.stderr


def test_unknown_language(talk: Path, tmp_path: Path) -> None:
    refused(run(talk, "--language", "xx", folder=tmp_path), tmp_path, "unknown language 'xx'", code=2)


@pytest.mark.parametrize("model", ["no-such-model", "./no/such/folder"])
def test_unknown_model(talk: Path, tmp_path: Path, model: str) -> None:
    refused(run(talk, "--model", model, folder=tmp_path), tmp_path, model)


def test_hub_model_without_network(talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    command = [sys.executable, "-m", "aligner", talk, "--model", "nobody/nothing", "-o", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "nobody/nothing" in done.stderr
    assert "network" in done.stderr
    assert "Traceback" not in done.stderr


def test_folder_that_is_no_checkpoint(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    refused(run(talk, "--model", tmp_path / "model", folder=tmp_path), tmp_path, "holds no checkpoint")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("-f", "docx", "unknown format 'docx'"),
        ("--preset", "mine", "unknown preset 'mine'"),
        ("--aggregation", "sum", "unknown aggregation 'sum'"),
        ("--layers", "last:99", "last:99"),
        ("--heads", "best", "best"),
        ("--path", "astar", "unknown path finder 'astar'"),
        ("--skip", "(", "--skip"),
        ("--device", "cuda:9", "cuda:9"),
    ],
)
def test_unknown_setting(talk: Path, tmp_path: Path, option: str, value: str, said: str) -> None:
    refused(run(talk, "--text", "hello there", option, value, folder=tmp_path), tmp_path, said, code=2)


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs /sys, where nobody can make a folder")
def test_folder_that_cannot_be_made(talk: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(talk), "--text", "hello", "-o", "/sys/kernel/aligner-output/"])
    refused(result, tmp_path, "cannot write", "choose another -o")


def test_output_folder_is_a_file(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("here")
    result = CliRunner().invoke(main, [str(talk), "--text", "hello", "-o", str(tmp_path / "blocked" / "sub") + "/"])
    refused(result, tmp_path, "cannot write", "not a folder")
    assert (tmp_path / "blocked").read_text() == "here"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_on_standard_output(talk: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "aligner", talk, "--text", "hello there", "-f", "json", "-o", "-"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr


def test_full_disk(talk: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    out = tmp_path / "out"
    script = (
        "import resource, signal, sys; from aligner.command.cli import main; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)); main()"
    )
    command = [sys.executable, "-c", script, talk, "--text", "hello there", "-f", "json", "-o", f"{out}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(out.iterdir())


def test_input_is_never_overwritten(talk: Path) -> None:
    before = talk.read_bytes()
    result = CliRunner().invoke(main, [str(talk), "--text", "hello there", "-f", "json", "-o", str(talk)])
    assert result.exit_code == 1
    assert "is not overwritten" in result.stderr
    assert talk.read_bytes() == before


def test_transcript_is_never_overwritten(talk: Path) -> None:
    text = talk.with_suffix(".tsv")
    text.write_text("hello there")
    result = CliRunner().invoke(main, [str(talk), "--text", str(text), "-f", "tsv", "-o", str(talk.parent)])
    assert result.exit_code == 1
    assert text.read_text() == "hello there"


def test_ctrl_c(talk: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    soundfile.write(talk, np.tile(babble(10.0), 60), RATE)  # ten minutes: enough to be interrupted
    command = [sys.executable, "-m", "aligner", talk, "--vad", "energy", "-f", "all", "-o", f"{out}/"]
    # A suite that was started in the background ignores Ctrl-C, and its children would too.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_ctrl_c
    )
    assert process.stderr is not None
    first = process.stderr.readline()  # the model is about to be loaded
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, first + rest
    assert "Interrupted" in rest
    assert "Traceback" not in rest
    assert not out.exists() or not list(out.iterdir())


def test_no_audio_in_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    refused(run(tmp_path / "in", folder=tmp_path), tmp_path, "no recordings")


def test_one_bad_file_does_not_stop_the_others(talk: Path, tmp_path: Path) -> None:
    soundfile.write(talk.parent / "second.wav", babble(2.0, seed=1), RATE)
    (talk.parent / "broken.wav").write_text("no audio")
    (tmp_path / "texts").mkdir()
    for stem in ("talk", "second", "broken"):
        (tmp_path / "texts" / f"{stem}.txt").write_text("hello there")
    result = run(talk.parent, "--text", tmp_path / "texts", "-f", "json", folder=tmp_path)
    assert result.exit_code == 1
    assert "broken.wav is not audio" in result.stderr
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["second.json", "summary.csv", "talk.json"]


@pytest.mark.parametrize("text", ["字" * 200, "words " * 60, "a" * 5000])
def test_text_too_long_for_a_file_name_is_text(talk: Path, tmp_path: Path, text: str) -> None:
    refused(run(talk, "--text", text, folder=tmp_path), tmp_path, "right transcript")
    result = run(talk, "--text", "字" * 90, folder=tmp_path)  # as many bytes as no name has, but it fits the audio
    assert result.exit_code == 0 or "Error: " in result.stderr


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_endless_transcript(talk: Path, tmp_path: Path) -> None:
    refused(run(talk, "--text", "/dev/zero", folder=tmp_path), tmp_path, "too large for a transcript")


@pytest.mark.parametrize(("encoding", "code"), [("ascii", 1), ("idna", 1), ("no-such", 2), ("base64", 2)])
def test_encoding_that_does_not_fit(talk: Path, tmp_path: Path, encoding: str, code: int) -> None:
    talk.with_suffix(".txt").write_text("café..\u3002x")
    result = run(talk, "--text", talk.with_suffix(".txt"), "--encoding", encoding, folder=tmp_path)
    refused(result, tmp_path, encoding, code=code)


def test_short_fuzz() -> None:
    """The fixed-seed fuzz of `benchmarks.fuzz`, a small share of it."""
    from benchmarks.fuzz import fuzz

    cases = [("transcript", k, 1) for k in range(16)] + [("audio", k, 1) for k in range(24)]
    counts, failures, _ = fuzz(cases)
    assert not failures
    assert counts["aligned"] > 8
    assert counts["refused"] > 8
