"""The project's own corpus: synthetic speech whose word times are exact, since the engine reports them.

`--make N` first speaks N phrases of a text into DIR, in voices that the
embedded model was not trained on; this needs a checkout and the engine
espeak-ng. DIR then holds `synthetic.jsonl` (id, words, speaker) and one WAV
file per phrase, and can be read anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from aligner.errors import InputError
from eval.corpora.base import Option, Recipe, recipes
from eval.manifest import Utterance, make_utterance

INDEX = "synthetic.jsonl"


def prepare(folder: Path, make: int = 0, text: Path | None = None, seed: int = 0) -> Iterator[Utterance]:
    """Utterances of a folder of synthetic speech.

    Parameters
    ----------
    folder : Path
    make : int
        Phrases to speak into the folder first.
    text : Path, optional
        Text to draw phrases from, a sentence a line; needed to make any.
    seed : int
        Of the draw.
    """
    if make:
        if text is None:
            raise InputError("--make needs --text FILE, a text with one sentence a line")
        speak(folder, make, text, seed)
    index = folder / INDEX
    if not index.is_file():
        raise InputError(f"{folder} holds no {INDEX}: make the corpus with --make N --text FILE")
    for line in index.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        words = [tuple(word) for word in entry["words"]]
        yield make_utterance(
            entry["id"], folder / f"{entry['id']}.wav", words, speaker=entry["speaker"], source="synthetic"
        )


def speak(folder: Path, count: int, text: Path, seed: int) -> None:
    """Write `count` phrases as WAV files and their index.

    Raises
    ------
    InputError
        No checkout, no engine, or an empty text.
    """
    import numpy as np
    import soundfile

    from aligner.files import atomic_write

    try:
        from data.prepare import random_phrase
        from data.synthesize import ESPEAK_ACCENTS, HELD_OUT_VARIANTS, SAMPLE_RATE, Espeak
    except ModuleNotFoundError as error:
        raise InputError(
            "making synthetic speech needs a checkout of the project: run python -m eval prepare synthetic in its root"
        ) from error
    lines = [line for line in text.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{text} holds no sentence")
    try:
        espeak = Espeak()
    except OSError as error:
        raise InputError(str(error)) from error
    rng = np.random.default_rng(seed)
    voices = [f"{accent}+{variant}" for accent in ESPEAK_ACCENTS for variant in sorted(HELD_OUT_VARIANTS)]
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[str] = []
    while len(entries) < count:
        words = random_phrase(lines, rng)
        voice = voices[int(rng.integers(len(voices)))]
        breaks = frozenset(i for i in range(len(words) - 1) if rng.random() < 0.08)
        speech = espeak.speak(
            words, voice, breaks=breaks, rate=int(rng.integers(120, 230)), pitch=int(rng.integers(20, 85))
        )
        if speech is None:  # the engine merged two words
            continue
        name = f"phrase{len(entries):05d}"
        soundfile.write(folder / f"{name}.wav", np.pad(speech.samples, SAMPLE_RATE // 5), SAMPLE_RATE)
        timed = [[w.text, round(w.start + 0.2, 6), round(w.end + 0.2, 6)] for w in speech.words]
        entries.append(json.dumps({"id": name, "speaker": voice, "words": timed}))
    with atomic_write(folder / INDEX) as temporary:
        temporary.write_text("\n".join(entries) + "\n", encoding="utf-8")


recipes.register("synthetic")(
    Recipe(
        prepare,
        (
            Option(("--make",), {"type": click.IntRange(0), "default": 0, "help": "Phrases to speak into DIR first."}),
            Option(
                ("--text",),
                {
                    "type": click.Path(exists=True, dir_okay=False, path_type=Path),
                    "help": "Text to draw phrases from, a sentence a line.",
                },
            ),
            Option(("--seed",), {"default": 0, "show_default": True, "help": "Of the phrases drawn."}),
        ),
    )
)
