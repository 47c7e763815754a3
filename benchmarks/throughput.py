"""Speed and memory at scale: `python -m benchmarks.throughput`.

Two parts. `tools`: every tool times the same words in windows of 28 s, one
after another up to an hour, and in short files of 3 s, on one random
checkpoint (`benchmarks.contenders` says how). Such a window is one call of the
tool; what a tool holds after 1, 10 and 60 minutes shows whether memory grows.
`command`: `align` itself, with the embedded model, on recordings of 1, 10 and
60 minutes with their transcripts, and on a folder of short files; CPU seconds
and memory are those of the whole process, its start included.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.contenders import FASTER, OURS, RATE, REFERENCE, STABLE, SURE, Turn, machine, pieces, take_turns

WINDOW, SHORT = 28.0, 3.0  # seconds
TOOLS = (REFERENCE, STABLE, FASTER, OURS, SURE)


def row(load: str, tool: str, cpu: float, seconds: float, peak: float) -> str:
    """One line of a table, as Markdown."""
    return f"| {load} | {tool} | {cpu:.1f} | {cpu / seconds:.4f} | {peak:.0f} |"


def header(first: str) -> str:
    """The two lines over the rows."""
    return f"| {first} | | CPU s | CPU s per s of audio | peak MiB |\n|---|---|---|---|---|"


def compare_tools(size: str, minutes: list[float], files: int) -> None:
    """Print the table of all tools on identical random weights."""
    from benchmarks.peers import random_checkpoint

    click.echo(header(f"{size}, random weights"))
    with tempfile.TemporaryDirectory() as work:
        folder = random_checkpoint(Path(work) / size, size)
        loads = [(f"{length:g} min", math.ceil(length * 60 / WINDOW)) for length in minutes]
        if loads:
            found = take_turns(TOOLS, folder, WINDOW, max(count for _, count in loads))
            _print_rows(loads, found, WINDOW)
        if files:
            _print_rows([(f"{files} files of {SHORT:g} s", files)], take_turns(TOOLS, folder, SHORT, files), SHORT)


def _print_rows(loads: list[tuple[str, int]], found: dict[str, list[Turn]], seconds: float) -> None:
    """A shorter load is the beginning of the longest."""
    for load, count in loads:
        for tool, turns in found.items():
            cpu = sum(turn.cpu for turn in turns[:count])
            click.echo(row(load, tool, cpu, count * seconds, turns[count - 1].peak))


def measure_command(minutes: list[float], files: int) -> None:
    """Print what `align` needs for long recordings and for many short ones, transcripts given."""
    click.echo(header("`align`, embedded model"))
    for length in minutes:
        with tempfile.TemporaryDirectory() as work:
            text = _write(Path(work) / "long.wav", length * 60)
            (Path(work) / "long.txt").write_text(text)
            cpu, peak = _align(Path(work), "long.wav", "--text", "long.txt", "-f", "textgrid,json")
        click.echo(row(f"{length:g} min", "one recording", cpu, length * 60, peak))
    for count in (1, files) if files else ():
        with tempfile.TemporaryDirectory() as work:
            text = _write(Path(work) / "short.wav", SHORT)
            folder = Path(work) / "recordings"
            folder.mkdir()
            for number in range(count):
                shutil.copy(Path(work) / "short.wav", folder / f"{number:04}.wav")
                (folder / f"{number:04}.txt").write_text(text)
            given = ("recordings", "--text", "recordings", "-f", "textgrid,json", "-o", "out")
            cpu, peak = _align(Path(work), *given)
        click.echo(row(f"{count} files of {SHORT:g} s", "one folder", cpu, count * SHORT, peak))


def _write(path: Path, seconds: float) -> str:
    """The sample recordings again and again as one file; their words."""
    import soundfile

    text: list[str] = []
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        # Piece by piece: what this process holds when it starts another counts as held by that one.
        for samples, words in pieces(seconds):
            file.write(samples)
            text += words
    return " ".join(text)


def _align(folder: Path, *arguments: str) -> tuple[float, float]:
    """CPU seconds and peak MiB of one run of the command.

    Raises
    ------
    click.ClickException
        It failed; its messages are in the exception.
    """
    command = [sys.executable, "-m", "aligner", *arguments]
    # Outputs carry no colour and no progress bar when nobody watches.
    with tempfile.TemporaryFile("w+") as said:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        said.seek(0)
        if status:
            raise click.ClickException(f"align {' '.join(arguments)} failed: {said.read().strip()[-500:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


@click.command()
@click.option("--part", type=click.Choice(["tools", "command", "both"]), default="both", show_default=True)
@click.option("--size", type=click.Choice(["tiny", "base"]), default="tiny", show_default=True)
@click.option("--minutes", default="1,10,60", show_default=True, help="Lengths of audio.")
@click.option("--files", default=1000, show_default=True, help="Short files.")
def main(part: str, size: str, minutes: str, files: int) -> None:
    """Print CPU seconds, real-time factors and peak memory."""
    lengths = [float(length) for length in minutes.split(",") if length]
    click.echo(f"{machine()}\n")
    if part in ("command", "both"):  # first, while this process is small
        measure_command(lengths, files)
        click.echo()
    if part in ("tools", "both"):
        compare_tools(size, lengths, files)


if __name__ == "__main__":
    main()
