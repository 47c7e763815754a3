"""LibriSpeech with TextGrids of the Montreal Forced Aligner: silver, since an aligner made the times.

Layout: `.../1272-128104-0000.flac` under one folder, TextGrids of the same
stems under the same or another folder, words in the tier `words`.

Panayotov et al., "Librispeech", ICASSP 2015. McAuliffe et al., "Montreal
Forced Aligner", Interspeech 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from aligner.errors import InputError
from eval.corpora.base import Option, Recipe, files, recipes
from eval.manifest import Utterance, make_utterance


def prepare(folder: Path, alignments: Path | None = None) -> Iterator[Utterance]:
    """Utterances that have both audio and a TextGrid.

    Parameters
    ----------
    folder : Path
        With the .flac files.
    alignments : Path, optional
        With the TextGrids, if elsewhere.

    Raises
    ------
    InputError
        Annotations without their audio, or files that cannot be read.
    """
    from aligner.textgrid import read_words

    audio = {path.stem: path for path in files(folder, ".flac")}
    for grid in files(alignments or folder, ".textgrid"):
        if grid.stem not in audio:
            raise InputError(f"utterance {grid.stem}: {grid} has no audio file {grid.stem}.flac under {folder}")
        words = [(w.text, w.start, w.end) for w in read_words(grid, "words")]
        speaker = grid.stem.split("-")[0]
        yield make_utterance(
            grid.stem, audio[grid.stem], words, speaker=speaker, quality="silver", source="librispeech"
        )


recipes.register("librispeech")(
    Recipe(
        prepare,
        (
            Option(
                ("--alignments",),
                {
                    "type": click.Path(exists=True, file_okay=False, path_type=Path),
                    "help": "Folder of the TextGrids, if they do not lie beside the audio.",
                },
            ),
        ),
    )
)
