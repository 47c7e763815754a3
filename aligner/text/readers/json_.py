"""JSON of recognisers: openai-whisper and what follows it (this project, faster tools), whisper.cpp, transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from aligner.core import Cue
from aligner.errors import InputError
from aligner.text.readers.base import readers, utterances

_LAYOUTS: dict[str, Callable[[dict[str, Any]], tuple[Any, Any, Any]]] = {
    "segments": lambda part: (part["start"], part["end"], part["text"]),
    "transcription": lambda part: (part["offsets"]["from"] / 1000, part["offsets"]["to"] / 1000, part["text"]),
    "chunks": lambda part: (part["timestamp"][0], part["timestamp"][1], part["text"]),
}


class Json:
    """An object with a list of timed pieces, or with nothing but its text."""

    def recognises(self, text: str) -> bool:
        """See `Reader`."""
        return isinstance(_parsed(text), dict)

    def read(self, text: str) -> Sequence[Cue] | str:
        """See `Reader`."""
        data = _parsed(text)
        for name, layout in _LAYOUTS.items():
            if isinstance(data.get(name), list):
                try:
                    pieces = [layout(part) for part in data[name]]
                    # The end of the last piece is unknown to some.
                    return utterances((float(s), float(s if e is None else e), str(t)) for s, e, t in pieces)
                except (KeyError, TypeError, ValueError, IndexError) as error:
                    raise InputError(
                        f"the transcript is JSON, but its {name!r} lack times or text ({error}): give plain text"
                    ) from None
        if isinstance(data.get("text"), str):
            return str(data["text"])
        raise InputError(f'the transcript is JSON, but holds none of {", ".join(_LAYOUTS)} and no "text"')


def _parsed(text: str) -> Any:
    stripped = text.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")):
        return None
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError):
        return None


readers.register("json")(Json())
