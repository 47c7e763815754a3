"""A given transcript by the sounds that a timing head hears: anchors first, then each stretch of words on its own.

The recording is heard once; nothing is recognised, and no stretch is encoded again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from aligner.audio.level import active, quietest
from aligner.audio.recording import Recording
from aligner.audio.sound import Sound
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
from aligner.timing.sounds import edges
from aligner.timing.window import Stretch, shifted

LONGEST = 15.0  # seconds of words that are timed together
_BLOCK = 3000  # encoder states that the tracker takes at a time


def align_by_sounds(
    model: SpeechModel,
    head: Head,
    source: Recording,
    measured: Sound,
    text: str,
    settings: Settings,
    language: str,
    first: Encoded | None = None,
    hints: Hints | None = None,
) -> Aligned:
    """Align a given transcript with a timing head.

    Parameters
    ----------
    model : SpeechModel
    head : Head
    source : Recording
    measured : Sound
    text : str
    settings : Settings
    language : str
    first : Encoded, optional
        The first window of the recording, where that is known already.
    hints : Hints, optional
        Where the words may lie.

    Raises
    ------
    InputError
        No words in the text, or none of it found in a long recording.
    """
    script = script_of(text, language)
    heard = hear(model, head, source, first)
    anchors = _anchors(model, head, heard, script, hints)
    spoken, absent = fill(anchors, script, active(measured.levels), source.duration) if anchors else ([], [])
    if not spoken:
        if source.duration > model.window:
            raise InputError(f"nothing of the transcript was found in {source.name}: is it the right transcript?")
        # Nothing to go by, but every word gets a time, and a probability that tells.
        spoken = [Anchor(k, 0.0, source.duration) for k in range(len(script.words))]
        absent = []
    stretches: list[Stretch] = []
    texts: list[str] = []
    tight = False
    for chunk, part in _chunks(spoken, script, measured, source.duration):
        said = script.text([anchor.word for anchor in chunk])
        words = [span.text for span in model.tokenize(said, settings.units, language).words]
        if not words:
            continue
        evidence, posteriors, begin = heard.part(part.start, part.end)
        duration = min(part.end, source.duration) - begin
        try:
            timed = edges(head, evidence, posteriors, words).words(words, duration, settings.pauses)
        except InputError:
            tight = True  # no room for all their sounds
            absent += [anchor.word for anchor in chunk]
            continue
        stretches.append(Stretch(shifted(timed.words, begin), (), timed.repairs))
        texts.append(said)
    if not stretches and not tight:
        raise InputError("the transcript holds no words: give the spoken words, or leave --text out")
    if not stretches:
        raise InputError(
            f"the transcript has more sounds than the {source.duration:.2f} s of {source.name} can hold: "
            "is it the right transcript?"
        )
    return joined(stretches, texts, language, missing=script.runs(absent))


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
    anchors: Sequence[Anchor], script: Script, measured: Sound, duration: float
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
            end = quietest(measured.levels, low, high)
        end = min(max(end, start + 0.1), duration)
        yield anchors[first:stop], Region(start, end)
        first, start = stop, end
