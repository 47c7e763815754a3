"""Lines that begin with a time: LRC lyrics, and transcripts stamped by hand or by a meeting's service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from aligner.core import Cue
from aligner.text.readers.base import readers, subtitles, utterances

LAST = 5.0  # seconds of the last line, of which no end is known
_CLOCK = r"\d{1,3}:[0-5]?\d(?::[0-5]\d)?(?:[.,]\d{1,3})?"
_BRACKETED = re.compile(rf"[ \t]*((?:[\[(]{_CLOCK}[\])][ \t]*)+)[-–—]?[ \t]*(.*)")
_BARE = re.compile(rf"[ \t]*({_CLOCK})(?:[ \t]*[-–—][ \t]+|[ \t]+|$)(.*)")
_HEADER = re.compile(r"[ \t]*\[([a-zA-Z#]\w*):[ \t]*(.*)\][ \t]*$")


class Stamped:
    """`[01:02.50] words`, where a line may have several times and a header may shift all; or `1:02 words`."""

    def recognises(self, text: str) -> bool:
        """See `Reader`: the first line has a time; bare ones are many and in order, so that no sentence is taken."""
        lines = [line for line in text.split("\n") if line.strip() and not _HEADER.match(line)]
        if not lines:
            return False
        if _BRACKETED.match(lines[0]):
            return True
        bare = [_seconds(stamped[1]) for line in lines if (stamped := _BARE.match(line))]
        in_order = all(a <= b for a, b in pairwise(bare))
        return bool(_BARE.match(lines[0])) and 1 < len(bare) >= len(lines) / 3 and in_order

    def read(self, text: str) -> Sequence[Cue]:
        """See `Reader`."""
        found: list[tuple[float, str]] = []
        shift, fine, repeated = 0.0, True, 1
        for line in text.split("\n"):
            header = _HEADER.match(line)
            stamped = _BRACKETED.match(line) or _BARE.match(line)
            if stamped:
                stamps = re.findall(_CLOCK, stamped[1])
                fine = fine and all("." in stamp for stamp in stamps)
                repeated = len(stamps)
                found += [(_seconds(stamp), stamped[2]) for stamp in stamps]
            elif header and header[1].lower() == "offset":
                shift = float(header[2]) / 1000 if re.fullmatch(r"[+-]?\d+", header[2].strip()) else 0.0
            elif found and not header:
                found[-repeated:] = [(at, f"{words}\n{line}".strip()) for at, words in found[-repeated:]]
        found.sort(key=lambda piece: piece[0])
        ends = [after for (_, _), (after, _) in pairwise(found)] + [found[-1][0] + LAST]
        pieces = [
            (max(0.0, at - shift), max(0.0, end - shift), words) for (at, words), end in zip(found, ends, strict=True)
        ]
        # Lyrics are shown line by line; the paragraphs of a meeting are no subtitles.
        return subtitles(pieces) if fine else utterances(pieces)


def _seconds(stamp: str) -> float:
    whole, _, part = stamp.replace(",", ".").partition(".")
    seconds = 0.0
    for number in whole.split(":"):
        seconds = seconds * 60 + int(number)
    return seconds + float(f"0.{part or 0}")


readers.register("stamped")(Stamped())
