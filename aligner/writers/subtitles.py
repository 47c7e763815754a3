"""SRT, WebVTT and ASS: cues of words, of sentences laid out to be read, or those of the transcript with new times.

ASS goes through pysubs2. SRT and WebVTT do not: pysubs2 reads braces and angle
brackets in the words as markup and drops them.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from aligner.core import Alignment, Word
from aligner.subtitles.layout import Block, Layout, retimed
from aligner.subtitles.style import Style, style
from aligner.text.readers.base import MARKUP
from aligner.text.spacing import gap
from aligner.writers.base import WriterOptions, formats, milliseconds


@dataclass(frozen=True)
class Shown:
    """What is shown from one moment to another.

    Attributes
    ----------
    start, end : int
        Milliseconds.
    lines : tuple of range
        Its words.
    text : str
        What it shows instead of its words, as the transcript has it.
    """

    start: int
    end: int
    lines: tuple[range, ...] = ()
    text: str = ""


def subtitles(alignment: Alignment, options: WriterOptions) -> Iterator[Shown]:
    """What is shown when; every word in exactly one, in order."""
    limits = style(alignment.language, **asdict(options))
    if options.cues == "word":
        for i, (start, end) in enumerate(milliseconds(alignment.words)):
            yield Shown(start, end, (range(i, i + 1),))
    elif options.cues == "given" and any(cue.shown for cue in alignment.cues):
        yield from _given(alignment, limits, options.highlight)
    else:
        joints = frozenset(start for start, _ in alignment.segments)
        yield from _laid_out(Layout(alignment.words, limits, joints, alignment.duration))


def _laid_out(layout: Layout) -> Iterator[Shown]:
    blocks = layout.blocks()
    starts = [layout.words[block.words.start].start for block in blocks]
    for k, (block, start) in enumerate(zip(blocks, starts, strict=True), 1):
        following = starts[k] if k < len(starts) else None
        yield _shown(start, layout.out(block.words.start, block.words.stop, following), block.lines)


def _given(alignment: Alignment, limits: Style, highlight: bool) -> Iterator[Shown]:
    words = alignment.words
    spoken = [(words[i].start, words[k - 1].end) if k > i else None for i, k in alignment.segments]
    times = retimed(alignment.cues, spoken, limits, alignment.duration)
    for cue, (first, stop), (start, end) in zip(alignment.cues, alignment.segments, times, strict=True):
        lines: tuple[range, ...] = (range(first, stop),) if stop > first else ()
        if highlight and lines:  # the marks of words take the place of the transcript's own
            part = Layout(words[first:stop], limits, frozenset(), alignment.duration).lines(0, stop - first)
            lines = tuple(range(first + r.start, first + r.stop) for r in part[1]) if part else lines
            yield _shown(start, end, lines)
        else:
            yield _shown(start, end, lines, cue.shown)


def _shown(start: float, end: float, lines: tuple[range, ...], text: str = "") -> Shown:
    return Shown(round(start * 1000), max(round(start * 1000) + 1, round(end * 1000)), lines, text)


class Subtitles:
    """One of pysubs2's formats.

    Parameters
    ----------
    name : str
        pysubs2's format identifier.
    precision : float
        Seconds.
    """

    def __init__(self, name: str, precision: float) -> None:
        self.suffix, self.precision, self._name = f".{name}", precision, name

    def write(self, alignment: Alignment, path: Path, options: WriterOptions) -> None:
        """See `Format`; with `highlight`, a cue a word (SRT), inline times (VTT) or karaoke tags (ASS)."""
        events = list(self._events(alignment, options))
        if self._name == "vtt":
            blocks = [f"{_clock(e[0], '.')} --> {_clock(e[1], '.')}{e[3]}\n{e[2]}\n" for e in events]
            path.write_text("\n".join(["WEBVTT\n", *blocks]), encoding="utf-8")
        elif self._name == "srt":
            stamps = [f"{_clock(start, ',')} --> {_clock(end, ',')}" for start, end, *_ in events]
            blocks = [f"{i}\n{t}\n{e[2]}\n" for i, (t, e) in enumerate(zip(stamps, events, strict=True), 1)]
            path.write_text("\n".join(blocks), encoding="utf-8")
        else:
            import pysubs2

            document = pysubs2.SSAFile()
            document.extend(pysubs2.SSAEvent(start, end, text) for start, end, text, _ in events)
            document.info["Title"] = options.stem.replace("\n", " ")
            lines = document.to_string(self._name).splitlines(keepends=True)
            # Without the comment that names the writing library and its version.
            path.write_text("".join(line for line in lines if not line.startswith(";")), encoding="utf-8")

    def _events(self, alignment: Alignment, options: WriterOptions) -> Iterator[tuple[int, int, str, str]]:
        """Start, end and text of what is written, and its place where the format has that beside the times."""
        times = milliseconds(alignment.words)
        for shown in subtitles(alignment, options):
            if shown.text or not shown.lines:
                top = self._name == "vtt" and shown.text.startswith("{\\an8}")
                yield shown.start, shown.end, self._typed(shown.text), " line:0" * top
            elif options.highlight and self._name == "srt":
                words = Block(shown.lines).words
                for i in words:
                    end = times[i + 1][0] if i < words[-1] else max(times[i][1], shown.end)
                    yield times[i][0], end, self._text(alignment, shown.lines, times, i), ""
            else:
                marked = shown.lines[0].start if options.highlight else None
                yield shown.start, shown.end, self._text(alignment, shown.lines, times, marked), ""

    def _text(
        self, alignment: Alignment, lines: tuple[range, ...], times: list[tuple[int, int]], marked: int | None
    ) -> str:
        """Text of a cue with the marks that this format has for the word being spoken."""
        found = []
        words = Block(lines).words
        for line in lines:
            texts = []
            for i in line:
                text = self._escape(alignment.words[i].text)
                if marked is not None and self._name == "ass":
                    following = times[i + 1][0] if i + 1 < words.stop else times[i][1]
                    text = f"{{\\k{(following - times[i][0]) // 10}}}{text}"
                elif marked is not None and self._name == "vtt" and i != words.start:
                    text = f"<{_clock(times[i][0], '.')}>{text}"
                elif marked == i and self._name == "srt":
                    text = f"<u>{text}</u>"
                texts.append(text)
            gaps = [gap(before, after) for before, after in pairwise(alignment.words[i] for i in line)]
            found.append("".join(space + text for space, text in zip(["", *gaps], texts, strict=True)))
        return ("\\N" if self._name == "ass" else "\n").join(found)

    def _typed(self, text: str) -> str:
        """Text as a transcript shows it, its bold, italic and underlined type in this format's marks."""
        parts, tags = MARKUP.split(text), MARKUP.findall(text)
        if self._name == "ass":
            tags = [tag if tag[0] == "{" else f"{{\\{tag[-2]}{0 if '/' in tag else 1}}}" for tag in tags]
        elif self._name == "vtt":
            tags = ["" if tag[0] == "{" else tag for tag in tags]  # places are no part of the text
        marked = "".join(self._escape(part) + tag for part, tag in zip(parts, [*tags, ""], strict=True))
        return marked.replace("\n", "\\N") if self._name == "ass" else marked

    def _escape(self, text: str) -> str:
        if self._name == "vtt":
            return html.escape(text, quote=False)
        if self._name == "ass":  # braces and backslashes are markup there
            return text.replace("\\", "\\\u2060").replace("{", "\\{").replace("}", "\\}")
        return text.replace("-->", "->\u2060>")

    def read(self, path: Path) -> tuple[Word, ...]:
        """See `Format`; each cue is taken for one word."""
        if self._name == "ass":
            import pysubs2

            events = pysubs2.load(str(path), format_="ass").events
            return tuple(Word(_plain_ass(e.text), e.start / 1000, e.end / 1000) for e in events)
        words = []
        for block in path.read_text(encoding="utf-8").split("\n\n"):
            lines = block.strip("\n").split("\n")
            stamp = next((k for k, line in enumerate(lines) if " --> " in line), None)
            if stamp is not None:
                start, end = (_seconds(t.split()[0]) for t in lines[stamp].split(" --> "))
                text = " ".join(lines[stamp + 1 :])
                text = html.unescape(text) if self._name == "vtt" else text.replace("->\u2060>", "-->")
                words.append(Word(text, start, end))
        return tuple(words)


def _plain_ass(text: str) -> str:
    for marked, plain in (("\\{", "{"), ("\\}", "}"), ("\\N", " "), ("\\\u2060", "\\")):
        text = text.replace(marked, plain)
    return text


def _clock(milliseconds_: int, mark: str) -> str:
    seconds, rest = divmod(milliseconds_, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{rest:03d}"


def _seconds(stamp: str) -> float:
    hours, minutes, seconds = stamp.strip().replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


formats.register("srt")(Subtitles("srt", 1e-3))
formats.register("vtt")(Subtitles("vtt", 1e-3))
formats.register("ass")(Subtitles("ass", 1e-2))
