"""WebVTT (https://www.w3.org/TR/webvtt1/). pysubs2 takes its notes for words, so it is read here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aligner.core import Cue
from aligner.text.readers.base import readers, subtitles

_TIMING = re.compile(r"\s*((?:\d+:)?\d\d:\d\d\.\d{3})\s*-->\s*((?:\d+:)?\d\d:\d\d\.\d{3})(?:\s|$)")
_TOP = re.compile(r"\sline:(?:\d(?![\d.%])|[0-4]?\d(?:\.\d+)?%)")  # a line from the top, or a share of the height


class WebVtt:
    """Blocks between blank lines; those without a line of times are notes and styles."""

    def recognises(self, text: str) -> bool:
        """See `Reader`."""
        return re.match(r"WEBVTT(\s|$)", text) is not None

    def read(self, text: str) -> Sequence[Cue]:
        """See `Reader`."""
        shown = []
        for block in re.split(r"\n{2,}", text):
            lines = block.strip("\n").split("\n")
            for number, line in enumerate(lines[:2]):  # an identifier may stand before the times
                if timing := _TIMING.match(line):
                    place = "{\\an8}" if _TOP.search(line) else ""
                    text = place + "\n".join(lines[number + 1 :])
                    shown.append((_seconds(timing[1]), _seconds(timing[2]), text))
                    break
        return subtitles(shown)


def _seconds(stamp: str) -> float:
    minutes, seconds = stamp.rsplit(":", 1)
    hours, _, minutes = minutes.rpartition(":")
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


readers.register("vtt")(WebVtt())
