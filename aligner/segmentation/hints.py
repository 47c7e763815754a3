"""Times that a transcript brings along: where its words may lie, give or take some seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from aligner.core import Cue, Word
from aligner.errors import InputError
from aligner.segmentation.anchors import Anchor, by_recognition
from aligner.segmentation.script import Script, script_of
from aligner.timing.places import Place


@dataclass(frozen=True)
class Hint:
    """Words of one cue: indices into a script, and the cue's own time in seconds."""

    words: range
    start: float
    end: float


@dataclass(frozen=True)
class Hints:
    """Where the words of a script may lie.

    Attributes
    ----------
    parts : tuple of Hint
        In order; together they are the script.
    doubt : float
        Seconds that a word may begin before its cue and end after it.
    """

    parts: tuple[Hint, ...]
    doubt: float

    @classmethod
    def of(cls, cues: Sequence[Cue], language: str, doubt: float, duration: float) -> Hints:
        """Hints of the cues of a transcript.

        Parameters
        ----------
        cues : sequence of Cue
        language : str
        doubt : float
        duration : float
            Seconds of the recording.

        Raises
        ------
        InputError
            A cue begins after the recording has ended.
        """
        parts: list[Hint] = []
        count = 0
        for cue in cues:
            if size := len(script_of(cue.text, language).words):
                if cue.start - doubt > duration:
                    raise InputError(
                        f"the times of the transcript go to {cue.start:.2f} s, the recording lasts {duration:.2f} s: "
                        "they are of another one or another cut, leave --hints out"
                    )
                parts.append(Hint(range(count, count + size), cue.start, min(cue.end, duration)))
                count += size
        return cls(tuple(parts), doubt)

    def bounds(self) -> list[tuple[float, float]]:
        """Seconds between which each word lies."""
        return [(part.start - self.doubt, part.end + self.doubt) for part in self.parts for _ in part.words]

    def places(self, script: Script, offset: float) -> list[Place]:
        """The places of the words in a window that starts at `offset`."""
        return [
            Place(len(script.words[k].strip()), part.start - offset, part.end - offset, self.doubt, heard=False)
            for part in self.parts
            for k in part.words
        ]

    def recognised(self, script: Script, heard: Sequence[Word], language: str) -> tuple[Anchor, ...]:
        """Anchors of the words that a model recognised near their cue; see `by_recognition`."""
        found: list[Anchor] = []
        free = 0  # the first recognised word that no earlier cue has taken
        for part in self.parts:
            low, high = part.start - self.doubt, part.end + self.doubt
            around = [k for k in range(free, len(heard)) if low <= heard[k].start and heard[k].end <= high]
            words = [script.words[k] for k in part.words]
            own = by_recognition(words, [heard[k] for k in around], language)
            found += [Anchor(part.words[a.word], a.start, a.end, a.doubt) for a in own]
            if own:
                free = next(k + 1 for k in around if heard[k].start == own[-1].start)
        return tuple(found)

    def completed(self, anchors: Sequence[Anchor]) -> list[Anchor]:
        """Anchors, and rough ones for all words of cues that have none, where their neighbours leave room."""
        found: list[Anchor] = []
        stop = 0
        for part in self.parts:
            first = stop
            while stop < len(anchors) and anchors[stop].word < part.words.stop:
                stop += 1
            if stop > first:
                found += anchors[first:stop]
                continue
            start = max(part.start, found[-1].end if found else 0.0)
            end = min(part.end, anchors[stop].start if stop < len(anchors) else part.end)
            step = (end - start) / len(part.words)
            if step > 0:
                edges = [start + i * step for i in range(len(part.words) + 1)]
                found += [Anchor(k, *pair, self.doubt) for k, pair in zip(part.words, pairwise(edges), strict=True)]
        return found
