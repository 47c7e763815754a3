"""How late paths are, by the sounds beside an edge: `python -m benchmarks.habits MANIFEST...`.

Prints the constants of `aligner/timing/habits.py` as all MANIFESTS together give them, in milliseconds beyond what is
common to all edges of a corpus, and the errors of every corpus with no constants but one, with those in use, and with
those that all other speakers give. A manifest whose utterances name no speaker counts as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
from numpy.typing import NDArray

from aligner.audio.level import loudness
from aligner.audio.recording import of_audio
from aligner.core import Word
from aligner.errors import AlignerError
from aligner.models import load_model
from aligner.models.base import SpeechModel
from aligner.segmentation.heard import hear
from aligner.timing import habits
from aligner.timing.choice import head_of
from aligner.timing.edges import snapped
from aligner.timing.graph import best_paths, sounds_of_classes
from aligner.timing.head import STEP, Head
from aligner.timing.settings import Settings
from aligner.timing.sounds import edges
from aligner.timing.words import repair
from benchmarks.rivals import SAMPLE_RATE
from eval.manifest import Utterance, load_audio, read_manifest

STRENGTH = 20.0  # edges that speak for no constant
CLIP = 0.002  # seconds; smaller errors weigh no more (iteratively reweighted least squares)
_MANNERS = 5


@dataclass(frozen=True)
class Timed:
    """An utterance as its path has it.

    Attributes
    ----------
    corpus, speaker : str
    gold, found : float array, shape (words, 2)
        Starts and ends in seconds, nothing taken off.
    beside : int array, shape (words, 2, 2)
        Sounds before and after each of these edges.
    voiced : tuple of bool
        Whether each word ends in voice; it and `levels` are for the rule of pauses.
    levels : float array
    duration : float
    """

    corpus: str
    speaker: str
    gold: NDArray[np.float64]
    found: NDArray[np.float64]
    beside: NDArray[np.intp]
    voiced: tuple[bool, ...]
    levels: NDArray[np.float32]
    duration: float

    def errors(self, late: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the default settings, with a table of how late edges are."""
        start, end = np.maximum(self.found - late[self.beside[..., 0], self.beside[..., 1]], 0).T
        start, end, _ = repair(start, end, self.duration, STEP)
        words = [Word(str(k), float(a), float(b)) for k, (a, b) in enumerate(zip(start, end, strict=True))]
        moved = snapped(words, self.levels, self.duration, self.voiced)
        return np.array([(w.start, w.end) for w in moved]) - self.gold


def timed(model: SpeechModel, head: Head, utterance: Utterance, corpus: str) -> Timed:
    """The path of an utterance."""
    audio = load_audio(utterance, SAMPLE_RATE)
    words = [word.text for word in utterance.words]
    heard, graph = hear(model, head, of_audio(audio)), head.graph(words)
    evidence = heard.evidence.astype(np.float32)
    with patch.object(Head, "lateness", np.zeros((len(head.card.sounds) + 2,) * 2)):
        found = edges(head, evidence.copy(), heard.posteriors.astype(np.float32), words)
    (path,), _ = best_paths([evidence[:, graph.classes]], [graph], head.stays)
    sounds = np.pad(sounds_of_classes(graph.classes[path]), 1)
    owned = [np.flatnonzero(graph.words[path] == k)[[0, -1]] for k in range(len(words))]
    beside = [[sounds[[first, first + 1]], sounds[[last + 1, last + 2]]] for first, last in owned]
    gold = np.array([(word.start, word.end) for word in utterance.words])
    return Timed(
        corpus, utterance.speaker or corpus, gold, np.stack([found.start, found.end], 1), np.array(beside),
        tuple(head.ends_in_voice(word) for word in words), loudness(of_audio(audio)), audio.duration,
    )  # fmt: skip


def design(head: Head, beside: NDArray[np.intp]) -> NDArray[np.float64]:
    """Which constants act on each edge, shape (edges, 4 * manners): before, after, before silence, after silence."""
    sounds = ("", *head.card.sounds, "")
    manner = np.array([habits.MANNERS.get(sound, -1) for sound in sounds])
    found = np.zeros((len(beside), 4 * _MANNERS))
    for row, (before, after) in enumerate(beside):
        if before and after:
            found[row, manner[before]] += manner[before] >= 0
            found[row, _MANNERS + manner[after]] += manner[after] >= 0
        elif before:
            found[row, 2 * _MANNERS + manner[before]] += manner[before] >= 0
        elif after:
            found[row, 3 * _MANNERS + manner[after]] += manner[after] >= 0
    return found


def fitted(head: Head, some: Sequence[Timed]) -> NDArray[np.float64]:
    """Constants in seconds, shape (4, manners): least absolute errors, drawn to zero; each corpus has its own mean."""
    middle = {
        c: np.median(np.concatenate([t.found - t.gold for t in some if t.corpus == c]))
        for c in {t.corpus for t in some}
    }
    late = np.concatenate([(t.found - t.gold - middle[t.corpus]).ravel() for t in some])
    acts = design(head, np.concatenate([t.beside.reshape(-1, 2) for t in some]))
    weight, found = np.ones(len(late)), np.zeros(acts.shape[1])
    for _ in range(30):
        weighted = acts * weight[:, None]
        found = np.linalg.solve(weighted.T @ acts + STRENGTH * np.eye(len(found)), weighted.T @ late)
        weight = 0.02 / np.maximum(CLIP, np.abs(late - acts @ found))
    return found.reshape(4, _MANNERS)


def report(head: Head, all_: Sequence[Timed]) -> str:
    """Constants, and errors with and without them."""
    names = ("before a sound", "after a sound", "before silence", "after silence")
    found = np.round(1000 * fitted(head, all_)).astype(int)
    lines = ["| edge | stop | fricative | nasal | approximant | vowel |", "|---|---|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(f'{v:+d}' for v in row)} |" for name, row in zip(names, found, strict=True)]
    lines += [
        "",
        "| corpus | edges | constants | mean, ms | within 20 ms, % | 50 ms | 100 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    sounds = head.card.sounds
    without = {s: [t for t in all_ if t.speaker != s] for s in sorted({t.speaker for t in all_})}
    others = {s: habits.table(sounds, 1000 * fitted(head, some)) for s, some in without.items()}
    ways = {
        "one": lambda _: habits.table(sounds, np.zeros((4, _MANNERS))),
        "as shipped": lambda _: head.lateness,
        "of all other speakers": lambda t: others[t.speaker],
    }
    for corpus in dict.fromkeys(t.corpus for t in all_):
        own = [t for t in all_ if t.corpus == corpus]
        for name, table in ways.items():
            away = np.abs(np.concatenate([t.errors(table(t)).ravel() for t in own]))
            shares = " | ".join(f"{100 * (away <= most + 1e-9).mean():.1f}" for most in (0.02, 0.05, 0.1))
            lines.append(f"| {corpus} | {len(away)} | {name} | {1000 * away.mean():.1f} | {shares} |")
    return "\n".join(lines)


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", "name", default="embedded", show_default=True, help="Checkpoint with an English head.")
def main(manifests: tuple[Path, ...], name: str) -> None:
    """Print how late paths are on MANIFESTS, and what it is worth to know it."""
    try:
        model = load_model(name, threads=1)
        head = head_of(model, Settings(timing="head"), "en")
        assert head is not None
        found = [timed(model, head, u, manifest.stem) for manifest in manifests for u in read_manifest(manifest)]
    except AlignerError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{model.name} ({model.fingerprint})\n\n{report(head, found)}")


if __name__ == "__main__":
    main()
