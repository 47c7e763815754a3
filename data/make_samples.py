"""Make the sample recordings: `python -m data.make_samples`. Synthetic speech, with exact TextGrids.

Voices and sentences are held out from training: `kal16` of flite and held-out
espeak-ng variants, sentences written for this purpose.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import soundfile
from praatio import textgrid

from aligner.text.spoken import spoken_form
from data.augment import pad
from data.synthesize import SAMPLE_RATE, Espeak, Flite, Speech, TimedWord

STATION = "We waited near that station almost two hours, but nobody knew when our train might come."
SAMPLES = {
    "harbour": ("espeak", "en-gb-x-rp+f5", "The old harbour was quiet, and a cold wind came over the water.", 35),
    "kitchen": ("flite", "kal16", "Please open the kitchen window, because the soup is far too hot.", 30),
    "station": ("espeak", "en-us+paul", STATION, 25),
}  # fmt: skip


def speak(engines: tuple[Espeak, Flite], engine: str, voice: str, text: str) -> Speech:
    """Speak a sentence, pausing at its commas."""
    words = text.split()
    breaks = frozenset(i for i, word in enumerate(words) if word.endswith(","))
    spoken = [spoken_form(word) for word in words]
    if engine == "flite":
        speech = engines[1].speak(spoken, voice, breaks=breaks)
    else:
        speech = engines[0].speak(spoken, voice, breaks=breaks, rate=165)
    if speech is None:
        raise ValueError(f"{voice} merges words of {text!r}: choose another sentence")
    return speech


def write_textgrid(path: Path, written: list[str], words: tuple[TimedWord, ...], duration: float) -> None:
    """Exact word times as a TextGrid with the tier `words`."""
    entries = [(round(w.start, 4), round(w.end, 4), t) for w, t in zip(words, written, strict=True)]
    grid = textgrid.Textgrid()
    grid.addTier(textgrid.IntervalTier("words", entries, 0, duration))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


@click.command()
@click.option("-o", "--output", default="data/samples", type=click.Path(path_type=Path), show_default=True)
def main(output: Path) -> None:
    """Write NAME.flac, NAME.txt and NAME.TextGrid for every sample."""
    output.mkdir(parents=True, exist_ok=True)
    engines = Espeak(), Flite()
    for name, (engine, voice, text, level) in SAMPLES.items():
        speech = speak(engines, engine, voice, text)
        samples, words = pad(speech.samples, speech.words, 0.4, 0.5)
        rng = np.random.default_rng(level)
        hiss = rng.standard_normal(len(samples)).astype(np.float32)
        samples = samples + hiss * np.sqrt(np.mean(samples**2)) * np.float32(10 ** (-level / 20))
        soundfile.write(output / f"{name}.flac", samples / np.abs(samples).max() * 0.8, SAMPLE_RATE)
        (output / f"{name}.txt").write_text(text + "\n")
        write_textgrid(output / f"{name}.TextGrid", text.split(), words, len(samples) / SAMPLE_RATE)
        click.echo(f"{output / name}: {voice}, {len(samples) / SAMPLE_RATE:.2f} s", err=True)


if __name__ == "__main__":
    main()
