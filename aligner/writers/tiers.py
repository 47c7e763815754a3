"""Tiers of an annotation file: segments, their words, and on request what is known of each."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from aligner.core import Alignment, Word
from aligner.text.spacing import running
from aligner.writers.base import WriterOptions

LABELS = ("written", "bare")
_SPOKEN = "%&@#"  # marks that are said, though Unicode calls them punctuation


@dataclass(frozen=True)
class Tier:
    """Labelled intervals.

    Attributes
    ----------
    name : str
    intervals : tuple of Word
        Ordered and disjoint.
    parent : str or None
        The tier whose intervals hold these.
    """

    name: str
    intervals: tuple[Word, ...]
    parent: str | None = None


def tiers(alignment: Alignment, options: WriterOptions) -> tuple[Tier, ...]:
    """What `options` asks for, larger units first."""
    words = alignment.words
    labelled = tuple(replace(w, text=bare(w.text)) for w in words) if options.labels == "bare" else words
    found = [Tier("segments", tuple(_segments(alignment))), Tier("words", labelled, "segments")]
    if "tokens" in options.tiers:
        found.append(Tier("tokens", alignment.tokens))
    found += [Tier(n, _noted(words, note), "words") for n, note in NOTES.items() if n in options.tiers]
    return tuple(found)


NOTES: dict[str, Callable[[Word], str]] = {
    "flags": lambda word: " ".join(word.flags),
    "margins": lambda word: "" if word.margin is None else f"{word.margin:.3f}",
}
"""Tiers that say something of each word; nothing where the text is empty."""


def bare(text: str) -> str:
    """A word without the marks around it; a word that is nothing else stays.

    Examples
    --------
    >>> bare("\\u201cSoup,\\u201d"), bare("'tis"), bare("'soup'"), bare("5%."), bare("\\u2026")
    ('Soup', "'tis", 'soup', '5%', '…')
    """
    inner = text
    while inner and _is_mark(inner[-1]):
        inner = inner[:-1]
    while inner and _is_mark(inner[0]) and not _elided(inner, text):
        inner = inner[1:]
    return inner or text


def _is_mark(character: str) -> bool:
    return character not in _SPOKEN and (unicodedata.category(character)[0] in "PZ" or character in "`´")


def _elided(inner: str, text: str) -> bool:
    """Whether a word begins with an apostrophe that stands for letters, not with a quotation mark."""
    return inner[0] in "'’" and inner[1:2].isalnum() and not text.rstrip(".,;:!?…").endswith(("'", "’"))


def _noted(words: Sequence[Word], note: Callable[[Word], str]) -> tuple[Word, ...]:
    return tuple(replace(word, text=text) for word in words if (text := note(word)))


def _segments(alignment: Alignment) -> Iterator[Word]:
    """Segments that have words; words of none are one of their own, so that every word has its segment."""
    words, at = alignment.words, 0
    for first, stop in (*alignment.segments, (len(words), len(words))):
        for i, k in ((at, first), (max(at, first), stop)):
            if k > i:
                yield Word(running(words[i:k]), words[i].start, words[k - 1].end)
        at = max(at, stop)
