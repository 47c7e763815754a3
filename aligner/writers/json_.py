"""JSON with whisper's keys, so that scripts written for it read this too, and what it lacks beside them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from aligner.core import Alignment, Word
from aligner.text.scripts import separator
from aligner.text.spacing import gap, running
from aligner.writers.base import WriterOptions, formats


def as_dict(alignment: Alignment) -> dict[str, Any]:
    """Whisper's layout: text, segments with words, language; plus duration and provenance.

    As in whisper, a word carries the space in front of it.
    """
    segments = []
    for number, (first, stop) in enumerate(alignment.segments or ((0, len(alignment.words)),)):
        words = alignment.words[first:stop]
        if words:
            opening = separator(words[0].text[0], words[0].text)  # a script decides about its own first space
            gaps = [opening, *(gap(before, after) for before, after in pairwise(words))]
            entries = [_word(word, space) for word, space in zip(words, gaps, strict=True)]
            segments.append(
                {
                    "id": number,
                    "start": _round(words[0].start),
                    "end": _round(words[-1].end),
                    "text": "".join(entry["word"] for entry in entries),
                    "words": entries,
                }
            )
    return {
        "text": running(alignment.words),
        "segments": segments,
        "language": alignment.language,
        "duration": _round(alignment.duration),
        "provenance": alignment.provenance,
    }


def _round(seconds: float) -> float:
    return round(seconds, 6)


def _word(word: Word, space: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "word": space + word.text,
        "start": _round(word.start),
        "end": _round(word.end),
    }
    if word.probability is not None:
        entry["probability"] = round(word.probability, 4)
    if word.agreement is not None:
        entry["agreement"] = round(word.agreement, 4)
    if word.margin is not None:
        entry["margin"] = round(word.margin, 4)
    if word.flags:
        entry["flags"] = list(word.flags)
    return entry


class Json:
    """One object, UTF-8, indented."""

    suffix = ".json"
    precision = 1e-6

    def write(self, alignment: Alignment, path: Path, options: WriterOptions) -> None:
        """See `Format`."""
        with path.open("w", encoding="utf-8") as file:  # piece by piece: hours of words make a long text
            json.dump(as_dict(alignment), file, ensure_ascii=False, indent=1)
            file.write("\n")

    def read(self, path: Path) -> tuple[Word, ...]:
        """See `Format`."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            Word(
                w["word"].removeprefix(" "), w["start"], w["end"], w.get("probability"), w.get("agreement"),
                tuple(w.get("flags", ())), w.get("margin"),
            )
            for segment in data["segments"]
            for w in segment["words"]
        )  # fmt: skip


formats.register("json")(Json())
