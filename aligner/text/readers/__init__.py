"""Transcripts in files that know times: one small class each, known by their content, not by their name."""

from __future__ import annotations

from collections.abc import Sequence

from aligner.core import Cue
from aligner.text.readers import ass, ctm, elan, json_, praat, stamped, subrip, webvtt  # registers them
from aligner.text.readers.base import Reader, readers, unmarked

del ass, ctm, elan, json_, praat, stamped, subrip, webvtt

__all__ = ["SUFFIXES", "Reader", "read", "readers", "unmarked"]

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa", ".lrc", ".TextGrid", ".json", ".eaf", ".ctm")
"""Names that such files usually have."""


def read(text: str) -> Sequence[Cue] | str:
    """Cues of a text that is of a known kind, else the text itself.

    Raises
    ------
    InputError
        A file of a known kind that is damaged.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found = next((readers[name] for name in readers if readers[name].recognises(text)), None)
    return text if found is None else found.read(text)
