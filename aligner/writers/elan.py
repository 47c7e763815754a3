"""ELAN annotation files, through pympi."""

from __future__ import annotations

from pathlib import Path

from aligner.core import Alignment, Word
from aligner.writers.base import WriterOptions, formats, milliseconds


class Elan:
    """A tier of words, on request of tokens; milliseconds, as ELAN keeps them."""

    suffix = ".eaf"
    precision = 1e-3

    def write(self, alignment: Alignment, path: Path, options: WriterOptions) -> None:
        """See `Format`."""
        from pympi.Elan import Eaf

        document = Eaf(author="aligner")
        document.remove_tier("default")
        tiers = [("words", alignment.words), ("tokens", alignment.tokens)]
        for name, words in tiers if options.token_tier else tiers[:1]:
            document.add_tier(name)
            for word, (start, end) in zip(words, milliseconds(words), strict=True):
                document.add_annotation(name, start, end, word.text)
        document.adocument["DATE"] = "1970-01-01T00:00:00+00:00"  # the same alignment gives the same bytes
        path.unlink(missing_ok=True)  # pympi would keep a backup of what is there
        document.to_file(str(path))

    def read(self, path: Path) -> tuple[Word, ...]:
        """See `Format`."""
        from pympi.Elan import Eaf

        found = Eaf(str(path)).get_annotation_data_for_tier("words")
        return tuple(Word(text, start / 1000, end / 1000) for start, end, text, *_ in sorted(found))


formats.register("eaf")(Elan())
