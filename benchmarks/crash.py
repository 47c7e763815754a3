"""A batch that is killed, runs out of disk or loses its folder: `python -m benchmarks.crash`.

A batch of short clips, cut from the sample recordings with their exact words,
is killed (SIGKILL) again and again at random moments and resumed, until it is
through; then the next one starts from nothing, until there were as many kills
as asked for. What must hold: the folder ends up byte for byte as an
uninterrupted run leaves it; a recording in the journal is never written again;
no half-written file and no worker stays behind. Then the same batch on a disk
that is too small and in a folder that turns read-only: one sentence, exit code
1, finished files intact, and --resume completes the batch.

Killed runs are forked from a process that has loaded the model, so that the
kills fall into the work and not into loading, when nothing is written. The
full disk and the read-only folder meet the installed command.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import soundfile
import torch

from aligner.command.cli import main as align
from aligner.command.journal import JOURNAL
from aligner.files import TEMPORARY
from aligner.textgrid import read_words
from aligner.writers import formats

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
IN_A_ROW = 10  # kills of a batch before it may end
PATIENCE = 600  # seconds that a run may take on a busy machine


def clips(folder: Path, count: int, seed: int) -> None:
    """Write clips of two to five words and their transcripts."""
    rng = random.Random(seed)
    folder.mkdir()
    talks = [(soundfile.read(path), read_words(path.with_suffix(".TextGrid"))) for path in SAMPLES.glob("*.flac")]
    for number in range(count):
        (samples, rate), words = rng.choice(talks)
        first = rng.randrange(len(words) - 5)
        chosen = words[first : first + rng.randint(2, 5)]
        start, end = chosen[0].start - rng.uniform(0, 0.05), chosen[-1].end + rng.uniform(0, 0.05)
        clip = samples[max(0, round(start * rate)) : round(end * rate)]
        soundfile.write(folder / f"clip{number:03}.wav", clip, rate)
        (folder / f"clip{number:03}.txt").write_text(" ".join(w.text for w in chosen), encoding="utf-8")


def options(talks: Path, out: Path, jobs: int = 1) -> list[str]:
    """The batch as a user asks for it."""
    arguments = [str(talks), "--text", str(talks), "-f", "all", "-o", str(out), "--jobs", str(jobs), "--resume", "-q"]
    return [*arguments, "--threads", "1"]


def command(talks: Path, out: Path) -> list[str]:
    """The batch as a user starts it."""
    return [sys.executable, "-m", "aligner", *options(talks, out)]


class Forked:
    """The batch in a process of its own, forked from this one.

    Parameters
    ----------
    arguments : list of str
        Of `align`.
    """

    def __init__(self, arguments: list[str]) -> None:
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            try:
                align.main(arguments, standalone_mode=False)
            finally:
                os._exit(0)
        self._code: int | None = None

    def poll(self) -> int | None:
        """Exit code; None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Exit code, when it has ended."""
        while (code := self.poll()) is None:
            time.sleep(0.002)
        return code


def warm_up(talks: Path, out: Path) -> None:
    """Align one clip here, so that all forked runs have the model; one thread, because others do not survive a fork."""
    torch.set_num_threads(1)
    clip = min(talks.glob("*.wav"))
    align.main(
        [str(clip), "--text", clip.with_suffix(".txt").read_text(), *options(talks, out)[3:]], standalone_mode=False
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def journaled(out: Path) -> set[str]:
    """Names of recordings that the journal calls finished."""
    found = set()
    if (out / JOURNAL).exists():
        for line in (out / JOURNAL).read_bytes().split(b"\n"):
            try:
                found.add(json.loads(line)["name"])
            except ValueError:
                continue
    return found


def times(out: Path, names: set[str]) -> dict[Path, int]:
    """When the outputs of recordings were written."""
    paths = [out / f"{name}{formats[kind].suffix}" for name in names for kind in formats]
    return {path: path.stat().st_mtime_ns for path in paths}


def changed(written: dict[Path, int]) -> int:
    """How many files are gone or were written again since."""
    return sum(not path.exists() or path.stat().st_mtime_ns != time_ for path, time_ in written.items())


def wait_for(happened: Callable[[], bool], process: Forked | subprocess.Popen[bytes]) -> None:
    """Until something happened or the process ended."""
    deadline = time.monotonic() + PATIENCE
    while not happened() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0002)


def children(pid: int) -> list[int]:
    """Processes that a process has started (Linux)."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def half_written(out: Path) -> bool:
    """Whether a file of an output folder is being written, or was when its writer was killed."""
    return out.exists() and any(TEMPORARY.fullmatch(name) for name in os.listdir(out))


def kill_at_random(arguments: list[str], out: Path, most: int, rng: random.Random) -> str:
    """Run and kill; "writing" (a half-written file is there), "between", or "" if it ended before.

    Parameters
    ----------
    most : int
        Recordings it may finish before.
    """
    before = len(journaled(out))
    process = Forked(arguments)
    finish = rng.randint(0, most)
    wait_for(lambda: len(journaled(out)) >= before + finish, process)
    if rng.random() < 0.5:  # files are written fast: half of the kills wait for one
        wait_for(lambda: half_written(out), process)
    else:
        time.sleep(rng.uniform(0, 0.2))
    workers = children(process.pid)
    process.kill()
    if process.wait() == 0:
        return ""
    deadline = time.monotonic() + 30
    while any(map(alive, workers)):
        if time.monotonic() > deadline:
            raise SystemExit(f"FAILED: workers {workers} outlive the batch")
        time.sleep(0.01)
    return "writing" if half_written(out) else "between"


def kills(talks: Path, folder: Path, whole: dict[str, bytes], count: int, jobs: int, seed: int) -> bool:
    """Kill and resume; prints what was found."""
    rng = random.Random(f"{seed} {jobs}")
    moments: list[str] = []
    redone = different = batches = 0
    recordings = len(list(talks.glob("*.wav")))
    while len(moments) < count:
        out = folder / f"out{jobs}-{batches}"
        batches += 1
        finished: dict[Path, int] = {}
        for _ in range(min(IN_A_ROW, count - len(moments))):
            moment = kill_at_random(options(talks, out, jobs), out, 2 * recordings // (IN_A_ROW + 1), rng)
            if not moment:
                break
            moments.append(moment)
            redone += changed(finished)
            finished |= times(out, journaled(out))
        Forked(options(talks, out, jobs)).wait()
        redone += changed(finished)
        different += contents(out) != whole
        shutil.rmtree(out)
    stages = ", ".join(f"{moments.count(stage)} {stage}" for stage in ("between", "writing"))
    click.echo(
        f"--jobs {jobs}: {len(moments)} kills ({stages}) in {batches} batches of {recordings}: "
        f"{different} folders differ, {redone} finished files lost or written again"
    )
    return not different and not redone


def stopped(name: str, done: subprocess.CompletedProcess[str], out: Path, whole: dict[str, bytes]) -> bool:
    """Whether a run stopped as it should; prints what was found."""
    said = [line for line in done.stderr.splitlines() if line.strip()]
    written = {file: data for file, data in contents(out).items() if not file.startswith(".")}
    damaged = [file for file, data in written.items() if whole.get(file) != data]
    click.echo(f"{name}: exit code {done.returncode}, {len(written)} files, {len(damaged)} of them damaged; {said}")
    return done.returncode == 1 and len(said) == 1 and "cannot write" in said[0] and not damaged and len(written) > 0


def full_disk(talks: Path, folder: Path, whole: dict[str, bytes]) -> bool:
    """A disk that holds half of the batch, and then all."""
    out = folder / "disk"
    out.mkdir()
    small = sum(-(-len(data) // 4096) * 4 for data in whole.values()) // 2  # KiB
    mount = ["mount", "-t", "tmpfs", "-o", f"size={small}k,nr_inodes=100k", "tmpfs", str(out)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        click.echo("full disk: skipped, needs root and the right to mount a small file system")
        return True
    try:
        done = subprocess.run(command(talks, out), capture_output=True, text=True, timeout=PATIENCE)
        good = stopped("full disk", done, out, whole)
        subprocess.run(["mount", "-o", f"remount,size={4 * small}k", str(out)], check=True)
        subprocess.run(command(talks, out), check=True, timeout=PATIENCE)
        return good and contents(out) == whole
    finally:
        subprocess.run(["umount", str(out)], check=True)


def read_only(talks: Path, folder: Path, whole: dict[str, bytes]) -> bool:
    """A folder whose rights are taken away while the batch runs."""
    out = folder / "rights"
    arguments = command(talks, out)
    if not os.geteuid():  # root writes anywhere, unless it gives up that right
        if shutil.which("setpriv") is None:
            click.echo("read-only folder: skipped, as root it needs setpriv")
            return True
        arguments = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *arguments]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(journaled(out)) >= len(list(talks.glob("*.wav"))) // 2, process)
    out.chmod(0o555)
    try:
        printed, said = process.communicate(timeout=PATIENCE)
    finally:
        out.chmod(0o755)
    done = subprocess.CompletedProcess(arguments, process.returncode, printed.decode(), said.decode())
    good = stopped("read-only folder", done, out, whole)
    subprocess.run(command(talks, out), check=True, timeout=PATIENCE)
    return good and contents(out) == whole


@click.command()
@click.option("--files", default=200, show_default=True)
@click.option("--kills", "count", default=50, show_default=True)
@click.option(
    "--jobs", multiple=True, default=(1,), show_default=True, type=int, help="Repeatable: each with all kills."
)
@click.option("--seed", default=0, show_default=True)
def main(files: int, count: int, jobs: tuple[int, ...], seed: int) -> None:
    """Kill, fill and lock; exit code 1 when anything was lost."""
    with tempfile.TemporaryDirectory(prefix="aligner-crash-") as name:
        folder = Path(name)
        clips(folder / "in", files, seed)
        subprocess.run(command(folder / "in", folder / "whole"), check=True, timeout=PATIENCE)
        whole = contents(folder / "whole")
        warm_up(folder / "in", folder / "warm")
        good = [kills(folder / "in", folder, whole, count, number, seed) for number in jobs if count]
        good += [full_disk(folder / "in", folder, whole), read_only(folder / "in", folder, whole)]
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
