"""Run a grid of settings over manifests: one forward pass per utterance serves them all.

A results folder holds

* `run.json`: what was run, on what, with which versions. No clock, no timings:
  the same run gives the same bytes;
* `words.jsonl`: one line per utterance with the times of every setting, appended
  while the run goes on (so a killed run resumes) and put in order at its end;
* `systems/NAME.json`: the same, a file per setting, for compare and report;
* `scores.csv`: the scores of every setting;
* `maps/`: attention of the worst utterances, for the report.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aligner import plugins
from aligner.core import Word
from aligner.errors import InputError
from eval.baselines import baselines
from eval.cases import named, open_case
from eval.grid import Candidate, DecoderShape, candidates_of
from eval.manifest import Utterance, check, read_manifest
from eval.systems import AlignedUtterance, System, aligned_utterance, write_system

if TYPE_CHECKING:
    from aligner.models import SpeechModel

DECIMALS = 4  # of times in seconds


@dataclass(frozen=True)
class RunPlan:
    """What to run.

    Attributes
    ----------
    manifests : tuple of Path
    grid : str
        Name of a grid or a JSON file.
    model : str
    transcript : str
        "gold" or "own".
    """

    manifests: tuple[Path, ...]
    grid: str = "default"
    model: str = "embedded"
    transcript: str = "gold"

    @property
    def command(self) -> str:
        """What gives this run again."""
        parts = ["align-eval run", *map(str, self.manifests), "--grid", self.grid, "--model", self.model]
        return " ".join([*parts, *(["--transcript", self.transcript] if self.transcript != "gold" else [])])


class Aligner:
    """A model with a grid of settings, as one process holds it."""

    def __init__(self, model: str, grid: str, transcript: str) -> None:
        from aligner.models import load_model

        # One thread: the order of additions, and so the last digit, is the same however many processes run.
        self.model: SpeechModel = load_model(model, threads=1)
        self.transcript = transcript
        self.candidates: tuple[Candidate, ...] = candidates_of(grid, self.shape())

    def shape(self) -> DecoderShape:
        """Layers and heads of the decoder, seen in the attention of half a second of silence."""
        import numpy as np

        from aligner.core import Audio
        from aligner.timing.head import known

        encoded = self.model.encode(Audio(np.zeros(self.model.sample_rate // 2, np.float32), self.model.sample_rate))
        layers, heads = self.model.attend(encoded, self.model.tokenize("a")).logits.shape[:2]
        return DecoderShape(layers, heads, bool(self.model.alignment_heads), known(self.model.fingerprint) is not None)

    def align(self, utterance: Utterance) -> dict[str, Any]:
        """The line of an utterance in `words.jsonl`: texts, and per setting the times.

        Raises
        ------
        InputError
            The utterance does not fit the model; the sentence names it.
        """
        case = open_case(self.model, utterance, self.transcript == "own", edges=True)
        with named(utterance):
            # Pieces that only one setting's units have would misplace the others, so all get the same words.
            texts = [span.text for span in case.tokens("subword").words] if case.text.split() else []
            found = {c.name: _edges(case.words(c.settings).words) for c in self.candidates if texts}
        found |= {name: baselines[name](texts, case.encoded.duration) for name in baselines if texts}
        times = {name: [[round(a, DECIMALS), round(b, DECIMALS)] for a, b in pairs] for name, pairs in found.items()}
        return {"id": utterance.id, "words": texts, "times": times}


def _edges(words: Sequence[Word]) -> list[tuple[float, float]]:
    return [(word.start, word.end) for word in words]


def run_plan(plan: RunPlan, output: Path, jobs: int = 1) -> None:
    """Run, or go on with, a plan.

    Parameters
    ----------
    plan : RunPlan
    output : Path
        Results folder.
    jobs : int
        Processes. The results do not depend on it.

    Raises
    ------
    AlignerError
        Manifests that do not hold, a folder with the results of another plan, a model that does not load.
    """
    from aligner.files import atomic_write

    utterances = _utterances(plan.manifests)
    aligner = Aligner(plan.model, plan.grid, plan.transcript)
    provenance = _provenance(plan, utterances, aligner)
    claim(output, provenance, utterances, "run with other manifests, model, grid or versions")
    stream = output / "words.jsonl"
    lines = resume(stream, {u.id for u in utterances})
    missing = [u for u in utterances if u.id not in lines]
    if missing:
        with stream.open("a", encoding="utf-8") as handle:
            for line in progress(_aligned(missing, plan, aligner, jobs), len(utterances), len(lines)):
                handle.write(json.dumps(line, ensure_ascii=False) + "\n")
                handle.flush()
                os.fsync(handle.fileno())
                lines[line["id"]] = line
    ordered = [lines[u.id] for u in utterances]
    with atomic_write(stream) as temporary:
        temporary.write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in ordered), encoding="utf-8")
    _finish(utterances, ordered, aligner, provenance, output)


def claim(output: Path, provenance: dict[str, Any], utterances: Sequence[Utterance], other: str) -> None:
    """Make a folder that of one run: check the utterances and record what is run, or find the same record there.

    Parameters
    ----------
    output : Path
        Folder of the results.
    provenance : dict
        Whatever shapes the results.
    utterances : sequence of Utterance
    other : str
        What the folder holds if its record differs, for the message.

    Raises
    ------
    InputError
        The folder holds another run, or the utterances do not fit their audio.
    """
    from aligner.files import atomic_write

    record = output / "run.json"
    text = json.dumps(provenance, indent=1, ensure_ascii=False) + "\n"
    if record.exists():
        if record.read_text(encoding="utf-8", errors="replace") != text:
            raise InputError(f"{output} holds a {other}: give another -o, or delete it")
        return
    check(utterances)
    with atomic_write(record) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _utterances(manifests: Sequence[Path]) -> list[Utterance]:
    utterances = [u for manifest in manifests for u in read_manifest(manifest)]
    seen: set[str] = set()
    for utterance in utterances:
        if utterance.id in seen:
            raise InputError(f"utterance {utterance.id} is in two of the manifests: give each corpus once")
        seen.add(utterance.id)
    return utterances


def _provenance(plan: RunPlan, utterances: Sequence[Utterance], aligner: Aligner) -> dict[str, Any]:
    from importlib.metadata import version

    import aligner as package

    return {
        "command": plan.command,
        "model": {
            "name": plan.model,
            "fingerprint": aligner.model.fingerprint,
            "alignment_heads": [list(pair) for pair in aligner.model.alignment_heads],
        },
        "transcript": plan.transcript,
        "manifests": [{"name": p.name, "sha256": hashlib.sha256(p.read_bytes()).hexdigest()} for p in plan.manifests],
        "utterances": len(utterances),
        "grid": plan.grid,
        "settings": {c.name: {"family": c.family, **c.settings.describe()} for c in aligner.candidates},
        **({"plugins": found} if (found := plugins.loaded()) else {}),
        "versions": {
            "aligner": package.__version__,
            **{name: version(name) for name in ("torch", "numpy", "dtw-python")},
        },
    }


def resume(stream: Path, known: set[str]) -> dict[str, dict[str, Any]]:
    """Lines of an earlier run; what a kill left of a last line is cut off."""
    if not stream.exists():
        return {}
    lines: dict[str, dict[str, Any]] = {}
    whole = 0
    with stream.open("rb") as handle:
        for raw in handle:
            try:
                line = json.loads(raw) if raw.endswith(b"\n") else None
            except ValueError:
                line = None
            if line is None or line.get("id") not in known:
                break
            lines[line["id"]] = line
            whole += len(raw)
    os.truncate(stream, whole)
    return lines


_worker: Aligner | None = None


def _start_worker(plan: RunPlan, modules: tuple[str, ...]) -> None:
    global _worker
    plugins.load(modules)
    _worker = Aligner(plan.model, plan.grid, plan.transcript)


def _work(utterance: Utterance) -> dict[str, Any]:
    assert _worker is not None
    return _worker.align(utterance)


def _aligned(utterances: Sequence[Utterance], plan: RunPlan, aligner: Aligner, jobs: int) -> Iterator[dict[str, Any]]:
    if jobs == 1:
        yield from map(aligner.align, utterances)
        return
    from multiprocessing import get_context

    with get_context("spawn").Pool(min(jobs, len(utterances)), _start_worker, (plan, tuple(plugins.loaded()))) as pool:
        yield from pool.imap_unordered(_work, utterances)


def progress(lines: Iterator[Any], total: int, done: int, of: str = "utterances") -> Iterator[Any]:
    """The same lines, with a bar on standard error that counts them from `done` to `total`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(of, total=total, completed=done)
        for line in lines:
            yield line
            bar.advance(task)


def _finish(
    utterances: Sequence[Utterance],
    lines: Sequence[dict[str, Any]],
    aligner: Aligner,
    provenance: dict[str, Any],
    output: Path,
) -> None:
    """Systems, scores and maps out of the times; all derived, so written anew each time."""
    from eval.columns import write_scores
    from eval.crossvalidation import cross_validated
    from eval.worst import SHOWN, save_worst

    short = {key: provenance[key] for key in ("command", "model", "transcript", "manifests", "versions")}
    named = [(c.name, c.family, c.settings.describe()) for c in aligner.candidates]
    named += [(name, "baseline", {"baseline": name}) for name in baselines]
    systems = [
        System(
            name,
            family,
            tuple(_recording(u, line, name) for u, line in zip(utterances, lines, strict=True)),
            described,
            short,
        )
        for name, family, described in named
    ]
    systems.append(cross_validated(systems))
    for system in systems:
        write_system(system, output / "systems")
    write_scores(systems, output / "scores.csv")
    default = next((c.settings for c in aligner.candidates if c.name == SHOWN), None)
    if default is not None and aligner.transcript == "gold":
        save_worst(utterances, systems, aligner.model, default, output / "maps")


def _recording(utterance: Utterance, line: dict[str, Any], setting: str) -> AlignedUtterance:
    times = line["times"].get(setting, [])
    estimated = tuple(Word(text, a, b) for text, (a, b) in zip(line["words"], times, strict=bool(times)))
    return aligned_utterance(utterance, estimated)
