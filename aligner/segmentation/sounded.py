"""A given transcript by the sounds that a timing head hears: anchors first, then each stretch of words on its own.

The recording is heard once; nothing is recognised, and no stretch is encoded again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.audio.level import active, quietest
from aligner.audio.recording import Recording
from aligner.audio.speech import Region
from aligner.errors import InputError
from aligner.models import Encoded, SpeechModel
from aligner.segmentation.anchors import Anchor
from aligner.segmentation.chunks import MARGIN, PAUSE, best_cut, fill
from aligner.segmentation.heard import Heard, hear
from aligner.segmentation.hints import Hints
from aligner.segmentation.joined import Aligned, joined
from aligner.segmentation.script import Script, script_of
from aligner.segmentation.tracker import TOGETHER, Tracker, frames
from aligner.timing.head import Head
from aligner.timing.settings import Settings
from aligner.timing.sounds import Said, edges_of
from aligner.timing.window import Stretch, shifted

LONGEST = 15.0  # seconds of words that are timed together
_TOGETHER, _SHORTEST = 60.0, 1.0  # seconds of words that are timed at a time; a piece counts as so long at least
_BLOCK = 3000  # encoder states that the tracker takes at a time


def align_by_sounds(
    model: SpeechModel,
    head: Head,
    source: Recording,
    levels: NDArray[np.float32],
    text: str,
    settings: Settings,
    language: str,
    window: Encoded | None = None,
    hints: Hints | None = None,
) -> Aligned:
    """Align a given transcript with a timing head.

    Parameters
    ----------
    model : SpeechModel
    head : Head
    source : Recording
    levels : float32 array, shape (10 ms frames,)
    text : str
    settings : Settings
    language : str
    window : Encoded, optional
        The whole recording, where it fits a window and is known already.
    hints : Hints, optional
        Where the words may lie.

    Raises
    ------
    InputError
        No words in the text, or none of it found in a long recording.
    """
    script = script_of(text, language)
    heard = hear(model, head, source, window)
    anchors = _anchors(model, head, heard, script, hints)
    spoken, absent = fill(anchors, script, active(levels), source.duration) if anchors else ([], [])
    if not spoken:
        if source.duration > model.window:
            raise InputError(f"nothing of the transcript was found in {source.name}: is it the right transcript?")
        # Nothing to go by, but every word gets a time, and a probability that tells.
        spoken = [Anchor(k, 0.0, source.duration) for k in range(len(script.words))]
        absent = []
    pieces = list(_pieces(model, spoken, script, levels, source.duration, settings, language))
    if not pieces:
        raise InputError("the transcript holds no words: give the spoken words, or leave --text out")
    stretches: list[Stretch] = []
    texts: list[str] = []
    for piece, stretch in zip(pieces, _timed(head, heard, pieces, source.duration, settings), strict=True):
        if stretch is None:  # no room for all their sounds
            absent += [anchor.word for anchor in piece.anchors]
        else:
            stretches.append(stretch)
            texts.append(piece.text)
    if not stretches:
        raise InputError(
            f"the transcript has more sounds than the {source.duration:.2f} s of {source.name} can hold: "
            "is it the right transcript?"
        )
    return joined(stretches, texts, language, missing=script.runs(absent))


@dataclass(frozen=True)
class _Piece:
    """Neighbouring words that are timed together, and their stretch."""

    anchors: Sequence[Anchor]
    region: Region
    text: str
    words: Sequence[str]


def _pieces(
    model: SpeechModel,
    anchors: Sequence[Anchor],
    script: Script,
    levels: NDArray[np.float32],
    duration: float,
    settings: Settings,
    language: str,
) -> Iterator[_Piece]:
    for chunk, region in _chunks(anchors, script, levels, duration):
        text = script.text([anchor.word for anchor in chunk])
        words = [span.text for span in model.tokenize(text, settings.units, language).words]
        if words:
            yield _Piece(chunk, region, text, words)


def _timed(
    head: Head, heard: Heard, pieces: Sequence[_Piece], duration: float, settings: Settings
) -> list[Stretch | None]:
    """Times of the words of each piece; None where there is no room for all their sounds."""
    found: list[Stretch | None] = [None] * len(pieces)
    # Pieces of like length go together, as far as memory allows.
    waiting = sorted(range(len(pieces)), key=lambda k: pieces[k].region.duration, reverse=True)
    while waiting:
        count = max(1, int(_TOGETHER / max(pieces[waiting[0]].region.duration, _SHORTEST)))
        numbers, waiting = waiting[:count], waiting[count:]
        parts = [heard.part(pieces[k].region.start, pieces[k].region.end) for k in numbers]
        said = [Said(*part[:2], pieces[k].words) for k, part in zip(numbers, parts, strict=True)]
        for k, (*_, begin), times in zip(numbers, parts, edges_of(head, said), strict=True):
            if times is not None:
                length = min(pieces[k].region.end, duration) - begin
                timed = times.words(pieces[k].words, length, settings.pauses)
                found[k] = Stretch(shifted(timed.words, begin), (), timed.repairs)
    return found


def _anchors(model: SpeechModel, head: Head, heard: Heard, script: Script, hints: Hints | None) -> Sequence[Anchor]:
    """Words that are found among the sounds of a recording, in order."""
    spelled = [(k, np.array(head.spell(word)[0])) for k, word in enumerate(script.words) if head.spells(word)]
    if not spelled:
        return ()
    # A sentence may end in a word without sounds: the last one with sounds ends it then.
    numbers = [k for k, _ in spelled]
    step = TOGETHER * model.frame_duration
    bounds = np.array(hints.bounds())[numbers] / step if hints else None
    ends = {bisect_right(numbers, end) - 1 for end in script.ends}
    tracker = Tracker([sounds for _, sounds in spelled], ends, bounds)
    for low in range(0, len(heard.posteriors), _BLOCK):
        tracker.advance(frames(heard.posteriors[low : low + _BLOCK].astype(np.float32)))
    found = [Anchor(numbers[anchor.word], anchor.start, anchor.end) for anchor in tracker.anchors(step)]
    return hints.completed(found) if hints else found


def _chunks(
    anchors: Sequence[Anchor], script: Script, levels: NDArray[np.float32], duration: float
) -> Iterator[tuple[Sequence[Anchor], Region]]:
    """Neighbouring words that are timed together, and their stretch: cut in long pauses, else after a sentence."""
    first, start = 0, 0.0
    while first < len(anchors):
        start = max(start, anchors[first].start - PAUSE)
        stop = first + 1
        while stop < len(anchors) and anchors[stop].start - anchors[stop - 1].end <= 2 * PAUSE:
            if anchors[stop].end - start > LONGEST:
                stop = best_cut(anchors, script, first, stop)
                break
            stop += 1
        last = anchors[stop - 1]
        following = anchors[stop].start if stop < len(anchors) else duration
        if following - last.end > 2 * PAUSE:
            end = last.end + PAUSE
        elif stop == len(anchors):
            end = duration
        else:
            low, high = max(last.end - MARGIN / 2, (last.start + last.end) / 2), max(following, last.end) + MARGIN / 2
            end = quietest(levels, low, high)
        end = min(max(end, start + 0.1), duration)
        yield anchors[first:stop], Region(start, end)
        first, start = stop, end
