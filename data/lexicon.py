"""The lexicon of the embedded model: `python -m data.lexicon FEATURES... --text TEXT --words WORDS -o FOLDER`.

Counts the words and word pairs of the training transcripts and of a text, adds
the words of a word list, has espeak-ng say how each sounds, and writes
`lexicon.npz`, which `aligner.lexicon` reads. Held-out texts and sentences are
left out, as in training.

References
----------
Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import click
import numpy as np

from aligner.lexicon import NAME
from aligner.text import spoken_form
from data.prepare import HELD_OUT_TEXTS, fraction
from data.pronounce import PHONES, phone_edges, pronounce

_DISCOUNT = 0.8
_UNSEEN = 0.2  # count of a word that only the list has


def transcripts(folders: Sequence[Path]) -> list[str]:
    """Each training transcript of real speech once, in spoken form."""
    found = []
    for folder in folders:
        for index in sorted(folder.glob("**/index.jsonl")):
            entries = map(json.loads, index.read_text().splitlines())
            found += [e["text"] for e in entries if e["split"] == "train" and e["words"] is None]
    return list(dict.fromkeys(found))


def phone_prior(folders: Sequence[Path]) -> np.ndarray:
    """Log-frequency of every phone over the frames of speech with times."""
    seconds = np.full(len(PHONES), 1.0)
    for folder in folders:
        for index in sorted(folder.glob("**/index.jsonl")):
            estimates = index.with_name("estimated.jsonl")
            for line in (estimates if estimates.is_file() else index).read_text().splitlines():
                last = 0.0
                for word, bounds in json.loads(line)["words"] or ():
                    sounds = pronounce(word)
                    np.add.at(seconds, list(sounds), np.diff(phone_edges(np.asarray(bounds), len(sounds))))
                    seconds[0] += max(0.0, bounds[0] - last)
                    last = bounds[-1]
    return np.log(seconds / seconds.sum())


def bigrams(sentences: Iterable[Sequence[str]], extra: Iterable[str]) -> dict[str, np.ndarray]:
    """Interpolated Kneser-Ney probabilities of word pairs; the fields of `aligner.lexicon.Lexicon`.

    Parameters
    ----------
    sentences : iterable of sequences of str
    extra : iterable of str
        Words that may be in no sentence.
    """
    sentences = [list(s) for s in sentences]
    words = ["", *sorted({w for s in sentences for w in s} | set(extra))]
    number = {word: i for i, word in enumerate(words)}
    pairs = Counter(pair for s in sentences for pair in pairwise([0, *(number[w] for w in s), 0]))
    first, second = np.array(sorted(pairs)).T
    counts = np.array([pairs[pair] for pair in zip(first.tolist(), second.tolist(), strict=True)], float)
    total = np.bincount(first, counts, len(words))
    followers, preceded = np.bincount(first, minlength=len(words)), np.bincount(second, minlength=len(words))
    continuation = np.maximum(preceded, _UNSEEN)
    continuation = continuation / continuation.sum()
    backoff = np.where(total > 0, _DISCOUNT * followers / np.maximum(total, 1), 1.0)
    probability = (counts - _DISCOUNT) / total[first] + backoff[first] * continuation[second]
    return {
        "words": np.frombuffer("\n".join(words).encode(), np.uint8),
        "unigram": np.log(continuation).astype(np.float16),
        "backoff": np.log(backoff).astype(np.float16),
        "pairs": (first * len(words) + second).astype(np.uint32),
        "bigram": np.log(probability).astype(np.float16),
    }


@click.command()
@click.argument("features", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--text", multiple=True, type=click.Path(exists=True, path_type=Path), help="One sentence a line.")
@click.option("--words", multiple=True, type=click.Path(exists=True, path_type=Path), help="One word a line.")
@click.option("-o", "--output", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(features: tuple[Path, ...], text: tuple[Path, ...], words: tuple[Path, ...], output: Path) -> None:
    """Write lexicon.npz into the checkpoint folder OUTPUT."""
    lines = [line for path in text for line in path.read_text().splitlines() if fraction(line) >= HELD_OUT_TEXTS]
    sentences = [s.split() for s in [*transcripts(features), *map(spoken_form, lines)] if s]
    listed = {w for path in words for w in path.read_text(errors="ignore").split() if re.fullmatch("[a-z]+", w)}
    fields = bigrams(sentences, listed)
    spelled = fields["words"].tobytes().decode().split("\n")[1:]
    sounds = [pronounce(word) for word in spelled]
    fields["phones"] = np.array([phone for word in sounds for phone in word], np.uint8)
    fields["lengths"] = np.array([len(word) for word in sounds], np.uint8)
    fields["prior"] = phone_prior(features).astype(np.float32)
    np.savez_compressed(output / NAME, **fields)  # type: ignore[arg-type]
    size = (output / NAME).stat().st_size / 1e6
    click.echo(f"{len(spelled)} words, {len(fields['pairs'])} pairs: {size:.1f} MB", err=True)


if __name__ == "__main__":
    main()
