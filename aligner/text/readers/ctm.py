"""NIST CTM: recording, channel, onset, duration, word, perhaps confidence and more."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aligner.core import Cue
from aligner.text.readers.base import readers, utterances

_ROW = re.compile(r"\S+\s+\w{1,2}\s+(\d*\.?\d+)\s+(\d*\.?\d+)\s+(\S+)(?:\s+\S+){0,3}\s*")


class Ctm:
    """A word a line."""

    def recognises(self, text: str) -> bool:
        """See `Reader`: every line is one, and times have decimals."""
        lines = _lines(text)
        rows = [_ROW.fullmatch(line) for line in lines]
        return bool(rows) and all(rows) and any("." in row[1] + row[2] for row in rows if row)

    def read(self, text: str) -> Sequence[Cue]:
        """See `Reader`."""
        rows = [row for line in _lines(text) if (row := _ROW.fullmatch(line))]
        return utterances(
            (float(row[1]), float(row[1]) + float(row[2]), row[3].replace("_", " "))
            for row in rows
            if not re.fullmatch(r"<.*>", row[3])  # alternatives and noises
        )


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip() and not line.startswith(";;")]


readers.register("ctm")(Ctm())
