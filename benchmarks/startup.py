"""What the first word costs: `python -m benchmarks.startup [--model FOLDER]`.

`align` on a file of 3 s from its start, recognised and with its text, beside the least that any program of torch does
first: `import torch`, and reading the weights in float32. faster-whisper does the same as a process of its own. Files
are in the disk cache; all take turns, and ratios are medians over the rounds of ratios within a round.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

import click

from benchmarks.contenders import FASTER, RATE, Turn, clip, machine, measured

TORCH, WEIGHTS = "import torch", "import torch, weights read"
_READ = """
import sys, torch
from aligner.models.load import open_checkpoint
kept = [tensor.float() for tensor in open_checkpoint(sys.argv[1]).weights().values()]
"""


def commands(model: str, audio: str, text: str, out: str) -> dict[str, tuple[list[str], str]]:
    """What is run, and what it gets on standard input."""
    align = [sys.executable, "-m", "aligner", audio, "--model", model, "--language", "en", "--threads", "1"]
    align += ["-q", "-o", out]
    return {
        TORCH: ([sys.executable, "-c", "import torch"], ""),
        WEIGHTS: ([sys.executable, "-c", _READ, model], ""),
        "align": (align, ""),
        "align --text": ([*align, "--text", text], ""),
        FASTER: ([sys.executable, "-m", "benchmarks.contenders", FASTER, model, "1"], json.dumps([[audio], None])),
    }


@click.command()
@click.option("--model", help="A CTranslate2 folder; the embedded one by default.")
@click.option("--seconds", default=3.0, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(model: str | None, seconds: float, rounds: int) -> None:
    """Print wall and CPU seconds of whole processes, and the most memory that they held."""
    import soundfile

    import aligner

    folder = model or str(Path(aligner.__file__).parent / "embedded")
    audio, said = clip(seconds)
    click.echo(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as work:
        soundfile.write(f"{work}/short.wav", audio.samples, RATE)
        Path(f"{work}/short.txt").write_text(said, encoding="utf-8")
        tried = commands(folder, f"{work}/short.wav", f"{work}/short.txt", f"{work}/out.TextGrid")
        found: dict[str, list[Turn]] = {name: [] for name in tried}
        for number in range(rounds + 1):  # the first round fills the disk cache
            for name, (command, given) in tried.items():
                turn = measured(command, given=given)
                if number:
                    found[name].append(turn)
    click.echo(
        f"| {Path(folder).name}, {seconds:g} s, median of {rounds} | wall s | CPU s | CPU, x weights | peak MiB |"
    )
    click.echo("|---" * 5 + "|")
    for name, turns in found.items():
        ratio = median(own.cpu / least.cpu for own, least in zip(turns, found[WEIGHTS], strict=True))
        wall, spent, peak = (median(getattr(turn, part) for turn in turns) for part in ("wall", "cpu", "peak"))
        click.echo(f"| {name} | {wall:.2f} | {spent:.2f} | {ratio:.2f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
