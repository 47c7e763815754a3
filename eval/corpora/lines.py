"""Lists of recordings with timed words: one JSON object a line, audio paths relative to the list.

Each line holds "audio" and "words" (text, start and end in seconds), and perhaps "split", "speaker" and "language".
Without a speaker, the folder of the recording stands for one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from aligner.errors import InputError
from aligner.text.encodings import numbered_lines
from eval.corpora.base import LANGUAGE, QUALITY, Option, Recipe, recipes
from eval.manifest import Utterance, make_utterance


def prepare(
    folder: Path, split: str | None = None, under: str | None = None, quality: str = "gold", language: str = "en"
) -> Iterator[Utterance]:
    """Utterances of a list.

    Parameters
    ----------
    folder : Path
        The list itself.
    split : str, optional
        Only lines of this split.
    under : str, optional
        Only recordings whose path begins so.
    quality, language : str

    Raises
    ------
    InputError
        No such file, no UTF-8 text, or a line without audio and words.
    """
    if not folder.is_file():
        raise InputError(f"{folder} is not a file: give the list of recordings, one JSON object a line")
    for number, line in numbered_lines(folder):
        try:
            entry = json.loads(line)
            audio, words = str(entry["audio"]), [(str(w), float(s), float(e)) for w, s, e in entry["words"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder}, line {number} has no audio and words with times: {error}") from error
        if (split and entry.get("split") != split) or not audio.startswith(under or ""):
            continue
        yield make_utterance(
            audio,
            folder.parent / audio,
            words,
            speaker=entry.get("speaker", Path(audio).parent.name),
            language=entry.get("language", language),
            quality=quality,
            source=folder.stem,
        )


recipes.register("lines")(
    Recipe(
        prepare,
        (
            Option(("--split",), {"help": "Only lines of this split."}),
            Option(("--under",), {"help": "Only recordings whose path begins so."}),
            QUALITY,
            LANGUAGE,
        ),
    )
)
