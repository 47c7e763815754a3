"""What lower precision costs in words and times: `python -m benchmarks.precision MANIFEST ... --model FOLDER`.

Every utterance of the manifests (from `align-eval prepare`) is recognised, and aligned to its text, in each precision.
Words are compared in their spoken form. Times are those of the given text: how far edges lie from float32's, and from
the gold. Intervals of differences are drawn over speakers.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np

from aligner.core import Alignment, Audio
from aligner.errors import InputError
from benchmarks.contenders import machine
from benchmarks.recognition import RATE, rate, word_errors
from eval.manifest import load_audio, read_manifest

PRECISIONS = ("float32", "bfloat16", "int8")
Parts = dict[str, list[float]]


def edges(alignment: Alignment) -> np.ndarray:
    """Starts and ends of the words in seconds, shape (words, 2)."""
    return np.array([(word.start, word.end) for word in alignment.words])


def measure(manifest: Path, folder: str, precision: str, most: int | None, seed: int) -> tuple[Parts, list[np.ndarray]]:
    """Wrong words, words, CPU seconds of each utterance, milliseconds from the gold; and the edges in seconds."""
    from aligner.models import load_model
    from aligner.pipeline import align_audio
    from aligner.timing.settings import Settings

    model, settings = load_model(folder, dtype=precision, threads=1), Settings(language="en", confidence=False)
    every = read_manifest(manifest)
    found: Parts = {"wrong": [], "words": [], "heard": [], "aligned": [], "off": []}
    times = []
    for k in sorted(np.random.default_rng(seed).permutation(len(every))[:most]):
        audio = Audio(load_audio(every[k], RATE).samples, RATE)
        began = time.process_time()
        try:
            text = align_audio(model, audio, None, settings).text
        except InputError:  # no speech was recognised
            text = ""
        heard = time.process_time()
        given = align_audio(model, audio, every[k].text, settings)
        found["aligned"].append(time.process_time() - heard)
        found["heard"].append(heard - began)
        wrong, words = word_errors(every[k].text, text)
        found["wrong"].append(wrong)
        found["words"].append(words)
        times.append(edges(given))
        gold = np.array([(word.start, word.end) for word in every[k].words])
        off = np.abs(times[-1] - gold).mean() * 1000 if gold.shape == times[-1].shape else np.nan
        found["off"].append(float(off))
    return found, times


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True, help="Folder of a checkpoint.")
@click.option("--most", type=int, help="Utterances of each manifest, drawn at random; all by default.")
@click.option("--precision", "chosen", multiple=True, type=click.Choice(PRECISIONS[1:]), default=PRECISIONS[1:])
@click.option("--seed", default=0, show_default=True)
def main(manifests: tuple[Path, ...], model: str, most: int | None, chosen: tuple[str, ...], seed: int) -> None:
    """Print words, times and CPU seconds in each precision."""
    click.echo(f"{machine()}\n")
    click.echo(
        f"| {Path(model).name} | precision | utterances | words wrong % | more than float32 | edges from float32's, "
        "ms: mean, 95 % | from the gold, ms | CPU s recognised | CPU s given the text |"
    )
    click.echo("|---" * 9 + "|")
    for manifest in manifests:
        first: tuple[Parts, list[np.ndarray]] | None = None
        every = read_manifest(manifest)
        drawn = sorted(np.random.default_rng(seed).permutation(len(every))[:most])
        groups = [every[k].speaker or every[k].id for k in drawn]
        for precision in (PRECISIONS[0], *chosen):
            found, times = measure(manifest, model, precision, most, seed)
            exact, exact_times = first = first or (found, times)
            more = rate([b - a for a, b in zip(exact["wrong"], found["wrong"], strict=True)], exact["words"], groups)
            same = [np.abs(a - b).ravel() for a, b in zip(exact_times, times, strict=True) if a.shape == b.shape]
            moved = 1000 * np.concatenate(same)
            wrong = 100 * sum(found["wrong"]) / sum(found["words"])
            click.echo(
                f"| {manifest.stem} | {precision} | {len(times)} | {wrong:.2f} | "
                f"{more.value:+.2f} [{more.low:+.2f}, {more.high:+.2f}] | {moved.mean():.2f}, "
                f"{np.quantile(moved, 0.95):.1f} | {np.nanmean(found['off']):.2f} | {sum(found['heard']):.1f} | "
                f"{sum(found['aligned']):.1f} |"
            )


if __name__ == "__main__":
    main()
