"""TIMIT: hand-verified word labels of read American English.

Layout: `.../SPEAKER/SENTENCE.wrd` beside `.wav` (NIST SPHERE or RIFF), times
in samples at 16 kHz. The sentences SA1 and SA2 are read by every speaker and
are left out, as in most published scores.

Garofolo et al., "DARPA TIMIT Acoustic-Phonetic Continuous Speech Corpus",
LDC93S1, 1993.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aligner.errors import InputError
from aligner.text.encodings import numbered_lines
from eval.corpora.base import Option, Recipe, files, recipes, sibling
from eval.manifest import Utterance, make_utterance

SAMPLE_RATE = 16_000


def prepare(folder: Path, sa: bool = False) -> Iterator[Utterance]:
    """Utterances of a folder laid out like TIMIT.

    Parameters
    ----------
    folder : Path
    sa : bool
        Whether to keep the sentences SA1 and SA2.

    Raises
    ------
    InputError
        Labels or audio that cannot be read, or are of another rate than TIMIT's.
    """
    for labels in files(folder, ".wrd"):
        if labels.stem.lower().startswith("sa") and not sa:
            continue
        name = labels.relative_to(folder).with_suffix("").as_posix()
        utterance = make_utterance(
            name, sibling(labels, (".wav", ".sph")), list(_words(labels)), speaker=labels.parent.name, source="timit"
        )
        if utterance.sample_rate != SAMPLE_RATE:
            raise InputError(
                f"utterance {name}: {utterance.audio} has {utterance.sample_rate} Hz, "
                f"but TIMIT's labels count samples at {SAMPLE_RATE} Hz"
            )
        yield utterance


def _words(labels: Path) -> Iterator[tuple[str, float, float]]:
    for number, line in numbered_lines(labels):  # TIMIT's are ASCII, those of others in its layout more
        fields = line.split()
        if len(fields) != 3 or not (fields[0].isdigit() and fields[1].isdigit()):
            raise InputError(f"{labels}, line {number} is not 'start end word' in samples: {line!r}")
        yield fields[2], int(fields[0]) / SAMPLE_RATE, int(fields[1]) / SAMPLE_RATE


recipes.register("timit")(
    Recipe(prepare, (Option(("--sa/--no-sa",), {"default": False, "help": "Keep the sentences SA1 and SA2."}),))
)
