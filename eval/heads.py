"""Find the heads of a checkpoint that align: `align-eval heads MANIFEST --model FOLDER --write`.

Fine-tuned and converted checkpoints have no list of alignment heads, or one
that no longer fits. Here every head aligns half of a small labelled set by
itself, which ranks the heads; the list is the longest prefix of the ranking
whose mean is within one standard error of the best prefix's, and it is
reported on the other half.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from aligner.core import Word
from aligner.errors import InputError
from aligner.files import atomic_write
from aligner.timing.aggregation import Head
from aligner.timing.case import Case
from aligner.timing.settings import ATTENTION, Settings
from eval.cases import named, open_case
from eval.manifest import read_manifest


@dataclass(frozen=True, eq=False)
class Labelled:
    """An utterance ready to be aligned by any choice of heads, and its reference.

    Attributes
    ----------
    case : Case
    reference : tuple of Word
        As many as the case has words.
    """

    case: Case
    reference: tuple[Word, ...]

    def error(self, heads: Sequence[Head]) -> float:
        """Mean absolute onset and offset error of the mean over some heads, in seconds."""
        words = self.case.words(settings_of(heads)).words
        shifts = [(w.start - r.start, w.end - r.end) for w, r in zip(words, self.reference, strict=True)]
        return float(np.mean(np.abs(shifts)))


def settings_of(heads: Sequence[Head]) -> Settings:
    """The default settings with the mean over some heads."""
    listed = ",".join(f"{layer}.{head}" for layer, head in heads)
    chosen = replace(ATTENTION, layers="all", heads=listed)
    return Settings(chosen, timing="attention", confidence=False)


def rank_heads(cases: Sequence[Labelled]) -> list[tuple[Head, float]]:
    """Every head with its own mean error in seconds, best first."""
    pairs = list(np.ndindex(*cases[0].case.attention().logits.shape[:2]))
    scored = [(pair, float(np.mean([case.error([pair]) for case in cases]))) for pair in pairs]
    return sorted(scored, key=lambda item: item[1])


def choose_heads(cases: Sequence[Labelled], ranked: Sequence[tuple[Head, float]], most: int = 10) -> tuple[Head, ...]:
    """The longest prefix of a ranking that is as good as the best prefix, within one standard error.

    Averages of more heads hold better on other speech than the single head that happened to win.

    Parameters
    ----------
    cases : sequence of Case
    ranked : sequence of (head, error)
        Best first.
    most : int
        Longest prefix considered.
    """
    pairs = [pair for pair, _ in ranked[:most]]
    errors = np.array([[case.error(pairs[:k]) for case in cases] for k in range(1, len(pairs) + 1)])
    means = errors.mean(1)
    best = int(means.argmin())
    bound = means[best] + errors[best].std(ddof=1) / np.sqrt(len(cases))
    return tuple(sorted(pairs[: int(np.flatnonzero(means <= bound)[-1]) + 1]))


def load_cases(model: Any, manifest: Path, most: int) -> list[Labelled]:
    """Utterances of a manifest after the model, with the attention of every head.

    Parameters
    ----------
    model : SpeechModel
    manifest : Path
    most : int
        Utterances taken, from the first.

    Raises
    ------
    InputError
        Fewer than four utterances.
    """
    cases = []
    for utterance in read_manifest(manifest)[:most]:
        case = open_case(model, utterance)
        with named(utterance):
            if len(case.tokens().words) == len(utterance.words):
                case.attention()
                cases.append(Labelled(case, utterance.words))
    if len(cases) < 4:
        raise InputError(f"{manifest} gives {len(cases)} usable utterances: at least 4 are needed to rank heads")
    return cases


@click.command("heads")
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", "name", default="embedded", show_default=True, help="Checkpoint folder or hub name.")
@click.option("--utterances", default=40, show_default=True, help="Most utterances to use.")
@click.option("--write", is_flag=True, help="Put the list into generation_config.json of the checkpoint folder.")
def heads(manifest: Path, name: str, utterances: int, write: bool) -> None:
    """Rank every cross-attention head of a checkpoint by its timing error and choose a list."""
    from aligner.models import load_model

    model = load_model(name)
    cases = load_cases(model, manifest, utterances)
    fit, held = cases[::2], cases[1::2]
    ranked = rank_heads(fit)
    chosen = choose_heads(fit, ranked)
    for pair, error in ranked:
        mark = "*" if pair in chosen else " "
        click.echo(f"{mark} layer {pair[0]} head {pair[1]}  {1000 * error:7.1f} ms")
    held_error = np.mean([case.error(chosen) for case in held])
    single = np.mean([case.error([ranked[0][0]]) for case in held])
    click.echo(f"chosen on {len(fit)} utterances: {[list(pair) for pair in chosen]}")
    click.echo(
        f"mean error on {len(held)} others: {1000 * held_error:.1f} ms (best single head {1000 * single:.1f} ms)"
    )
    if write:
        path = Path(name) / "generation_config.json"
        if not path.is_file():
            raise InputError(f"--write needs a checkpoint folder with generation_config.json, {name!r} is none")
        from aligner.models.formats import read_json

        config = read_json(path)
        config["alignment_heads"] = [list(pair) for pair in chosen]
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        click.echo(f"written to {path}", err=True)
