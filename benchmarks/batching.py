"""Whether computing several windows together pays: `python -m benchmarks.batching`.

CPU milliseconds a window of the three parts of a model, for batches of growing
size, one thread: the encoder, one teacher-forced pass of the decoder, and
greedy decoding. All windows are the same clip, so no padding is at work.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import click

from benchmarks.contenders import clip, machine

BATCHES = (1, 2, 4, 8)


def parts(model: Any, seconds: float, steps: int) -> dict[str, Callable[[int], object]]:
    """What to run, by name, for a number of windows."""
    import torch

    from aligner.models.decode import greedy

    audio, text = clip(seconds)
    encoded, tokens = model.encode(audio), model.tokenize(text)
    features = encoded.features[None]

    def decode(count: int) -> object:
        with torch.inference_mode():
            return model.token_log_probs(encoded.states[None].expand(count, -1, -1), tokens, "en")

    def transcribe(count: int) -> object:
        with torch.inference_mode():
            memory = model.network.decoder.memory(encoded.states[None].expand(count, -1, -1))
            return greedy(model.network, memory, model.prompt("en"), replace(model.rules, limit=steps))

    def encode(count: int) -> object:
        with torch.inference_mode():
            return model.encode_features(features.expand(count, -1, -1))

    return {"encoder": encode, f"forced pass, {len(tokens)} tokens": decode, f"greedy, {steps} tokens": transcribe}


def measure(run: Callable[[int], object], rounds: int) -> list[float]:
    """Median CPU milliseconds a window for each size of batch, which take turns."""
    spent: dict[int, list[float]] = {count: [] for count in BATCHES}
    for number in range(rounds + 1):
        for count, found in spent.items():
            began = time.process_time()
            run(count)
            if number:  # the first warms up
                found.append((time.process_time() - began) / count * 1000)
    return [median(found) for found in spent.values()]


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--steps", default=20, show_default=True, help="Tokens to decode greedily.")
@click.option("--sizes", default="embedded,tiny", show_default=True, help="embedded, or OpenAI's shapes.")
@click.option("--seconds", default="3,12", show_default=True, help="Lengths of a window.")
def main(rounds: int, steps: int, sizes: str, seconds: str) -> None:
    """Print CPU milliseconds a window."""
    from aligner.models import load_model
    from benchmarks.peers import random_checkpoint

    click.echo(f"{machine()}\nCPU ms a window, median of {rounds} rounds\n")
    click.echo(f"| model | window | part | {' | '.join(f'batch {count}' for count in BATCHES)} |")
    click.echo("|---|---|---|" + "---|" * len(BATCHES))
    with tempfile.TemporaryDirectory() as work:
        for size in sizes.split(","):
            name = size if size == "embedded" else str(random_checkpoint(Path(work) / size, size))
            model = load_model(name, threads=1)
            for length in map(float, seconds.split(",")):
                for part, run in parts(model, length, steps).items():
                    cells = " | ".join(f"{value:.1f}" for value in measure(run, rounds))
                    click.echo(f"| {size} | {length:g} s | {part} | {cells} |")


if __name__ == "__main__":
    main()
