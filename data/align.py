"""Estimate when each word of transcribed real speech is said: `python -m data.align FEATURES --model FOLDER`.

Writes `estimated.jsonl` beside each `index.jsonl`: one line an utterance, its
words with character boundaries in seconds, as synthetic speech has them
exactly, and which of its pronunciations each word has (`data.pronounce`).
They come from a Viterbi search over the model's per-frame classifier, of
phones where it has one, of characters otherwise; run again with a better
model, they get better. Training uses them for the per-frame losses on the
encoder and to cut long utterances between words, never to guide attention. Of
synthetic speech only the pronunciations are estimated, its times are known.

References
----------
Rabiner, "A Tutorial on Hidden Markov Models", 1989, section VI.E: Viterbi training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from aligner.errors import InputError
from aligner.forced import frame_states, viterbi
from aligner.models.features import padding_value
from data.pronounce import pronounce, pronunciations
from data.synthesize import character_boundaries
from data.train import FRAME, Recogniser, weights
from data.vocabulary import CTC_LABELS

_BATCH = 60_000  # feature frames encoded together
_LETTER = {label: i for i, label in enumerate(CTC_LABELS)}


def load(source: Path) -> tuple[Recogniser, bool]:
    """A model and whether its phone classifier is trained."""
    model = Recogniser()
    missing = model.load_state_dict(weights(source), strict=False).missing_keys
    return model.eval(), not missing


def word_boundaries(
    log_posteriors: np.ndarray, words: Sequence[str], spellings: Sequence[Sequence[int]]
) -> list[tuple[str, tuple[float, ...]]]:
    """Words with character boundaries on the best path.

    Parameters
    ----------
    log_posteriors : float array, shape (frames, labels)
        Label 0 is silence.
    words : sequence of str
    spellings : sequence of sequences of int
        Labels of each word's sounds, in order.

    Raises
    ------
    InputError
        More sounds than frames.
    """
    states = frame_states(spellings, -1)
    path = viterbi(log_posteriors[:, states.labels], states.may_skip)
    starts = np.searchsorted(path, np.arange(len(states.labels) + 1))  # first frame at or after each state
    found, state = [], 1
    for word, spelling in zip(words, spellings, strict=True):
        edges = starts[state : state + len(spelling) + 1] * FRAME
        found.append((word, character_boundaries(word, edges)))
        state += len(spelling) + 1
    return found


def heard(log_posteriors: np.ndarray, word: str, start: float, end: float) -> tuple[int, ...]:
    """The pronunciation of a word that fits best between two times in seconds; the usual one where none fits."""
    ways = pronunciations(word)
    stretch = log_posteriors[round(start / FRAME) : round(end / FRAME)]
    fitting = [way for way in ways if len(way) <= len(stretch)]
    if len(ways) == 1 or not fitting:
        return ways[0]
    return max(fitting, key=lambda way: _fit(stretch[:, list(way)]))


def _fit(emitted: np.ndarray) -> float:
    """Score of the best way through states that are all passed, shape (frames, states)."""
    score = np.full(emitted.shape[1], -np.inf)
    score[0] = 0.0
    for k, frame in enumerate(emitted):
        before = np.concatenate([[-np.inf], score[:-1]]) if k else score
        score = np.maximum(score, before) + frame
    return float(score[-1])


def align_utterance(posteriors: np.ndarray, entry: dict[str, Any], phones: bool) -> dict[str, Any]:
    """A line of `estimated.jsonl`; InputError where the utterance has more sounds than frames."""
    words = entry["words"]
    if words is None:
        texts = entry["text"].split()
        if phones:
            words = word_boundaries(posteriors, texts, [pronounce(text) for text in texts])
            ways = [heard(posteriors, text, b[0], b[-1]) for text, b in words]
            words = word_boundaries(posteriors, texts, ways)
        else:
            words = word_boundaries(posteriors, texts, [[_LETTER[c] for c in text] for text in texts])
    line = {"id": entry["id"], "words": [[text, [round(t, 3) for t in b]] for text, b in words]}
    if phones:
        line["sounds"] = [heard(posteriors, text, b[0], b[-1]) for text, b in words]
    return line


def align_set(model: Recogniser, phones: bool, folder: Path) -> tuple[int, int]:
    """Align one feature set; how many utterances were, and how many were not possible."""
    entries = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    mel = np.memmap(folder / "mel.f16", np.float16, "r").reshape(-1, 80)
    order = sorted(entries, key=lambda e: e["frames"])
    head = model.phone if phones else model.frame
    lines, refused, first = [], 0, 0
    while first < len(order):
        stop = first
        while stop < len(order) and order[stop]["frames"] * (stop - first + 1) <= _BATCH:
            stop += 1
        group = order[first : max(stop, first + 1)]
        first += len(group)
        longest = group[-1]["frames"] + group[-1]["frames"] % 2
        batch = np.empty((len(group), longest, 80), np.float32)
        for row, entry in zip(batch, group, strict=True):
            part = mel[entry["offset"] : entry["offset"] + entry["frames"]]
            row[: len(part)] = part
            row[len(part) :] = padding_value(part)
        with torch.inference_mode():
            states = model.encode(torch.from_numpy(batch).transpose(1, 2).contiguous())
            scores = torch.log_softmax(head(states), -1).numpy()
        for entry, posteriors in zip(group, scores, strict=True):
            try:
                lines.append(json.dumps(align_utterance(posteriors[: (entry["frames"] + 1) // 2], entry, phones)))
            except InputError:
                refused += 1
    temporary = folder / "estimated.tmp"
    temporary.write_text("\n".join(lines) + "\n")
    temporary.replace(folder / "estimated.jsonl")
    return len(lines), refused


@click.command()
@click.argument("features", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--model", required=True, type=click.Path(exists=True, path_type=Path), help="Exported folder or last.pt."
)
def main(features: tuple[Path, ...], model: Path) -> None:
    """Estimate the word times of real speech in FEATURES, and how the words of all speech are said."""
    network, phones = load(model)
    for folder in features:
        for index in sorted(folder.glob("**/index.jsonl")):
            done, refused = align_set(network, phones, index.parent)
            click.echo(
                f"{index.parent}: {done} aligned by {'phones' if phones else 'characters'}, {refused} not", err=True
            )


if __name__ == "__main__":
    main()
