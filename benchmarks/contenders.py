"""Every tool that times words, on the same weights, in processes of their own that take turns.

All processes are alive at once and take turns, so that a busy machine slows all of them alike. CPU time is what a
process spends (user and system) from the samples to the times of the words, loading left out; for a cold command, all
that a process of its own spends. Everybody decodes greedily, without second tries at other temperatures, but for the
line that says otherwise.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from aligner.core import Audio

RATE = 16_000
SAMPLES = Path(__file__).parents[1] / "data" / "samples"
Run = Callable[[NDArray[np.float32], str | None], object]  # samples, and the text where it is given


class Turn(NamedTuple):
    """What one run took: CPU and wall seconds, and the most MiB the process has held until then."""

    cpu: float
    wall: float
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


def _ours(folder: str, threads: int, dtype: str) -> Run:
    from aligner.models import load_model
    from aligner.pipeline import align_audio
    from aligner.timing.settings import Settings

    model, settings = load_model(folder, dtype=dtype, threads=threads), Settings(language="en")
    return lambda samples, text: align_audio(model, Audio(samples, RATE), text, settings)


def _encoder(folder: str, threads: int) -> Run:
    """The least that any tool has to do: the encoder on one window after another."""
    from aligner.models import load_model

    model = load_model(folder, threads=threads)
    size = round(model.window * RATE)
    return lambda samples, _: [model.encode(Audio(samples[k : k + size], RATE)) for k in range(0, len(samples), size)]


def _faster_whisper(folder: str, threads: int, compute: str, **options: Any) -> Run:
    from faster_whisper import WhisperModel

    from benchmarks.recognition import readable

    with readable(folder) as whole:
        model = WhisperModel(whole, device="cpu", compute_type=compute, cpu_threads=threads)
    return lambda samples, _: list(model.transcribe(samples, language="en", word_timestamps=True, **options)[0])


def _torch(folder: str, threads: int) -> Any:
    """openai-whisper's model, which two more tools build upon."""
    import torch

    from benchmarks.peers import openai_model

    torch.set_num_threads(threads)
    return openai_model(folder)


def _openai(folder: str, threads: int) -> Run:
    import whisper

    model = _torch(folder, threads)
    return lambda samples, _: whisper.transcribe(
        model, samples, language="en", word_timestamps=True, temperature=0.0, fp16=False,
        condition_on_previous_text=False,
    )  # fmt: skip


def _timestamped(folder: str, threads: int) -> Run:
    import whisper_timestamped

    model = _torch(folder, threads)
    return lambda samples, _: whisper_timestamped.transcribe(
        model, samples, language="en", temperature=0.0, fp16=False, condition_on_previous_text=False
    )


def _stable(folder: str, threads: int) -> Run:
    from aligner.guard import import_torchaudio

    import_torchaudio()
    import stable_whisper

    model = _torch(folder, threads)
    stable_whisper.modify_model(model)

    def run(samples: NDArray[np.float32], text: str | None) -> object:
        if text is not None:
            return model.align(samples, text, language="en", verbose=None)
        return model.transcribe(
            samples, language="en", temperature=0.0, fp16=False, condition_on_previous_text=False, verbose=None
        )

    return run


GREEDY: dict[str, Any] = {"beam_size": 1, "temperature": 0.0, "condition_on_previous_text": False}
FASTER = "faster-whisper, float32"
ENCODER = "the encoder alone, float32"
OURS = "align, float32"
STABLE = "stable-ts"

TOOLS: dict[str, Callable[[str, int], Run]] = {
    OURS: lambda folder, threads: _ours(folder, threads, "float32"),
    "align, bfloat16": lambda folder, threads: _ours(folder, threads, "bfloat16"),
    "align, int8": lambda folder, threads: _ours(folder, threads, "int8"),
    FASTER: lambda folder, threads: _faster_whisper(folder, threads, "float32", **GREEDY),
    "faster-whisper, int8": lambda folder, threads: _faster_whisper(folder, threads, "int8", **GREEDY),
    "faster-whisper, float32, its defaults (beam of 5)": lambda f, threads: _faster_whisper(f, threads, "float32"),
    "openai-whisper": _openai,
    "whisper-timestamped": _timestamped,
    STABLE: _stable,
    ENCODER: _encoder,
}
RECOGNISE = tuple(name for name in TOOLS if name != ENCODER)
GIVEN = (OURS, "align, bfloat16", "align, int8", STABLE, ENCODER)


# --- their turns ---------------------------------------------------------------------------


def peak_memory() -> float:
    """Most MiB that this process has held; what its parent held before it started does not count."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _spent() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, time.monotonic()


def samples_of(audio: Path) -> NDArray[np.float32]:
    """A recording at the rate that all tools take."""
    from aligner.audio.read import read_audio

    return read_audio(audio, RATE).samples.copy()


def serve(name: str, folder: str, threads: int) -> None:
    """One contender: for every line read, a list of audio files and a text or null, it runs and writes a `Turn`."""
    run = TOOLS[name](folder, threads)
    print("ready", flush=True)
    for line in sys.stdin:
        files, text = json.loads(line)
        heard = [samples_of(Path(file)) for file in files]
        before = _spent()
        for samples in heard:
            run(samples, text)
        print(json.dumps([b - a for a, b in zip(before, _spent(), strict=True)] + [peak_memory()]), flush=True)


def _environment(threads: int) -> dict[str, str]:
    count = str(threads)
    return {
        **os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "NUMBA_NUM_THREADS": count,
        "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip


def take_turns(
    names: Iterable[str], folder: str, files: list[str], text: str | None, rounds: int, threads: int = 1
) -> dict[str, list[Turn]]:
    """Every contender does the same work once a round; a first round warms up and does not count.

    Parameters
    ----------
    names : iterable of str
        In `TOOLS`.
    folder : str
        A CTranslate2 folder.
    files : list of str
        Recordings, one after another in a turn.
    text : str or None
        Their transcript, which is recognised when None.
    rounds, threads : int

    Raises
    ------
    click.ClickException
        A contender stopped.
    """
    command = [sys.executable, "-m", "benchmarks.contenders"]
    running = {
        name: subprocess.Popen(
            [*command, name, folder, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=_environment(threads),
        )
        for name in names
    }  # fmt: skip
    found: dict[str, list[Turn]] = {name: [] for name in running}

    def answer(name: str) -> str:
        line = running[name].stdout.readline().strip()  # type: ignore[union-attr]
        if not line:
            raise click.ClickException(f"{name} stopped: try python -m benchmarks.contenders {name!r} {folder} 1")
        return line

    try:
        for name in running:
            answer(name)
        for number in range(rounds + 1):
            for name, process in running.items():
                process.stdin.write(json.dumps([files, text]) + "\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
                turn = Turn(*json.loads(answer(name)))
                if number:
                    found[name].append(turn)
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    return found


def measured(command: list[str], threads: int = 1, folder: Path | None = None, given: str = "") -> Turn:
    """All that a command spends in a process of its own.

    Raises
    ------
    click.ClickException
        It failed; its messages are in the exception.
    """
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as asked:
        asked.write(given)
        asked.seek(0)
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, stdin=asked, stdout=said, stderr=said, env=_environment(threads)
        )  # outputs carry no colour and no progress bar when nobody watches
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        said.seek(0)
        if status:
            raise click.ClickException(f"{' '.join(command)} failed: {said.read().strip()[-500:]}")
    return Turn(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def cold(name: str, folder: str, audio: str, text: str | None, threads: int = 1) -> Turn:
    """A tool from its start to the words of one recording; `align` is the command itself, and writes its files."""
    if not name.startswith("align"):
        command = [sys.executable, "-m", "benchmarks.contenders", name, folder, str(threads)]
        return measured(command, threads, given=json.dumps([[audio], text]) + "\n")
    with tempfile.TemporaryDirectory() as place:
        command = [
            sys.executable, "-m", "aligner", audio, "--model", folder, "--language", "en", "--dtype",
            name.split(", ")[1], "--threads", str(threads), "-q", "-o", f"{place}/out.TextGrid",
        ]  # fmt: skip
        if text is not None:
            (Path(place) / "text.txt").write_text(text, encoding="utf-8")
            command += ["--text", f"{place}/text.txt"]
        return measured(command, threads)


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
    tools = ("torch", "ctranslate2", "openai-whisper", "faster-whisper", "whisper-timestamped", "stable-ts")
    return (
        f"{facts.get('model name', platform.machine())} ({', '.join(wide)}), {os.cpu_count()} processors, "
        f"on average {os.getloadavg()[0]:.1f} programs running when this began\n"
        f"{', '.join(f'{tool} {version(tool)}' for tool in tools)}"
    )


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
