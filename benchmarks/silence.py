"""What it costs to leave out most of the silence after a recording: `python -m benchmarks.silence MANIFEST ...`.

Every utterance of the manifests (from `align-eval prepare`) is recognised, and aligned to its text, with all of the
silence that fills its window encoded and with one frame of several (`aligner.models.silence`). Words are those
recognised, times those of the given text, as in `benchmarks.precision`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
import torch

from aligner.models.load import open_checkpoint
from aligner.models.silence import Thinned
from aligner.models.whisper import WhisperModel
from benchmarks.precision import compare


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
    checkpoint = open_checkpoint(model)
    kinds = {"whole": Whole, "thinned": WhisperModel}
    ways = {name: partial(kind, checkpoint, torch.device("cpu"), torch.float32) for name, kind in kinds.items()}
    compare(Path(model).name, "silence", ways, manifests, most)


if __name__ == "__main__":
    main()
