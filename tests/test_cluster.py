"""A batch on a cluster: two workers of which one is killed leave what one process leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from aligner.command.cli import main

pytest.importorskip("distributed", reason="needs the extra cluster")

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
TALKS = tuple(f"talk{k}" for k in range(8))
TALLY = """
import json, os, signal, time
from contextlib import suppress
from pathlib import Path

from aligner.command.journal import JOURNAL
from aligner.writers.base import formats

HERE = Path(__file__).parent


def lines(path):
    return path.read_text().split("\\n")[:-1]


class Tally:
    suffix, precision = ".tally", 1.0

    def write(self, alignment, path, options):
        journal, tally = path.parent / JOURNAL, HERE / f"{path.parent.name}.tally"
        with suppress(FileExistsError):
            os.link(journal, HERE / f"{path.parent.name}.journal")  # keeps what is there when the journal goes
        with tally.open("a") as handle:
            handle.write(f"{options.stem} {os.getpid()}\\n")
        path.write_text(options.stem)
        *finished, _ = [name for name, pid in map(str.split, lines(tally)) if int(pid) == os.getpid()]
        if len(finished) == 2 and (HERE / "order").exists():
            while not {json.loads(line)["name"] for line in lines(journal) if line}.issuperset(finished):
                time.sleep(0.01)
            time.sleep(0.5)  # the scheduler has heard of it, too
            with suppress(FileNotFoundError):
                (HERE / "order").rename(HERE / "obeyed").write_text(options.stem)
                os.kill(os.getpid(), signal.SIGKILL)


formats.register("tally")(Tally())
"""
"""A format that notes each time it writes. The first worker that has finished two recordings is killed while it writes
the third, if there is an order to die: one file of it is whole by then, one is half-written, one has not been begun."""


def started(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", *map(str, arguments)], stderr=subprocess.DEVNULL)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Address of a scheduler with two workers."""
    from distributed import Client

    told = tmp_path / "scheduler.json"
    found = "--scheduler-file", told
    processes = [
        started("distributed.cli.dask_scheduler", "--port", 0, "--no-dashboard", "--host", "127.0.0.1", *found)
    ]
    options = ("--nthreads", 1, "--no-nanny", "--no-dashboard", "--local-directory", tmp_path / "dask")
    try:
        processes += [started("distributed.cli.dask_worker", *options, *found) for _ in range(2)]
        with Client(scheduler_file=str(told), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield address
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A list of recordings with their transcripts."""
    lines = []
    for k, talk in enumerate(TALKS):
        name = ("carrots", "oranges", "twelve")[k % 3]
        shutil.copy(SAMPLES / f"{name}.flac", tmp_path / f"{talk}.flac")
        shutil.copy(SAMPLES / f"{name}.txt", tmp_path / f"{talk}.txt")
        lines.append(f"{talk}.flac\t{talk}.txt\n")
    (tmp_path / "many.tsv").write_text("".join(lines))
    return tmp_path / "many.tsv"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def written(here: Path, run: str) -> dict[str, int]:
    """How often each recording was written."""
    return Counter(line.split()[0] for line in (here / f"{run}.tally").read_text().splitlines())


def recorded(here: Path, run: str) -> dict[str, int]:
    """How often each recording was recorded as finished."""
    return Counter(json.loads(line)["name"] for line in (here / f"{run}.journal").read_text().split("\n") if line)


def test_a_worker_is_killed_and_what_was_finished_is_neither_lost_nor_done_again(cluster: str, talks: Path) -> None:
    here = talks.parent
    (here / "tally.py").write_text(TALLY)
    (here / "order").write_text("die")
    options = ("--plugin", here / "tally.py", "--manifest", talks, "-f", "json,tally,textgrid", "--threads", 1, "-q")
    for name, more in (("together", ("--cluster", cluster)), ("alone", ())):
        process = started("aligner", *options, "-o", here / name, *more)
        assert process.wait(timeout=300) == 0
    assert not (here / "order").exists(), "no worker was killed"
    cut_off = (here / "obeyed").read_text()
    assert written(here, "alone") == dict.fromkeys(TALKS, 1)
    assert written(here, "together") == {**dict.fromkeys(TALKS, 1), cut_off: 2}
    assert recorded(here, "alone") == recorded(here, "together") == dict.fromkeys(TALKS, 1)
    assert contents(here / "together") == contents(here / "alone")
    assert len(contents(here / "together")) == 3 * len(TALKS) + 1  # and the summary


def test_a_scheduler_that_does_not_answer_is_told(talks: Path) -> None:
    options = ("--manifest", str(talks), "-o", str(talks.parent / "out"), "--cluster", "tcp://127.0.0.1:9")
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in result.output
