"""How good words are in recordings of half a window or more: `python -m benchmarks.joined MANIFEST ...`.

Corpora with gold words hold short utterances. Here those of a speaker (of anybody, where speakers are unknown or with
`--mixed`) are joined, as they are, up to a length, and each recording is aligned with its text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from aligner.core import Audio, Word
from aligner.models import load_model
from aligner.pipeline import align_audio
from aligner.timing.settings import Settings
from benchmarks.accuracy import table
from eval.manifest import Utterance, load_audio, read_manifest
from eval.systems import AlignedUtterance, System


@dataclass(frozen=True)
class Joined:
    """Utterances one after another: samples, gold words, sentences."""

    audio: Audio
    words: tuple[Word, ...]
    texts: tuple[str, ...]
    speaker: str | None


def joined(utterances: Sequence[Utterance], seconds: float, rate: int, mixed: bool = False) -> Iterator[Joined]:
    """Recordings of at most that length.

    Parameters
    ----------
    utterances : sequence of Utterance
        In order; an utterance that is longer by itself stays alone.
    seconds : float
    rate : int
        Hz.
    mixed : bool
        Join speakers, too.
    """
    waiting: list[Utterance] = []
    for utterance in utterances:
        full = sum(u.duration for u in waiting) + utterance.duration > seconds
        if waiting and (full or (not mixed and utterance.speaker != waiting[-1].speaker)):
            yield _join(waiting, rate)
            waiting = []
        waiting.append(utterance)
    if waiting:
        yield _join(waiting, rate)


def _join(utterances: Sequence[Utterance], rate: int) -> Joined:
    parts, words, at = [], [], 0.0
    for utterance in utterances:
        parts.append(load_audio(utterance, rate).samples)
        words += [Word(word.text, word.start + at, word.end + at) for word in utterance.words]
        at += len(parts[-1]) / rate
    audio = Audio(np.concatenate(parts), rate)
    return Joined(audio, tuple(words), tuple(u.text for u in utterances), utterances[0].speaker)


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seconds", default=28.0, show_default=True, help="Most seconds of a recording.")
@click.option("--mixed", is_flag=True, help="Join the utterances of different speakers.")
def main(manifests: tuple[Path, ...], seconds: float, mixed: bool) -> None:
    """Print how far words are from gold in recordings made of several utterances."""
    model = load_model(threads=1)
    utterances = [utterance for path in manifests for utterance in read_manifest(path)]
    recordings = list(joined(utterances, seconds, model.sample_rate, mixed))
    found = []
    for number, one in enumerate(recordings):
        words = align_audio(model, one.audio, "\n".join(one.texts), Settings(confidence=False)).words
        found.append(AlignedUtterance(str(number), "", "gold", one.speaker, one.audio.duration, one.words, words))
    longest = max(one.audio.duration for one in recordings)
    click.echo(f"{len(recordings)} recordings of up to {longest:.1f} s; {model.name} {model.fingerprint}\n")
    click.echo(table([System("align", "joined", tuple(found))]))


if __name__ == "__main__":
    main()
