"""Output formats: one small class each, found by name in `formats`."""

from aligner.writers import elan, json_, praat, subtitles, tables  # registers the formats
from aligner.writers.base import Format, WriterOptions, formats, render

del elan, json_, praat, subtitles, tables

__all__ = ["Format", "WriterOptions", "formats", "render"]
