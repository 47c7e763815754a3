"""Turn speech into training features: `python -m data.prepare real|synthetic ...`.

A feature set is a folder with `mel.f16` (all frames of all utterances, float16,
80 values a row) and `index.jsonl` (one line an utterance: id, set, speaker,
split, text, offset and frames in rows, and for synthetic speech its words with
character boundaries in seconds). The index is written last, so an interrupted
preparation is simply run again.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import click
import numpy as np

from aligner.guard import import_torchaudio
from aligner.models.features import log_mel
from aligner.text.spoken import spoken_form
from data.augment import augment
from data.festival import Festival
from data.synthesize import (
    ESPEAK_ACCENTS,
    ESPEAK_VARIANTS,
    FLITE_VOICES,
    HELD_OUT_FLITE,
    HELD_OUT_VARIANTS,
    SAMPLE_RATE,
    Espeak,
    Flite,
    Speech,
)
from data.variants import random_variant

HELD_OUT_SPEAKERS = 0.05  # of speakers in sets with more than ten
HELD_OUT_TEXTS = 0.03  # by text, over all sets
FLITE_SHARE = 0.35  # of phrases; the others are espeak-ng's
FESTIVAL_SHARE = 0.12  # of the phrases that are trained on, before those
RANDOM_VARIANTS = 0.5  # of the espeak-ng phrases that are trained on: in a voice that is never heard again


def fraction(text: str) -> float:
    """A fixed pseudo-random number in [0, 1) for a text: splits survive any reordering."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


class FeatureWriter:
    """Appends utterances to a feature set; `close` writes the index."""

    def __init__(self, folder: Path) -> None:
        import_torchaudio()  # before transformers, which imports it too
        from transformers.audio_utils import mel_filter_bank

        folder.mkdir(parents=True, exist_ok=True)
        self._index = folder / "index.jsonl"
        self._mel = (folder / "mel.f16").open("wb")
        self._lines: list[str] = []
        self._offset = 0
        self._filters = mel_filter_bank(201, 80, 0.0, 8000.0, SAMPLE_RATE, norm="slaney", mel_scale="slaney")

    def add(self, samples: np.ndarray, **entry: object) -> None:
        import torch

        mel = log_mel(torch.from_numpy(samples), torch.from_numpy(self._filters).float()).numpy()
        self._mel.write(mel.astype(np.float16).tobytes())
        self._lines.append(json.dumps({**entry, "offset": self._offset, "frames": len(mel)}))
        self._offset += len(mel)

    def close(self) -> None:
        self._mel.close()
        self._index.write_text("\n".join(self._lines) + "\n")
        click.echo(f"{len(self._lines)} utterances, {self._offset / 360_000:.2f} h -> {self._index.parent}", err=True)


def read_manifests(folders: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Utterances of every `.jsonl` manifest (id, audio, text, speaker) in the folders, with a split each."""
    for folder in folders:
        for manifest in sorted(folder.glob("*.jsonl")):
            entries = [json.loads(line) for line in manifest.read_text().splitlines()]
            many = len({e["speaker"] for e in entries}) > 10
            for entry in entries:
                text = spoken_form(entry["text"])
                held_speaker = many and fraction("speaker " + entry["speaker"]) < HELD_OUT_SPEAKERS
                split = "test" if held_speaker or fraction(text) < HELD_OUT_TEXTS else "train"
                yield {**entry, "text": text, "split": split, "set": manifest.stem, "path": folder / entry["audio"]}


def _real_job(job: tuple[Path, list[dict[str, Any]], bool, int]) -> None:
    import soundfile
    import torch

    torch.set_num_threads(1)
    folder, entries, augmented, seed = job
    rng = np.random.default_rng(seed)
    writer = FeatureWriter(folder)
    recent: list[np.ndarray] = []
    for entry in entries:
        samples, rate = soundfile.read(entry["path"], dtype="float32")
        if rate != SAMPLE_RATE or not entry["text"] or len(samples) < 1600:
            continue
        if augmented:
            recent = [*recent[-3:], samples]
            samples, _ = augment(samples, (), rng, recent[:-1])
        keep = {key: entry[key] for key in ("id", "set", "speaker", "split", "text")}
        writer.add(samples, **keep, words=None)
    writer.close()


def random_phrase(lines: list[str], rng: np.random.Generator) -> list[str]:
    """A stretch of 1 to 14 words of a random line."""
    while True:
        words = spoken_form(lines[int(rng.integers(len(lines)))]).split()
        length = int(rng.integers(1, 15))
        if not words:
            continue
        first = int(rng.integers(max(1, len(words) - length + 1)))
        return words[first : first + length]


class Engines:
    """The synthesisers of one process, until they are closed."""

    def __init__(self) -> None:
        self.espeak, self.flite, self.festival = Espeak(), Flite(), Festival()

    def close(self) -> None:
        self.espeak.close()
        self.festival.close()


def speak_phrase(engines: Engines, words: list[str], rng: np.random.Generator, held_out: bool) -> Speech | None:
    """One phrase in a random voice of the wanted split, with random pauses."""
    breaks = frozenset(i for i in range(len(words) - 1) if rng.random() < 0.08)
    if not held_out and rng.random() < FESTIVAL_SHARE:
        stretch, pitch = float(rng.uniform(0.7, 1.2)), float(np.exp(rng.uniform(-0.3, 0.6)))
        return engines.festival.speak(words, breaks=breaks, stretch=stretch, pitch=pitch)
    if rng.random() < FLITE_SHARE:
        voices = [v for v in FLITE_VOICES if (v in HELD_OUT_FLITE) == held_out]
        voice = voices[int(rng.integers(len(voices)))]
        return engines.flite.speak(words, voice, breaks=breaks, stretch=float(rng.uniform(0.8, 1.25)))
    variants = [v for v in ESPEAK_VARIANTS if (v in HELD_OUT_VARIANTS) == held_out]
    variant = variants[int(rng.integers(len(variants)))]
    if not held_out and rng.random() < RANDOM_VARIANTS:
        variant = engines.espeak.set_variant(random_variant(rng))
    voice = f"{ESPEAK_ACCENTS[int(rng.integers(len(ESPEAK_ACCENTS)))]}+{variant}"
    return engines.espeak.speak(
        words, voice, breaks=breaks, rate=int(rng.integers(120, 230)), pitch=int(rng.integers(20, 85)),
        pitch_range=int(rng.integers(20, 90)), word_gap=int(rng.integers(0, 3)) if rng.random() < 0.2 else 0,
    )  # fmt: skip


def _synthetic_job(job: tuple[Path, list[str], float, bool, int]) -> None:
    import torch

    torch.set_num_threads(1)
    folder, lines, hours, held_out, seed = job
    rng = np.random.default_rng(seed)
    engines = Engines()
    writer = FeatureWriter(folder)
    total, n = 0.0, 0
    recent: list[np.ndarray] = []
    while total < hours * 3600:
        speech = speak_phrase(engines, random_phrase(lines, rng), rng, held_out)
        if speech is None or len(speech.samples) > 16 * SAMPLE_RATE:
            continue
        recent = [*recent[-3:], speech.samples]
        # Held-out speech as the engine speaks it, too.
        versions = {"synthetic-clean": (speech.samples, speech.words)} if held_out else {}
        versions["synthetic"] = augment(speech.samples, speech.words, rng, recent[:-1])
        for name, (samples, words) in versions.items():
            writer.add(
                samples, id=f"{folder.name}-{n}", set=name, speaker=speech.voice,
                split="test" if held_out else "train", text=" ".join(w.text for w in words),
                words=[[w.text, [round(t, 4) for t in w.boundaries]] for w in words],
            )  # fmt: skip
            n += 1
        total += len(speech.samples) / SAMPLE_RATE
    writer.close()
    engines.close()


def _run(function: Callable[[Any], None], jobs: list[Any], processes: int) -> None:
    with Pool(processes, maxtasksperchild=1) as pool:  # one engine instance per process
        pool.map(function, jobs, chunksize=1)


@click.group()
def main() -> None:
    """Prepare training features."""


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--augmented/--clean", default=False, help="Apply the augmentation chain.")
@click.option("--processes", default=2, show_default=True)
@click.option("--seed", default=0, show_default=True)
def real(folders: tuple[Path, ...], output: Path, augmented: bool, processes: int, seed: int) -> None:
    """Transcribed real speech: every .jsonl manifest in FOLDERS."""
    entries = list(read_manifests(folders))
    if not entries:
        sys.exit(f"no .jsonl manifest in {', '.join(map(str, folders))}")
    order = np.random.default_rng(seed).permutation(len(entries))
    parts = [[entries[i] for i in order[k::processes]] for k in range(processes)]
    jobs = [(output / f"part{k}", part, augmented, seed + k) for k, part in enumerate(parts)]
    _run(_real_job, jobs, processes)


@main.command()
@click.argument("text", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--hours", default=12.0, show_default=True)
@click.option("--held-out-hours", default=0.5, show_default=True)
@click.option("--processes", default=2, show_default=True)
@click.option("--seed", default=1, show_default=True)
def synthetic(text: Path, output: Path, hours: float, held_out_hours: float, processes: int, seed: int) -> None:
    """Synthetic speech reading the sentences of TEXT, one a line."""
    lines = [line for line in text.read_text().splitlines() if line.strip()]
    # Of a short text, at least one sentence is held out.
    bound = max(HELD_OUT_TEXTS, math.nextafter(min(map(fraction, lines), default=0.0), 1.0))
    held = [line for line in lines if fraction(line) < bound]
    train = [line for line in lines if fraction(line) >= bound]
    if not train:
        sys.exit(f"{text} needs at least two different sentences, one a line: one of them is held out")
    jobs = [(output / f"part{k}", train, hours / processes, False, seed + k) for k in range(processes)]
    jobs.append((output / "held-out", held, held_out_hours, True, seed + processes))
    try:
        _run(_synthetic_job, jobs, processes)
    except OSError as error:  # an engine or a voice is not installed
        sys.exit(str(error))


if __name__ == "__main__":
    main()
