"""Stretches of a recording, aligned one by one, as one result; where its sentences are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from aligner.core import Word
from aligner.text.transcript import sentences
from aligner.timing.window import Stretch


@dataclass(frozen=True)
class Aligned:
    """The words of a recording and what became of its text.

    Attributes
    ----------
    words, tokens : tuple of Word
    segments : tuple of (int, int)
        Word ranges of sentences.
    repairs, windows : int
    language : str or None
    language_probability : float or None
        None where the language was not detected.
    missing : tuple of str
        Words of the transcript that are not spoken, in runs.
    dropped : tuple of str
        Stretches whose recognised text was thrown away, and why.
    warnings : tuple of str
    """

    words: tuple[Word, ...]
    tokens: tuple[Word, ...] = ()
    segments: tuple[tuple[int, int], ...] = ()
    repairs: int = 0
    windows: int = 1
    language: str | None = None
    language_probability: float | None = None
    missing: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def joined(
    stretches: Sequence[Stretch],
    texts: Sequence[str],
    language: str | None,
    missing: tuple[str, ...] = (),
    dropped: tuple[str, ...] = (),
) -> Aligned:
    segments: list[tuple[int, int]] = []
    total = 0
    for stretch, text in zip(stretches, texts, strict=True):
        segments += _segments(stretch, text, total)
        total += len(stretch.words)
    return Aligned(
        words=tuple(word for stretch in stretches for word in stretch.words),
        tokens=tuple(token for stretch in stretches for token in stretch.tokens),
        segments=tuple(segments),
        repairs=sum(stretch.repairs for stretch in stretches),
        windows=len(stretches),
        language=language,
        missing=missing,
        dropped=dropped,
    )


def _segments(stretch: Stretch, text: str, offset: int) -> list[tuple[int, int]]:
    """Word ranges of the sentences of a stretch.

    A word of the output can hold several written ones (marks that stand
    alone), or part of one in scripts without spaces: letters are counted.
    """
    ends = np.cumsum([len("".join(sentence.split())) for sentence in sentences(text)])
    seen, start, found, k = 0, 0, [], 0
    for i, word in enumerate(stretch.words):
        seen += len("".join(word.text.split()))
        if k < len(ends) and seen >= ends[k]:
            found.append((offset + start, offset + i + 1))
            start = i + 1
            k = int(np.searchsorted(ends, seen, side="right"))
    if start < len(stretch.words):
        found.append((offset + start, offset + len(stretch.words)))
    return found
