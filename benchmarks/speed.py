"""CPU time and memory of aligning one window of a given transcript, against other tools: `python -m benchmarks.speed`.

How it is measured: `benchmarks.contenders`. Ratios are medians over the rounds of ratios within a round.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import click

from benchmarks.contenders import (
    BOTH,
    CONTENDERS,
    FASTER,
    OURS,
    REFERENCE,
    TRANSCRIBE,
    Turn,
    machine,
    take_turns,
)
from benchmarks.peers import random_checkpoint


def ratio(turns: list[Turn], others: list[Turn]) -> float:
    """Median over the rounds of CPU seconds over another contender's."""
    return median(own.cpu / other.cpu for own, other in zip(turns, others, strict=True))


def table(size: str, found: dict[str, list[Turn]]) -> str:
    """Markdown: seconds, ratio to the reference, memory."""
    rows = [f"| {size} | CPU s | x {REFERENCE} | peak MiB |", "|---|---|---|---|"]
    for name, turns in found.items():
        seconds = median(turn.cpu for turn in turns)
        rows.append(f"| {name} | {seconds:.3f} | {ratio(turns, found[REFERENCE]):.2f} | {turns[-1].peak:.0f} |")
    return "\n".join(rows)


@click.command()
@click.option("--sizes", default="tiny,base", show_default=True, help="Shapes of OpenAI's checkpoints.")
@click.option("--rounds", default=7, show_default=True)
@click.option("--seconds", default=28.0, show_default=True, help="Length of the clip.")
def main(sizes: str, rounds: int, seconds: float) -> None:
    """Compare the cost of aligning a given transcript with other tools."""
    click.echo(f"{machine()}\n{seconds:g} s of audio; median of {rounds} rounds\n")
    for size in sizes.split(","):
        with tempfile.TemporaryDirectory() as work:
            found = take_turns(CONTENDERS, random_checkpoint(Path(work) / size, size), seconds, rounds)
        click.echo(table(size, found) + "\n")
        added = ratio(found[BOTH], found[TRANSCRIBE]) - 1
        click.echo(
            f"{size}: {1 / ratio(found[OURS], found[REFERENCE]):.2f} times as fast as openai-whisper, "
            f"{1 / ratio(found[OURS], found[FASTER]):.2f} times as fast as faster-whisper; "
            f"alignment adds {added:.1%} to transcription\n"
        )


if __name__ == "__main__":
    main()
