"""ELAN annotation files, through pympi: the tiers of `aligner.writers.tiers`, and a link to the recording."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from aligner.core import Alignment, Word
from aligner.writers.base import WriterOptions, formats, milliseconds
from aligner.writers.tiers import tiers

_WITHIN = "Included_In"  # ELAN's name for time-alignable annotations inside their parents, with gaps


class Elan:
    """Words in their segments, what is known of words in words; milliseconds, as ELAN keeps them."""

    suffix = ".eaf"
    precision = 1e-3

    def write(self, alignment: Alignment, path: Path, options: WriterOptions) -> None:
        """See `Format`."""
        from pympi.Elan import Eaf

        document = Eaf(author="aligner")
        document.remove_tier("default")
        if options.media is not None:
            absolute, relative = options.media
            kind = mimetypes.guess_type(absolute)[0] or "unknown"
            kind = "audio/x-wav" if absolute.lower().endswith(".wav") else kind  # the only name ELAN knows it by
            beside = relative if relative.startswith("../") else f"./{relative}"
            document.add_linked_file(f"file://{absolute}", beside, kind)
        times = milliseconds(alignment.words)
        starts = {word.start: start for word, (start, _) in zip(alignment.words, times, strict=True)}
        ends = {word.end: end for word, (_, end) in zip(alignment.words, times, strict=True)}
        for tier in tiers(alignment, options):
            if tier.parent is not None:
                document.add_linguistic_type(tier.name, _WITHIN)
            document.add_tier(tier.name, tier.name if tier.parent else "default-lt", tier.parent)
            if tier.name == "tokens":
                spans = milliseconds(tier.intervals)
            else:  # rounded as the words are, so that parents hold their children
                spans = [(starts[part.start], ends[part.end]) for part in tier.intervals]
            for part, (start, end) in zip(tier.intervals, spans, strict=True):
                document.add_annotation(tier.name, start, end, part.text)
        document.adocument["DATE"] = "1970-01-01T00:00:00+00:00"  # the same alignment gives the same bytes
        path.unlink(missing_ok=True)  # pympi would keep a backup of what is there
        document.to_file(str(path))

    def read(self, path: Path) -> tuple[Word, ...]:
        """See `Format`."""
        from pympi.Elan import Eaf

        found = Eaf(str(path)).get_annotation_data_for_tier("words")
        return tuple(Word(text, start / 1000, end / 1000) for start, end, text, *_ in sorted(found))


formats.register("eaf")(Elan())
