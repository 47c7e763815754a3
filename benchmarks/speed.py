"""CPU time, wall time and memory of every tool on real speech: `python -m benchmarks.speed AUDIO TEXT --model FOLDER`.

Three tasks: recognising the recording with word times, timing its given text, and the whole command from its start.
How it is measured: `benchmarks.contenders`. Ratios are medians over the rounds of ratios within a round.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click

from benchmarks.contenders import ENCODER, FASTER, GIVEN, RECOGNISE, STABLE, TOOLS, Turn, cold, machine, take_turns

COLD = ("align, float32", "align, int8", FASTER, "faster-whisper, int8", "openai-whisper", STABLE)
TASKS = ("recognise", "given", "cold")


def ratio(turns: Sequence[Turn], others: Sequence[Turn]) -> float:
    """Median over the rounds of CPU seconds over another contender's."""
    return median(own.cpu / other.cpu for own, other in zip(turns, others, strict=True))


def table(title: str, found: dict[str, list[Turn]], references: Sequence[str]) -> str:
    """Markdown: seconds, CPU seconds over those of some contenders, memory."""
    beside = " | ".join(f"x {name}" for name in references)
    rows = [f"| {title} | CPU s | wall s | {beside} | peak MiB |", "|---" * (4 + len(references)) + "|"]
    for name, turns in found.items():
        ratios = " | ".join(f"{ratio(turns, found[other]):.2f}" for other in references)
        cpu, wall = (median(getattr(turn, part) for turn in turns) for part in ("cpu", "wall"))
        rows.append(f"| {name} | {cpu:.2f} | {wall:.2f} | {ratios} | {max(turn.peak for turn in turns):.0f} |")
    return "\n".join(rows)


def measure(task: str, folder: str, audio: str, text: str, rounds: int, threads: int, only: Sequence[str]) -> str:
    """A table of one task."""
    title = f"{Path(folder).name}, {task}, {threads} thread{'s' * (threads > 1)}"
    if task == "cold":
        names = [name for name in COLD if name in only]
        found: dict[str, list[Turn]] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                found[name].append(cold(name, folder, audio, None, threads))
    else:
        names = [name for name in (RECOGNISE if task == "recognise" else GIVEN) if name in only]
        found = take_turns(names, folder, [audio], text if task == "given" else None, rounds, threads)
    wanted = (ENCODER, STABLE) if task == "given" else (FASTER, "faster-whisper, int8", "openai-whisper")
    return table(title, found, [name for name in wanted if name in names])


@click.command()
@click.argument("audio", type=click.Path(exists=True, dir_okay=False))
@click.argument("text", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", "models", multiple=True, required=True, help="A CTranslate2 folder; repeatable.")
@click.option("--task", "tasks", multiple=True, type=click.Choice(TASKS), help="All by default.")
@click.option("--tool", "tools", multiple=True, type=click.Choice(list(TOOLS)), help="All by default.")
@click.option("--threads", multiple=True, type=int, default=(1,), show_default=True, help="Repeatable.")
@click.option("--rounds", default=5, show_default=True)
def main(
    audio: str,
    text: Path,
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    tools: tuple[str, ...],
    threads: tuple[int, ...],
    rounds: int,
) -> None:
    """Compare the cost of words and their times in AUDIO, whose transcript is TEXT, with other tools."""
    from aligner.audio.read import duration

    said = " ".join(text.read_text(encoding="utf-8").split())
    click.echo(f"{machine()}\n{duration(Path(audio)):.0f} s of audio; median of {rounds} rounds in turns\n")
    for folder in models:
        for task in tasks or TASKS:
            for count in threads:
                made = measure(task, folder, audio, said, rounds, count, tools or list(TOOLS))
                click.echo(made + "\n")


if __name__ == "__main__":
    main()
