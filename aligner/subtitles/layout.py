"""Words into subtitles: which go together, in which lines, from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from aligner.core import Cue, Word
from aligner.subtitles import breaks
from aligner.subtitles.style import Style
from aligner.text.readers.base import MARKUP
from aligner.text.spacing import gap

PAUSE = 1.5  # seconds of silence over which no subtitle reaches
_SUBTITLE = 1.0  # cost of one more subtitle
_SENTENCE, _REST = 1.2, 3.0  # costs of one more sentence in it, and of one more after the rest of another
_END = 1.5  # a break between subtitles weighs so many times as one between lines
_WIDOW = 4.0  # cost of one word alone in a line or a subtitle that its sentence leaves
_SILENCE, _BREATH = 8.0, 0.3  # cost of a second of silence inside a subtitle, beyond the seconds of a breath
_HASTE = 8.0  # cost of what is shown for half of the time it takes to read, or for half of the shortest time


@dataclass(frozen=True)
class Block:
    """Words shown together.

    Attributes
    ----------
    lines : tuple of range
        Indices of the words of each line.
    """

    lines: tuple[range, ...]

    @property
    def words(self) -> range:
        """All its words."""
        return range(self.lines[0].start, self.lines[-1].stop)


class Layout:
    """Costs of lines and subtitles of a sequence of words.

    Parameters
    ----------
    words : sequence of Word
    style : Style
    joints : set of int
        Numbers of words before which something new begins, as a sentence does.
    duration : float
        Seconds of the recording.
    """

    def __init__(self, words: Sequence[Word], style: Style, joints: frozenset[int], duration: float) -> None:
        self.words, self.style, self.duration = words, style, duration
        gaps = ["", *(gap(before, after) for before, after in pairwise(words))][: len(words)]
        self._space = [style.width(space) for space in gaps]
        self._width = [
            0.0,
            *accumulate(style.width(space + word.text) for space, word in zip(gaps, words, strict=True)),
        ]
        # Of a break before each word; the last is that at the end.
        self._break = [0.0] * (len(words) + 1)
        for k in range(1, len(words)):
            if k not in joints:
                before, after = words[k - 1].text, words[k].text
                self._break[k] = breaks.cost(before, after, style.language, bool(gaps[k]))

    def width(self, start: int, stop: int) -> float:
        """Characters of words as running text."""
        return self._width[stop] - self._width[start] - self._space[start]

    def lines(self, start: int, stop: int, most: int | None = None) -> tuple[float, tuple[range, ...]] | None:
        """The best lines of a range of words and their cost; None where they do not fit."""
        most = self.style.max_lines if most is None else most
        limit = self.style.max_chars
        if self.width(start, stop) <= limit or stop - start == 1:
            return 0.0, (range(start, stop),)
        best: tuple[float, tuple[range, ...]] | None = None
        for k in range(start + 1, stop) if most > 1 else ():
            first = self.width(start, k)
            if first > limit and k > start + 1:
                break
            if self.width(k, stop) > limit * (most - 1) + most - 2:  # lines and the spaces at their ends
                continue
            rest = self.lines(k, stop, most - 1)
            if rest is None:
                continue
            second = self.width(rest[1][0].start, rest[1][0].stop)
            alone = stop - start > 3 and 1 in (k - start, stop - k)
            # The lower line is rather the longer one.
            price = self._break[k] + rest[0] + 2 * abs(first - second) / limit + 0.2 * (first > second)
            price += _WIDOW * alone
            if best is None or price < best[0]:
                best = price, (range(start, k), *rest[1])
        return best

    def out(self, start: int, stop: int, following: float | None) -> float:
        """When a subtitle of these words goes, in seconds: as its words do, or later where reading takes longer.

        Parameters
        ----------
        start, stop : int
        following : float or None
            When the next subtitle comes.
        """
        return leave(
            self.style,
            self.words[start].start,
            self.words[stop - 1].end,
            self.width(start, stop),
            following,
            self.duration,
        )

    def price(self, start: int, stop: int) -> float:
        """Cost of the words from `start` up to `stop` as one subtitle; infinite where they do not fit."""
        style, words = self.style, self.words
        laid = self.lines(start, stop)
        if laid is None:
            return float("inf")
        price = _SUBTITLE + laid[0] + _END * self._break[stop]
        more = _SENTENCE if self._break[start] == breaks.SENTENCE else _REST
        price += more * sum(self._break[k] == breaks.SENTENCE for k in range(start + 1, stop))
        price += _SILENCE * sum(max(0.0, b.start - a.end - _BREATH) for a, b in pairwise(words[start:stop]))
        if stop - start == 1 and start and self._break[start] > breaks.CLAUSE:
            price += _WIDOW
        shown = self.out(start, stop, words[stop].start if stop < len(words) else None) - words[start].start
        needed = max(self.width(start, stop) / style.max_cps, style.min_duration)
        if shown < needed - 1e-3:
            price += 1.0 + _HASTE * (needed / max(shown, 1e-3) - 1)
        return price

    def blocks(self) -> list[Block]:
        """The subtitles whose costs are least together: shortest path over the places between words."""
        words, style = self.words, self.style
        best, origin = [0.0], [0]
        room = style.max_chars * style.max_lines + style.max_lines - 1  # spaces at the ends of lines
        for stop in range(1, len(words) + 1):
            least, where = float("inf"), stop - 1
            for start in range(stop - 1, -1, -1):
                alone = stop - start == 1
                if not alone and (
                    words[start + 1].start - words[start].end >= PAUSE
                    or words[stop - 1].end - words[start].start > style.max_duration
                    or self.width(start, stop) > room
                ):
                    break
                price = best[start] + self.price(start, stop)
                if price < least:
                    least, where = price, start
            best.append(least)
            origin.append(where)
        found, stop = [], len(words)
        while stop:
            laid = self.lines(origin[stop], stop)
            assert laid is not None
            found.append(Block(laid[1]))
            stop = origin[stop]
        return found[::-1]


def leave(style: Style, start: float, end: float, width: float, following: float | None, duration: float) -> float:
    """When a subtitle goes.

    Parameters
    ----------
    style : Style
    start, end : float
        Seconds of its words.
    width : float
        Characters.
    following : float or None
        When the next one comes.
    duration : float
        Seconds of the recording.

    Returns
    -------
    float
        Its last word's end, later where reading takes longer (by `Style.linger`
        at most) or the gap would be short, earlier where the next one follows at once.
    """
    needed = start + max(style.min_duration, width / style.max_cps)
    found = max(end, min(needed, end + style.linger, start + style.max_duration, max(duration, end)))
    if following is None:
        return found
    if following - found < style.gap or (following - found < style.chain and following - start <= style.max_duration):
        found = following - style.gap
    return max(found, min(end, (start + following) / 2))


def retimed(
    cues: Sequence[Cue], spoken: Sequence[tuple[float, float] | None], style: Style, duration: float
) -> list[tuple[float, float]]:
    """New times of cues that keep what they show.

    Parameters
    ----------
    cues : sequence of Cue
        In order.
    spoken : sequence of (float, float) or None
        Onset of the first and offset of the last word of each, in seconds; None
        where none is spoken: such a cue moves as its neighbours do.
    style : Style
    duration : float
        Seconds of the recording.
    """
    known = [(cue.start, times[0]) for cue, times in zip(cues, spoken, strict=True) if times]
    old, new = np.array(known or [(0.0, 0.0)]).T
    shifts = np.interp([cue.start for cue in cues], old, new - old)
    starts = [t[0] if t else max(0.0, cue.start + by) for cue, t, by in zip(cues, spoken, shifts, strict=True)]
    found = []
    for k, (cue, times, start) in enumerate(zip(cues, spoken, starts, strict=True)):
        following = next((later for later in starts[k + 1 : k + 2] if later > start), None)
        if times is None:
            end = start + max(cue.end - cue.start, style.gap)
            room = following - style.gap if following is not None else max(duration, end)
            found.append((start, min(end, room if room > start else following or end)))
        else:
            found.append(
                (start, leave(style, start, times[1], style.width(MARKUP.sub("", cue.shown)), following, duration))
            )
    return found
