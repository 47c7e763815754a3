"""Any folder of audio files with Praat TextGrids of the same names beside them.

The speaker is the subfolder; files that lie in the folder itself have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aligner.audio.read import SOUNDFILE_SUFFIXES
from eval.corpora.base import LANGUAGE, QUALITY, Option, Recipe, files, recipes, sibling
from eval.manifest import Utterance, make_utterance


def prepare(
    folder: Path,
    tier: str | None = None,
    drop: tuple[str, ...] = ("*",),
    quality: str = "gold",
    language: str = "en",
) -> Iterator[Utterance]:
    """Utterances of a folder of TextGrids.

    Parameters
    ----------
    folder : Path
    tier : str, optional
        Tier of the words; found if left out.
    drop : tuple of str
        Labels that are no words.
    quality, language : str
        Of all utterances.
    """
    from aligner.textgrid import read_words

    for grid in files(folder, ".textgrid"):
        words = [(w.text, w.start, w.end) for w in read_words(grid, tier) if w.text not in drop]
        yield make_utterance(
            grid.relative_to(folder).with_suffix("").as_posix(),
            sibling(grid, SOUNDFILE_SUFFIXES),
            words,
            speaker=grid.parent.relative_to(folder).as_posix() if grid.parent != folder else None,
            quality=quality,
            language=language,
            source=folder.resolve().name,
        )


recipes.register("textgrid")(
    Recipe(
        prepare,
        (
            Option(("--tier",), {"help": "Tier of the words; found if left out."}),
            Option(
                ("--drop",),
                {"multiple": True, "default": ("*",), "show_default": True, "help": "Label that is no word."},
            ),
            QUALITY,
            LANGUAGE,
        ),
    )
)
