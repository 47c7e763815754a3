"""What a given text costs beside the encoder: `python -m benchmarks.given`.

The encoder alone hears as many windows as the recording needs at least; the whole work is everything from samples to
the times of words, the model loaded. Both take turns on one thread, and the ratio is the median of the ratios within a
round, so that a busy machine slows both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import click
import numpy as np

from aligner.core import Audio
from aligner.errors import AlignerError
from aligner.models import SpeechModel, load_model
from aligner.pipeline import align_audio
from aligner.timing.settings import choose
from benchmarks.contenders import clip, machine

ARCHIVE = 100_000  # hours


def windows(audio: Audio, window: float) -> list[Audio]:
    """A recording in as few windows as it fits, one after another."""
    width = round(window * audio.sample_rate)
    starts = range(0, len(audio.samples), width)
    return [Audio(audio.samples[start : start + width], audio.sample_rate) for start in starts]


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process, user and system, for some work."""
    before = time.process_time()
    work()
    return time.process_time() - before


def compare(model: SpeechModel, seconds: float, rounds: int) -> tuple[float, float, float]:
    """CPU seconds of the encoder and of the whole work, and the median of their ratios.

    Parameters
    ----------
    model : SpeechModel
    seconds : float
        Length of the recording.
    rounds : int
        After one that does not count.
    """
    audio, text = clip(seconds)
    settings = choose(language="en", timing="head")
    pieces = windows(audio, model.window)
    found = np.array(
        [
            (
                cpu(lambda: [model.encode(piece) for piece in pieces]),
                cpu(lambda: align_audio(model, audio, text, settings)),
            )
            for _ in range(rounds + 1)
        ]
    )[1:]
    return median(found[:, 0]), median(found[:, 1]), median(found[:, 1] / found[:, 0])


@click.command()
@click.option("--models", default="embedded", show_default=True, help="Checkpoints with a timing head, with commas.")
@click.option("--seconds", default="47,600", show_default=True, help="Lengths of audio, with commas.")
@click.option("--rounds", default=5, show_default=True)
def main(models: str, seconds: str, rounds: int) -> None:
    """Print CPU seconds of the encoder and of aligning a given text, float32 on one thread."""
    click.echo(f"{machine()}\nfloat32, one thread, median of {rounds} rounds\n")
    click.echo("| model | audio, s | encoder alone, CPU s | given text, CPU s | ratio |\n|---|---|---|---|---|")
    archive: list[str] = []
    try:
        for name in models.split(","):
            model = load_model(name, threads=1)
            for length in seconds.split(","):
                encoder, whole, ratio = compare(model, float(length), rounds)
                click.echo(f"| {name} | {length} | {encoder:.2f} | {whole:.2f} | {ratio:.2f} |")
                days = ARCHIVE * whole / float(length) / 24
                archive.append(f"{name}, {length} s: {ARCHIVE:,} hours take {days:.0f} days of one core")
    except AlignerError as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n" + "\n".join(archive))


if __name__ == "__main__":
    main()
