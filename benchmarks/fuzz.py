"""Nasty transcripts and damaged recordings: `python -m benchmarks.fuzz`.

Each case is either refused in one sentence or aligned: times inside the
recording, in order and none empty, no word lost or respelled, every format
written and read back. Anything else is a failure: another exception, a crash, a
case that takes too long. Cases run in a process of their own, which is ended
when it does not answer; a sample of them goes through the real command. Each
case follows from the seed and its number, so that a part of them can be run
by itself:

    python -m benchmarks.fuzz --part 3/8
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import multiprocessing.connection
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import click
import numpy as np
import soundfile

import aligner
from aligner.core import Alignment
from aligner.errors import AlignerError
from aligner.models import SpeechModel
from aligner.text.transcript import clean
from aligner.writers import WriterOptions, formats

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
LIMIT = 60  # seconds a case may take
Case = tuple[str, int, int]  # kind, number, seed

SCRIPTS = (
    "the quick brown fox", "Größe façade naïve", "это проверка слов", "这是一个测试", "これはテストです", "한국어 시험",
    "هذا اختبار", "זו בדיקה", "यह एक परीक्षा है", "นี่คือการทดสอบ", "δοκιμή λέξεων", "ທົດສອບ",
)  # fmt: skip
PIECES = (
    "1999", "$3.50", "€1,234,567.89", "12/31/2024", "3:45pm", "50%", "e.g.", "Dr.", "me@example.org",
    "https://a.b/c?d=e", "well-known", "“quoted”", "don’t", "rock'n'roll", "😀", "👩\u200d👩\u200d👧", "🇨🇭",
    "e\u0301te\u0301", "\u200b", "\ufeff", "\u202e", "—", "...", "¿qué?", "½", "²", "№", "A.B.C.", "<|endoftext|>",
    "<|en|>", "<b>", "&amp;", "\\n", "%s", "{}", "NaN", "null", "'", "''", "$$$", "1e309", "0" * 40, "9" * 400,
    "-0.0", "1.2.3.4", "\uffff", "\U000e0041", "3rd", "10:30", "½", "1/0", "31/12/2024", "#1",
    "٣٤", "Ⅷ", "ﬁ", "ß", "İ", "_", "\ufffd", "a" * 300,
)  # fmt: skip
CONTROL = "\x00\x01\x07\x08\x0b\x1b[31m\x7f\x85\u2028\u2029\ud800"


FIRST = {
    "100 000 words": "word " * 100_000, "one long word": "a" * 100_000, "one long number": "1" * 100_000,
    "blank": " \n\t ", "control characters": CONTROL, "marks only": "?! ... -- \u201d",
}  # fmt: skip


def transcript(number: int, seed: int) -> tuple[str, str]:
    """A name and a text to align with a recording of a few seconds."""
    if number < len(FIRST):
        return list(FIRST.items())[number]
    rng = random.Random(f"transcript {seed} {number}")
    parts = [rng.choice((rng.choice(SCRIPTS), rng.choice(PIECES))) for _ in range(rng.randint(1, 12))]
    if rng.random() < 0.3:
        parts.insert(rng.randrange(len(parts) + 1), rng.choice(CONTROL))
    text = rng.choice((" ", " ", "\n", "", "\u00a0", "\u3000")).join(parts)
    return f"transcript {number}", text.upper() if rng.random() < 0.1 else text


@lru_cache(maxsize=1)
def sources() -> tuple[tuple[str, bytes], ...]:
    """The sample recording in every format that can be made here: suffix and content."""
    samples, rate = soundfile.read(SAMPLES / "carrots.flac", dtype="float32")
    made = [
        ("wav", "WAV", "PCM_16"), ("wav", "WAV", "FLOAT"), ("flac", "FLAC", None), ("ogg", "OGG", "VORBIS"),
        ("opus", "OGG", "OPUS"), ("mp3", "MP3", None), ("aiff", "AIFF", None), ("au", "AU", None), ("w64", "W64", None),
        ("sph", "NIST", None), ("caf", "CAF", None),
    ]  # fmt: skip
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix, kind, subtype in made:
            path = Path(folder) / f"source.{suffix}"
            soundfile.write(path, samples, rate, format=kind, subtype=subtype)
            found.append((suffix, path.read_bytes()))
        if shutil.which("ffmpeg"):
            path = Path(folder) / "source.m4a"
            subprocess.run(["ffmpeg", "-v", "error", "-i", SAMPLES / "carrots.flac", path], check=True)
            found.append(("m4a", path.read_bytes()))
    return tuple(found)


def mutation(number: int, seed: int, folder: Path) -> tuple[str, Path]:
    """A name and a damaged recording: cut off, bits flipped, header changed, contents swapped."""
    rng = random.Random(f"audio {seed} {number}")
    kinds = (_cut, _flip, _flip_header, _numbers_in_header, _hole, _repeat, _insert)
    suffix, data = rng.choice(sources())
    change = rng.choice(kinds)
    changed = change(data, rng)
    if rng.random() < 0.1:
        changed = rng.choice(kinds)(changed or data, rng)
    if rng.random() < 0.05:
        suffix = rng.choice(sources())[0]
    path = folder / f"case{number}.{suffix}"
    path.write_bytes(changed)
    return f"audio {number}: {change.__name__.strip('_')} {suffix}", path


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((rng.randrange(len(data)), rng.randrange(200)))]


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 10, 1000))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flip_header(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(min(80, len(changed)))] = rng.randrange(256)
    return bytes(changed)


def _numbers_in_header(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(4, 60, 2)
    number = rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 3, 44100))
    return data[:place] + number.to_bytes(4, rng.choice(("little", "big"))) + data[place + 4 :]


def _hole(data: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(data)), rng.randrange(5000)
    return data[:start] + bytes(length) + data[start + length :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[: rng.randrange(len(data))] + data[start:]


def _insert(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + rng.randbytes(rng.randrange(1, 3000)) + data[start:]


def problem(alignment: Alignment, text: str | None, folder: Path) -> str:
    """What is wrong with an alignment or with a file of it; empty if nothing."""
    previous = 0.0
    for word in alignment.words:
        if not (previous - 1e-9 <= word.start < word.end <= alignment.duration + 1e-6):
            return f"{word.text!r} is at {word.start}-{word.end} of {alignment.duration}, after {previous}"
        previous = word.end
    missing = alignment.provenance.get("missing", ())
    if text is not None and sorted(_spelled(alignment.text, *missing)) != sorted(_spelled(clean(text))):
        return "words lost or respelled"
    if text is not None and not missing and _spelled(alignment.text) != _spelled(clean(text)):
        return "words reordered"
    for name in formats:
        path = folder / f"out{formats[name].suffix}"
        try:
            formats[name].write(alignment, path, WriterOptions(cues="word", tiers=("tokens", "flags", "margins")))
            found = formats[name].read(path)
        except Exception as error:  # the point of a fuzzer is to find these
            return f"{name}: {type(error).__name__}: {error}"
        # CTM has underscores for the spaces inside a word.
        if _spelled(*(w.text for w in found)).replace("_", "") != _spelled(alignment.text).replace("_", ""):
            return f"{name}: words lost or respelled"
        if any(not a.start < a.end for a in found):
            return f"{name}: a word without length"
    return ""


def _spelled(*texts: str) -> str:
    return "".join("".join(texts).split())


def outcome(case: Case, model: SpeechModel, folder: Path) -> tuple[str, str]:
    """Run a case: its name, and "aligned", "refused" or what went wrong."""
    kind, number, seed = case
    text: str | None
    if kind == "transcript":
        name, text = transcript(number, seed)
        name, recording = f"{name} {text[:60]!r}", SAMPLES / "carrots.flac"
    else:
        name, recording = mutation(number, seed, folder)
        # Every tenth is recognised: that reads the audio in another way.
        text = None if number % 10 == 0 else (SAMPLES / "carrots.txt").read_text(encoding="utf-8")
    try:
        alignment = aligner.align(recording, text, model)
    except AlignerError as error:
        message = str(error)
        return name, "refused" if message and "\n" not in message else f"message is not one sentence: {message!r}"
    except Exception as error:
        return name, f"{type(error).__name__}: {error}"
    return name, problem(alignment, text, folder) or "aligned"


def _serve(pipe: multiprocessing.connection.Connection, folder: Path) -> None:
    np.seterr(all="ignore")
    model = aligner.load_model()
    pipe.send(None)
    while (case := pipe.recv()) is not None:
        began = time.monotonic()
        found = outcome(case, model, folder)
        pipe.send((*found, time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


class Worker:
    """A process that runs cases and may be lost over one."""

    def __init__(self, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, folder), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()  # the model is loaded
        self.peak = 0  # KiB of memory
        self.slowest = 0.0

    def run(self, case: Case) -> tuple[str, str]:
        """Name and outcome of a case."""
        self._pipe.send(case)
        try:
            if not self._pipe.poll(LIMIT):
                return str(case), f"took longer than {LIMIT} s"
            name, found, seconds, peak = self._pipe.recv()
        except EOFError:
            return str(case), "the process crashed"
        self.slowest, self.peak = max(self.slowest, seconds), max(self.peak, peak)
        return name, found

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()


def fuzz(cases: Sequence[Case]) -> tuple[Counter[str], list[str], str]:
    """Run cases.

    Returns
    -------
    (counts, failures, cost)
        Of outcomes; one line for each failure; the slowest case and the most memory.
    """
    counts: Counter[str] = Counter()
    failures: list[str] = []
    slowest, peak = 0.0, 0
    with tempfile.TemporaryDirectory(prefix="aligner-fuzz-") as folder:
        worker = Worker(Path(folder))
        for case in cases:
            name, found = worker.run(case)
            good = found in ("aligned", "refused")
            counts[found if good else "failed"] += 1
            slowest, peak = max(slowest, worker.slowest), max(peak, worker.peak)
            if not good:
                failures.append(f"{name}: {found}")
                worker.end()  # it may be lost
                worker = Worker(Path(folder))
            for path in Path(folder).glob("case*"):
                path.unlink()
        worker.end()
    return counts, failures, f"slowest case {slowest:.1f} s, most memory {peak >> 10} MiB"


def command(count: int, seed: int) -> list[str]:
    """What is wrong when the real command aligns a folder of damaged recordings; empty if nothing."""
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="aligner-fuzz-") as name:
        folder, out = Path(name) / "in", Path(name) / "out"
        folder.mkdir()
        for number in range(count):
            _, path = mutation(number, seed, folder)
            shutil.copy(SAMPLES / "carrots.txt", path.with_suffix(".txt"))
        arguments = [str(folder), "--text", str(folder), "-f", "all", "-o", str(out)]
        done = subprocess.run(
            [sys.executable, "-m", "aligner", *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT * count,
        )
        if done.returncode not in (0, 1):
            failures.append(f"exit code {done.returncode}: {done.stderr[-300:]}")
        noise = [line for line in done.stderr.splitlines() if str(folder) not in line and str(out) not in line]
        failures += [f"on standard error: {line[:200]}" for line in noise]
        with (out / "summary.csv").open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        if len(rows) != count:
            failures.append(f"{len(rows)} of {count} recordings are in summary.csv")
        for row in rows:
            stem = Path(row["audio"]).stem
            written = len(list(out.glob(f"{stem}.*")))
            if written != (len(list(formats)) if row["status"] == "done" else 0):
                failures.append(f"{stem} is {row['status']} and has {written} files")
            if row["status"] == "done":
                json.loads((out / f"{stem}.json").read_text(encoding="utf-8"))
            elif not row["message"] or "\n" in row["message"]:
                failures.append(f"{stem}: message is not one sentence: {row['message']!r}")
        click.echo(f"command: {sum(r['status'] == 'done' for r in rows)} aligned, {count} recordings")
    return failures


@click.command()
@click.option("--transcripts", default=200, show_default=True)
@click.option("--audio", default=2000, show_default=True)
@click.option("--command", "through_command", default=60, show_default=True, help="Recordings for the real command.")
@click.option("--part", default="1/1", show_default=True, help="Which part of the cases: 3/8 is the third eighth.")
@click.option("--seed", default=0, show_default=True)
def main(transcripts: int, audio: int, through_command: int, part: str, seed: int) -> None:
    """Fuzz the aligner; exit code 1 when any case failed."""
    began = time.monotonic()
    this, parts = map(int, part.split("/"))
    cases = [("transcript", k, seed) for k in range(transcripts)] + [("audio", k, seed) for k in range(audio)]
    counts, failures, cost = fuzz(cases[this - 1 :: parts])
    if this == 1 and through_command:
        failures += command(through_command, seed + 1)
    for line in failures:
        click.echo(line)
    click.echo(f"part {part}, seed {seed}: {dict(counts)} in {time.monotonic() - began:.0f} s; {cost}")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
