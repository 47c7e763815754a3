"""Every tool that times the words of a given text, on the same weights, in processes of their own that take turns.

The unit of work is one clip (audio and transcript) of a given length, aligned
again and again. All processes are alive at once and take turns, so that a busy
machine slows all of them alike. CPU time is what a process spends (user and
system) from the samples to the times of the words, loading left out. Random
weights say nothing of accuracy, but cost what trained ones do.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from aligner.core import Audio

RATE = 16_000
SAMPLES = Path(__file__).parents[1] / "data" / "samples"
Align = Callable[[], object]


class Turn(NamedTuple):
    """What one alignment took: CPU seconds, and the most MiB the process has held until then."""

    cpu: float
    peak: float


def pieces(seconds: float) -> Iterator[tuple[NDArray[np.float32], list[str]]]:
    """The sample recordings one after another, cut to a length in all, each with the words that are whole in it."""
    from aligner.audio.read import read_audio
    from aligner.textgrid import read_words

    for path in itertools.cycle(sorted(SAMPLES.glob("*.flac"))):
        samples = read_audio(path, RATE).samples[: round(seconds * RATE)]
        words = read_words(path.with_suffix(".TextGrid"))
        yield samples, [word.text for word in words if word.end <= seconds]
        seconds -= len(samples) / RATE
        if round(seconds * RATE) <= 0:
            return


def clip(seconds: float) -> tuple[Audio, str]:
    """The pieces of a length as one recording, and its transcript."""
    samples, words = zip(*pieces(seconds), strict=True)
    return Audio(np.concatenate(samples), RATE), " ".join(itertools.chain(*words))


# --- the tools -----------------------------------------------------------------------------


def _whisper(find: Callable[..., object]) -> Callable[[Path, Audio, str], Align]:
    """A function with the arguments of openai-whisper's `find_alignment`, which encodes too."""

    def make(folder: Path, audio: Audio, text: str) -> Align:
        import whisper

        from benchmarks.peers import openai_model, openai_tokenizer

        model, tokenizer = openai_model(folder), openai_tokenizer(folder)
        ids = tokenizer.encode(" " + text)

        def align() -> object:
            mel = whisper.pad_or_trim(whisper.log_mel_spectrogram(audio.samples.copy(), padding=480000), 3000)
            return find(model, tokenizer, ids, mel, len(audio.samples))

        return align

    return make


def _find_alignment(model: Any, tokenizer: Any, ids: list[int], mel: Any, samples: int) -> object:
    from whisper.timing import find_alignment

    return find_alignment(model, tokenizer, ids, mel, samples // 160)


def _find_alignment_stable(model: Any, tokenizer: Any, ids: list[int], mel: Any, samples: int) -> object:
    from aligner.guard import import_torchaudio

    import_torchaudio()
    from stable_whisper.timing import find_alignment_stable

    return find_alignment_stable(model, tokenizer, ids, mel, samples)


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
    return folder.with_name(f"{folder.name}-ctranslate2")


def _ours(folder: Path, audio: Audio, text: str, dtype: str = "float32", confidence: bool = False) -> Align:
    from aligner.models import load_model
    from aligner.timing.settings import choose
    from aligner.timing.window import align_window

    model = load_model(str(folder), dtype=dtype, threads=1)
    settings = choose("openai", language="en", confidence=confidence)
    return lambda: align_window(model, model.encode(audio), text, settings, "en")


def _transcribe(folder: Path, audio: Audio, text: str, align: bool = False) -> Align:
    """Greedy decoding of as many tokens as the transcript has; then the alignment of the transcript."""
    from aligner.models import load_model
    from aligner.models.decode import greedy
    from aligner.timing.settings import choose
    from aligner.timing.window import align_window

    model: Any = load_model(str(folder), threads=1)
    settings = choose("openai", language="en", confidence=False)
    rules = replace(model.rules, limit=len(model.tokenize(text)))  # random weights never end a text

    def run() -> object:
        encoded = model.encode(audio)
        memory = model.network.decoder.memory(encoded.states[None])
        found = greedy(model.network, memory, model.prompt("en"), rules)
        return align_window(model, encoded, text, settings, "en") if align else found

    return run


REFERENCE = "openai-whisper find_alignment"
STABLE = "stable-ts find_alignment_stable"
EAGER = "transformers, all eager"
FASTER = "faster-whisper find_alignment, float32"
OURS = "this tool, float32"
SURE = "this tool, float32, with word probabilities"
HALF = "this tool, bfloat16"
TRANSCRIBE = "this tool, transcription only"
BOTH = "this tool, transcription and alignment"

CONTENDERS: dict[str, Callable[[Path, Audio, str], Align]] = {
    REFERENCE: _whisper(_find_alignment),
    STABLE: _whisper(_find_alignment_stable),
    EAGER: _eager,
    FASTER: _faster_whisper,
    OURS: _ours,
    SURE: lambda *given: _ours(*given, confidence=True),
    HALF: lambda *given: _ours(*given, dtype="bfloat16"),
    TRANSCRIBE: _transcribe,
    BOTH: lambda *given: _transcribe(*given, align=True),
}


# --- their turns ---------------------------------------------------------------------------


def peak_memory() -> float:
    """Most MiB that this process has held; what its parent held before it started does not count."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(name: str, folder: Path, seconds: float) -> None:
    """One contender: aligns once for every line read, and writes its `Turn`."""
    align = CONTENDERS[name](folder, *clip(seconds))
    align()  # compilers and allocators warm up
    print("ready", flush=True)
    for _ in sys.stdin:
        before = resource.getrusage(resource.RUSAGE_SELF)
        align()
        after = resource.getrusage(resource.RUSAGE_SELF)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(json.dumps([spent, peak_memory()]), flush=True)


def take_turns(names: Iterable[str], folder: Path, seconds: float, count: int) -> dict[str, list[Turn]]:
    """Every contender aligns a clip `count` times, one alignment a turn.

    Parameters
    ----------
    names : iterable of str
        In `CONTENDERS`.
    folder : Path
        A transformers folder.
    seconds : float
        Length of the clip.
    count : int

    Raises
    ------
    click.ClickException
        A contender stopped.
    """
    from benchmarks.peers import ct2_folder

    if not _converted(folder).exists():
        ct2_folder(folder, _converted(folder))  # here, so that its memory counts for no one
    command = [sys.executable, "-m", "benchmarks.contenders"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    running = {
        name: subprocess.Popen(
            [*command, name, str(folder), str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for name in names
    }  # fmt: skip
    found: dict[str, list[Turn]] = {name: [] for name in running}

    def answer(name: str) -> str:
        line = running[name].stdout.readline().strip()  # type: ignore[union-attr]
        if not line:
            raise click.ClickException(f"{name} stopped; its message is above")
        return line

    try:
        for name in running:
            answer(name)
        for _ in range(count):
            for name, process in running.items():
                process.stdin.write("\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
                found[name].append(Turn(*json.loads(answer(name))))
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    return found


# --- the machine ---------------------------------------------------------------------------


def machine() -> str:
    """The processor and what it does at once, how busy it is, and the versions of the tools."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags", "").split()
    wide = [name for flag, name in (("avx2", "AVX2"), ("avx512f", "AVX512"), ("avx512_bf16", "AVX512-BF16"),
                                    ("amx_bf16", "AMX")) if flag in flags]  # fmt: skip
    tools = ("torch", "transformers", "ctranslate2", "openai-whisper", "faster-whisper", "stable-ts")
    return (
        f"{facts.get('model name', platform.machine())} ({', '.join(wide)}), {os.cpu_count()} processors, "
        f"on average {os.getloadavg()[0]:.1f} programs running when this began; one thread a tool\n"
        f"{', '.join(f'{tool} {version(tool)}' for tool in tools)}"
    )


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
