"""Speed and memory at scale, on identical weights: `python -m benchmarks.throughput`.

Every tool times the words of the same given text in the same windows of 28 s
(and in 1 000 short files of 3 s), on one random checkpoint of Whisper's tiny
or base shape, with one CPU thread, in a process of its own. With a given text
all do the same work whatever the weights. Printed for each: CPU seconds, CPU
seconds a second of audio, peak memory. stable-ts times words with the same
`find_alignment` as openai-whisper, so it is not listed apart.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

RATE, WINDOW, SHORT = 16_000, 28.0, 3.0
TEXT = "we walked along the harbour in the morning and counted every boat that came home before the rain " * 3
SHORT_TEXT = "we walked along the harbour"
TOOLS = ("aligner", "aligner bfloat16", "openai-whisper", "faster-whisper")


def clips(minutes: float, short_files: int) -> Iterator[tuple[NDArray[np.float32], str]]:
    """Windows of noise bursts and their text, made when they are needed."""
    rng = np.random.default_rng(0)
    seconds = [SHORT] * short_files or [WINDOW] * max(1, round(minutes * 60 / WINDOW))
    for length in seconds:
        samples = 0.1 * rng.normal(size=round(length * RATE))
        yield samples.astype(np.float32), SHORT_TEXT if short_files else TEXT


def aligner_tool(folder: Path, dtype: str = "float32") -> Callable[[NDArray[np.float32], str], Any]:
    """Encoder, one forced pass, aggregation, path and words, as `align` runs them."""
    import aligner
    from aligner.core import Audio
    from aligner.pipeline import choose
    from aligner.window import align_window

    model = aligner.load_model(str(folder), threads=1, dtype=dtype)
    settings = choose("openai", confidence=False)

    def run(samples: NDArray[np.float32], text: str) -> Any:
        return align_window(model, model.encode(Audio(samples, RATE)), text, settings, "en")

    return run


def openai_tool(folder: Path) -> Callable[[NDArray[np.float32], str], Any]:
    """openai-whisper's `find_alignment`, which encodes too."""
    import torch
    import whisper
    from whisper.timing import find_alignment

    from benchmarks.peers import openai_model, openai_tokenizer

    torch.set_num_threads(1)
    model, tokenizer = openai_model(folder), openai_tokenizer(folder)

    def run(samples: NDArray[np.float32], text: str) -> Any:
        mel = whisper.log_mel_spectrogram(torch.from_numpy(samples), padding=whisper.audio.N_SAMPLES)
        padded = whisper.pad_or_trim(mel, whisper.audio.N_FRAMES)
        return find_alignment(model, tokenizer, tokenizer.encode(" " + text), padded, len(samples) // 160)

    return run


def faster_tool(folder: Path) -> Callable[[NDArray[np.float32], str], Any]:
    """faster-whisper's encoder and `find_alignment`, float32."""
    from faster_whisper import WhisperModel
    from faster_whisper.audio import pad_or_trim
    from faster_whisper.tokenizer import Tokenizer

    from benchmarks.peers import ct2_folder

    model = WhisperModel(str(ct2_folder(folder, folder.parent / "ct2")), compute_type="float32", cpu_threads=1)
    tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language="en")

    def run(samples: NDArray[np.float32], text: str) -> Any:
        features = model.feature_extractor(samples)
        encoded = model.encode(pad_or_trim(features))
        return model.find_alignment(tokenizer, [tokenizer.encode(" " + text)], encoded, features.shape[-1])

    return run


def measure(tool: str, folder: Path, minutes: float, short_files: int) -> dict[str, float]:
    """Run one tool in this process.

    Returns
    -------
    dict
        "cpu" seconds, "audio" seconds, "memory" in MiB at its highest.
    """
    name, _, dtype = tool.partition(" ")
    make: dict[str, Callable[[], Any]] = {
        "aligner": lambda: aligner_tool(folder, dtype or "float32"),
        "openai-whisper": lambda: openai_tool(folder),
        "faster-whisper": lambda: faster_tool(folder),
    }
    run = make[name]()
    warm, text = next(clips(0, 1))
    run(warm, text)
    began, seconds = time.process_time(), 0.0
    for samples, text in clips(minutes, short_files):
        run(samples, text)
        seconds += len(samples) / RATE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": time.process_time() - began, "audio": seconds, "memory": peak}


@click.command()
@click.option("--size", type=click.Choice(["tiny", "base"]), default="tiny", show_default=True)
@click.option("--minutes", default="1,10,60", show_default=True, help="Lengths of audio.")
@click.option("--files", default=1000, show_default=True, help="Short files.")
@click.option("--tools", default=",".join(TOOLS), show_default=True)
@click.option("--one", nargs=4, type=str, hidden=True, help="TOOL FOLDER MINUTES FILES: one measurement as JSON.")
def main(size: str, minutes: str, files: int, tools: str, one: tuple[str, str, str, str] | None) -> None:
    """Print a table of CPU seconds, real-time factors and peak memory."""
    if one:
        tool, folder, length, count = one
        click.echo(json.dumps(measure(tool, Path(folder), float(length), int(count))))
        return
    from benchmarks.peers import random_checkpoint

    loads = [(f"{length} min", length, "0") for length in minutes.split(",")]
    loads += [(f"{files} files", "0", str(files))] if files else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as place:
        folder = random_checkpoint(Path(place) / "model", size, alignment_heads=[[1, 0], [1, 1], [2, 0], [3, 1]])
        click.echo(f"{'load':12}{'tool':20}{'CPU s':>9}{'CPU s / s':>12}{'MiB':>8}")
        for label, length, count in loads:
            for tool in tools.split(","):
                command = [sys.executable, "-m", "benchmarks.throughput", "--one", tool, str(folder), length, count]
                done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
                if done.returncode:
                    click.echo(f"{label:12}{tool:20} failed: {done.stderr.strip().splitlines()[-1]}")
                    continue
                found = json.loads(done.stdout.splitlines()[-1])
                factor = found["cpu"] / found["audio"]
                click.echo(f"{label:12}{tool:20}{found['cpu']:9.1f}{factor:12.4f}{found['memory']:8.0f}")


if __name__ == "__main__":
    main()
