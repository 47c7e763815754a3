"""CTM references of NIST scoring: `recording channel start duration word [confidence]`, one word a line.

DIR holds the `.ctm` files; recordings are found by name, there or under
`--audio`. Long recordings are cut at pauses.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from aligner.audio.read import SOUNDFILE_SUFFIXES
from aligner.errors import InputError
from aligner.text.encodings import numbered_lines
from eval.corpora.base import LANGUAGE, QUALITY, Option, Recipe, files, recipes, shorter
from eval.manifest import Utterance, make_utterance


def prepare(
    folder: Path, audio: Path | None = None, quality: str = "gold", language: str = "en"
) -> Iterator[Utterance]:
    """Utterances of every recording that the `.ctm` files name.

    Parameters
    ----------
    folder : Path
        With `.ctm` files.
    audio : Path, optional
        With the recordings, if elsewhere.
    quality, language : str
        Of all utterances.

    Raises
    ------
    InputError
        Annotations without their audio, or files that cannot be read.
    """
    recordings = {p.stem: p for p in (audio or folder).rglob("*") if p.suffix.lower() in SOUNDFILE_SUFFIXES}
    for table in files(folder, ".ctm"):
        for name, words in _read(table).items():
            if name not in recordings:
                raise InputError(
                    f"utterance {name}: {table} names it, but no audio file {name} is under {audio or folder}"
                )
            yield from shorter(
                [make_utterance(name, recordings[name], words, quality=quality, language=language, source=table.stem)]
            )


def _read(table: Path) -> dict[str, list[tuple[str, float, float]]]:
    found: dict[str, list[tuple[str, float, float]]] = {}
    for number, line in numbered_lines(table):
        if line.startswith(";;"):
            continue
        try:
            name, _channel, start, duration, word = line.split()[:5]
            found.setdefault(name, []).append((word, float(start), float(start) + float(duration)))
        except ValueError:
            raise InputError(
                f"{table}, line {number} is not 'recording channel start duration word': {line!r}"
            ) from None
    return {name: sorted(words, key=lambda w: w[1:]) for name, words in found.items()}


recipes.register("ctm")(
    Recipe(
        prepare,
        (
            Option(
                ("--audio",),
                {
                    "type": click.Path(exists=True, file_okay=False, path_type=Path),
                    "help": "Folder of the recordings, if not in DIR.",
                },
            ),
            QUALITY,
            LANGUAGE,
        ),
    )
)
