"""Praat TextGrids, long and short."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aligner.core import Cue
from aligner.text.readers.base import readers, utterances


class TextGrid:
    """A tier of utterances or of words."""

    def recognises(self, text: str) -> bool:
        """See `Reader`."""
        return re.match(r"\s*(File type\s*=\s*)?\"ooTextFile", text) is not None and "TextGrid" in text[:200]

    def read(self, text: str) -> Sequence[Cue]:
        """See `Reader`."""
        from aligner import textgrid

        return utterances((e.start, e.end, e.text) for e in textgrid.transcript(text))


readers.register("textgrid")(TextGrid())
