"""Cost of saliency: `python -m benchmarks.saliency AUDIO --text TEXT`.

Prints, for each method on one CPU thread, the masks per second, the masks and
seconds to a split-half correlation of .95, and how much cheaper a mask is than
the plain way: one float32 forward pass per mask over the recording padded to a
whole model window. Seconds are of processor time, so other work on the machine does
not count. Where reaching .95 would take longer than the budget, the masks are
extrapolated with the Spearman-Brown formula and marked "about".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch

from aligner.audio.read import read_audio
from aligner.core import Tokens
from aligner.errors import AlignerError
from aligner.models import Encoded, load_model
from aligner.models.features import padding_value
from aligner.saliency import compute
from aligner.text.transcript import find_transcript

RANDOM = ("encoder", "strips", "spes:code", "spes:paper")
REPEATS = 5  # padded passes timed; the fastest counts


@dataclass(frozen=True)
class Cost:
    """What a method costs on one recording.

    Attributes
    ----------
    method : str
    masks : int
        Drawn to measure the speed.
    seconds : float
        For those.
    convergence : float
        Split-half correlation that they reach.
    needed : int
        Masks to the threshold.
    needed_seconds : float
    measured : bool
        Whether `needed` was drawn, not extrapolated.
    """

    method: str
    masks: int
    seconds: float
    convergence: float
    needed: int
    needed_seconds: float
    measured: bool

    @property
    def per_mask(self) -> float:
        """Seconds."""
        return self.seconds / self.masks


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """A result and the seconds of processor time it took."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def padded_pass(model: Any, encoded: Encoded, tokens: Tokens) -> float:
    """Seconds of encoder and decoder over the recording padded to a whole window, one mask at a time."""
    frames = round(model.window / model.feature_duration)
    missing = frames - len(encoded.features)
    features = torch.nn.functional.pad(encoded.features, (0, 0, 0, missing), value=padding_value(encoded.features))[
        None
    ]

    def forward() -> None:
        with torch.inference_mode():
            model.token_log_probs(model.encode_features(features), tokens)

    forward()
    return min(timed(forward)[1] for _ in range(REPEATS))


def masks_needed(masks: int, convergence: float, threshold: float) -> int:
    """Masks to a split-half correlation, after Spearman and Brown: the ratio r / (1 - r) grows with the masks.

    Examples
    --------
    >>> masks_needed(100, 0.5, 0.95)
    1900
    """
    return round(masks * threshold * (1 - convergence) / ((1 - threshold) * max(convergence, 1e-6)))


def measure(
    model: Any, encoded: Encoded, tokens: Tokens, method: str, masks: int, threshold: float, budget: float
) -> Cost:
    """Cost of one method."""
    compute(model, encoded, tokens, method, masks=32)  # the first pass allocates
    found, seconds = timed(lambda: compute(model, encoded, tokens, method, masks=masks))
    convergence = float(found.convergence or 0)
    needed = masks_needed(found.masks, convergence, threshold)
    per_mask = seconds / found.masks
    if needed * per_mask > budget:
        return Cost(method, found.masks, seconds, convergence, needed, needed * per_mask, False)
    full, full_seconds = timed(lambda: compute(model, encoded, tokens, method, threshold=threshold))
    reached = float(full.convergence or 0) >= threshold
    return Cost(
        method,
        found.masks,
        seconds,
        convergence,
        full.masks if reached else needed,
        full_seconds if reached else needed * per_mask,
        reached,
    )


def table(costs: Sequence[Cost], padded: float, gradient: float, threshold: float) -> str:
    """Markdown."""
    lines = [
        f"| method | masks per second | split-half at the masks drawn | masks to {threshold:g} "
        f"| seconds to {threshold:g} | cheaper than a padded pass per mask |",
        "|---|---|---|---|---|---|",
    ]
    for cost in costs:
        about = "" if cost.measured else "about "
        lines.append(
            f"| {cost.method} | {1 / cost.per_mask:.0f} | {cost.convergence:.2f} at {cost.masks} "
            f"| {about}{cost.needed} | {about}{cost.needed_seconds:.0f} | {padded / cost.per_mask:.0f} times |"
        )
    lines.append(f"| gradient | no masks | | | {gradient:.1f} | |")
    return "\n".join(lines)


@click.command()
@click.argument("audio", type=click.Path(path_type=Path))
@click.option("-t", "--text", required=True, help="Transcript: a file or the words themselves.")
@click.option("--model", "name", default="embedded", show_default=True, help="Checkpoint.")
@click.option("--dtype", default="float32", show_default=True, help="float32 or bfloat16.")
@click.option("--method", "methods", multiple=True, default=RANDOM, show_default=True, help="Repeatable.")
@click.option("--masks", default=512, show_default=True, help="Masks drawn to measure the speed.")
@click.option("--threshold", default=0.95, show_default=True, help="Split-half correlation to reach.")
@click.option("--budget", default=120.0, show_default=True, help="Most seconds spent on reaching it.")
def main(
    audio: Path,
    text: str,
    name: str,
    dtype: str,
    methods: tuple[str, ...],
    masks: int,
    threshold: float,
    budget: float,
) -> None:
    """Print what saliency of AUDIO costs on one CPU thread."""
    try:
        model: Any = load_model(name, dtype=dtype, threads=1)
        plain: Any = model if dtype == "float32" else load_model(name, threads=1)
        sound = read_audio(audio, model.sample_rate)
        encoded = model.encode(sound)
        tokens = model.tokenize(find_transcript(text, audio).text)
        padded = padded_pass(plain, plain.encode(sound), tokens)
        _, gradient = timed(lambda: compute(model, encoded, tokens, "gradient"))
        costs = [measure(model, encoded, tokens, each, masks, threshold, budget) for each in methods]
    except AlignerError as error:
        raise click.ClickException(str(error)) from None
    click.echo(
        f"{audio.name}: {encoded.duration:.2f} s, {len(tokens)} tokens, model {name} in {dtype}, one thread; "
        f"a float32 pass padded to {model.window:g} s takes {1000 * padded:.0f} ms\n"
    )
    click.echo(table(costs, padded, gradient, threshold))


if __name__ == "__main__":
    main()
