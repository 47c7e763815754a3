"""CPU time and memory of aligning a given transcript, against other tools: `python -m benchmarks.speed`.

Every contender aligns the same clip and transcript with the same random
weights, each in a process of its own on one thread. All processes are alive at
once and take turns, so that a busy machine slows all of them; ratios are
medians over the rounds of ratios within a round. CPU time is what the process
spends (user and system) from the samples to the times of the words, loading
left out. Random weights say nothing of accuracy, but cost what trained ones do.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from aligner.core import Audio

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
REFERENCE = "openai-whisper find_alignment"
OURS = "this tool, float32"
Align = Callable[[], object]


def clip(seconds: float) -> tuple[Audio, str]:
    """The sample recordings one after another, to about a length; their transcripts likewise."""
    from aligner.audio import read_audio

    recordings = [(read_audio(path, 16000), path.with_suffix(".txt")) for path in sorted(SAMPLES.glob("*.flac"))]
    parts: list[Any] = []
    texts: list[str] = []
    while sum(map(len, parts)) < seconds * 16000:
        audio, text = recordings[len(parts) % len(recordings)]
        parts.append(audio.samples)
        texts.append(text.read_text().strip())
    return Audio(np.concatenate(parts)[: round(seconds * 16000)], 16000), " ".join(texts)


def _openai(folder: Path, audio: Audio, text: str) -> Align:
    import whisper
    from whisper.timing import find_alignment

    from benchmarks.peers import openai_model, openai_tokenizer

    model, tokenizer = openai_model(folder), openai_tokenizer(folder)
    ids = tokenizer.encode(" " + text)

    def align() -> object:
        mel = whisper.pad_or_trim(whisper.log_mel_spectrogram(audio.samples.copy(), padding=480000), 3000)
        return find_alignment(model, tokenizer, ids, mel, len(audio.samples) // 160)

    return align


def _eager(folder: Path, audio: Audio, text: str) -> Align:
    """transformers as its documentation has it: one forward pass with all attentions, everything eager."""
    import torch

    from aligner.guard import import_torchaudio

    import_torchaudio()
    import scipy.ndimage
    import transformers
    from dtw import dtw

    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    prompt = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    ids = tokenizer(" " + text, add_special_tokens=False)["input_ids"]
    forced = torch.tensor([[*tokenizer.convert_tokens_to_ids(prompt), *ids, tokenizer.eos_token_id]])
    upper = model.config.decoder_layers // 2

    def align() -> object:
        features = extractor(audio.samples, sampling_rate=16000, return_tensors="pt").input_features
        with torch.inference_mode():
            output = model(features, decoder_input_ids=forced, output_attentions=True)
        weights = torch.cat(output.cross_attentions[upper:]).flatten(0, 1)
        cut = weights[..., : len(audio.samples) // 320].numpy()
        scores = (cut - cut.mean(-2, keepdims=True)) / cut.std(-2, keepdims=True)
        smooth = scipy.ndimage.median_filter(scores, (1, 1, 7), mode="mirror").mean(0)
        return dtw(-smooth[len(prompt) - 1 : -1].astype(np.float64), step_pattern="symmetric1").index2

    return align


def _faster_whisper(folder: Path, audio: Audio, text: str) -> Align:
    import faster_whisper

    model = faster_whisper.WhisperModel(str(_converted(folder)), device="cpu", compute_type="float32", cpu_threads=1)
    tokenizer = faster_whisper.tokenizer.Tokenizer(model.hf_tokenizer, True, task="transcribe", language="en")
    ids = tokenizer.encode(" " + text)

    def align() -> object:
        features = faster_whisper.audio.pad_or_trim(model.feature_extractor(audio.samples))
        return model.find_alignment(tokenizer, [ids], model.encode(features), len(audio.samples) // 160)

    return align


def _converted(folder: Path) -> Path:
    from ctranslate2.converters import TransformersConverter

    from aligner.guard import import_torchaudio

    import_torchaudio()
    target = folder.with_name(folder.name + "-ctranslate2")
    if not target.exists():
        files = ["tokenizer.json", "preprocessor_config.json"]
        TransformersConverter(str(folder), copy_files=files).convert(str(target))
    return target


def _ours(folder: Path, audio: Audio, text: str, dtype: str = "float32", confidence: bool = False) -> Align:
    from aligner.models import load_model
    from aligner.settings import choose
    from aligner.window import align_window

    model = load_model(str(folder), dtype=dtype, threads=1)
    settings = choose("openai", language="en", confidence=confidence)
    return lambda: align_window(model, model.encode(audio), text, settings, "en")


def _transcribe(folder: Path, audio: Audio, text: str, align: bool = False) -> Align:
    """Greedy decoding of as many tokens as the transcript has; then the alignment of the transcript."""
    from aligner.models import load_model
    from aligner.settings import choose
    from aligner.window import align_window

    model: Any = load_model(str(folder), threads=1)
    settings = choose("openai", language="en", confidence=False)
    count, most = len(model.tokenize(text)), model.max_tokens

    def run() -> object:
        encoded = model.encode(audio)
        model.max_tokens = count  # random weights never end a text
        found = model.greedy(encoded.states[None], "en")
        model.max_tokens = most
        return align_window(model, encoded, text, settings, "en") if align else found

    return run


CONTENDERS: dict[str, Callable[[Path, Audio, str], Align]] = {
    REFERENCE: _openai,
    "transformers, all eager": _eager,
    "faster-whisper find_alignment, float32": _faster_whisper,
    OURS: _ours,
    "this tool, float32, with word probabilities": lambda *given: _ours(*given, confidence=True),
    "this tool, bfloat16": lambda *given: _ours(*given, dtype="bfloat16"),
    "this tool, transcription only": _transcribe,
    "this tool, transcription and alignment": lambda *given: _transcribe(*given, align=True),
}


def peak_memory() -> float:
    """Most MiB that this process has held; what its parent held before it started does not count."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(name: str, folder: Path, seconds: float) -> None:
    """One contender: aligns once for every line read, and writes the CPU seconds and the peak memory in MiB."""
    audio, text = clip(seconds)
    align = CONTENDERS[name](folder, audio, text)
    align()  # compilers and allocators warm up
    print("ready", flush=True)
    for _ in sys.stdin:
        before = resource.getrusage(resource.RUSAGE_SELF)
        align()
        after = resource.getrusage(resource.RUSAGE_SELF)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(json.dumps([spent, peak_memory()]), flush=True)


def measure(size: str, rounds: int, seconds: float, work: Path) -> dict[str, list[tuple[float, float]]]:
    """(CPU seconds, peak MiB) of every contender in every round."""
    from benchmarks.peers import random_checkpoint

    folder = random_checkpoint(work / size, size)
    _converted(folder)
    command = [sys.executable, "-m", "benchmarks.speed", "--folder", str(folder), "--seconds", str(seconds), "--serve"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    running = {
        name: subprocess.Popen(
            [*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for name in CONTENDERS
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}

    def answer(name: str) -> str:
        line = running[name].stdout.readline().strip()  # type: ignore[union-attr]
        if not line:
            raise click.ClickException(f"{name} stopped; its message is above")
        return line

    try:
        for name in CONTENDERS:
            answer(name)
        for index in range(rounds):
            for name, process in running.items():
                process.stdin.write("\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
                spent, peak = json.loads(answer(name))
                found[name].append((spent, peak))
            click.echo(f"{size}: round {index + 1} of {rounds}", err=True)
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    return found


def processor() -> str:
    """The CPU's name, and which instructions for bfloat16 it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    flags = facts.get("flags", "").split()
    amx = "with AMX" if "amx_bf16" in flags else "without AMX"
    wide = "with AVX512-BF16" if "avx512_bf16" in flags else "without AVX512-BF16"
    return f"{facts.get('model name', 'unknown CPU').strip()} ({amx}, {wide})"


def ratio(runs: list[tuple[float, float]], others: list[tuple[float, float]]) -> float:
    """Median over the rounds of CPU seconds over another contender's."""
    return median(own / other for (own, _), (other, _) in zip(runs, others, strict=True))


def table(size: str, found: dict[str, list[tuple[float, float]]]) -> str:
    """Markdown: seconds, ratio to the reference, memory."""
    rows = [f"| {size} | CPU s | x {REFERENCE} | peak MiB |", "|---|---|---|---|"]
    for name, runs in found.items():
        seconds, peak = median(spent for spent, _ in runs), max(peak for _, peak in runs)
        rows.append(f"| {name} | {seconds:.3f} | {ratio(runs, found[REFERENCE]):.2f} | {peak:.0f} |")
    return "\n".join(rows)


@click.command()
@click.option("--sizes", default="tiny,base", show_default=True, help="Shapes of OpenAI's checkpoints.")
@click.option("--rounds", default=7, show_default=True)
@click.option("--seconds", default=28.0, show_default=True, help="Length of the clip.")
@click.option("--serve", "contender", hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(sizes: str, rounds: int, seconds: float, contender: str | None, folder: Path | None) -> None:
    """Compare the cost of aligning a given transcript with other tools."""
    if contender is not None and folder is not None:
        serve(contender, folder, seconds)
        return
    click.echo(f"{processor()}; one thread; {seconds:g} s of audio; median of {rounds} rounds\n")
    with tempfile.TemporaryDirectory() as work:
        for size in sizes.split(","):
            found = measure(size, rounds, seconds, Path(work))
            click.echo(table(size, found) + "\n")
            to_peer = ratio(found[OURS], found["faster-whisper find_alignment, float32"])
            added = ratio(found["this tool, transcription and alignment"], found["this tool, transcription only"]) - 1
            click.echo(f"{size}: {to_peer:.2f} x faster-whisper; alignment adds {added:.1%} to transcription\n")


if __name__ == "__main__":
    main()
