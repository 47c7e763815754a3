"""A transcript as a sequence of words that know their sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aligner.text.scripts import clusters, without_spaces
from aligner.text.transcript import sentences


@dataclass(frozen=True)
class Script:
    """A transcript as a sequence of words, and where its sentences end."""

    words: tuple[str, ...]
    ends: frozenset[int]  # indices of the last word of each sentence
    glue: str  # between words: a space, or nothing in scripts written without

    def text(self, indices: Sequence[int]) -> str:
        """Words by index, a line for each sentence."""
        parts = [self.words[i] + ("\n" if i in self.ends else self.glue) for i in indices]
        return "".join(parts).strip()

    def runs(self, indices: Sequence[int]) -> tuple[str, ...]:
        """Stretches of neighbouring words."""
        found: list[list[int]] = []
        for i in sorted(indices):
            if found and found[-1][-1] == i - 1 and i - 1 not in self.ends:
                found[-1].append(i)
            else:
                found.append([i])
        return tuple(self.text(run) for run in found)

    def mostly(self, indices: Sequence[int]) -> frozenset[int]:
        """All words of the sentences that have more than half their words among the indices."""
        wanted, first = set(indices), 0
        found: set[int] = set()
        for end in sorted(self.ends):
            sentence = range(first, end + 1)
            if 2 * len(wanted.intersection(sentence)) > len(sentence):
                found.update(sentence)
            first = end + 1
        return frozenset(found)


def script_of(text: str, language: str) -> Script:
    """Words of a transcript; where no spaces set them apart its clusters, each with the space after it."""
    unspaced = without_spaces(text, language)
    words: list[str] = []
    ends: set[int] = set()
    for sentence in sentences(text):
        for part in clusters(sentence) if unspaced else sentence.split():
            if part.isspace():
                words[-1] += part
            else:
                words.append(part)
        ends.add(len(words) - 1)
    return Script(tuple(words), frozenset(ends), "" if unspaced else " ")
