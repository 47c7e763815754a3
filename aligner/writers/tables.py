"""One line a word: CTM, CSV, TSV and Audacity labels. Times in seconds throughout."""

from __future__ import annotations

import csv
from pathlib import Path

from aligner.core import Alignment, Word
from aligner.writers.base import WriterOptions, formats, milliseconds


def _times(alignment: Alignment) -> list[tuple[str, str]]:
    return [(f"{start / 1000:.3f}", f"{end / 1000:.3f}") for start, end in milliseconds(alignment.words)]


class Ctm:
    """NIST CTM: recording, channel, onset, duration, word, confidence. Inner spaces become underscores."""

    suffix = ".ctm"
    precision = 1e-3

    def write(self, alignment: Alignment, path: Path, options: WriterOptions) -> None:
        """See `Format`."""
        stem = "_".join(options.stem.split()) or "audio"
        lines = []
        for word, (start, end) in zip(alignment.words, milliseconds(alignment.words), strict=True):
            text = "_".join(word.text.split())
            score = "" if word.probability is None else f" {word.probability:.4f}"
            lines.append(f"{stem} 1 {start / 1000:.3f} {(end - start) / 1000:.3f} {text}{score}\n")
        path.write_text("".join(lines), encoding="utf-8")

    def read(self, path: Path) -> tuple[Word, ...]:
        """See `Format`."""
        rows = (line.split() for line in path.read_text(encoding="utf-8").split("\n") if line.strip())
        return tuple(
            Word(r[4], float(r[2]), round(float(r[2]) + float(r[3]), 3), float(r[5]) if len(r) > 5 else None)
            for r in rows
        )


class Delimited:
    """A table with a header: start, end, word, probability, agreement, flags."""

    precision = 1e-3

    def __init__(self, suffix: str, delimiter: str) -> None:
        self.suffix, self._delimiter = suffix, delimiter

    def write(self, alignment: Alignment, path: Path, options: WriterOptions) -> None:
        """See `Format`."""
        with path.open("w", encoding="utf-8", newline="") as handle:
            table = csv.writer(handle, delimiter=self._delimiter, lineterminator="\n")
            table.writerow(("start", "end", "word", "probability", "agreement", "flags"))
            for word, (start, end) in zip(alignment.words, _times(alignment), strict=True):
                scores = ("" if s is None else f"{s:.4f}" for s in (word.probability, word.agreement))
                table.writerow((start, end, word.text, *scores, " ".join(word.flags)))

    def read(self, path: Path) -> tuple[Word, ...]:
        """See `Format`."""
        with path.open(encoding="utf-8", newline="") as handle:
            return tuple(
                Word(
                    row["word"], float(row["start"]), float(row["end"]),
                    float(row["probability"]) if row["probability"] else None,
                    float(row["agreement"]) if row["agreement"] else None,
                    tuple(row["flags"].split()),
                )
                for row in csv.DictReader(handle, delimiter=self._delimiter)
            )  # fmt: skip


class Audacity:
    """Audacity label track: onset, offset, word between tabs."""

    suffix = ".labels.txt"
    precision = 1e-6

    def write(self, alignment: Alignment, path: Path, options: WriterOptions) -> None:
        """See `Format`."""
        lines = (f"{w.start:.6f}\t{w.end:.6f}\t{w.text}\n" for w in alignment.words)
        path.write_text("".join(lines), encoding="utf-8")

    def read(self, path: Path) -> tuple[Word, ...]:
        """See `Format`."""
        rows = (line.split("\t", 2) for line in path.read_text(encoding="utf-8").split("\n") if line)
        return tuple(Word(text, float(start), float(end)) for start, end, text in rows)


formats.register("ctm")(Ctm())
formats.register("csv")(Delimited(".csv", ","))
formats.register("tsv")(Delimited(".tsv", "\t"))
formats.register("audacity")(Audacity())
