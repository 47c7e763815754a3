"""Advanced SubStation Alpha and its forerunner (.ass, .ssa), through pysubs2."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aligner.core import Cue
from aligner.text.readers.base import parsed, readers, subtitles

_SECTION = re.compile(r"^\[(?:Script Info|V4\+? Styles|Events)\]", re.IGNORECASE | re.MULTILINE)
_TYPE = re.compile(r"\\([biu])([01])(?=[\\}])")
_PLACE = re.compile(r"\\an[1-9]")
_OVERRIDE = re.compile(r"\{[^{}]*\\[^{}]*\}")


class Ass:
    """Dialogue; comments and drawings are not spoken."""

    def recognises(self, text: str) -> bool:
        """See `Reader`."""
        return _SECTION.search(text[:65536]) is not None

    def read(self, text: str) -> Sequence[Cue]:
        """See `Reader`."""
        return subtitles(
            (event.start / 1000, event.end / 1000, _tagged(event.text))
            for event in parsed(text, "ass")
            if event.type == "Dialogue" and not event.is_drawing
        )


def _tagged(text: str) -> str:
    """Override blocks as the place and the type they switch, or nothing."""

    def tags(block: re.Match[str]) -> str:
        place = _PLACE.search(block[0])
        kept = f"{{{place[0]}}}" if place else ""
        return kept + "".join(f"<{'' if on == '1' else '/'}{name}>" for name, on in _TYPE.findall(block[0]))

    escaped = text.replace("\\{", "\x01").replace("\\}", "\x02")
    plain = _OVERRIDE.sub(tags, escaped).replace("\\N", "\n").replace("\\n", " ").replace("\\h", "\xa0")
    return plain.replace("\x01", "{").replace("\x02", "}").replace("\\\u2060", "\\")


readers.register("ass")(Ass())
