"""Praat TextGrid, its tiers in the order of `aligner.writers.tiers`."""

from __future__ import annotations

from pathlib import Path

from aligner import textgrid
from aligner.core import Alignment, Word
from aligner.writers.base import WriterOptions, formats
from aligner.writers.tiers import tiers


class TextGrid:
    """Long TextGrid, UTF-8."""

    suffix = ".TextGrid"
    precision = 1e-6

    def write(self, alignment: Alignment, path: Path, options: WriterOptions) -> None:
        """See `Format`."""
        found = [(tier.name, tier.intervals) for tier in tiers(alignment, options)]
        textgrid.write_tiers(path, found, alignment.duration)

    def read(self, path: Path) -> tuple[Word, ...]:
        """See `Format`."""
        return textgrid.read_words(path, "words", silences=frozenset())


formats.register("textgrid")(TextGrid())
