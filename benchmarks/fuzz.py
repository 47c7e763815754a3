"""Nasty transcripts and damaged recordings: `python -m benchmarks.fuzz`.

Each case is either refused with one of the aligner's own errors or aligned
with valid times, within a bounded time. Anything else is a failure: another
exception, a case that takes too long, words lost or reordered, a file in some
format that cannot be written. The cases follow from the seed.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import click
import numpy as np
import soundfile

import aligner
from aligner.core import Alignment
from aligner.errors import AlignerError
from aligner.models import SpeechModel
from aligner.transcript import clean
from aligner.writers import WriterOptions, formats

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
LIMIT = 60  # seconds a case may take

SCRIPTS = (
    "the quick brown fox", "Größe façade naïve", "это проверка слов", "这是一个测试", "これはテストです", "한국어 시험",
    "هذا اختبار", "זו בדיקה", "यह एक परीक्षा है", "นี่คือการทดสอบ", "δοκιμή λέξεων", "ທົດສອບ",
)  # fmt: skip
PIECES = (
    "1999", "$3.50", "€1,234,567.89", "12/31/2024", "3:45pm", "50%", "e.g.", "Dr.", "me@example.org",
    "https://a.b/c?d=e", "well-known", "“quoted”", "don’t", "rock'n'roll", "😀", "👩\u200d👩\u200d👧", "🇨🇭",
    "e\u0301te\u0301", "\u200b", "\ufeff", "\u202e", "—", "...", "¿qué?", "½", "²", "№", "A.B.C.", "<|endoftext|>",
    "<|en|>", "<b>", "&amp;", "\\n", "%s", "{}", "NaN", "null", "'", "''", "$$$", "1e309", "0" * 40, "9" * 400,
    "-0.0", "1.2.3.4", "٣٤", "Ⅷ", "ﬁ", "ß", "İ", "a" * 300,
)  # fmt: skip
CONTROL = "\x00\x01\x07\x08\x0b\x1b[31m\x7f\x85\u2028\u2029\ud800"


class TooSlow(BaseException):
    """A case took longer than `LIMIT`; no handler of the aligner may catch it."""


def transcripts(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Named transcripts to align with a recording of a few seconds."""
    rng = random.Random(seed)
    yield "100 000 words", "word " * 100_000
    yield "one long word", "a" * 100_000
    yield "one long number", "1" * 100_000
    yield "blank", " \n\t "
    yield "control characters", CONTROL
    for index in range(5, count):
        parts = [rng.choice((rng.choice(SCRIPTS), rng.choice(PIECES))) for _ in range(rng.randint(1, 12))]
        if rng.random() < 0.3:
            parts.insert(rng.randrange(len(parts) + 1), rng.choice(CONTROL))
        glue = rng.choice((" ", " ", "\n", "", "\u00a0", "\u3000"))
        text = glue.join(parts)
        yield f"transcript {index}", text.upper() if rng.random() < 0.1 else text


def mutations(count: int, seed: int, folder: Path) -> Iterator[tuple[str, Path]]:
    """Named damaged recordings: cut off, bits flipped, headers changed, contents swapped."""
    rng = random.Random(seed)
    samples, rate = soundfile.read(SAMPLES / "kitchen.flac", dtype="float32")
    sources: list[tuple[str, bytes]] = []
    for suffix, options in (
        ("wav", {"subtype": "PCM_16"}), ("wav", {"subtype": "FLOAT"}), ("flac", {}), ("ogg", {}), ("mp3", {}),
        ("aiff", {}), ("au", {}), ("w64", {}),
    ):  # fmt: skip
        path = folder / f"source.{suffix}"
        soundfile.write(path, samples, rate, **options)
        sources.append((suffix, path.read_bytes()))
    kinds = (_cut, _flip, _flip_header, _numbers_in_header, _hole, _repeat, _insert)
    for index in range(count):
        suffix, data = rng.choice(sources)
        change = rng.choice(kinds)
        changed = change(data, rng)
        if rng.random() < 0.1:
            changed = rng.choice(kinds)(changed, rng)
        if rng.random() < 0.05:
            suffix = rng.choice(sources)[0]
        path = folder / f"case.{suffix}"
        path.write_bytes(changed)
        yield f"audio {index}: {change.__name__.strip('_')} {suffix}", path


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


def outcome(case: Callable[[], Alignment], text: str | None, folder: Path) -> str:
    """Run a case: "aligned", "refused", or what went wrong."""

    def expire(signum: int, frame: FrameType | None) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(LIMIT)
    try:
        alignment = case()
    except AlignerError as error:
        message = str(error)
        return "refused" if message and "\n" not in message else f"message is not one sentence: {message!r}"
    except TooSlow:
        return f"took longer than {LIMIT} s"
    except Exception as error:  # the point of a fuzzer is to find these
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    if text is not None and "".join(alignment.text.split()) != "".join(clean(text).split()):
        return "words lost or reordered"
    try:
        for name in formats:
            formats[name].write(alignment, folder / f"out{formats[name].suffix}", WriterOptions())
    except Exception as error:
        return f"{name} writer: {type(error).__name__}: {error}"
    return "aligned"


def fuzz(model: SpeechModel, n_transcripts: int, n_audio: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Run all cases.

    Returns
    -------
    (counts, failures)
        Of outcomes; one line for each failure.
    """
    counts: Counter[str] = Counter()
    failures: list[str] = []

    def note(name: str, found: str) -> None:
        counts[found if found in ("aligned", "refused") else "failed"] += 1
        if found not in ("aligned", "refused"):
            failures.append(f"{name}: {found}")

    folder = Path(tempfile.mkdtemp(prefix="aligner-fuzz-"))
    try:
        recording = SAMPLES / "kitchen.flac"
        for name, text in transcripts(n_transcripts, seed):
            found = outcome(lambda text=text: aligner.align(recording, text, model), text, folder)
            note(f"{name} {text[:60]!r}", found)
        text = (SAMPLES / "kitchen.txt").read_text(encoding="utf-8")
        for index, (name, path) in enumerate(mutations(n_audio, seed, folder)):
            # Every tenth is recognised too: that reads the audio in another way.
            given = None if index % 10 == 0 else text
            note(name, outcome(lambda path=path, given=given: aligner.align(path, given, model), given, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return counts, failures


@click.command()
@click.option("--transcripts", "n_transcripts", default=200, show_default=True)
@click.option("--audio", "n_audio", default=2000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(n_transcripts: int, n_audio: int, seed: int) -> None:
    """Fuzz the aligner; exit code 1 when any case failed."""
    began = time.monotonic()
    np.seterr(all="ignore")
    counts, failures = fuzz(aligner.load_model(), n_transcripts, n_audio, seed)
    for line in failures:
        click.echo(line)
    click.echo(f"{dict(counts)} in {time.monotonic() - began:.0f} s")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
