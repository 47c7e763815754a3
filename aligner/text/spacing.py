"""What stands between the words of running text: the user's own spaces, else those of the script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from aligner.core import Word
from aligner.text.matching import letters, places
from aligner.text.scripts import separator


def gap(before: Word, after: Word) -> str:
    """What stands between two words: what the transcript has there, else by their scripts."""
    return separator(before.text, after.text) if after.spaced is None else " " * after.spaced


def running(words: Sequence[Word]) -> str:
    """Words as running text.

    Examples
    --------
    >>> running([Word("Hello,", 0, 1), Word("world", 1, 2)]), running([Word("你", 0, 1), Word("好", 1, 2)])
    ('Hello, world', '你好')
    """
    return "".join([*(word.text for word in words[:1]), *(gap(a, b) + b.text for a, b in pairwise(words))])


def as_written(words: Sequence[Word], text: str, missing: Sequence[str]) -> tuple[Word, ...]:
    """Words that know where the transcript has spaces and their scripts would have none, or the other way round.

    Parameters
    ----------
    words : sequence of Word
        In order.
    text : str
        The transcript.
    missing : sequence of str
        Stretches of it that are in no word.
    """
    starts = places(letters(text), [letters(word.text) for word in words], [letters(part) for part in missing])
    if starts is None:
        return tuple(words)
    marks = _whitespace(text)
    found = list(words[:1])
    for (before, start), (after, stop) in pairwise(zip(words, starts, strict=True)):
        between = {mark for at in range(start + len(letters(before.text)), stop + 1) if (mark := marks.get(at))}
        written = None if "\n" in between else " " in between
        differs = written is not None and written != (separator(before.text, after.text) == " ")
        found.append(replace(after, spaced=written) if differs else after)
    return tuple(found)


def _whitespace(text: str) -> dict[int, str]:
    """Where a text has a space or a line break, counted in letters before it."""
    marks: dict[int, str] = {}
    count = 0
    for line in text.split("\n"):
        for part in line.split():
            marks.setdefault(count, " ")
            count += len(part)
        marks[count] = "\n"
    return marks
