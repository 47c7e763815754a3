"""What it costs to leave out most of the silence after a recording: `python -m benchmarks.silence MANIFEST ...`.

Every utterance of the manifests (from `align-eval prepare`) is recognised, and aligned to its text, with all of the
silence that fills its window encoded and with one frame of several (`aligner.models.silence`). Words are those
recognised, times those of the given text, as in `benchmarks.precision`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch

from aligner.core import Audio
from aligner.models.load import open_checkpoint
from aligner.models.silence import Thinned
from aligner.models.whisper import WhisperModel
from aligner.timing.settings import Settings
from benchmarks.contenders import machine
from benchmarks.precision import Parts, beside, drawn, judge
from benchmarks.recognition import RATE
from eval.manifest import load_audio


class Whole(WhisperModel):
    """Every frame of a window."""

    def _silence(self, rows: Sequence[int], window: int) -> Thinned | None:
        return None


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="embedded", show_default=True)
@click.option("--most", type=int, help="Utterances of each manifest, drawn at random; all by default.")
def main(manifests: tuple[Path, ...], model: str, most: int | None) -> None:
    """Print words, times and CPU seconds with all of the silence and without most of it."""
    torch.set_num_threads(1)
    checkpoint, settings = open_checkpoint(model), Settings(language="en", confidence=False)
    kinds = {"whole": Whole, "thinned": WhisperModel}
    roads = {name: kind(checkpoint, torch.device("cpu"), torch.float32) for name, kind in kinds.items()}
    click.echo(f"{machine()}\n")
    click.echo(
        f"| {Path(model).name} | silence | utterances | words wrong % | more than whole | edges from those of whole, "
        "ms: mean, 95 % | from the gold, ms | CPU s recognised | CPU s, text given |"
    )
    click.echo("|---" * 9 + "|")
    for manifest in manifests:
        chosen = drawn(manifest, most)
        first: tuple[Parts, list[np.ndarray]] | None = None
        for name, road in roads.items():
            parts: Parts = {}
            audio = (Audio(load_audio(utterance, RATE).samples, RATE) for utterance in chosen)
            times = [judge(road, settings, *pair, parts) for pair in zip(chosen, audio, strict=True)]
            first = first or (parts, times)
            cells = beside(first, (parts, times), chosen)
            click.echo(f"| {manifest.stem} | {name} | {cells} | {sum(parts['aligned']):.1f} |")


if __name__ == "__main__":
    main()
