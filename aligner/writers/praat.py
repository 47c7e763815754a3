"""Praat TextGrid: a `words` tier, on request tokens and flags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aligner import textgrid
from aligner.core import Alignment, Word
from aligner.writers.base import WriterOptions, formats


class TextGrid:
    """Long TextGrid, UTF-8."""

    suffix = ".TextGrid"
    precision = 1e-6

    def write(self, alignment: Alignment, path: Path, options: WriterOptions) -> None:
        """See `Format`."""
        tiers: list[tuple[str, tuple[Word, ...]]] = [("words", alignment.words)]
        if options.token_tier:
            tiers.append(("tokens", alignment.tokens))
        if options.flag_tier:
            tiers.append(("flags", tuple(replace(w, text=" ".join(w.flags)) for w in alignment.words if w.flags)))
        textgrid.write_tiers(path, tiers, alignment.duration)

    def read(self, path: Path) -> tuple[Word, ...]:
        """See `Format`."""
        return textgrid.read_words(path, "words", silences=frozenset())


formats.register("textgrid")(TextGrid())
