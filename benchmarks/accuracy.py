"""How far words are from gold, ours beside every rival: `python -m benchmarks.accuracy MANIFEST...`.

One table for each manifest. All get the same audio and the same words, all that use a Whisper the same weights, and all
are scored alike. CPU time is what the process spends on aligning, loading left out, one thread each. Rivals that cannot
run are listed with the reason; what they found is kept under `build/accuracy`, what we find is found anew.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import benchmarks.monophones  # noqa: F401  (registers two rivals)
from aligner.core import Audio, Word
from aligner.errors import AlignerError
from aligner.metrics import Interval
from aligner.models import SpeechModel, load_model
from aligner.pipeline import align_audio
from aligner.timing.choice import head_of
from aligner.timing.settings import Settings, choose
from benchmarks import peers as formats
from benchmarks.rivals import SAMPLE_RATE, CannotRun, Times, needed, rivals
from eval.baselines import uniform_times
from eval.manifest import Utterance, load_audio, read_manifest
from eval.scoring import ranked, score
from eval.systems import System, aligned_utterance, read_system, write_system

CACHE = Path("build/accuracy")
SHORTEST = 0.001  # seconds; rivals give words without length, which no interval can be
TOLERANCES = (0.02, 0.05, 0.1)  # seconds
EVEN = "words spread evenly"

Words = Callable[[Audio, str], Sequence[Word]]


def ours(model: SpeechModel) -> dict[str, Words]:
    """Our ways to time words, by the name of their row."""

    def by(settings: Settings) -> Words:
        return lambda audio, text: align_audio(model, audio, text, settings).words

    def even(audio: Audio, text: str) -> Sequence[Word]:
        words = text.split()
        return [Word(word, *at) for word, at in zip(words, uniform_times(words, audio.duration), strict=True)]

    found = {"align, attention alone": by(choose(timing="attention", language="en")), EVEN: even}
    if head_of(model, Settings(), "en") is not None:
        found["align"] = by(choose(language="en"))
        found["align, head and attention"] = by(choose(timing="both", language="en"))
    return found


def words_of(times: Times, duration: float) -> tuple[Word, ...]:
    """A rival's times as words: order kept, inside the audio, at least `SHORTEST` long; nothing else is touched."""
    found = []
    for text, start, end in times:
        if text:
            start = min(max(0.0, float(start)), duration - SHORTEST)
            found.append(Word(text, start, max(min(float(end), duration), start + SHORTEST)))
    return tuple(found)


def measure(name: str, words: Words, utterances: Sequence[Utterance], provenance: dict[str, Any]) -> System:
    """What a way to time words makes of every utterance, and the CPU time that it takes."""
    recordings, spent = [], 0.0
    for utterance in utterances:
        audio = load_audio(utterance, SAMPLE_RATE)
        before = time.process_time()
        found = tuple(words(audio, utterance.text))
        spent += time.process_time() - before
        recordings.append(aligned_utterance(utterance, found))
    return System(name, "accuracy", tuple(recordings), {"cpu": round(spent, 2)}, provenance)


def rival(name: str, folder: Path) -> Words:
    """A rival on a checkpoint.

    Raises
    ------
    CannotRun
        With the reason.
    """
    align = rivals[name](folder)
    return lambda audio, text: words_of(align(audio.samples.copy(), text), audio.duration)


def table(systems: Sequence[System], refused: dict[str, str] | None = None) -> str:
    """The table of the docs: errors of onsets and offsets together, best first."""

    def percent(errors: NDArray[np.float64], tolerance: float) -> str:
        return f"{100 * (np.abs(errors) <= tolerance + 1e-9).mean():.1f}" if len(errors) else "-"

    def ms(found: Interval) -> str:
        return f"{1000 * found.value:.1f} [{1000 * found.low:.1f}, {1000 * found.high:.1f}]"

    lines = [
        "| system | mean, ms | median | within 20 ms, % | 50 ms | 100 ms | onset, signed | offset, signed | words "
        "| CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    spent = {system.name: system.setting.get("cpu") for system in systems}
    rows = ranked([score(system) for system in systems])
    for row in rows:
        onset, offset = row.scores.onset, row.scores.offset
        both = np.concatenate([onset, offset])
        middle = f"{1000 * np.median(np.abs(both)):.1f} | " if len(both) else "- | "
        signed = f"{1000 * np.mean(onset):+.1f} | {1000 * np.mean(offset):+.1f}" if len(both) else "- | -"
        cpu = spent[row.name]
        lines.append(
            f"| {row.name} | {ms(row.boundary_error)} | {middle}{' | '.join(percent(both, t) for t in TOLERANCES)} "
            f"| {signed} | {row.scores.n_matched} of {row.scores.n_reference} | {'' if cpu is None else f'{cpu:.1f}'} |"
        )
    lines += [f"| {name} | cannot run: {reason} | | | | | | | | |" for name, reason in (refused or {}).items()]
    lines += [
        "",
        "Absolute errors of the matched words, onsets and offsets together; in brackets 95 % bootstrap intervals, "
        f"resampled by {rows[0].resampled}.",
    ]
    return "\n".join(lines)


def _rivals(
    names: Sequence[str], folder: Path, cache: Path, utterances: Sequence[Utterance], provenance: dict[str, Any]
) -> tuple[list[System], dict[str, str]]:
    systems, refused = [], {}
    for name in names:
        kept = cache / f"{name}.json"
        try:
            said = {**provenance, "version": needed(name)}
            if kept.is_file() and read_system(kept).provenance == said:
                systems.append(read_system(kept))
                continue
            click.echo(f"{name} ...", err=True)
            systems.append(measure(name, rival(name, folder), utterances, said))
            write_system(systems[-1], cache)
        except CannotRun as error:
            refused[name] = str(error)
    return systems, refused


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="embedded", show_default=True, help="Checkpoint, as align --model takes it.")
@click.option("--only", multiple=True, help="Only these rivals; none at all with --only none.")
def main(manifests: tuple[Path, ...], model: str, only: tuple[str, ...]) -> None:
    """Print one table for each of MANIFESTS: ours and every rival on the same weights."""
    os.environ["TQDM_DISABLE"] = "1"
    try:
        loaded = load_model(model, threads=1)
        names = [name for name in only or tuple(rivals) if name != "none"]
        folder = CACHE / loaded.fingerprint / "transformers"  # every rival reads it, or what is converted from it
        if names and not folder.is_dir():
            formats.transformers_folder(model, folder)
        for manifest in manifests:
            utterances = read_manifest(manifest)
            digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
            systems = [measure(name, words, utterances, {}) for name, words in ours(loaded).items()]
            found, refused = _rivals(
                names, folder, CACHE / loaded.fingerprint / digest[:12], utterances,
                {"fingerprint": loaded.fingerprint, "manifest": digest},
            )  # fmt: skip
            speakers = len({u.speaker for u in utterances if u.speaker})
            words = sum(len(u.words) for u in utterances)
            click.echo(
                f"\n{manifest.stem}, {loaded.name}: {len(utterances)} utterances, {words} words, {speakers} speakers\n"
            )
            click.echo(table([*systems, *found], refused))
    except AlignerError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
