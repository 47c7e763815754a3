"""Speed and memory at scale: `python -m benchmarks.throughput --model FOLDER`.

Two parts. `long`: `align` on recordings of 1, 10 and 60 minutes, recognised and with their transcripts: what a second
of audio costs, and what the process holds, should not grow with the length. `short`: `align` on a folder of short
files, and faster-whisper on the same files one by one, loaded once. CPU seconds and memory are those of whole
processes, their start included.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.contenders import FASTER, RATE, Turn, machine, measured, pieces

HEADER = "| {} | | CPU s | CPU s per s of audio | wall s | peak MiB |\n|---|---|---|---|---|---|"


def row(load: str, how: str, turn: Turn, seconds: float) -> str:
    """One line of a table, as Markdown."""
    return f"| {load} | {how} | {turn.cpu:.1f} | {turn.cpu / seconds:.4f} | {turn.wall:.1f} | {turn.peak:.0f} |"


def long(model: str, minutes: list[float], dtype: str) -> Iterator[str]:
    """What `align` needs for recordings of some lengths."""
    for length in minutes:
        with tempfile.TemporaryDirectory() as work:
            text = write(Path(work) / "long.wav", length * 60)
            (Path(work) / "long.txt").write_text(text)
            for how, given in (("recognised", []), ("text given", ["--text", "long.txt"])):
                turn = _align(Path(work), model, dtype, "long.wav", *given, "-f", "textgrid,json")
                yield row(f"{length:g} min", how, turn, length * 60)


def short(model: str, files: int, seconds: float, dtype: str) -> Iterator[str]:
    """What `align` and faster-whisper need for many short files."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "recordings"
        folder.mkdir()
        made = cut(folder, files, seconds)
        load, length = f"{files} files of {seconds:g} s", files * seconds
        turn = _align(Path(work), model, dtype, "recordings", "-f", "textgrid,json", "-o", "out")
        yield row(load, f"align, {dtype}, recognised", turn, length)
        name = FASTER.replace("float32", dtype)
        command = [sys.executable, "-m", "benchmarks.contenders", name, model, "1"]
        yield row(load, name, measured(command, given=json.dumps([made, None]) + "\n"), length)


def write(path: Path, seconds: float) -> str:
    """The sample recordings again and again as one file; their words."""
    import soundfile

    text: list[str] = []
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        # Piece by piece: what this process holds when it starts another counts as held by that one.
        for samples, words in pieces(seconds):
            file.write(samples)
            text += words
    return " ".join(text)


def cut(folder: Path, files: int, seconds: float) -> list[str]:
    """Short files, cut from the sample recordings one after another."""
    import soundfile

    made: list[str] = []
    while len(made) < files:
        for samples, _ in pieces(3600.0):
            size = round(seconds * RATE)
            for low in range(0, len(samples) - size + 1, size):
                path = folder / f"{len(made):04}.wav"
                soundfile.write(path, samples[low : low + size], RATE)
                made.append(str(path))
                if len(made) == files:
                    return made
    return made


def _align(folder: Path, model: str, dtype: str, *arguments: str) -> Turn:
    """One run of the command."""
    options = ("--model", model, "--dtype", dtype, "--language", "en", "--threads", "1")
    return measured([sys.executable, "-m", "aligner", *arguments, *options], folder=folder)


@click.command()
@click.option("--model", required=True, help="A CTranslate2 folder.")
@click.option("--part", "parts", multiple=True, type=click.Choice(["long", "short"]), default=("long", "short"))
@click.option("--minutes", default="1,10,60", show_default=True, help="Lengths of audio.")
@click.option("--files", default=200, show_default=True, help="Short files.")
@click.option("--seconds", default=3.0, show_default=True, help="Length of a short file.")
@click.option("--dtype", type=click.Choice(["float32", "int8"]), default="float32", show_default=True)
def main(model: str, parts: tuple[str, ...], minutes: str, files: int, seconds: float, dtype: str) -> None:
    """Print CPU seconds, real-time factors and peak memory."""
    model = str(Path(model).resolve())
    click.echo(f"{machine()}\n")
    if "long" in parts:
        click.echo(HEADER.format(f"`align`, {Path(model).name}, {dtype}"))
        for line in long(model, [float(length) for length in minutes.split(",") if length], dtype):
            click.echo(line)
        click.echo()
    if "short" in parts:
        click.echo(HEADER.format(f"{Path(model).name}, {dtype}"))
        for line in short(model, files, seconds, dtype):
            click.echo(line)


if __name__ == "__main__":
    main()
