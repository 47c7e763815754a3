"""What all readers of transcripts with times share: the protocol, the registry, plain text from markup."""

from __future__ import annotations

import html
import math
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol

from aligner.core import Cue
from aligner.errors import InputError
from aligner.registry import Registry

PAUSE = 1.0  # seconds between words that end an utterance
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z\d]{1,31});")
_TAG_NAMES = "a|b|c|div|em|font|h[1-6]|i|lang|li|p|rt|ruby|s|small|span|strong|strike|sub|sup|tt|u|ul|v"
_TAG = re.compile(rf"</?(?:{_TAG_NAMES})(?:[.\s][^<>]*)?/?>|<(?:\d+:)?\d\d:\d\d[.,:]\d{{1,3}}>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>|</p>\s*<p(?:\s[^<>]*)?>", re.IGNORECASE)
MARKUP = re.compile(r"</?[biu]>|\{\\an[1-9]\}", re.IGNORECASE)
"""Marks that a subtitle keeps: bold, italic, underlined type, and its place as ASS and many players have it."""
_UNDERLINE = re.compile(r"</?u>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]」』）]*$")


class Reader(Protocol):
    """A kind of file that holds a transcript and its times."""

    def recognises(self, text: str) -> bool:
        """Whether a text is of this kind, by its content."""

    def read(self, text: str) -> Sequence[Cue] | str:
        """Its cues without markup, in lines as shown; running text where it has no times.

        Raises
        ------
        InputError
            Damaged, or nothing tells which part is the transcript.
        """


readers: Registry[Reader] = Registry("transcript format")


def unmarked(text: str) -> str:
    """Text without HTML tags, entities written out.

    Examples
    --------
    >>> unmarked("<i>we&#39;ll</i> take<br>the&nbsp;train &amp;amp; <laugh>")
    "we'll take\\nthe\\xa0train & <laugh>"
    """
    text = _TAG.sub("", _BREAK.sub("\n", text))
    while (found := _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)) != text:
        text = found  # what was escaped twice is common
    return text


def displayed(text: str) -> str:
    """What a subtitle shows: as `unmarked`, but for `MARKUP`."""
    parts = MARKUP.split(text)
    tags = MARKUP.findall(text)
    marked = "".join(unmarked(part) + tag.lower() for part, tag in zip(parts, [*tags, ""], strict=True))
    return "\n".join(line for line in (line.strip() for line in marked.split("\n")) if line)


def parsed(text: str, kind: str, **options: bool) -> list[Any]:
    """Events of a text as pysubs2 reads them.

    Raises
    ------
    InputError
        It cannot.
    """
    import pysubs2

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of margins and layers, which nobody asks for here
            return list(pysubs2.SSAFile.from_string(text, format_=kind, **options))
    except (pysubs2.Pysubs2Error, ValueError, IndexError, KeyError, OverflowError) as error:
        raise InputError(f"the transcript looks like {kind} subtitles but is damaged: {error}") from None


def subtitles(shown: Iterable[tuple[float, float, str]]) -> tuple[Cue, ...]:
    """Cues from start, end and marked text, in order of time, each line once."""
    marked = _in_order(shown)
    found: list[Cue] = []
    same = [_plain(a[2]) == _plain(b[2]) and a[2] != b[2] for a, b in pairwise(marked)]
    moving = 2 * sum(same) > len(marked)  # a mark goes from word to word: what is shown is one subtitle
    for (start, end, text), again in zip(marked, [False, *same], strict=False):
        if moving and again:
            found[-1] = replace(found[-1], end=end)
        else:
            lines = displayed(_UNDERLINE.sub("", text) if moving else text)
            found.append(Cue(_plain(text), start, end, lines))
    return _unrolled([cue for cue in found if cue.shown])


def _in_order(pieces: Iterable[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Pieces by their start; none ends before it starts, or starts before the recording."""
    given = list(pieces)
    if not all(math.isfinite(start) and math.isfinite(end) for start, end, _ in given):
        raise InputError("the transcript has a time that is no number of seconds")
    found = [(max(0.0, start), max(0.0, start, end), text) for start, end, text in given]
    return sorted(found, key=lambda piece: piece[0])


def _plain(text: str) -> str:
    return unmarked(MARKUP.sub("", text))


def _unrolled(cues: Sequence[Cue]) -> tuple[Cue, ...]:
    """Without what stays on the screen from one cue to the next, where most cues roll up as live captions do."""
    lines = [cue.shown.split("\n") for cue in cues]
    kept = [0, *(_carried(before, after) for before, after in pairwise(lines))]
    rolled = sum(0 < carried < len(own) for carried, own in zip(kept, lines, strict=False))
    if 4 * rolled < len(cues) or 2 * sum(map(bool, kept)) <= len(cues):
        return tuple(cues)
    found: list[Cue] = []
    for cue, own, carried in zip(cues, lines, kept, strict=True):
        if len(own) > carried:
            fresh = "\n".join(own[carried:])
            found.append(replace(cue, text=_plain(fresh), shown=fresh))
        elif found:
            found[-1] = replace(found[-1], end=cue.end)
    return tuple(found)


def _carried(before: Sequence[str], after: Sequence[str]) -> int:
    """How many first lines of a cue are the last lines of the one before it."""
    most = min(len(before), len(after))
    return next((count for count in range(most, 0, -1) if before[-count:] == after[:count]), 0)


def utterances(entries: Iterable[tuple[float, float, str]]) -> tuple[Cue, ...]:
    """Cues from annotations; where they are words, those between two pauses or ends of sentences make one."""
    cues = [Cue(unmarked(text), start, end) for start, end, text in _in_order(entries) if text.strip()]
    if sum(len(cue.text.split()) > 1 for cue in cues) > len(cues) / 10:
        return tuple(cues)
    found: list[Cue] = []
    for cue in cues:
        last = found[-1] if found else None
        if last is None or cue.start - last.end >= PAUSE or _SENTENCE_END.search(last.text):
            found.append(cue)
        else:
            found[-1] = replace(last, text=f"{last.text} {cue.text}", end=max(last.end, cue.end))
    return tuple(found)
