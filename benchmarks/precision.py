"""What lower precision costs in words and times: `python -m benchmarks.precision MANIFEST ... --model FOLDER`.

Every utterance of the manifests (from `align-eval prepare`) is recognised, and aligned to its text, in each precision.
Words are compared in their spoken form. Times are those of the given text: how far edges lie from float32's, and from
the gold. Intervals of differences are drawn over speakers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from aligner.core import Alignment, Audio
from aligner.errors import InputError
from benchmarks.contenders import machine
from benchmarks.recognition import RATE, rate, word_errors
from eval.manifest import Utterance, load_audio, read_manifest

if TYPE_CHECKING:
    from aligner.models import SpeechModel
    from aligner.timing.settings import Settings

PRECISIONS = ("float32", "bfloat16", "int8")
Parts = dict[str, list[float]]
Found = tuple[Parts, list[np.ndarray]]


def edges(alignment: Alignment) -> np.ndarray:
    """Starts and ends of the words in seconds, shape (words, 2)."""
    return np.array([(word.start, word.end) for word in alignment.words])


def drawn(manifest: Path, most: int | None, seed: int = 0) -> list[Utterance]:
    """Utterances of a manifest, so many at random, in their order."""
    every = read_manifest(manifest)
    return [every[k] for k in sorted(np.random.default_rng(seed).permutation(len(every))[:most])]


def judge(model: SpeechModel, settings: Settings, utterance: Utterance, audio: Audio, found: Parts) -> np.ndarray:
    """Recognise an utterance and align its text; see `Parts` of `measure`, which get one number each.

    Returns
    -------
    float array, shape (words, 2)
        Edges of the given text, in seconds.
    """
    from aligner.pipeline import align_audio

    began = time.process_time()
    try:
        text = align_audio(model, audio, None, settings).text
    except InputError:  # no speech was recognised
        text = ""
    heard = time.process_time()
    times = edges(align_audio(model, audio, utterance.text, settings))
    aligned = time.process_time() - heard
    wrong, words = word_errors(utterance.text, text)
    gold = np.array([(word.start, word.end) for word in utterance.words])
    off = float(np.abs(times - gold).mean() * 1000) if gold.shape == times.shape else np.nan
    numbers = {"wrong": wrong, "words": words, "heard": heard - began, "aligned": aligned, "off": off}
    for name, number in numbers.items():
        found.setdefault(name, []).append(number)
    return times


def measure(model: SpeechModel, chosen: Sequence[Utterance]) -> Found:
    """Wrong words, words, CPU seconds of each utterance, milliseconds from the gold; and the edges in seconds."""
    from aligner.timing.settings import Settings

    settings, found = Settings(language="en", confidence=False), Parts()
    audio = (Audio(load_audio(utterance, RATE).samples, RATE) for utterance in chosen)
    return found, [judge(model, settings, *pair, found) for pair in zip(chosen, audio, strict=True)]


def beside(exact: Found, other: Found, chosen: Sequence[Utterance]) -> str:
    """Cells of a table: utterances, words wrong and how many more, edges from the exact ones and the gold, seconds."""
    (before, times), (found, moved_times) = exact, other
    groups = [utterance.speaker or utterance.id for utterance in chosen]
    more = rate([b - a for a, b in zip(before["wrong"], found["wrong"], strict=True)], before["words"], groups)
    same = [np.abs(a - b).ravel() for a, b in zip(times, moved_times, strict=True) if a.shape == b.shape]
    moved = 1000 * np.concatenate(same)
    wrong = 100 * sum(found["wrong"]) / sum(found["words"])
    return (
        f"{len(chosen)} | {wrong:.2f} | {more.value:+.2f} [{more.low:+.2f}, {more.high:+.2f}] | {moved.mean():.2f}, "
        f"{np.quantile(moved, 0.95):.1f} | {np.nanmean(found['off']):.2f} | {sum(found['heard']):.1f}"
    )


def compare(
    title: str,
    what: str,
    ways: Mapping[str, Callable[[], SpeechModel]],
    manifests: Sequence[Path],
    most: int | None,
    seed: int = 0,
) -> None:
    """Print words, times and CPU seconds of some ways to run a checkpoint, beside those of the first.

    Parameters
    ----------
    title : str
        Of the checkpoint.
    what : str
        In which the ways differ.
    ways : mapping of str to callable
        A model of each.
    manifests : sequence of Path
    most : int, optional
        Utterances of each manifest, drawn at random.
    seed : int
    """
    first = next(iter(ways))
    click.echo(f"{machine()}\n")
    click.echo(
        f"| {title} | {what} | utterances | words wrong % | more than {first} | edges from those of {first}, "
        "ms: mean, 95 % | from the gold, ms | CPU s recognised | CPU s, text given |"
    )
    click.echo("|---" * 9 + "|")
    for manifest in manifests:
        chosen, exact = drawn(manifest, most, seed), None
        for name, made in ways.items():
            found = measure(made(), chosen)
            exact = exact or found
            cells = beside(exact, found, chosen)
            click.echo(f"| {manifest.stem} | {name} | {cells} | {sum(found[0]['aligned']):.1f} |")


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True, help="Folder of a checkpoint.")
@click.option("--most", type=int, help="Utterances of each manifest, drawn at random; all by default.")
@click.option("--precision", "chosen", multiple=True, type=click.Choice(PRECISIONS[1:]), default=PRECISIONS[1:])
@click.option("--seed", default=0, show_default=True)
def main(manifests: tuple[Path, ...], model: str, most: int | None, chosen: tuple[str, ...], seed: int) -> None:
    """Print words, times and CPU seconds in each precision."""
    from aligner.models import load_model

    ways = {name: partial(load_model, model, dtype=name, threads=1) for name in (PRECISIONS[0], *chosen)}
    compare(Path(model).name, "precision", ways, manifests, most, seed)


if __name__ == "__main__":
    main()
