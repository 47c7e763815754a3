"""Words that are lost and words that are invented: `python -m benchmarks.invented MANIFEST ... --model FOLDER`.

Every utterance of the manifests (from `align-eval prepare`) is recognised by itself, between 10 s of noise, music,
babble or silence, and the noise is recognised by itself, by `align` and by faster-whisper with the same CTranslate2
weights. Word errors are substitutions, deletions and insertions beside the utterance's own words; invented are words
inserted where it is not. Intervals are drawn over recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from aligner.core import Audio, Word
from aligner.errors import InputError
from aligner.metrics.bootstrap import Interval, group_weights
from aligner.metrics.words import normalise
from benchmarks.mixtures import RATE, Mixture, Samples, mixtures
from eval.manifest import load_audio, read_manifest

Recognise = Callable[[Samples], list[Word]]
NEAR = 0.5  # seconds beside the utterance in which an inserted word is an error of its recognition


@dataclass(frozen=True)
class Counts:
    """Of one recording: word errors among the words that were said, invented words in the minutes beside them."""

    errors: int
    said: int
    invented: int
    minutes: float


def count(text: str, found: Sequence[Word], mixture: Mixture) -> Counts:
    """Compare the words found in a mixture with those of its utterance.

    Parameters
    ----------
    text : str
        What the utterance says; not counted where the mixture holds no utterance.
    found : sequence of Word
    mixture : Mixture
    """
    from jiwer import process_words

    beside = [not mixture.start - NEAR <= (word.start + word.end) / 2 <= mixture.end + NEAR for word in found]
    said = [normalise(word) for word in text.split()] if mixture.end > mixture.start else []
    if not said:
        return Counts(0, 0, len(found), mixture.beside / 60)
    heard = [normalise(word.text) for word in found]
    if not heard:
        return Counts(len(said), len(said), 0, mixture.beside / 60)
    (chunks,) = process_words(" ".join(said), " ".join(heard)).alignments
    inserted = {k for c in chunks if c.type == "insert" for k in range(c.hyp_start_idx, c.hyp_end_idx)}
    invented = sum(beside[k] for k in inserted)
    wrong = sum(
        max(c.ref_end_idx - c.ref_start_idx, c.hyp_end_idx - c.hyp_start_idx) for c in chunks if c.type != "equal"
    )
    return Counts(wrong - invented, len(said), invented, mixture.beside / 60)


def ratio(above: Sequence[float], below: Sequence[float], groups: Sequence[str], factor: float = 1.0) -> Interval:
    """Sum over sum with its 95 % interval when whole recordings are drawn; NaN where there is nothing to divide by."""
    a, b = np.asarray(above, float), np.asarray(below, float)
    if not b.sum() > 0:
        return Interval(np.nan, np.nan, np.nan)
    weights = group_weights(groups)
    low, high = np.quantile((weights @ a) / (weights @ b), [0.025, 0.975])
    return Interval(factor * a.sum() / b.sum(), factor * float(low), factor * float(high))


def aligner_system(folder: str) -> Recognise:
    """`align` without a transcript."""
    from aligner.models import load_model
    from aligner.pipeline import align_audio
    from aligner.timing.settings import Settings

    model, settings = load_model(folder, threads=1), Settings(language="en")

    def recognise(samples: Samples) -> list[Word]:
        try:
            return list(align_audio(model, Audio(samples, RATE), None, settings).words)
        except InputError:  # no speech was recognised
            return []

    return recognise


def faster_whisper(folder: str, vad: bool) -> Recognise:
    """faster-whisper as its users run it."""
    from faster_whisper import WhisperModel

    model = WhisperModel(folder, device="cpu", compute_type="float32", cpu_threads=1)

    def recognise(samples: Samples) -> list[Word]:
        segments, _ = model.transcribe(samples, language="en", vad_filter=vad, word_timestamps=True)
        words = [word for segment in segments for word in segment.words or []]
        return [Word(w.word.strip(), max(0.0, w.start), max(w.end, w.start + 0.01)) for w in words if w.word.strip()]

    return recognise


SYSTEMS: dict[str, Callable[[str], Recognise]] = {
    "align": aligner_system,
    "faster-whisper, VAD": lambda folder: faster_whisper(folder, True),
    "faster-whisper": lambda folder: faster_whisper(folder, False),
}


def shown(interval: Interval) -> str:
    """A number with its range."""
    if np.isnan(interval.value):
        return ""
    return f"{interval.value:.1f} [{interval.low:.1f}, {interval.high:.1f}]"


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True, help="Folder of a CTranslate2 checkpoint, which both tools read.")
@click.option("--system", "systems", multiple=True, type=click.Choice(list(SYSTEMS)), help="All by default.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of what stands before and after the words.")
@click.option("--most", type=int, help="Utterances used, drawn at random; all by default.")
@click.option("--seed", default=0, show_default=True)
def main(
    manifests: tuple[Path, ...], model: str, systems: tuple[str, ...], seconds: float, most: int | None, seed: int
) -> None:
    """Print word errors and invented words beside and without speech."""
    utterances = [utterance for path in manifests for utterance in read_manifest(path)]
    chosen = [utterances[k] for k in sorted(np.random.default_rng(seed).permutation(len(utterances))[:most])]
    clips = {utterance.id: load_audio(utterance, RATE).samples for utterance in utterances}
    names = systems or tuple(SYSTEMS)
    tools = {name: SYSTEMS[name](model) for name in names}
    rows: dict[str, dict[str, list[Counts]]] = {}
    for number, utterance in enumerate(chosen):
        # Where speakers are unknown, every utterance counts as one.
        others = [clips[u.id] for u in utterances if (u.speaker or u.id) != (utterance.speaker or utterance.id)]
        for mixture in mixtures(clips[utterance.id], others, np.random.default_rng([seed, number]), seconds):
            row = rows.setdefault(mixture.name, {name: [] for name in names})
            for name, recognise in tools.items():
                row[name].append(count(utterance.text, recognise(mixture.samples), mixture))
        click.echo(f"{number + 1} of {len(chosen)}", err=True)
    groups = [utterance.id for utterance in chosen]
    click.echo(f"{len(chosen)} utterances, {seconds:g} s on each side, seed {seed}, weights {Path(model).name}\n")
    click.echo("| recording | " + " | ".join(f"{name}: word errors % | invented a minute" for name in names) + " |")
    click.echo("|---" * (1 + 2 * len(names)) + "|")
    for kind, row in rows.items():
        cells = []
        for counts in row.values():
            cells.append(shown(ratio([c.errors for c in counts], [c.said for c in counts], groups, 100)))
            cells.append(shown(ratio([c.invented for c in counts], [c.minutes for c in counts], groups)))
        click.echo(f"| {kind} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
