"""The `align` command as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aligner.command.cli import main

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
TALK = SAMPLES / "carrots.flac"
TEXT = (SAMPLES / "carrots.txt").read_text(encoding="utf-8")


def run(*arguments: object, code: int = 0, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    assert result.exit_code == code, result.output
    return result


def in_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_and_usage_errors_import_nothing_heavy() -> None:
    code = """
import sys
from click.testing import CliRunner
from aligner.command.cli import main
for arguments in (["--help"], ["--version"], [], ["x.wav", "-f", "nosuch"], ["x.wav", "--pauses", "no"]):
    CliRunner().invoke(main, arguments)
print(sorted({"torch", "transformers", "scipy", "torchaudio"} & sys.modules.keys()))
"""
    assert in_python(code).strip() == "[]"


def test_importing_the_package_loads_no_torch() -> None:
    assert in_python("import sys, aligner; aligner.align; print('torch' in sys.modules)").strip() == "False"


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--version"], 0), ([], 2), (["-f"], 2)])
def test_help_and_usage_errors_are_fast(arguments: list[str], code: int) -> None:
    """The best of five counts: the machine may be busy."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "aligner", *arguments], capture_output=True, timeout=60)
        times.append(time.perf_counter() - began)
        assert done.returncode == code
    assert min(times) < 0.3


def test_word_table_and_textgrid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(TALK, "--text", SAMPLES / "carrots.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["carrots.TextGrid"]
    printed = [line.split()[2] for line in result.stdout.splitlines()[1:]]
    assert printed == TEXT.split()
    assert str(SAMPLES / "carrots.txt") in result.stderr


def test_data_on_standard_output_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = json.loads(run(TALK, "--text", TEXT, "-f", "json", "-o", "-").stdout)
    words = [word["word"].strip() for segment in found["segments"] for word in segment["words"]]
    assert words == TEXT.split()
    assert not list(tmp_path.iterdir())


def test_file_name_gives_the_format(tmp_path: Path) -> None:
    run(TALK, "--text", TEXT, "-o", tmp_path / "new" / "carrots.srt")
    assert (tmp_path / "new" / "carrots.srt").read_text().startswith("1\n00:00:0")


def test_all_formats_into_a_folder(tmp_path: Path) -> None:
    run(TALK, "--text", TEXT, "-f", "all", "-o", tmp_path)
    written = {path.name.partition(".")[2] for path in tmp_path.iterdir()}
    assert written == {"TextGrid", "srt", "vtt", "ass", "json", "ctm", "csv", "tsv", "labels.txt", "eaf"}


def test_transcript_beside_the_audio_is_not_used_unasked(tmp_path: Path) -> None:
    for name in ("carrots.flac", "carrots.txt"):
        (tmp_path / name).write_bytes((SAMPLES / name).read_bytes())
    result = run(tmp_path / "carrots.flac", "-f", "json", "-o", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["provenance"]["text"] == "recognised"
    assert "carrots.txt is not used" in result.stderr


def test_transcript_on_standard_input(tmp_path: Path) -> None:
    run(TALK, "--text", "-", "-o", tmp_path / "out.tsv", stdin=TEXT)
    assert len((tmp_path / "out.tsv").read_text().splitlines()) == len(TEXT.split()) + 1


def test_parts_that_are_not_spoken_are_skipped(tmp_path: Path) -> None:
    script = f"# Scene one\nANNA: [softly] {TEXT}"
    skips = ("--skip", "headings", "--skip", "speakers", "--skip", "brackets")
    run(TALK, "--text", script, *skips, "-o", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["text"].split() == TEXT.split()


def test_choices_are_recorded(tmp_path: Path) -> None:
    choices = ("--layers", "last:2", "--heads", "top:3", "--aggregation", "max", "--pauses", "keep")
    run(TALK, "--text", TEXT, *choices, "-o", tmp_path / "out.json")
    provenance = json.loads((tmp_path / "out.json").read_text())["provenance"]
    assert provenance["aggregation"]["layers"] == "last:2"
    assert provenance["aggregation"]["heads"] == "top:3"
    assert "max" in provenance["aggregation"]["steps"]
    assert provenance["pauses"] == "keep"
    assert provenance["model"] == "embedded"
    assert set(provenance["versions"]) >= {"aligner", "torch", "tokenizers"}


def test_reference_scores_on_standard_error(tmp_path: Path) -> None:
    result = run(TALK, "--text", TEXT, "--reference", SAMPLES / "carrots.TextGrid", "-o", tmp_path / "out.json")
    assert "mean absolute error, ms" in result.stderr
    assert "mean absolute error" not in result.stdout


def test_token_and_flag_tiers(tmp_path: Path) -> None:
    from praatio import textgrid

    run(TALK, "--text", TEXT, "--tier", "tokens", "--tier", "flags", "-o", tmp_path / "out.TextGrid")
    tiers = textgrid.openTextgrid(str(tmp_path / "out.TextGrid"), includeEmptyIntervals=False).tierNames
    assert set(tiers) == {"segments", "words", "tokens", "flags"}


def test_same_command_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        run(TALK, "--text", TEXT, "-f", "all", "-o", tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_several_recordings_need_a_folder(tmp_path: Path) -> None:
    result = run(TALK, SAMPLES / "oranges.flac", "-o", "-", code=2)
    assert "name a folder" in result.stderr


def test_contradicting_outputs_are_refused(tmp_path: Path) -> None:
    assert "one format" in run(TALK, "-f", "srt,vtt", "-o", "-", code=2).stderr
    assert "one file" in run(TALK, "-f", "srt,vtt", "-o", tmp_path / "x.srt", code=2).stderr
    assert "no format ends in .doc" in run(TALK, "-o", tmp_path / "x.doc", code=2).stderr
