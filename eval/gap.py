"""`align-eval gap`: what the gap between attention and saliency costs in milliseconds.

A results folder holds `run.json` (what was run), `utterances.jsonl` (one
record per utterance, appended while the study goes on, so a killed one
resumes), and, derived from them, `gap.json`, `gap.md`, a CSV per table and the
plots. Times of computing are not kept: the same study gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eval.manifest import Utterance

METHODS = ("encoder", "strips", "gradient", "spes:code")
MASKS = {"encoder": 2048, "strips": 384, "spes": 512}  # the split-half correlation they reach is in the tables


@dataclass(frozen=True)
class Study:
    """What to measure.

    Attributes
    ----------
    manifest : Path
    model : str
    methods : tuple of str
        Saliency methods; the first chooses heads.
    few : int
        Utterances that methods of the "spes" family are run on.
    masks : int or None
        For every method instead of its own number.
    deletion : int
        Utterances of the deletion metric.
    dtype : str
        Of the model.
    """

    manifest: Path
    model: str = "embedded"
    methods: tuple[str, ...] = METHODS
    few: int = 20
    masks: int | None = None
    deletion: int = 6
    dtype: str = "float32"

    def masks_of(self, method: str) -> int | None:
        """Masks of a method; None for one that draws none."""
        name = method.partition(":")[0]
        return None if name == "gradient" else self.masks or MASKS.get(name)

    @property
    def command(self) -> str:
        """What gives this study again."""
        plain = Study(self.manifest)
        options = [f"--method {m}" for m in self.methods] if self.methods != METHODS else []
        options += [
            f"--{name} {getattr(self, name)}"
            for name in ("model", "few", "masks", "deletion", "dtype")
            if getattr(self, name) != getattr(plain, name)
        ]
        return " ".join([f"align-eval gap {self.manifest.name}", *options])


@click.command()
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the results.")  # fmt: skip  # noqa: E501
@click.option("--model", default="embedded", show_default=True, help="Checkpoint to study.")
@click.option("--method", "methods", multiple=True, default=METHODS, show_default=True, help="Saliency method; repeatable.")  # fmt: skip  # noqa: E501
@click.option(
    "--few", default=20, show_default=True, type=click.IntRange(1), help="Utterances for spes, which is dear."
)
@click.option("--masks", type=click.IntRange(1), help="Random masks of every method, instead of each one's own number.")
@click.option("--deletion", default=6, show_default=True, type=click.IntRange(0), help="Utterances for the deletion metric.")  # fmt: skip  # noqa: E501
@click.option("--dtype", default="float32", show_default=True, help="float32, bfloat16 or float16.")
def gap(
    manifest: Path,
    output: Path,
    model: str,
    methods: tuple[str, ...],
    few: int,
    masks: int | None,
    deletion: int,
    dtype: str,
) -> None:
    """What the gap between attention and saliency costs in milliseconds.

    Times the words of MANIFEST from attention, from saliency and from both, and asks whether their agreement warns
    of wrong boundaries. A study that was stopped goes on where it was.
    """
    from eval.gap_report import markdown

    click.echo(markdown(run_study(Study(manifest, model, methods, few, masks, deletion, dtype), output)), nl=False)


def run_study(study: Study, output: Path) -> dict[str, Any]:
    """Run, or go on with, a study; returns what `gap.json` holds.

    Raises
    ------
    AlignerError
        A manifest that does not hold, a folder with another study, a model or method that does not exist.
    """
    from aligner.models import load_model
    from eval.gap_measure import deletion_areas, measure
    from eval.gap_report import write_results
    from eval.manifest import read_manifest
    from eval.run import claim, progress, resume

    utterances = read_manifest(study.manifest)
    model = load_model(study.model, dtype=study.dtype, threads=1)
    provenance = _provenance(study, model, len(utterances))
    claim(output, provenance, utterances, "study with another manifest, model, method or version")
    chosen = _spread(len(utterances), study.few)
    sampled = _spread(len(utterances), study.deletion)
    masks = {method: study.masks_of(method) for method in study.methods}
    stream = output / "utterances.jsonl"
    lines = resume(stream, {u.id for u in utterances})

    def measured() -> Iterator[dict[str, Any]]:
        for k, utterance in enumerate(utterances):
            if utterance.id not in lines:
                mine = [m for m in study.methods if k in chosen or not m.startswith("spes")]
                found = measure(model, utterance, mine, masks)
                if k in sampled:
                    cheap = [m for m in mine if not m.startswith("spes")]
                    found["deletion"] = deletion_areas(model, utterance, cheap, masks)
                yield found

    with stream.open("a", encoding="utf-8") as handle:
        for line in progress(measured(), len(utterances), len(lines)):
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
            lines[line["id"]] = line
    ordered = [lines[u.id] for u in utterances]
    return write_results(provenance, ordered, choices(model, utterances, ordered, study.methods[0]), output)


def _spread(total: int, wanted: int) -> set[int]:
    """Indices of at most `wanted` utterances, evenly spread so that all speakers are among them."""
    return {k * total // wanted for k in range(wanted)} if wanted else set()


def _provenance(study: Study, model: Any, utterances: int) -> dict[str, Any]:
    import hashlib
    from importlib.metadata import version

    import aligner as package

    return {
        "command": study.command,
        "model": {
            "name": study.model,
            "fingerprint": model.fingerprint,
        },
        "manifest": {"name": study.manifest.name, "sha256": hashlib.sha256(study.manifest.read_bytes()).hexdigest()},
        "utterances": utterances,
        "methods": {method: study.masks_of(method) for method in study.methods},
        "versions": {
            "aligner": package.__version__,
            **{name: version(name) for name in ("torch", "numpy", "dtw-python", "scikit-image")},
        },
    }


def choices(
    model: Any, utterances: Sequence[Utterance], records: Sequence[dict[str, Any]], method: str
) -> list[dict[str, Any]]:
    """4e. Error of heads chosen by agreement, by gold and by norm on the other speakers, utterance by utterance.

    Returns
    -------
    list of dict
        Per criterion, the mean absolute error of each word ("errors") and the heads chosen for each speaker.
    """
    import numpy as np

    from eval.gap_findings import unit
    from eval.gap_measure import TOP, Measured

    cases = [Measured(model, utterance) for utterance in utterances]
    pairs = cases[0].heads
    names = [f"head {layer}.{head}" for layer, head in pairs]
    scores = {
        "agreement, on other speakers": [[-r["saliency"][method]["maps"][n] for n in names] for r in records],
        "gold, on other speakers": [[r["map_error"][n] for n in names] for r in records],
        "norm, on other speakers": [[-r["norm"][n] for n in names] for r in records],
    }
    units = np.array([unit(r) for r in records])
    if len(set(units)) < 2:
        return []
    found = []
    for criterion, values in scores.items():
        table = np.array(values)
        picks = {}
        for name in sorted(set(units)):
            order = np.argsort(table[units != name].mean(0), kind="stable")[:TOP]
            picks[str(name)] = [pairs[k] for k in order]
        errors = [
            [float(e) for e in case.errors(case.times(case.mean_of(picks[str(name)]))).mean(1)]
            for name, case in zip(units, cases, strict=True)
        ]
        found.append({"choice": f"{criterion} (top {TOP})", "errors": errors, "heads": picks})
    return found
