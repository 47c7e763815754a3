"""Evaluate a checkpoint on held-out speech and write its model card: `python -m data.evaluate FOLDER ...`.

Recognition: word and character error rate of the decoder's greedy transcripts
and, where the checkpoint has a lexicon, of those that `align` makes with it,
by data set.
Timing: held-out synthetic voices and sentences, given the transcript, default
settings. Intervals are 95 % bootstraps over speakers (over utterances where
there is one speaker). Timing on corpora with gold is `align-eval run`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from aligner.core import Word
from aligner.metrics.bootstrap import interval
from aligner.models import load_model
from aligner.models.base import Encoded, SpeechModel
from aligner.recognition import choose, recognisers
from aligner.timing.settings import Settings
from aligner.timing.window import align_window

GROUPS = {
    "synthetic-clean": "synthetic, held-out voices and sentences",
    "synthetic": "the same after augmentation (tempo, room, noise, bandwidth)",
}


@dataclass(frozen=True)
class Heard:
    """One recognised utterance: edits and lengths in words and characters."""

    speaker: str
    word_edits: int
    words: int
    character_edits: int
    characters: int


def held_out(folders: Sequence[Path], most: int) -> Iterator[tuple[str, dict[str, Any], np.ndarray]]:
    """At most `most` test utterances of each set: its name, index entry and features."""
    counts: dict[str, int] = {}
    for folder in folders:
        for index in sorted(folder.glob("**/index.jsonl")):
            mel = np.memmap(index.parent / "mel.f16", np.float16, "r").reshape(-1, 80)
            for line in index.read_text().splitlines():
                entry = json.loads(line)
                if entry["split"] == "test" and counts.get(entry["set"], 0) < most:
                    counts[entry["set"]] = counts.get(entry["set"], 0) + 1
                    part = mel[entry["offset"] : entry["offset"] + entry["frames"]]
                    yield entry["set"], entry, part.astype(np.float32)


def heard(reference: str, hypothesis: str, speaker: str) -> Heard:
    """Count edits with jiwer."""
    import jiwer

    words = jiwer.process_words(reference, hypothesis or " ")
    characters = jiwer.process_characters(reference, hypothesis or " ")
    return Heard(
        speaker,
        words.substitutions + words.deletions + words.insertions,
        len(reference.split()),
        characters.substitutions + characters.deletions + characters.insertions,
        len(reference),
    )


def error_rate(found: Sequence[Heard], edits: str, lengths: str, seed: int = 0) -> tuple[float, float, float]:
    """Micro-averaged error rate in % and its 95 % interval, resampling speakers (or utterances of one speaker)."""
    speakers = sorted({h.speaker for h in found})
    groups = [[h for h in found if h.speaker == s] for s in speakers] if len(speakers) > 1 else [[h] for h in found]
    sums = np.array([[sum(getattr(h, n) for h in g) for n in (edits, lengths)] for g in groups], float)
    draws = np.random.default_rng(seed).integers(0, len(groups), (1000, len(groups)))
    rates = sums[draws].sum(1)
    low, high = np.percentile(100 * rates[:, 0] / rates[:, 1], [2.5, 97.5])
    return float(100 * sums[:, 0].sum() / sums[:, 1].sum()), float(low), float(high)


def recognition_table(found: dict[str, list[Heard]]) -> list[str]:
    """Markdown rows."""
    rows = ["| set | utterances | speakers | words | WER % [95 %] | CER % [95 %] |", "|---|---|---|---|---|---|"]
    for name, entries in found.items():
        word = error_rate(entries, "word_edits", "words")
        character = error_rate(entries, "character_edits", "characters")
        rows.append(
            f"| {GROUPS.get(name, name)} | {len(entries)} | {len({h.speaker for h in entries})} "
            f"| {sum(h.words for h in entries)} | {word[0]:.1f} [{word[1]:.1f}, {word[2]:.1f}] "
            f"| {character[0]:.1f} [{character[1]:.1f}, {character[2]:.1f}] |"
        )
    return rows


def transcribed(model: SpeechModel, encoded: Encoded, reference: str, speaker: str) -> dict[str, Heard]:
    """One utterance by every recogniser of the checkpoint."""
    names = sorted({"decoder", choose(model, None, "transcribe")})
    return {
        name: heard(reference, recognisers[name](model, [encoded], "en", "transcribe")[0], speaker) for name in names
    }


def timing_table(errors: list[tuple[float, float]], groups: list[str]) -> list[str]:
    """Markdown rows of held-out synthetic timing; errors are signed (onset, offset) seconds."""
    values = np.abs(np.array(errors))
    rows = ["| boundary | words | mean ms [95 %] | median ms | within 50 ms % |", "|---|---|---|---|---|"]
    for k, name in enumerate(("onset", "offset")):
        mean = interval(values[:, k], groups)
        rows.append(
            f"| {name} | {len(values)} | {1000 * mean.value:.0f} [{1000 * mean.low:.0f}, {1000 * mean.high:.0f}] "
            f"| {1000 * np.median(values[:, k]):.0f} | {100 * np.mean(values[:, k] <= 0.05):.1f} |"
        )
    return rows


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, path_type=Path))
@click.option("--features", multiple=True, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--manifest", multiple=True, type=click.Path(exists=True, path_type=Path), help="Further corpora for WER."
)
@click.option("--most", default=150, show_default=True, help="Utterances of each set.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Markdown file; standard output when left out.")
def main(
    checkpoint: Path, features: tuple[Path, ...], manifest: tuple[Path, ...], most: int, output: Path | None
) -> None:
    """Word error rates and held-out synthetic timing of CHECKPOINT, as markdown."""
    model = load_model(str(checkpoint))
    recognised: dict[str, dict[str, list[Heard]]] = {}

    def note(name: str, encoded: Encoded, reference: str, speaker: str) -> None:
        for recogniser, found in transcribed(model, encoded, reference, speaker).items():
            recognised.setdefault(recogniser, {}).setdefault(name, []).append(found)

    timed: dict[str, tuple[list[tuple[float, float]], list[str]]] = {}  # errors and speakers, a word each
    for name, entry, mel in held_out(features, most):
        tensor = torch.from_numpy(mel)
        with torch.inference_mode():
            states = model.encode_features(tensor[None])[0]
        encoded = Encoded(tensor, states, len(mel) * 0.01)
        note(name, encoded, entry["text"], entry["speaker"])
        if entry["words"]:
            gold = [Word(text, bounds[0], bounds[-1]) for text, bounds in entry["words"]]
            found = align_window(model, encoded, entry["text"], Settings(confidence=False), "en").words
            errors, groups = timed.setdefault(name, ([], []))
            errors += [(w.start - g.start, w.end - g.end) for w, g in zip(found, gold, strict=True)]
            groups += [entry["speaker"]] * len(gold)
    for path in manifest:
        from eval.manifest import load_audio, read_manifest

        for utterance in read_manifest(path):
            encoded = model.encode(load_audio(utterance, model.sample_rate))
            reference = " ".join(w.text.lower() for w in utterance.words)
            note(path.stem, encoded, reference, utterance.speaker or utterance.id)
    titles = {
        "decoder": "by the decoder, greedy, no language model",
        "lexicon": "by sounds and lexicon, as `align` does",
    }
    lines = []
    for recogniser, found in recognised.items():
        lines += [f"### Recognition {titles[recogniser]}", "", *recognition_table(found), ""]
    for name, (errors, groups) in timed.items():
        lines += [f"### Word times, transcript given: {GROUPS.get(name, name)}", "", *timing_table(errors, groups), ""]
    text = "\n".join(lines)
    if output:
        output.write_text(text, encoding="utf-8")
    else:
        click.echo(text, nl=False)


if __name__ == "__main__":
    main()
