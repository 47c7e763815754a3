"""Estimate when each word of transcribed real speech is said: `python -m data.align FEATURES --model FOLDER`.

Writes `estimated.jsonl` beside each `index.jsonl` of speech without times:
one line an utterance, its words with character boundaries in seconds, as
synthetic speech has them exactly. They come from a Viterbi search over the
model's per-frame classifier, of phones where it has one, of characters
otherwise; run again with a better model, they get better. Training uses them
for the per-frame losses on the encoder and to cut long utterances between
words, never to guide attention.

References
----------
Rabiner, "A Tutorial on Hidden Markov Models", 1989, section VI.E: Viterbi training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch

from aligner.errors import InputError
from aligner.features import padding_value
from aligner.forced import frame_states, viterbi
from data.pronounce import pronounce
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


def align_set(model: Recogniser, phones: bool, folder: Path) -> tuple[int, int]:
    """Align one feature set; how many utterances were, and how many were not possible."""
    entries = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    entries = [e for e in entries if e["words"] is None]
    if not entries:
        return 0, 0
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
            words = entry["text"].split()
            spellings = [pronounce(w) if phones else [_LETTER[c] for c in w] for w in words]
            try:
                timed = word_boundaries(posteriors[: (entry["frames"] + 1) // 2], words, spellings)
            except InputError:
                refused += 1
                continue
            rounded = [[w, [round(t, 3) for t in b]] for w, b in timed]
            lines.append(json.dumps({"id": entry["id"], "words": rounded}))
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
    """Estimate the word times of every utterance without times in FEATURES."""
    network, phones = load(model)
    for folder in features:
        for index in sorted(folder.glob("**/index.jsonl")):
            done, refused = align_set(network, phones, index.parent)
            click.echo(
                f"{index.parent}: {done} aligned by {'phones' if phones else 'characters'}, {refused} not", err=True
            )


if __name__ == "__main__":
    main()
