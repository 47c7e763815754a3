"""`align-eval gap`: what the gap between attention and saliency costs in milliseconds.

A results folder holds `run.json` (what is studied), `maps/` (the saliency
maps, which are dear, each kept as soon as it is made), `utterances.jsonl` (one
record per utterance), and, derived from them, `gap.json`, `gap.md`, a CSV per
table and the plots. The same command goes on where it was stopped, and the
same study gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eval.gap_maps import Maps
    from eval.gap_measure import Measured
    from eval.manifest import Utterance

METHODS = ("encoder", "gradient:output", "gradient", "strips")
MASKS = {"encoder": 2048, "strips": 1024, "spes": 512}  # the split-half correlation they reach is in the tables


@dataclass(frozen=True)
class Study:
    """What to measure.

    Attributes
    ----------
    manifest : Path
    model : str
    methods : tuple of str
        Saliency methods; the first chooses heads.
    per_speaker : int
        Utterances of each speaker that get saliency maps, the shortest first; attention and heads time all.
    masks : int or None
        For every method instead of its own number.
    dtype : str
        Of the model.
    """

    manifest: Path
    model: str = "embedded"
    methods: tuple[str, ...] = METHODS
    per_speaker: int = 2
    masks: int | None = None
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
            f"--{name.replace('_', '-')} {getattr(self, name)}"
            for name in ("model", "per_speaker", "masks", "dtype")
            if getattr(self, name) != getattr(plain, name)
        ]
        return " ".join([f"align-eval gap {self.manifest.name}", *options])


@click.command()
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the results.")  # fmt: skip  # noqa: E501
@click.option("--model", default="embedded", show_default=True, help="Checkpoint to study.")
@click.option("--method", "methods", multiple=True, default=METHODS, show_default=True, help="Saliency method; repeatable.")  # fmt: skip  # noqa: E501
@click.option(
    "--per-speaker", default=2, show_default=True, type=click.IntRange(1), help="Utterances that get saliency maps."
)
@click.option("--masks", type=click.IntRange(1), help="Random masks of every method, instead of each one's own number.")
@click.option("--dtype", default="float32", show_default=True, help="float32, bfloat16 or float16.")
@click.option("--minutes", type=click.FloatRange(0), help="Begin no map after so long, and report those there are.")
def gap(
    manifest: Path,
    output: Path,
    model: str,
    methods: tuple[str, ...],
    per_speaker: int,
    masks: int | None,
    dtype: str,
    minutes: float | None,
) -> None:
    """What the gap between attention and saliency costs in milliseconds.

    Times the words of MANIFEST from attention, from saliency, from both and from the timing head, and asks whether
    closeness to saliency makes better times. A study that was stopped goes on where it was.
    """
    from eval.gap_report import markdown

    study = Study(manifest, model, methods, per_speaker, masks, dtype)
    click.echo(markdown(run_study(study, output, minutes)), nl=False)


def run_study(study: Study, output: Path, minutes: float | None = None) -> dict[str, Any]:
    """Run, or go on with, a study; returns what `gap.json` holds.

    Raises
    ------
    AlignerError
        A manifest that does not hold, a folder with another study, a model or method that does not exist.
    """
    from aligner.models import load_model
    from eval.gap_choices import with_chosen_heads
    from eval.gap_maps import Maps, rounds
    from eval.gap_measure import Measured
    from eval.gap_report import write_results
    from eval.manifest import read_manifest
    from eval.run import claim, progress

    utterances = read_manifest(study.manifest)
    model = load_model(study.model, dtype=study.dtype, threads=1)
    provenance = _provenance(study, model, len(utterances))
    claim(output, provenance, utterances, "study with another manifest, model, method or version")
    maps, masks = Maps(output / "maps"), {method: study.masks_of(method) for method in study.methods}
    order = rounds(utterances, study.per_speaker)
    wanted = sum(map(len, order)) * len(masks)
    for _ in progress(maps.make(model, utterances, order, masks, minutes), wanted, 0, "maps"):
        pass
    cases: dict[str, Measured] = {}
    records = _records(model, utterances, maps, study.methods, output / "utterances.jsonl", cases)
    timed = with_chosen_heads(lambda u: cases.get(u.id) or Measured(model, u), utterances, records, study.methods[0])
    return write_results(provenance, timed, output)


def _records(
    model: Any,
    utterances: Sequence[Utterance],
    maps: Maps,
    methods: Sequence[str],
    stream: Path,
    cases: dict[str, Measured],
) -> list[dict[str, Any]]:
    """A record of every utterance; those measured with the maps that there are now are read, the others opened."""
    from eval.gap_measure import Measured, measure
    from eval.run import progress, resume

    lines = resume(stream, {u.id for u in utterances})
    mine = [maps.all_of(k, methods) for k in range(len(utterances))]
    kept = {
        u.id: lines[u.id]
        for u, found in zip(utterances, mine, strict=True)
        if u.id in lines and set(lines[u.id]["saliency"]) == set(found)
    }

    def measured() -> Any:
        for utterance, found in zip(utterances, mine, strict=True):
            if utterance.id not in kept:
                cases[utterance.id] = Measured(model, utterance)
                yield measure(cases[utterance.id], found)

    with stream.open("w", encoding="utf-8") as handle:
        for line in kept.values():
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")
        for line in progress(measured(), len(utterances), len(kept)):
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
            kept[line["id"]] = line
    return [kept[u.id] for u in utterances]


def _provenance(study: Study, model: Any, utterances: int) -> dict[str, Any]:
    import hashlib
    from importlib.metadata import version

    import aligner as package

    return {
        "command": study.command,
        "model": {
            "name": study.model,
            "fingerprint": model.fingerprint,
            "alignment_heads": [list(pair) for pair in model.alignment_heads],
        },
        "manifest": {"name": study.manifest.name, "sha256": hashlib.sha256(study.manifest.read_bytes()).hexdigest()},
        "utterances": utterances,
        "methods": {method: study.masks_of(method) for method in study.methods},
        "versions": {
            "aligner": package.__version__,
            **{name: version(name) for name in ("torch", "numpy", "dtw-python", "scikit-image")},
        },
    }
