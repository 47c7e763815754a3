"""Whether CTranslate2 would recognise for less: `python -m benchmarks.engine AUDIO --model FOLDER ...`.

The first windows of a recording, encoded and decoded greedily as one batch by our network and by CTranslate2, with the
same weights, features and prompt, one thread. Timing words needs encoder states in torch, so only what decoding costs
could be saved, and as much as CTranslate2's encoder costs would be added where its states are not handed over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from aligner.core import Audio
from benchmarks.contenders import RATE, machine, samples_of
from benchmarks.recognition import readable

SECONDS = 27.0  # of a window
T = TypeVar("T")


def spent(run: Callable[[], T], rounds: int) -> tuple[float, T]:
    """Least CPU seconds of some runs after a first one, and what it gives."""
    found, seconds = run(), []
    for _ in range(rounds):
        began = time.process_time()
        found = run()
        seconds.append(time.process_time() - began)
    return min(seconds), found


def measure(folder: str, precision: str, windows: list[Audio], rounds: int) -> str:
    """A row of the table."""
    import ctranslate2

    from aligner.models import load_model

    model: Any = load_model(folder, dtype=precision, threads=1)
    with readable(folder) as whole:
        peer = ctranslate2.models.Whisper(whole, device="cpu", compute_type=precision, intra_threads=1)
    features = np.stack([model._features(window).numpy().T for window in windows])
    view = ctranslate2.StorageView.from_array(np.ascontiguousarray(features))
    prompt = [model.prompt("en")] * len(windows)
    encode, states = spent(lambda: model.encode_all(windows), rounds)
    decode, texts = spent(lambda: model.transcribe(states, "en"), rounds)
    their_encode, encoded = spent(lambda: peer.encode(view), rounds)
    their_decode, found = spent(lambda: peer.generate(encoded, prompt, beam_size=1, return_scores=True), rounds)
    same = sum(list(a.ids) == list(b.sequences_ids[0]) for a, b in zip(texts, found, strict=True))
    seconds = " | ".join(f"{part:.2f}" for part in (encode, decode, their_encode, their_decode))
    return f"| {Path(folder).name} | {precision} | {seconds} | {same} of {len(windows)} |"


@click.command()
@click.argument("audio", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", "models", multiple=True, required=True, help="A CTranslate2 folder; repeatable.")
@click.option("--windows", default=2, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(audio: Path, models: tuple[str, ...], windows: int, rounds: int) -> None:
    """Print CPU seconds of both engines."""
    samples, size = samples_of(audio), round(SECONDS * RATE)
    parts = [Audio(samples[k * size : (k + 1) * size], RATE) for k in range(windows) if k * size < len(samples)]
    click.echo(f"{machine()}\nCPU s, {len(parts)} windows; least of {rounds} rounds\n")
    click.echo(
        "| | precision | encode | decode | CTranslate2: encode | decode | same tokens |\n|---|---|---|---|---|---|---|"
    )
    for folder in models:
        for precision in ("float32", "int8"):
            click.echo(measure(folder, precision, parts, rounds))


if __name__ == "__main__":
    main()
