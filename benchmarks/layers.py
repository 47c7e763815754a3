"""Where in a checkpoint the times of words are: `python -m benchmarks.layers CORPUS MANIFEST`.

A classifier is taught on what every layer of the encoder passes on, and on the keys and values that the decoder makes
of it, each on the same pieces of CORPUS, which has no times, with the same sounds, as the mixtures of the checkpoint's
head place them. On MANIFEST, which has gold, words are timed from each classifier alone and beside the mixtures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from aligner.audio.file import of_file
from aligner.errors import AlignerError
from aligner.metrics import interval, paired_difference
from aligner.models import load_model
from aligner.models.base import Encoded
from aligner.text.pronunciation import spellers
from aligner.timing.cepstra import bands, cepstra
from aligner.timing.choice import head_of
from aligner.timing.graph import best_paths, class_count
from aligner.timing.head import HALVES, Head, with_anything
from aligner.timing.settings import Settings
from aligner.timing.sounds import edges
from aligner.training.classifier import teach
from aligner.training.corpus import Item, chosen, doubt, pieces, read_corpus, spoken, timed
from eval.gap_account import Errors
from eval.gap_findings import cells
from eval.gap_report import table
from eval.manifest import Utterance, load_audio, read_manifest

Floats = NDArray[np.float32]
NOTHING, HEARD, OUTPUT = "nothing", "convolutions", "output of the encoder"


@dataclass(frozen=True)
class Deaf:
    """In the place of a head's mixtures: every class is as likely at every frame."""

    classes: int

    def log_likelihood(self, frames: Floats) -> Floats:
        return np.zeros((len(frames), self.classes), np.float32)


def after_layers(model: Any, encoded: Encoded) -> list[torch.Tensor]:
    """States of the real audio after each layer of the encoder, before the final norm, shape (frames, width)."""
    found: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output: found.append(output[0, : encoded.frames].clone()))
        for layer in model.encoder_layers
    ]
    try:
        with torch.inference_mode():
            model.encode_features(encoded.features[None])
    finally:
        for hook in hooks:
            hook.remove()
    return found


def representations(model: Any, encoded: Encoded) -> dict[str, Floats]:
    """What a Whisper knows of each frame of real audio, by place; arrays of shape (frames, width).

    With nothing, a classifier learns how frequent sounds are: what is timed with it is timed from the mixtures alone.
    """
    network, frames = model.network, encoded.frames
    with torch.inference_mode():
        found = {HEARD: network.encoder.heard(encoded.features[None])[0]}
        found |= {f"layer {k} of the encoder": states for k, states in enumerate(after_layers(model, encoded), 1)}
        found[OUTPUT] = encoded.states
        for layer, pair in enumerate(network.decoder.memory(encoded.states[None])):
            for name, one in zip(("keys", "values"), pair, strict=True):
                found[f"{name} of decoder layer {layer}"] = one[0].transpose(0, 1).flatten(1)
    short = min(frames, *map(len, found.values()))
    nothing = {NOTHING: np.zeros((short, 1), np.float32)}
    return nothing | {name: states[:short].float().numpy() for name, states in found.items()}


def lessons(model: Any, head: Head, items: Sequence[Item]) -> Iterator[tuple[dict[str, Floats], NDArray[np.intp]]]:
    """Representations of every piece, and the class of both halves of each frame, from the head's mixtures alone."""
    count = class_count(len(head.card.sounds))
    for item in items:
        audio = of_file(item.audio, model.sample_rate).read(item.start, item.end)
        graph = head.graph([word for word in (item.text or "").split() if spoken(word)])
        evidence = with_anything(head.mixtures.log_likelihood(cepstra(bands(audio.samples))))
        if len(evidence) <= len(graph.classes):
            continue
        (path,), _ = best_paths([evidence[:, graph.classes]], [graph], head.stays)
        known = representations(model, model.encode(audio))
        whole = min(len(known[OUTPUT]), len(path) // HALVES)
        classes = graph.classes[path[: HALVES * whole]]
        states = {name: one[:whole] for name, one in known.items()}
        yield states, np.where(classes < count, classes, 0).reshape(whole, HALVES)


def taught(model: Any, head: Head, items: Sequence[Item]) -> dict[str, Head]:
    """A head for every place: the checkpoint's own, with a classifier of that place."""
    states: dict[str, list[NDArray[np.float16]]] = {}
    classes = []
    for known, own in lessons(model, head, items):
        classes.append(own)
        for name, one in known.items():
            states.setdefault(name, []).append(one.astype(np.float16))
    targets, count = np.concatenate(classes), class_count(len(head.card.sounds))
    click.echo(f"{len(targets) * model.frame_duration / 60:.1f} minutes of speech learned from", err=True)
    return {name: replace(head, classifier=teach(np.concatenate(one), targets, count)) for name, one in states.items()}


def times(head: Head, energies: Floats, states: Floats, utterance: Utterance) -> list[tuple[float, float]]:
    """Onset and offset of each word in seconds."""
    texts = [word.text for word in utterance.words]
    found = edges(head, *head.evidence(energies, states), texts).words(texts, utterance.duration, "trim")
    return [(word.start, word.end) for word in found.words]


def records(model: Any, heads: dict[str, Head], utterances: Sequence[Utterance]) -> list[dict[str, Any]]:
    """Times of all utterances, by place, in the form that the gap study keeps them."""
    found = []
    for utterance in utterances:
        audio = load_audio(utterance, model.sample_rate)
        energies, known = bands(audio.samples), representations(model, model.encode(audio))
        by_place = {}
        for name, head in heads.items():
            alone: Any = Deaf(class_count(len(head.card.sounds)))
            by_place[name] = times(replace(head, mixtures=alone), energies, known[name], utterance)
            by_place[f"{name}, with mixtures"] = times(head, energies, known[name], utterance)
        words = [[word.text, word.start, word.end] for word in utterance.words]
        found.append({"id": utterance.id, "speaker": utterance.speaker, "words": words, "times": by_place,
                      "frame_duration": model.frame_duration})  # fmt: skip
    return found


def rows(found: Sequence[dict[str, Any]], places: Sequence[str]) -> list[dict[str, Any]]:
    """One row a place: errors, how late onsets and offsets are, and the paired difference from the encoder's output."""
    output = Errors(found, OUTPUT)
    lines = []
    for place in places:
        alone, both = Errors(found, place), Errors(found, f"{place}, with mixtures")
        groups = alone.groups
        lines.append(
            {
                "place": place,
                **cells("alone_ms", interval(alone.plain, groups), 1000, 1),
                **cells("minus_output_ms", paired_difference(alone.plain, output.plain, groups), 1000, 1),
                **cells("onsets_late_ms", interval(alone.signed[:, 0], groups), 1000, 1),
                **cells("offsets_late_ms", interval(alone.signed[:, 1], groups), 1000, 1),
                **cells("with_mixtures_ms", interval(both.plain, groups), 1000, 1),
            }
        )
    return lines


@click.command()
@click.argument("corpus", type=click.Path(exists=True, path_type=Path))
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="embedded", show_default=True, help="A Whisper that has a head.")
@click.option("--hours", default=0.25, show_default=True, help="Of speech to learn from.")
def main(corpus: Path, manifest: Path, model: str, hours: float) -> None:
    """Print how well words are timed from every layer, taught on CORPUS, on MANIFEST."""
    try:
        loaded, utterances = load_model(model, threads=1), read_manifest(manifest)
        head = head_of(loaded, Settings(timing="head"), "en")
        assert head is not None  # it was asked for
        items = chosen([timed(item) if item.end <= 0 else item for item in read_corpus(corpus)], hours, 0)
        speller = spellers[head.card.speller]("en")
        parts = [piece for item in items for piece in pieces(loaded, timed(item), "en") if not doubt(piece, speller)]
        heads = taught(loaded, head, parts)
        click.echo("\n".join(table(rows(records(loaded, heads, utterances), list(heads)))))
    except AlignerError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
