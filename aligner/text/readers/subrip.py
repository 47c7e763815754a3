"""SubRip (.srt), through pysubs2."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aligner.core import Cue
from aligner.text.readers.base import parsed, readers, subtitles

_STAMP = r"\d{1,2}:\d{1,2}:\d{1,2}[,.:]\d{1,3}"
_TIMING = re.compile(rf"^[ \t]*{_STAMP}[ \t]*-+>[ \t]*{_STAMP}", re.MULTILINE)
_OVERRIDE = re.compile(r"\{\\(?!an[1-9]\})[^{}]*\}")  # as ASS writes them, and some players heed


class SubRip:
    """Cues between arrows."""

    def recognises(self, text: str) -> bool:
        """See `Reader`."""
        return not text.startswith("WEBVTT") and _TIMING.search(text) is not None

    def read(self, text: str) -> Sequence[Cue]:
        """See `Reader`."""
        found = parsed(text, "srt", keep_html_tags=True, keep_unknown_html_tags=True)
        return subtitles((e.start / 1000, e.end / 1000, _OVERRIDE.sub("", e.text.replace("\\N", "\n"))) for e in found)


readers.register("srt")(SubRip())
