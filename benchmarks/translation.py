"""Attention and saliency of the same speech, transcribed and translated: `python -m benchmarks.translation MODEL`.

espeak-ng speaks made-up sentences in German and Spanish; MODEL, which is multilingual, writes each down in its language
and in English. Sentences that it does not understand, by its transcript, are passed over, and translations that run in
circles. For either text: how close attention is to saliency at the encoder's output, and how far its tokens look at the
speech in order, without which nothing can be timed from it.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import click
import numpy as np

from aligner import saliency
from aligner.core import Audio
from aligner.errors import AlignerError
from aligner.metrics import interval, paired_difference
from aligner.metrics.saliency import correlation, spearman
from aligner.models import load_model
from aligner.models.base import Encoded
from aligner.timing.case import Case
from benchmarks.languages import PARTS
from benchmarks.recognition import word_errors
from eval.corpora.espeak import SAMPLE_RATE, Espeak
from eval.gap_correlation import ceiling_of
from eval.gap_findings import cells
from eval.gap_measure import SETTINGS
from eval.gap_report import table

TASKS = ("transcribe", "translate")
ERRORS = 0.5  # wrong words of all, with which a sentence still counts as understood
MOST = 8  # sentences of a language
MEASURES = {
    "pearson": "correlation with SM^H, upper half of the layers",
    "pearson_all": "correlation with SM^H, all layers",
    "split_half": "correlation of the halves of the masks",
    "ceiling": "ceiling that they put",
    "order": "rank correlation of tokens and the frames they look at",
    "cost": "cost of the path, nats a frame",
}


def told(model: Any, task: str) -> Any:
    """The model, told another task by all prompts that name none."""
    other = copy.copy(model)
    other.prompt = lambda language, asked=task: model.prompt(language, asked)
    return other


def sentences(language: str, seed: int = 0) -> Iterator[list[str]]:
    """Words of short made-up sentences: who does what to what."""
    rng = random.Random(seed)
    subjects, verbs, _, objects, *_ = (part.split("|") for part in PARTS[language])
    while True:
        yield " ".join(rng.choice(part) for part in (subjects, verbs, objects)).split()


def understood(model: Any, language: str, tries: int) -> Iterator[tuple[Encoded, dict[str, str]]]:
    """Of so many spoken sentences those that the model writes down well, after the encoder, with its texts by task."""
    espeak = Espeak()
    for number, words in enumerate(islice(sentences(language), tries)):
        speech = espeak.speak(words, language, rate=140)
        if speech is None:
            continue
        noise = np.random.default_rng(number).normal(0, 1e-3, len(speech.samples))
        encoded = model.encode(Audio((speech.samples + noise).astype(np.float32), SAMPLE_RATE))
        texts = {task: model.transcribe([encoded], language, task)[0].text for task in TASKS}
        errors, spoken = word_errors(" ".join(words), texts["transcribe"], language)
        if errors <= ERRORS * spoken and 0 < len(texts["translate"].split()) <= 2 * len(words):
            yield encoded, texts


def measured(model: Any, encoded: Encoded, text: str, language: str, task: str, masks: int) -> dict[str, float]:
    """The measures of a text."""
    case = Case(told(model, task), encoded, text, language)
    tokens, attention = case.tokens(), case.attention()
    evidence, best = case.evidence(SETTINGS), case.path(SETTINGS)
    found = saliency.compute(case.model, encoded, tokens, "encoder", masks, language=language, threshold=0)
    pooled = saliency.pool(found, attention.frame_duration, attention.frames).values
    upper = attention.weights[len(attention.weights) // 2 :].mean((0, 1))
    half = float(found.convergence or 0)
    return {
        "pearson": correlation(upper, pooled).pearson,
        "pearson_all": correlation(attention.weights.mean((0, 1)), pooled).pearson,
        "split_half": half,
        "ceiling": ceiling_of(half),
        "order": spearman(np.arange(len(tokens), dtype=float), upper[: len(tokens)].argmax(1).astype(float)),
        "cost": -float(evidence.values[best.tokens, best.frames].mean()),
    }


def rows(found: dict[str, Sequence[dict[str, float]]], language: str) -> list[dict[str, Any]]:
    """One row a measure; sentences are resampled."""
    lines = []
    groups = list(range(len(found[TASKS[0]])))
    for name, title in MEASURES.items():
        values = {task: np.array([one[name] for one in found[task]]) for task in TASKS}
        lines.append(
            {
                "language": language,
                "measure": title,
                "sentences": len(groups),
                **{k: v for task in TASKS for k, v in cells(task, interval(values[task], groups)).items()},
                **cells(
                    "translate_minus_transcribe", paired_difference(values["translate"], values["transcribe"], groups)
                ),
            }
        )
    return lines


@click.command()
@click.argument("model")
@click.option("--language", "languages", multiple=True, default=tuple(PARTS), type=click.Choice(list(PARTS)))
@click.option("--tries", default=30, show_default=True, help="Sentences of each language to choose from.")
@click.option("--masks", default=1024, show_default=True)
@click.option("--show", is_flag=True, help="What was written, on stderr.")
def main(model: str, languages: tuple[str, ...], tries: int, masks: int, show: bool) -> None:
    """Print how attention and saliency agree where MODEL transcribes and where it translates."""
    try:
        loaded, lines = load_model(model, threads=1), []
        for language in languages:
            found: dict[str, list[dict[str, float]]] = {task: [] for task in TASKS}
            for encoded, texts in islice(understood(loaded, language, tries), MOST):
                for task, text in texts.items():
                    found[task].append(measured(loaded, encoded, text, language, task, masks))
                    if show:
                        click.echo(f"{task}: {text}", err=True)
            lines += rows(found, language) if found[TASKS[0]] else []
        if not lines:
            raise click.ClickException("no sentence was understood: give more --tries")
        click.echo("\n".join(table(lines)))
    except AlignerError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
