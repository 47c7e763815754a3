"""A batch on a cluster: two workers of which one is killed leave what one process leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from aligner.command.cli import main

pytest.importorskip("distributed", reason="needs the extra cluster")

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
COUNT = 8


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
    for k in range(COUNT):
        name = ("carrots", "oranges", "twelve")[k % 3]
        shutil.copy(SAMPLES / f"{name}.flac", tmp_path / f"talk{k}.flac")
        shutil.copy(SAMPLES / f"{name}.txt", tmp_path / f"talk{k}.txt")
        lines.append(f"talk{k}.flac\ttalk{k}.txt\n")
    (tmp_path / "many.tsv").write_text("".join(lines))
    return tmp_path / "many.tsv"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def kill_a_busy_worker(address: str, outputs: Path, process: subprocess.Popen[bytes]) -> None:
    """Kill a worker that is at work as soon as an output is there."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        pids = client.run(os.getpid)
        busy: list[str] = []
        while not busy:
            assert process.poll() is None, "the command ended before a worker was killed"
            time.sleep(0.02)
            if outputs.is_dir() and any(outputs.glob("*.json")):
                busy = [worker for worker, tasks in client.processing().items() if tasks]
        os.kill(pids[busy[0]], signal.SIGKILL)


def test_a_worker_is_killed_and_outputs_are_those_of_one_process(cluster: str, talks: Path) -> None:
    options = ("--manifest", str(talks), "-f", "json,textgrid", "--threads", "1", "-q")
    alone, together = talks.parent / "alone", talks.parent / "together"
    assert CliRunner().invoke(main, [*options, "-o", str(alone)]).exit_code == 0
    command = [sys.executable, "-m", "aligner", *options, "-o", str(together), "--cluster", cluster]
    with subprocess.Popen(command) as process:
        kill_a_busy_worker(cluster, together, process)
        assert process.wait(timeout=300) == 0
    assert contents(together) == contents(alone)
    assert len(contents(together)) == 2 * COUNT + 1  # and the summary


def test_a_scheduler_that_does_not_answer_is_told(talks: Path) -> None:
    options = ("--manifest", str(talks), "-o", str(talks.parent / "out"), "--cluster", "tcp://127.0.0.1:9")
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in result.output
