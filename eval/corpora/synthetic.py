"""The project's own corpus: synthetic speech whose word times are exact, since the engine reports them.

`--make N` first speaks N phrases of a text into DIR with the engine espeak-ng,
in one of its voices or in English ones at random. DIR then holds `synthetic.jsonl` (id, words, speaker) and one WAV
file per phrase, and can be read anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from aligner.errors import InputError
from aligner.text.encodings import numbered_lines
from aligner.text.spoken import spoken_form
from eval.corpora.base import Option, Recipe, recipes
from eval.corpora.espeak import SAMPLE_RATE, Espeak
from eval.manifest import Utterance, make_utterance

INDEX = "synthetic.jsonl"
ENGLISH = ("en", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
VARIANTS = ("m6", "f5", "Annie", "david", "Gene", "linda", "paul", "steph", "Zac")
LONGEST = 14  # words of a phrase


def prepare(
    folder: Path, make: int = 0, text: Path | None = None, voice: str | None = None, seed: int = 0
) -> Iterator[Utterance]:
    """Utterances of a folder of synthetic speech.

    Parameters
    ----------
    folder : Path
    make : int
        Phrases to speak into the folder first.
    text : Path, optional
        Text to draw phrases from, a sentence a line; needed to make any.
    voice : str, optional
        Of espeak-ng, such as "de" or "en-us+f2"; English ones at random when None.
    seed : int
        Of the draw.

    Raises
    ------
    InputError
        Nothing to read or to speak.
    """
    if make:
        if text is None:
            raise InputError("--make needs --text FILE, a text with one sentence a line")
        speak(folder, make, text, voice, seed)
    index = folder / INDEX
    if not index.is_file():
        raise InputError(f"{folder} holds no {INDEX}: make the corpus with --make N --text FILE")
    for number, line in numbered_lines(index):
        try:
            entry = json.loads(line)
            name, speaker = str(entry["id"]), str(entry["speaker"])
            words = [(str(w), float(s), float(e)) for w, s, e in entry["words"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{index}, line {number} has no id, speaker and words with times: {error}") from error
        yield make_utterance(name, folder / f"{name}.wav", words, speaker=speaker, source="synthetic")


def speak(folder: Path, count: int, text: Path, voice: str | None, seed: int) -> None:
    """Write phrases as WAV files and their index.

    Parameters
    ----------
    folder : Path
    count : int
        Phrases.
    text, voice, seed
        As in `prepare`.

    Raises
    ------
    InputError
        No engine, no such voice, or an empty text.
    """
    import soundfile

    from aligner.files import atomic_write

    language = "en" if voice is None else voice.partition("+")[0].partition("-")[0]
    lines = [spoken_form(line, language).split() for _, line in numbered_lines(text)]
    lines = [line for line in lines if line]
    if not lines:
        raise InputError(f"{text} holds no sentence")
    try:
        espeak = Espeak()
    except OSError as error:
        raise InputError(str(error)) from error
    rng = np.random.default_rng(seed)
    voices = [voice] if voice else [f"{accent}+{variant}" for accent in ENGLISH for variant in VARIANTS]
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[str] = []
    while len(entries) < count:
        words = _random_phrase(lines, rng)
        chosen = voices[int(rng.integers(len(voices)))]
        breaks = frozenset(i for i in range(len(words) - 1) if rng.random() < 0.08)
        rate, pitch = int(rng.integers(120, 230)), int(rng.integers(20, 85))
        try:
            speech = espeak.speak(words, chosen, breaks=breaks, rate=rate, pitch=pitch)
        except OSError as error:
            raise InputError(str(error)) from error
        if speech is None:  # the engine merged two words
            continue
        name = f"phrase{len(entries):05d}"
        soundfile.write(folder / f"{name}.wav", np.pad(speech.samples, SAMPLE_RATE // 5), SAMPLE_RATE)
        timed = [[w.text, round(w.start + 0.2, 6), round(w.end + 0.2, 6)] for w in speech.words]
        entries.append(json.dumps({"id": name, "speaker": chosen, "words": timed}))
    with atomic_write(folder / INDEX) as temporary:
        temporary.write_text("\n".join(entries) + "\n", encoding="utf-8")


def _random_phrase(lines: list[list[str]], rng: np.random.Generator) -> list[str]:
    """A stretch of words of a random line."""
    words = lines[int(rng.integers(len(lines)))]
    length = int(rng.integers(1, LONGEST + 1))
    first = int(rng.integers(max(1, len(words) - length + 1)))
    return words[first : first + length]


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
            Option(("--voice",), {"help": "Of espeak-ng, such as de or en-us+f2.  [default: English ones at random]"}),
            Option(("--seed",), {"default": 0, "show_default": True, "help": "Of the phrases drawn."}),
        ),
    )
)
