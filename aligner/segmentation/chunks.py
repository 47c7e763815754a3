"""Words between anchors, and neighbouring words in one stretch of audio."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from aligner.audio.level import STEP, quietest
from aligner.audio.recording import Recording
from aligner.audio.speech import Region
from aligner.models import SpeechModel
from aligner.segmentation.anchors import LOOSE, Anchor
from aligner.segmentation.script import Script
from aligner.text.spoken import spoken_form
from aligner.timing.places import Place
from aligner.timing.settings import Settings
from aligner.timing.window import Stretch, align_window

LONGEST = 12.0  # seconds of a stretch; attention is surer than over a full window
MARGIN = 0.4  # seconds of audio around a chunk, where its neighbours leave room
PAUSE = 1.0  # seconds; a longer pause between words starts a new chunk
PACE = 0.07  # seconds of a character of ordinary speech
FASTEST = 0.04  # seconds of sound per character; with less room words have not been spoken
FEW = 3  # fewer words than this are kept wherever they can be squeezed in


def in_chunks(
    model: SpeechModel,
    source: Recording,
    levels: NDArray[np.float32],
    anchors: Sequence[Anchor],
    script: Script,
    settings: Settings,
    language: str | None,
    region: Region,
) -> tuple[list[Stretch], list[str], list[int]]:
    """Chunks of anchored words, aligned each in its own stretch of a region; their texts; words without room."""
    stretches: list[Stretch] = []
    texts: list[str] = []
    tight: list[int] = []
    for chunk, part in chunks(model, anchors, script, levels, region):
        text = script.text([anchor.word for anchor in chunk])
        encoded = model.encode(source.read(part.start, part.end))
        if len(model.tokenize(text, settings.units, language)) >= int(encoded.duration / model.frame_duration):
            tight += [anchor.word for anchor in chunk]
            continue
        places = [_place(anchor, script, part.start) for anchor in chunk]
        stretches.append(align_window(model, encoded, text, settings, language, part.start, places))
        texts.append(text)
    return stretches, texts, tight


def _place(anchor: Anchor, script: Script, offset: float) -> Place:
    """An anchor in a window that starts at `offset`."""
    letters, heard = len(script.words[anchor.word].strip()), anchor.doubt < LOOSE
    return Place(letters, anchor.start - offset, anchor.end - offset, anchor.doubt, heard)


def fill(
    anchors: Sequence[Anchor], script: Script, active: NDArray[np.bool_], duration: float
) -> tuple[list[Anchor], list[int]]:
    """Times for the words between anchors that have room to be spoken; the others are missing.

    Returns
    -------
    (anchors, missing)
        Anchors of all spoken words, in order; indices of the missing ones.
    """
    filled: list[Anchor] = []
    missing: list[int] = []
    bounds = [Anchor(-1, 0.0, 0.0), *anchors, Anchor(len(script.words), duration, duration)]
    for before, after in itertools.pairwise(bounds):
        low, high = before.end, max(after.start, before.end)
        room = float(active[round(low / STEP) : round(high / STEP)].sum()) * STEP
        tail, middle, head = _parts(range(before.word + 1, after.word), script)
        # The rest of a sentence that was heard is likelier than one that was not.
        for words in ([*tail, *head], middle):
            said = [script.words[i] for i in words if any(map(str.isalnum, script.words[i]))]  # marks, emoji are silent
            needed = FASTEST * sum(map(len, said))
            if len(said) >= FEW and room < needed:
                missing += words
            room -= needed
        gone = set(missing)
        filled += _spread([[i for i in part if i not in gone] for part in (tail, middle, head)], script, low, high)
        if after.word < len(script.words):
            filled.append(after)
    gone = set(missing) | script.mostly(missing)
    return [anchor for anchor in filled if anchor.word not in gone], sorted(gone)


def _parts(run: range, script: Script) -> tuple[range, range, range]:
    """Words between two anchors: of the first one's sentence, of neither's, of the last one's.

    Words of one sentence with both anchors stand in the middle.
    """
    cuts = [k for k in range(run.start, run.stop + 1) if k == 0 or k - 1 in script.ends] or [run.start, run.stop]
    return range(run.start, cuts[0]), range(cuts[0], cuts[-1]), range(cuts[-1], run.stop)


def _spread(parts: Sequence[Sequence[int]], script: Script, low: float, high: float) -> Iterator[Anchor]:
    """Rough times of the words of `_parts`: beside their sentence's anchor, at an ordinary pace if there is room."""
    tail, _, head = sizes = [PACE * sum(len(script.words[i]) for i in part) for part in parts]
    edges = [low, low + tail, high - head, high]
    if sum(sizes) > high - low:
        parts, edges = [[i for part in parts for i in part]], [low, high]
    for words, (start, end) in zip(parts, itertools.pairwise(edges), strict=True):
        width = (end - start) / max(1, len(words))
        for k, word in enumerate(words):
            yield Anchor(word, start + k * width, start + (k + 1) * width, max(LOOSE, end - start))


def chunks(
    model: SpeechModel, anchors: Sequence[Anchor], script: Script, levels: NDArray[np.float32], whole: Region
) -> Iterator[tuple[Sequence[Anchor], Region]]:
    """Neighbouring words that fit a window together, and their stretch of audio.

    Cuts are made in every long pause, else at the end of a sentence or in the
    longest gap between words.
    """
    sizes = [_most_tokens(script.words[anchor.word]) for anchor in anchors]
    longest = min(LONGEST, model.window - 2 * MARGIN)
    first, start = 0, whole.start
    while first < len(anchors):
        start = max(start, anchors[first].start - MARGIN)
        stop, tokens, paused = first, 0, False
        while stop < len(anchors) and not paused:
            tokens += sizes[stop]
            if stop > first and (tokens > model.max_tokens or anchors[stop].end - start > longest):
                break
            stop += 1
            paused = stop == len(anchors) or anchors[stop].start - anchors[stop - 1].end > PAUSE
        if not paused:
            stop = best_cut(anchors, script, first, stop)
        last = anchors[stop - 1]
        following = anchors[stop].start if stop < len(anchors) else whole.end
        if following - last.end > 2 * MARGIN:
            end = last.end + MARGIN
        else:
            end = quietest(levels, max(last.end - 0.15, (last.start + last.end) / 2), max(following, last.end) + 0.1)
        end = min(max(end, start + 0.1), whole.end, start + model.window)
        yield anchors[first:stop], Region(start, end)
        first, start = stop, end


def best_cut(anchors: Sequence[Anchor], script: Script, first: int, stop: int) -> int:
    """Where to end a chunk that is full: in its second half, after a sentence, in the longest gap."""
    candidates = range(first + 1 + (stop - first) // 2, stop + 1)

    def worth(cut: int) -> tuple[bool, float]:
        return anchors[cut - 1].word in script.ends, anchors[cut].start - anchors[cut - 1].end

    return max(candidates, key=worth, default=stop)


def _most_tokens(word: str) -> int:
    """No vocabulary in use needs more tokens for a word and its space."""
    return max(len(word.encode()), len(spoken_form(word))) + 1
