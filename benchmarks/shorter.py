"""What a short recording loses where the encoder hears no full window: `python -m benchmarks.shorter MANIFEST ...`.

The encoder was trained on windows of 30 s, and hears one for each recording, most of it silence. Two ways to spend less
are tried on every utterance of the manifests (from `align-eval prepare`): a window that ends some seconds after the
recording; and a full window that several recordings share, a second of silence between them, each decoded from the
frames of its own stretch. Words are those recognised, times those of the given text, as in `benchmarks.precision`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch

from aligner.core import Audio
from aligner.models.base import Encoded
from aligner.models.features import log_mel
from aligner.models.load import open_checkpoint
from aligner.models.whisper import WhisperModel
from aligner.timing.settings import Settings
from benchmarks.contenders import machine
from benchmarks.precision import Parts, beside, drawn, judge
from benchmarks.recognition import RATE
from eval.manifest import Utterance, load_audio

GAP = 1.0  # seconds of silence between recordings that share a window
FULL = "30 s"


class Shorter(WhisperModel):
    """A window that ends so many seconds after the audio."""

    spare = 2.0

    def _features(self, audio: Audio) -> torch.Tensor:
        length = min(self.window, audio.duration + self.spare)
        length = round(length / self.frame_duration) * self.frame_duration  # whole frames of the encoder
        samples = torch.zeros(max(round(length * RATE), len(audio.samples)))
        samples[: len(audio.samples)] = torch.from_numpy(audio.samples.copy())
        return log_mel(samples, self._filters)


class Shared(WhisperModel):
    """A window that is filled with other recordings, `others`, before and after the audio."""

    others: Sequence[np.ndarray] = ()

    def _encoded(self, audio: Sequence[Audio]) -> list[Encoded]:
        return [self._beside(one) for one in audio]

    def _beside(self, audio: Audio) -> Encoded:
        gap = np.zeros(round(GAP * RATE), np.float32)
        room = round(self.window * RATE) - len(audio.samples) - len(gap)
        before: list[np.ndarray] = []
        after: list[np.ndarray] = []
        for k, other in enumerate(self.others):
            if len(other) + len(gap) <= room:
                room -= len(other) + len(gap)
                (before if k % 2 else after).extend((other, gap))
        joined = np.concatenate([np.zeros(0, np.float32), *before])
        joined = joined[: len(joined) // 320 * 320]  # starts on a frame
        first = len(joined) // 320
        whole = super()._encoded([Audio(np.concatenate([joined, audio.samples, gap, *after]), RATE)])[0]
        frames = self._real_frames(audio.duration)
        real = -(-len(audio.samples) // 160)
        states = whole.states[first : first + frames + round(GAP / self.frame_duration)]
        layers = tuple(layer[first : first + frames] for layer in whole.layers)
        return Encoded(whole.features[2 * first : 2 * first + real], states, layers, audio.duration, audio.samples)


def measure(model: WhisperModel, chosen: Sequence[Utterance]) -> tuple[Parts, list[np.ndarray]]:
    """What `benchmarks.precision` measures of each utterance; and the edges in seconds."""
    settings, found, times = Settings(language="en"), Parts(), []
    every = [load_audio(utterance, RATE).samples for utterance in chosen]
    for k, utterance in enumerate(chosen):
        if isinstance(model, Shared):
            model.others = [every[(k + step) % len(every)] for step in range(1, min(20, len(every)))]
        times.append(judge(model, settings, utterance, Audio(every[k], RATE), found))
    return found, times


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="embedded", show_default=True)
@click.option("--spare", default="2,5", show_default=True, help="Seconds of silence after a recording, with commas.")
@click.option("--most", type=int, help="Utterances of each manifest, drawn at random; all by default.")
@click.option("--shared/--no-shared", default=True, show_default=True)
def main(manifests: tuple[Path, ...], model: str, spare: str, most: int | None, shared: bool) -> None:
    """Print words, times and CPU seconds with a full window, shorter ones and a shared one."""
    torch.set_num_threads(1)
    checkpoint, device = open_checkpoint(model), torch.device("cpu")
    roads: dict[str, WhisperModel] = {FULL: WhisperModel(checkpoint, device, torch.float32)}
    for seconds in spare.split(","):
        short = Shorter(checkpoint, device, torch.float32)
        short.spare = float(seconds)
        roads[f"{seconds} s after it"] = short
    if shared:
        roads["shared"] = Shared(checkpoint, device, torch.float32)
    click.echo(f"{machine()}\n")
    click.echo(
        f"| {Path(model).name} | window | utterances | words wrong % | more than with {FULL} | edges from those of "
        f"{FULL}, ms: mean, 95 % | from the gold, ms | CPU s recognised |"
    )
    click.echo("|---" * 8 + "|")
    for manifest in manifests:
        chosen = drawn(manifest, most)
        first: tuple[Parts, list[np.ndarray]] | None = None
        for name, road in roads.items():
            found = measure(road, chosen)
            first = first or found
            click.echo(f"| {manifest.stem} | {name} | {beside(first, found, chosen)} |")


if __name__ == "__main__":
    main()
