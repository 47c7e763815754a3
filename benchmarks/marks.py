"""Do words come out better from a text with case and punctuation? `python -m benchmarks.marks MANIFEST`.

Gold transcripts are often bare: no capitals, no marks. Here every utterance of MANIFEST is timed with its text as it is
and written as a sentence, with a capital and a full stop; alone, and joined with the speaker's others to half a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from aligner.errors import AlignerError
from aligner.metrics import interval, paired_difference
from aligner.models import load_model
from aligner.timing.case import Case
from aligner.timing.choice import head_of
from aligner.timing.settings import ATTENTION, Settings
from benchmarks.joined import Joined, joined
from eval.gap_account import Errors
from eval.gap_findings import cells
from eval.gap_measure import SETTINGS
from eval.gap_report import table
from eval.manifest import read_manifest


def sentence(text: str) -> str:
    """A bare text with a capital, capital pronouns and a full stop."""
    words = ["I" + word[1:] if word == "i" or word.startswith("i'") else word for word in text.split()]
    written = " ".join(words)
    return written[:1].upper() + written[1:] + "."


def ways(model: Any) -> dict[str, Settings]:
    """What words are timed from."""
    found = {"attention": SETTINGS}
    if model.alignment_heads:
        found["OpenAI's heads"] = replace(SETTINGS, aggregation=replace(ATTENTION, heads="alignment"))
    if head_of(model, Settings(), "en") is not None:
        found["head"] = replace(SETTINGS, timing="head")
    return found


def records(model: Any, recordings: Sequence[Joined]) -> list[dict[str, Any]]:
    """Times of every recording by source and text, in the form that the gap study keeps them."""
    found = []
    for number, one in enumerate(recordings):
        encoded = model.encode(one.audio)
        by_source = {}
        for writing, write in (("bare", str), ("sentences", sentence)):
            case = Case(model, encoded, " ".join(map(write, one.texts)), "en")
            for name, settings in ways(model).items():
                by_source[f"{name}, {writing}"] = [(w.start, w.end) for w in case.words(settings).words]
        words = [[word.text, word.start, word.end] for word in one.words]
        found.append({"id": str(number), "speaker": one.speaker, "words": words, "times": by_source,
                      "frame_duration": model.frame_duration})  # fmt: skip
    return found


def rows(found: Sequence[dict[str, Any]], recordings: str) -> list[dict[str, Any]]:
    """One row a source."""
    lines = []
    for name in [key.removesuffix(", bare") for key in found[0]["times"] if key.endswith(", bare")]:
        bare, written = Errors(found, f"{name}, bare"), Errors(found, f"{name}, sentences")
        groups = bare.groups
        without = paired_difference(written.without_constant, bare.without_constant, groups)
        lines.append(
            {
                "recordings": recordings,
                "source": name,
                "words": len(groups),
                **cells("bare_ms", interval(bare.plain, groups), 1000, 1),
                **cells("sentences_ms", interval(written.plain, groups), 1000, 1),
                **cells("sentences_minus_bare_ms", paired_difference(written.plain, bare.plain, groups), 1000, 1),
                **cells("without_constants_ms", without, 1000, 1),
            }
        )
    return lines


@click.command()
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="embedded", show_default=True)
@click.option("--seconds", default=28.0, show_default=True, help="Most seconds of a joined recording.")
def main(manifest: Path, model: str, seconds: float) -> None:
    """Print what case and punctuation in the text of MANIFEST do to word times."""
    try:
        loaded, utterances = load_model(model, threads=1), read_manifest(manifest)
        lines = []
        for name, most in (("alone", 0.0), ("joined", seconds)):
            lines += rows(records(loaded, list(joined(utterances, most, loaded.sample_rate))), name)
        click.echo("\n".join(table(lines)))
    except AlignerError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
