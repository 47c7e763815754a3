"""Whether a word's margin holds what it claims: `python -m benchmarks.calibration MANIFEST...`.

A margin claims nine true edges of ten. Its share is counted for every speaker; what a factor fitted on all other
speakers would have given stands beside it, and shows how much of the claim is luck of these speakers. How well each
sign of doubt picks out the words that are wrong is the area under its curve, .5 for a coin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from aligner.errors import AlignerError
from aligner.metrics import Interval, interval, match_words
from aligner.metrics.bootstrap import mean
from aligner.models import load_model
from aligner.pipeline import align_audio
from aligner.timing.settings import choose
from benchmarks.rivals import SAMPLE_RATE
from eval.manifest import load_audio, read_manifest

COVERED = 0.9
WRONG = 0.05  # seconds


@dataclass(frozen=True)
class Judged:
    """A word beside its gold."""

    speaker: str
    errors: tuple[float, float]
    margin: float
    probability: float
    seconds_per_letter: float
    flagged: bool


def area(doubt: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """Chance that a wrong word is doubted more than a right one; ties count half (Mann and Whitney, 1947)."""
    n_wrong, n_right = int(wrong.sum()), int((~wrong).sum())
    if not n_wrong or not n_right:
        return float("nan")
    return float((rankdata(doubt)[wrong].sum() - n_wrong * (n_wrong + 1) / 2) / (n_wrong * n_right))


def across(errors: NDArray[np.float64], margins: NDArray[np.float64], groups: NDArray[np.str_]) -> NDArray[np.float64]:
    """Margins times a factor that makes the claim true for all other groups.

    Parameters
    ----------
    errors : float array, shape (words, 2)
    margins : float array, shape (words,)
    groups : array of str, shape (words,)
    """
    found = np.zeros_like(margins)
    for group in np.unique(groups):
        own = groups == group
        factor = np.quantile((errors[~own] / np.maximum(margins[~own], 1e-6)[:, None]).ravel(), COVERED)
        found[own] = factor * margins[own]
    return found


def report(words: Sequence[Judged]) -> str:
    """Coverage, across speakers and as shipped, and the areas of every sign of doubt."""
    errors = np.array([w.errors for w in words])
    margins = np.array([w.margin for w in words])
    groups = np.array([w.speaker for w in words])
    wrong = errors.max(1) > WRONG
    fitted = across(errors, margins, groups)

    def covered(by: NDArray[np.float64]) -> str:
        share: Interval = interval((errors <= by[:, None]).mean(1), list(groups), mean)
        each = [(errors[groups == g] <= by[groups == g][:, None]).mean() for g in np.unique(groups)]
        return (
            f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}] "
            f"| {100 * min(each):.1f} to {100 * max(each):.1f} | {1000 * by.mean():.0f}"
        )

    pace = np.log([w.seconds_per_letter for w in words])
    flags = np.array([w.flagged for w in words])
    signs = {
        "margin": margins,
        "token probability": -np.array([w.probability for w in words]),
        "unusual duration": np.abs(pace - np.median(pace)),
    }
    lines = ["| margin | edges covered, % | speakers from, to | mean, ms |", "|---|---|---|---|"]
    lines += [f"| as shipped | {covered(margins)} |", f"| a factor fitted on the other speakers | {covered(fitted)} |"]
    lines += ["", f"| sign of doubt | area, for {wrong.sum()} of {len(words)} words wrong by over 50 ms |", "|---|---|"]
    lines += [f"| {name} | {area(doubt, wrong):.3f} |" for name, doubt in signs.items()]
    caught = f"{wrong[flags].sum()} are wrong by over 50 ms" if flags.any() else "none to be wrong"
    return "\n".join([*lines, "", f"Flagged uncertain: {flags.sum()} words, of which {caught}."])


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="embedded", show_default=True, help="Checkpoint with a timing head.")
def main(manifests: tuple[Path, ...], model: str) -> None:
    """Print how often margins hold, and how well they pick out wrong words."""
    try:
        loaded, settings, words = load_model(model, threads=1), choose(timing="head", language="en"), []
        for utterance in (u for manifest in manifests for u in read_manifest(manifest)):
            found = align_audio(loaded, load_audio(utterance, SAMPLE_RATE), utterance.text, settings).words
            for i, j in match_words(utterance.words, found):
                gold, word = utterance.words[i], found[j]
                words.append(
                    Judged(
                        utterance.speaker or utterance.id,
                        (abs(word.start - gold.start), abs(word.end - gold.end)),
                        word.margin or 0.0,
                        word.probability or 0.0,
                        word.duration / max(1, len(word.text)),
                        "uncertain" in word.flags,
                    )
                )
    except AlignerError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{loaded.name} ({loaded.fingerprint})\n\n{report(words)}")


if __name__ == "__main__":
    main()
