"""Many recordings: names, manifests, bad files, resuming after a kill at any moment, a folder that fails."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aligner.command import journal
from aligner.command.cli import main
from aligner.command.journal import JOURNAL, Row
from aligner.command.plan import Plan, plan
from aligner.files import lock
from benchmarks import crash

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
NAMES = ("carrots", "oranges", "twelve")
BAD = "broken"


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(*arguments: object, code: int = 0, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A folder with a folder in it: two recordings, one more below, and their transcripts."""
    folder = tmp_path / "talks"
    (folder / "parts").mkdir(parents=True)
    for name in NAMES:
        place = folder / "parts" if name == "twelve" else folder
        shutil.copy(SAMPLES / f"{name}.flac", place)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_folder_with_transcripts_by_stem(talks: Path, tmp_path: Path) -> None:
    run(talks, "--text", SAMPLES, "-f", "json,srt", "-o", tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {
        "carrots.json", "carrots.srt", "oranges.json", "oranges.srt", "parts/twelve.json", "parts/twelve.srt",
        "summary.csv",
    }  # fmt: skip
    for name, place in zip(NAMES, ("carrots", "oranges", "parts/twelve"), strict=True):
        found = json.loads((tmp_path / "out" / f"{place}.json").read_text())
        assert found["text"].split() == (SAMPLES / f"{name}.txt").read_text().split()
    assert [row["status"] for row in rows(tmp_path / "out")] == ["done"] * 3


def test_pattern(talks: Path, tmp_path: Path) -> None:
    run(f"{talks}/*.flac", "--text", SAMPLES, "-o", tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {"carrots.TextGrid", "oranges.TextGrid", "summary.csv"}


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_manifest(talks: Path, tmp_path: Path, source: str) -> None:
    lines = [
        json.dumps({"audio": str(talks / "carrots.flac"), "text": (SAMPLES / "carrots.txt").read_text()}),
        f"{talks / 'oranges.flac'}\t{SAMPLES / 'oranges.txt'}",
        "",
    ]
    manifest = tmp_path / "list.txt"
    manifest.write_text("\n".join(lines))
    where = ("--manifest", manifest) if source == "file" else ("--manifest", "-")
    run(*where, "-f", "tsv", "-o", tmp_path / "out", stdin="\n".join(lines))
    assert set(contents(tmp_path / "out")) == {"carrots.tsv", "oranges.tsv", "summary.csv"}


def test_broken_manifest_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text('{"text": "no audio here"}\n')
    assert "line 1" in run("--manifest", tmp_path / "list.txt", code=1).stderr


def planned(*arguments: object) -> Plan:
    """The plan of a command line."""
    options = main.make_context("align", [str(a) for a in arguments]).params
    return plan(options.pop("audio"), options.pop("manifest"), options)


def test_transcripts_of_a_list_are_found_beside_it(talks: Path) -> None:
    (talks / "carrots.txt").write_text("beside the list")
    (talks / "list.txt").write_text('carrots.flac\tcarrots.txt\n{"audio": "oranges.flac", "text": "the words"}\n')
    jobs = planned("--manifest", talks / "list.txt").jobs
    assert [job.text for job in jobs] == [str(talks / "carrots.txt"), "the words"]


def test_equal_stems_of_a_list_or_pattern_stay_apart(talks: Path) -> None:
    shutil.copy(talks / "carrots.flac", talks / "parts" / "carrots.flac")
    (talks / "list.txt").write_text("carrots.flac\nparts/carrots.flac\n")
    for source in (["--manifest", talks / "list.txt"], [f"{talks}/**/carrots.flac"]):
        assert [job.name for job in planned(*source).jobs] == ["carrots", "parts/carrots"]


def test_names_never_lead_out_of_the_output_folder(talks: Path) -> None:
    (talks / "parts" / "list.txt").write_text("../carrots.flac\ntwelve.flac\n")
    names = [job.name for job in planned("--manifest", talks / "parts" / "list.txt").jobs]
    assert names == ["carrots", "parts/twelve"]


def test_one_recording_twice_is_done_once_but_not_with_two_texts(talks: Path) -> None:
    assert len(planned(talks / "carrots.flac", talks / "carrots.flac").jobs) == 1
    (talks / "list.txt").write_text("carrots.flac\tone\ncarrots.flac\ttwo\n")
    assert "twice, with different transcripts" in run("--manifest", talks / "list.txt", code=2).stderr


def test_hidden_files_are_no_recordings(talks: Path) -> None:
    (talks / "._carrots.flac").write_text("notes of the system")
    assert len(planned(talks).jobs) == 3


def test_standard_input_is_one_thing_and_text(talks: Path) -> None:
    assert "both read" in run(talks, "--text", "-", "--manifest", "-", code=2).stderr
    latin = CliRunner().invoke(main, [str(talks / "carrots.flac"), "--text", "-"], input=b"caf\xe9")
    assert latin.exit_code == 1 and "standard input is not utf-8 text (line 1, byte 3)" in latin.stderr
    assert "--encoding" in latin.stderr
    (talks / "list.txt").write_bytes(b"carrots.flac\ncaf\xe9.flac\n")
    listed = run("--manifest", talks / "list.txt", code=1).stderr
    assert listed.endswith("list.txt is not utf-8 text (line 2, byte 16): save it as UTF-8\n")  # of a list, no option


def test_recordings_of_one_name_write_different_files(talks: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "carrots.flac"
    other.parent.mkdir()
    for path in (other, talks / "carrots.mp3", talks / "parts" / "twelve.mp3"):
        shutil.copy(talks / "carrots.flac", path)
    names = [job.name for job in planned(talks).jobs]
    assert names == ["carrots.flac", "carrots.mp3", "oranges", "parts/twelve.flac", "parts/twelve.mp3"]
    assert [job.name for job in planned(talks / "carrots.flac", talks / "carrots.mp3").jobs] == names[:2]
    assert [job.name for job in planned(talks / "carrots.flac", other).jobs] == ["talks/carrots", "other/carrots"]
    four = planned(talks / "carrots.flac", talks / "carrots.mp3", other, talks / "oranges.flac").jobs
    assert [job.name for job in four] == ["talks/carrots.flac", "talks/carrots.mp3", "other/carrots.flac", "oranges"]


def test_brackets_in_names_survive_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "in").mkdir()
    for name in ("talk [draft].flac", "[bold]loud.flac"):
        (tmp_path / "in" / name).write_bytes(b"no sound")
    result = run(tmp_path / "in", "-o", tmp_path / "out", code=1)
    assert "talk [draft].flac" in result.stdout
    assert "[bold]loud.flac" in result.stdout


def test_bad_files_are_counted_and_others_complete(talks: Path, tmp_path: Path) -> None:
    (talks / "broken.wav").write_text("no audio")
    (talks / "untold.flac").write_bytes((talks / "carrots.flac").read_bytes())  # has no transcript
    result = run(talks, "--text", SAMPLES, "-f", "json", "-o", tmp_path / "out", code=1)
    status = {Path(row["audio"]).stem: row["status"] for row in rows(tmp_path / "out")}
    assert status == {"broken": "failed", "carrots": "done", "oranges": "done", "twelve": "done", "untold": "failed"}
    assert "broken.wav is not audio" in result.stderr
    assert "no transcript untold.txt" in result.stderr
    assert "3 of 5 aligned" in result.stderr


def test_jobs_give_the_same_bytes(talks: Path, tmp_path: Path) -> None:
    run(talks, "--text", SAMPLES, "-f", "all", "-o", tmp_path / "one")
    command = [
        sys.executable,
        "-m",
        "aligner.command.cli",
        talks,
        "--text",
        SAMPLES,
        "-f",
        "all",
        "-o",
        tmp_path / "two",
    ]
    done = subprocess.run([*command, "--jobs", "2", "--threads", "1"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_resume_does_only_what_is_missing(talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(talks, "--text", SAMPLES, "-f", "json", "-o", out)
    before = {name: (out / name).stat().st_mtime_ns for name in contents(out)}
    whole = contents(out)
    (out / "oranges.json").unlink()
    run(talks, "--text", SAMPLES, "-f", "json", "-o", out, "--resume")
    after = {name: (out / name).stat().st_mtime_ns for name in contents(out)}
    assert contents(out) == whole
    assert after["carrots.json"] == before["carrots.json"]
    assert after["oranges.json"] != before["oranges.json"]


def test_resume_redoes_what_would_come_out_differently(talks: Path, tmp_path: Path) -> None:
    out, texts = tmp_path / "out", tmp_path / "texts"
    texts.mkdir()
    for name in NAMES:
        shutil.copy(SAMPLES / f"{name}.txt", texts)
    run(talks, "--text", texts, "-f", "tsv", "-o", out)
    (texts / "oranges.txt").write_text("nothing but this")
    run(talks, "--text", texts, "-f", "tsv", "-o", out, "--resume")
    assert "nothing" in (out / "oranges.tsv").read_text()
    first = contents(out)
    run(talks, "--text", texts, "-f", "tsv", "-o", out, "--resume", "--pauses", "keep")
    assert contents(out)["carrots.tsv"] != first["carrots.tsv"]


def test_resume_redoes_what_other_alignment_heads_would_change(tmp_path: Path, embedded_checkpoint: Path) -> None:
    folder, out = tmp_path / "checkpoint", tmp_path / "out"
    shutil.copytree(embedded_checkpoint, folder)
    shutil.copytree(SAMPLES, tmp_path / "talks", ignore=lambda _, names: [n for n in names if "carrots" not in n])
    command = (tmp_path / "talks", "--text", SAMPLES, "-f", "tsv", "-o", out, "--model", folder, "--heads", "alignment")
    config = json.loads((folder / "generation_config.json").read_text())
    apart = [sys.executable, "-m", "aligner", *map(str, command)]  # a process keeps the model that it has loaded
    subprocess.run(apart, check=True, capture_output=True)
    first = (out / "carrots.tsv").read_text()
    config["alignment_heads"] = [[0, 0]]
    (folder / "generation_config.json").write_text(json.dumps(config))
    subprocess.run([*apart, "--resume"], check=True, capture_output=True)
    assert (out / "carrots.tsv").read_text() != first


def batch_of(folder: Path, count: int) -> None:
    folder.mkdir()
    for k in range(count):
        shutil.copy(SAMPLES / f"{NAMES[k % 3]}.flac", folder / f"talk{k:03}.flac")
        shutil.copy(SAMPLES / f"{NAMES[k % 3]}.txt", folder / f"talk{k:03}.txt")


def test_killed_at_any_moment_and_resumed(tmp_path: Path) -> None:
    """A small share of `benchmarks.crash`: after --resume the folder holds what an uninterrupted run leaves."""
    crash.clips(tmp_path / "in", 12, seed=0)
    run(tmp_path / "in", "--text", tmp_path / "in", "-f", "all", "-o", tmp_path / "whole")
    whole = crash.contents(tmp_path / "whole")
    crash.warm_up(tmp_path / "in", tmp_path / "warm")
    assert crash.kills(tmp_path / "in", tmp_path, whole, count=4, jobs=1, seed=0)


def test_two_runs_do_not_share_a_folder(talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / JOURNAL).open("a") as other:
        assert lock(other)
        assert "another run is writing" in run(talks, "-o", out, code=1).stderr


def test_a_torn_line_costs_one_recording_and_not_the_next(talks: Path, tmp_path: Path) -> None:
    todo = planned(talks, "-f", "tsv", "-o", tmp_path / "out")
    for name in ("carrots", "oranges"):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / f"{name}.tsv").write_text("written")
    with journal.opened(todo, resume=False) as record:
        record.add(todo.jobs[0], Row("a", "done"))
    with (tmp_path / "out" / JOURNAL).open("a") as handle:
        handle.write('{"name": "kitc')
    with journal.opened(todo, resume=True) as record:
        record.add(todo.jobs[1], Row("b", "done"))
    assert [(job.name, row.audio) for job, row in journal.earlier(todo)] == [("carrots", "a"), ("oranges", "b")]


def test_another_table_of_that_name_is_no_summary(talks: Path, tmp_path: Path) -> None:
    todo = planned(talks, "-o", tmp_path)
    for content in (b"a;b\n1;2\n", b"audio,status\n\xff,done\n", b"\0" * 99, b'"' + b"x" * 200_000):
        (tmp_path / "summary.csv").write_bytes(content)
        assert list(journal.earlier(todo)) == []


WORKERS = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from aligner.command.batch import leave_with_parent
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=leave_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def test_workers_leave_with_a_killed_batch(tmp_path: Path) -> None:
    (tmp_path / "batch.py").write_text(WORKERS)
    process = subprocess.Popen([sys.executable, tmp_path / "batch.py"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while process.stdout.read(1) and time.monotonic() < deadline:
        pass
    with pytest.raises(ProcessLookupError):  # the pipe is closed when its last holder is gone
        for _ in range(1000):
            os.kill(worker, 0)
            time.sleep(0.01)


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "in").mkdir()
    for suffix in (".flac", ".txt"):
        (tmp_path / "in" / f"{name}{suffix}").write_bytes((SAMPLES / f"oranges{suffix}").read_bytes())
    run(tmp_path / "in", "--text", tmp_path / "in", "-f", "all", "-o", tmp_path / "out")
    assert "caf\\udce9" in (tmp_path / "out" / "summary.csv").read_text()
    assert (tmp_path / "out" / f"{name}.ctm").read_text().startswith("caf? 1 ")


def test_one_output_that_cannot_be_written_does_not_stop_the_others(talks: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "carrots.tsv").mkdir(parents=True)
    result = run(talks, "--text", SAMPLES, "-f", "tsv", "-o", tmp_path / "out", code=1)
    assert [row["status"] for row in rows(tmp_path / "out")] == ["failed", "done", "done"]
    assert "carrots.tsv is a folder" in result.stderr
    assert "carrots.tsv is a folder" in rows(tmp_path / "out")[0]["message"]


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".aligning-k3j2h1g0.json").write_text("half")
    (out / ".own.settings.json").write_text("mine")
    run(talks, "--text", SAMPLES, "-f", "json", "-o", out, "--resume")
    assert not (out / ".aligning-k3j2h1g0.json").exists()
    assert (out / ".own.settings.json").read_text() == "mine"


def test_full_disk_stops_the_batch_with_one_sentence(tmp_path: Path) -> None:
    """A limit on file size stands in for the disk: small files fit, the long one does not."""
    batch_of(tmp_path / "in", 4)
    for suffix in (".flac", ".txt"):
        shutil.copy(SAMPLES / f"alice{suffix}", tmp_path / "in" / f"talk002{suffix}")
    out = tmp_path / "out"
    code = (
        "import resource, signal; from aligner.command.cli import main; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); main()"
    )
    command = [sys.executable, "-c", code, tmp_path / "in", "--text", tmp_path / "in", "-f", "tsv", "-o", out, "-q"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.count("cannot write") == 1
    assert "--resume continues" in done.stderr
    assert "Traceback" not in done.stderr
    finished = [name for name in contents(out) if not name.startswith(".")]
    assert finished == ["talk000.tsv", "talk001.tsv"]
    assert all(contents(out)[name].endswith(b"\n") for name in finished)


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupted_batch_keeps_what_is_finished(tmp_path: Path, jobs: int) -> None:
    batch_of(tmp_path / "in", 60)
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "aligner.command.cli",
        tmp_path / "in",
        "--text",
        tmp_path / "in",
        "-f",
        "json",
        "-o",
        out,
    ]
    command += ["--jobs", str(jobs)]
    # A suite that was started in the background ignores Ctrl-C, and its children would too.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_ctrl_c
    )
    deadline = time.monotonic() + 300
    while not list(out.glob("talk*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "--resume" in said
    assert "Traceback" not in said
    written = [name for name in contents(out) if name != JOURNAL]
    assert 0 < len(written) < 60
    assert all(json.loads(contents(out)[name])["text"] for name in written)
