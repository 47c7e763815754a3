"""SRT, WebVTT and ASS: cues of words or of sentences, broken into lines that can be read.

ASS goes through pysubs2. SRT and WebVTT do not: pysubs2 reads braces and angle
brackets in the words as markup and drops them.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from aligner.core import Alignment, Word
from aligner.text.spacing import gap, running
from aligner.writers.base import WriterOptions, formats, milliseconds

SENTENCE_ENDS = tuple(".!?。！？…")
CLOSERS = "\"'”’)]}»"
PAUSE = 1.0  # seconds of silence that end a cue
READABLE = 1.0  # seconds that a sentence stays, where the pause after it leaves room


@dataclass(frozen=True)
class Cue:
    """Words shown together: indices into the alignment, one range a line."""

    lines: tuple[range, ...]

    @property
    def words(self) -> range:
        """All its words."""
        return range(self.lines[0].start, self.lines[-1].stop)


def break_lines(words: Sequence[Word], indices: range, max_chars: int) -> tuple[range, ...]:
    """Fill lines greedily; a word longer than a line gets a line of its own and is never cut."""
    lines, start = [], indices.start
    for i in indices:
        if i > start and len(running(words[start : i + 1])) > max_chars:
            lines.append(range(start, i))
            start = i
    return (*lines, range(start, indices.stop))


def make_cues(alignment: Alignment, options: WriterOptions) -> Iterator[Cue]:
    """Group words into cues: sentence ends, long pauses and segment joints, then the size limits.

    Parameters
    ----------
    alignment : Alignment
    options : WriterOptions

    Yields
    ------
    Cue
        In order; every word in exactly one.
    """
    words = alignment.words
    joints = {stop for _, stop in alignment.segments}
    start = 0
    for i, word in enumerate(words):
        stop = i + 1
        last = stop == len(words)
        done = (
            last
            or options.cues == "word"
            or stop in joints
            or word.text.rstrip(CLOSERS).endswith(SENTENCE_ENDS)
            or words[stop].start - word.end >= PAUSE
            or words[stop].end - words[start].start > options.max_duration
            or len(break_lines(words, range(start, stop + 1), options.max_chars)) > options.max_lines
        )
        if done:
            yield Cue(break_lines(words, range(start, stop), options.max_chars))
            start = stop


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
        import pysubs2

        times = milliseconds(alignment.words)
        document = pysubs2.SSAFile()
        for cue in make_cues(alignment, options):
            first, last = cue.words[0], cue.words[-1]
            if options.highlight and self._name == "srt":
                for i in cue.words:
                    end = times[i + 1][0] if i < last else times[i][1]
                    document.append(pysubs2.SSAEvent(times[i][0], end, self._text(alignment, cue, times, i)))
            else:
                marked = first if options.highlight else None
                text = self._text(alignment, cue, times, marked)
                begin, end = times[first][0], times[last][1]
                if options.cues == "sentence":
                    room = times[last + 1][0] if last + 1 < len(times) else round(1000 * alignment.duration)
                    end = max(end, min(room, begin + round(1000 * min(READABLE, options.max_duration))))
                document.append(pysubs2.SSAEvent(begin, end, text))
        if self._name == "vtt":
            blocks = [f"{_clock(e.start, '.')} --> {_clock(e.end, '.')}\n{e.text}\n" for e in document]
            path.write_text("\n".join(["WEBVTT\n", *blocks]), encoding="utf-8")
        elif self._name == "srt":
            stamps = [f"{_clock(e.start, ',')} --> {_clock(e.end, ',')}" for e in document]
            blocks = [f"{i}\n{t}\n{e.text}\n" for i, (t, e) in enumerate(zip(stamps, document, strict=True), 1)]
            path.write_text("\n".join(blocks), encoding="utf-8")
        else:
            document.info["Title"] = options.stem.replace("\n", " ")
            lines = document.to_string(self._name).splitlines(keepends=True)
            # Without the comment that names the writing library and its version.
            path.write_text("".join(line for line in lines if not line.startswith(";")), encoding="utf-8")

    def _text(self, alignment: Alignment, cue: Cue, times: list[tuple[int, int]], marked: int | None) -> str:
        """Text of a cue with the marks that this format has for the word being spoken."""
        lines = []
        for line in cue.lines:
            texts = []
            for i in line:
                text = self._escape(alignment.words[i].text)
                if marked is not None and self._name == "ass":
                    following = times[i + 1][0] if i + 1 < cue.words.stop else times[i][1]
                    text = f"{{\\k{(following - times[i][0]) // 10}}}{text}"
                elif marked is not None and self._name == "vtt" and i != cue.words.start:
                    text = f"<{_clock(times[i][0], '.')}>{text}"
                elif marked == i and self._name == "srt":
                    text = f"<u>{text}</u>"
                texts.append(text)
            gaps = [gap(before, after) for before, after in pairwise(alignment.words[i] for i in line)]
            lines.append("".join(space + text for space, text in zip(["", *gaps], texts, strict=True)))
        return ("\\N" if self._name == "ass" else "\n").join(lines)

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
                start, end = (_seconds(t) for t in lines[stamp].split(" --> "))
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
