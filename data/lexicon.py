"""The lexicon of the embedded model: `python -m data.lexicon FEATURES... --text TEXT --words WORDS -o FOLDER`.

Counts the words and word pairs of the training transcripts and of a text, adds
the words of a word list and a language model made from far more text, has
espeak-ng say how each word sounds, and writes `lexicon.npz`, which
`aligner.lexicon` reads. Held-out texts and sentences are left out of what is
counted, as in training.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np

from aligner.lexicon import NAME, build, write_lexicon
from aligner.text.spoken import spoken_form
from data.ngrams import kneser_ney, mixed, pruned
from data.prepare import HELD_OUT_TEXTS, fraction
from data.pronounce import PHONES, phone_edges, pronunciations
from data.sphinx import read_bigram
from data.train import Word, timed_words

SHARE = 0.3  # of the counted model, where another is mixed in
PRUNED = 1e-7  # nats per word of running text that a word pair must be worth


def transcripts(folders: Sequence[Path]) -> list[str]:
    """Each training transcript of real speech once, in spoken form."""
    found = []
    for folder in folders:
        for index in sorted(folder.glob("**/index.jsonl")):
            entries = map(json.loads, index.read_text().splitlines())
            found += [e["text"] for e in entries if e["split"] == "train" and e["words"] is None]
    return list(dict.fromkeys(found))


def spoken_words(folders: Sequence[Path]) -> Iterator[tuple[float, Word]]:
    """Every word with times, and where the one before it in the utterance ended."""
    for folder in folders:
        for index in sorted(folder.glob("**/index.jsonl")):
            estimates = index.with_name("estimated.jsonl")
            for line in (estimates if estimates.is_file() else index).read_text().splitlines():
                last, entry = 0.0, json.loads(line)
                for word in timed_words(entry, entry) or ():
                    yield last, word
                    last = word.bounds[-1]


def phone_prior(folders: Sequence[Path]) -> np.ndarray:
    """Log-frequency of every phone over the frames of speech with times."""
    seconds = np.full(len(PHONES), 1.0)
    for last, word in spoken_words(folders):
        edges = phone_edges(np.asarray(word.bounds), len(word.sounds))
        np.add.at(seconds, list(word.sounds), np.diff(edges))
        seconds[0] += max(0.0, edges[0] - last)
    return np.log(seconds / seconds.sum())


def weighed(words: Iterable[str], folders: Sequence[Path]) -> dict[str, dict[tuple[int, ...], float]]:
    """Pronunciations of words, with the logarithm of how often each is heard, against the one heard most."""
    heard = Counter((word.text, tuple(word.sounds)) for _, word in spoken_words(folders))
    found = {}
    for word in words:
        counts = {way: 1 + heard[word, way] for way in pronunciations(word)}
        found[word] = {way: float(np.log(count / max(counts.values()))) for way, count in counts.items()}
    return found


@click.command()
@click.argument("features", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--text", multiple=True, type=click.Path(exists=True, path_type=Path), help="One sentence a line.")
@click.option("--words", multiple=True, type=click.Path(exists=True, path_type=Path), help="One word a line.")
@click.option(
    "--sphinx",
    type=click.Path(exists=True, path_type=Path),
    help="Language model to mix in (.lm.bin, as in pocketsphinx).",
)
@click.option("-o", "--output", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(
    features: tuple[Path, ...], text: tuple[Path, ...], words: tuple[Path, ...], sphinx: Path | None, output: Path
) -> None:
    """Write lexicon.npz into the checkpoint folder OUTPUT."""
    lines = [line for path in text for line in path.read_text().splitlines() if fraction(line) >= HELD_OUT_TEXTS]
    sentences = [s.split() for s in [*transcripts(features), *map(spoken_form, lines)] if s]
    listed = {w for path in words for w in path.read_text(errors="ignore").split() if re.fullmatch("[a-z]+", w)}
    language = kneser_ney(sentences, listed)
    if sphinx:
        language = mixed(language, read_bigram(sphinx), SHARE)
    language = pruned(language, PRUNED)
    write_lexicon(build(language, weighed(language.words[1:], features), phone_prior(features)), output)
    size = (output / NAME).stat().st_size / 1e6
    click.echo(f"{len(language.words) - 1} words, {len(language.pairs)} pairs: {size:.1f} MB", err=True)


if __name__ == "__main__":
    main()
