"""What each part of a timing head is worth: `python -m benchmarks.ablation CORPUS MANIFEST -o FOLDER`.

Heads are taught on CORPUS, recordings and transcripts without times, and judged on MANIFEST, which has gold. Every line
changes one thing of the first. What the encoder said, every head and every finished line are kept in FOLDER, so a run
that was stopped goes on where it was; --line runs some lines only.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np
from numpy.typing import NDArray

from aligner.core import Audio
from aligner.errors import AlignerError
from aligner.models import SpeechModel, load_model
from aligner.models.base import Encoded, hears_spectrogram
from aligner.pipeline import align_audio
from aligner.text.pronunciation import PHONES, sounds_of, spellers
from aligner.timing import head as heads
from aligner.timing.cepstra import cepstra, slopes
from aligner.timing.head import Card, save
from aligner.timing.settings import choose
from aligner.training import teach as teaching
from aligner.training.corpus import chosen, doubt, pieces, read_corpus, timed
from aligner.training.lessons import encoded, packed
from aligner.training.teach import Lesson, teach
from benchmarks.accuracy import measure, table
from benchmarks.layers import after_layers
from eval.manifest import read_manifest
from eval.systems import System, read_system, write_system

HELD_OUT = 20  # pieces that tell when to stop

Features = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def log_mel(energies: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-energies in mel bands with slopes, in place of cepstra."""
    centred = energies - energies.mean(0)
    return np.concatenate([centred, slopes(centred)], 1)


def coarse(energies: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cepstra that change every 20 ms only, as encoder states do."""
    return np.repeat(cepstra(energies)[::2], 2, 0)[: len(energies)]


@dataclass(frozen=True)
class Line:
    """One way to teach and use a head.

    Attributes
    ----------
    hours : float
        Of speech.
    start : str
        "attention", "even" or "silver".
    speller : str
    layer : int or None
        Of the encoder, from 1; its output when None.
    passes : int
        At most.
    looks : callable
        What the mixtures see.
    states_weight : float
        Of the classifier beside the mixtures.
    timing : str
        "head" or "both".
    """

    hours: float = 2.0
    start: str = "even"
    speller: str = "cmudict"
    layer: int | None = None
    passes: int = teaching.MOST_PASSES
    looks: Features = cepstra
    states_weight: float = heads.STATES_WEIGHT
    timing: str = "head"


def lines_of(layers: int, hours: float = 2.0) -> dict[str, Line]:
    """Every line of the table, by name; the first is what all others differ from."""
    found = {"nothing changed": Line()}
    found |= {f"layer {k} of the encoder": Line(layer=k) for k in range(1, layers)}
    found |= {
        "log-mel for cepstra": Line(looks=log_mel),
        "cepstra every 20 ms": Line(looks=coarse),
        "no encoder states": Line(states_weight=0.0),
        "letters for phones": Line(speller="letters"),
        "attention in the path": Line(timing="both"),
        "start from attention": Line(start="attention"),
        "start from silver times": Line(start="silver"),
    }
    found |= {f"at most {n} passes": Line(passes=n) for n in (1, 10, 20)}
    found = {name: replace(line, hours=hours) for name, line in found.items()}
    return found | {f"{more:g} hours": Line(hours=more) for more in (0.1, 0.5, 1.0, 2.0, 10.0)}


class Deep:
    """A model whose encoder states are those after one of its layers; all else is the model's."""

    def __init__(self, model: SpeechModel, layer: int) -> None:
        self._model, self._layer = model, layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, audio: Audio, thin: bool = False) -> Encoded:
        return self.encode_all([audio])[0]

    def encode_all(self, audio: Sequence[Audio], thin: bool = False) -> list[Encoded]:
        found = self._model.encode_all(audio)
        return [replace(one, states=after_layers(self._model, one)[self._layer - 1]) for one in found]


def silver_starts(corpus: Path) -> dict[str, tuple[float, ...]]:
    """Starts of words by another aligner, `silver-words.jsonl` beside the recordings, by the names of their files."""
    first = next(iter(read_corpus(corpus))).audio
    place = next(folder for folder in first.parents if (folder / "silver-words.jsonl").is_file())
    lines = map(json.loads, (place / "silver-words.jsonl").read_text(encoding="utf-8").splitlines())
    return {Path(line["audio"]).name: tuple(start for _, start, _ in line["words"]) for line in lines}


def lessons_of(model: Any, corpus: Path, line: Line, folder: Path) -> tuple[list[Lesson], tuple[str, ...]]:
    """What a line learns from, and the names of its sources."""
    items = chosen([timed(item) if item.end <= 0 else item for item in read_corpus(corpus)], line.hours, 0)
    speller = spellers[line.speller]("en")
    ready = [piece for item in items for piece in pieces(model, timed(item), "en") if not doubt(piece, speller)]
    states = folder / ("states" if line.layer is None else f"states-{line.layer}")
    lessons = list(encoded(model, packed(model, ready, "en"), "en", states))
    if line.start == "silver":
        silver = silver_starts(corpus)
        lessons = [
            replace(lesson, starts=silver[name])
            for item, lesson in zip(ready, lessons, strict=True)
            if len(silver.get(name := item.audio.name, ())) == len(lesson.words)
        ]
    return lessons, tuple(sorted({item.source for item in items}))


def run(model: SpeechModel, name: str, line: Line, corpus: Path, manifest: Path, folder: Path) -> System:
    """Teach and judge one line; what is finished is read."""
    done = folder / "lines" / f"{name}.json"
    if done.is_file():
        return read_system(done)
    used: Any = model if line.layer is None else Deep(model, line.layer)
    path = folder / "heads" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for module in (heads, teaching):
            stack.enter_context(patch.object(module, "cepstra", line.looks))
        stack.enter_context(patch.object(heads, "STATES_WEIGHT", line.states_weight))
        stack.enter_context(patch.object(teaching, "MOST_PASSES", line.passes))
        if not path.is_file():
            lessons, sources = lessons_of(used, corpus, line, folder)
            random.Random(0).shuffle(lessons)
            judges, learned = lessons[:HELD_OUT], lessons[HELD_OUT:]
            if line.start == "even":
                learned = [replace(lesson, starts=None) for lesson in learned]
            words = [word for lesson in lessons for word in lesson.words]
            sounds = PHONES if line.speller == "cmudict" else sounds_of(words, spellers[line.speller]("en"))
            card = Card(Path(model.name).name, model.fingerprint, "en", line.speller, sounds, sources, start=line.start)
            save(teach(card, learned, judges), path)
        settings = choose(timing=line.timing, head=str(path), language="en", confidence=False)
        system = measure(
            name, lambda audio, text: align_audio(used, audio, text, settings).words, read_manifest(manifest), {}
        )
    write_system(system, folder / "lines")
    return system


@click.command()
@click.argument("corpus", type=click.Path(exists=True, path_type=Path))
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", "folder", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--model", default="embedded", show_default=True, help="Checkpoint; it is not changed.")
@click.option("--hours", default=2.0, show_default=True, help="Of speech, for lines that do not say how many.")
@click.option("--line", "names", multiple=True, metavar="NAME", help="Only these lines.")
@click.option("--list", "listed", is_flag=True, help="Names of the lines.")
def main(
    corpus: Path, manifest: Path, folder: Path, model: str, hours: float, names: tuple[str, ...], listed: bool
) -> None:
    """Print what every part of a timing head, taught on CORPUS, is worth on MANIFEST."""
    try:
        loaded = load_model(model, threads=1)
        lines = lines_of(len(hears_spectrogram(loaded, "an ablation").encoder_layers), hours)
        if listed:
            click.echo("\n".join(lines))
            return
        if unknown := [name for name in names if name not in lines]:
            raise click.ClickException(f"no line is named {unknown[0]!r}: --list names them all")
        found = []
        for name in names or tuple(lines):
            click.echo(f"{name} ...", err=True)
            found.append(run(loaded, name, lines[name], corpus, manifest, folder))
    except AlignerError as error:
        raise click.ClickException(str(error)) from error
    click.echo(table(found))


if __name__ == "__main__":
    main()
