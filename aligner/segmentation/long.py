"""Recordings of any length, a window at a time; a short one is a recording of one window.

With a transcript: the words of a long recording are anchored first
(`aligner.segmentation.anchors`), so an error stays between its neighbours; then
each chunk of neighbouring words is aligned within its own stretch of audio. Without: the speech regions are cut in
pauses into windows, each is recognised and aligned. Stretches never overlap,
so no word is lost or doubled at a joint and times are monotone.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aligner.audio.level import STEP, active, longest_pause, quietest
from aligner.audio.recording import Recording
from aligner.audio.sound import Sound
from aligner.audio.speech import Region, speech_regions, windows
from aligner.core import Word
from aligner.errors import InputError
from aligner.models import SpeechModel
from aligner.segmentation.anchors import LOOSE, Anchor, by_recognition
from aligner.text.spoken import spoken_form
from aligner.text.transcript import sentences
from aligner.timing.places import Near
from aligner.timing.settings import Settings
from aligner.timing.window import Stretch, align_window
from aligner.timing.words import UNSPACED_LANGUAGES

LONGEST = 12.0  # seconds of a window; greedy decoding is surer than over a full one
MARGIN = 0.4  # seconds of audio around a chunk, where its neighbours leave room
PAUSE = 1.0  # seconds; a longer pause between words starts a new chunk
PACE = 0.07  # seconds of a character of ordinary speech
FASTEST = 0.04  # seconds of sound per character; with less room words have not been spoken
FEW = 3  # fewer words than this are kept wherever they can be squeezed in
REPETITIVE = 2.4  # compression ratio above which text is a loop, openai-whisper's threshold
SILENT_EDGE = 1.0  # seconds; more silence than this is left out at either end, but for a half of it
SLOW, SPARE = 1.5, 1.0  # a text fills a window that lasts at most so many times as long as it takes, and seconds more


@dataclass(frozen=True)
class Spoken:
    """The words of a recording and what became of its text.

    Attributes
    ----------
    words, tokens : tuple of Word
    segments : tuple of (int, int)
        Word ranges of sentences.
    repairs, windows : int
    language : str or None
    missing : tuple of str
        Words of the transcript that are not spoken, in runs.
    dropped : tuple of str
        Stretches whose recognised text was thrown away, and why.
    warnings : tuple of str
    """

    words: tuple[Word, ...]
    tokens: tuple[Word, ...] = ()
    segments: tuple[tuple[int, int], ...] = ()
    repairs: int = 0
    windows: int = 1
    language: str | None = None
    missing: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def align_text(model: SpeechModel, source: Recording, measured: Sound, text: str, settings: Settings) -> Spoken:
    """Align a given transcript.

    Parameters
    ----------
    model : SpeechModel
    source : Recording
    measured : Sound
    text : str
    settings : Settings

    Raises
    ------
    InputError
        No words in the text, or none of it found in the recording.
    """
    language, levels = settings.language, measured.levels
    sound = active(levels)
    whole = _without_silence(sound, source.duration)
    window = None
    if whole.end - whole.start <= model.window:
        window = model.encode(source.read(whole.start, whole.end))
        language = language or model.detect_language(window)[0]
    else:
        language = language or _language(model, source, measured, settings)
    script = _script(text, language)
    fits = whole.end - whole.start <= model.window
    fits = fits and len(model.tokenize(text, settings.units, language)) <= model.max_tokens
    if window is not None and fits and _filled(whole, script, sound):
        return _joined([align_window(model, window, text, settings, language, whole.start)], [text], language)
    found: tuple[Anchor, ...] = ()
    if not fits:
        found = by_recognition(script.words, recognise(model, source, measured, settings).words, language)
    spoken, absent = _fill(found, script, sound, source.duration) if found else ([], [])
    everything = Region(0.0, source.duration)
    stretches, texts, tight = _in_chunks(model, source, levels, spoken, script, settings, language, everything)
    absent += tight
    if stretches:
        return _joined(stretches, texts, language, missing=script.runs(absent))
    if not fits:
        raise InputError(f"nothing of the transcript was found in {source.name}: is it the right transcript?")
    # Nothing to go by, but one window takes it all: every word gets a time, and a probability that tells.
    window = window or model.encode(source.read(whole.start, whole.end))
    return _joined([align_window(model, window, text, settings, language, whole.start)], [text], language)


def _filled(whole: Region, script: _Script, sound: NDArray[np.bool_]) -> bool:
    """Whether a text fills a window: one with music, noise or a long pause is cut at its anchors."""
    most = SPARE + SLOW * PACE * sum(map(len, script.words))
    return whole.end - whole.start <= most and longest_pause(sound) <= PAUSE


def _in_chunks(
    model: SpeechModel,
    source: Recording,
    levels: NDArray[np.float32],
    anchors: Sequence[Anchor],
    script: _Script,
    settings: Settings,
    language: str | None,
    region: Region,
) -> tuple[list[Stretch], list[str], list[int]]:
    """Chunks of anchored words, aligned each in its own stretch of a region; their texts; words without room."""
    stretches: list[Stretch] = []
    texts: list[str] = []
    tight: list[int] = []
    for chunk, part in _chunks(model, anchors, script, levels, region):
        text = script.text([anchor.word for anchor in chunk])
        encoded = model.encode(source.read(part.start, part.end))
        if len(model.tokenize(text, settings.units, language)) >= int(encoded.duration / model.frame_duration):
            tight += [anchor.word for anchor in chunk]
            continue
        near = [_near(anchor, script, part.start) for anchor in chunk]
        stretches.append(align_window(model, encoded, text, settings, language, part.start, near))
        texts.append(text)
    return stretches, texts, tight


def _near(anchor: Anchor, script: _Script, offset: float) -> Near:
    """An anchor in a window that starts at `offset`."""
    letters, heard = len(script.words[anchor.word]), anchor.doubt < LOOSE
    return Near(letters, anchor.start - offset, anchor.end - offset, anchor.doubt, heard)


def recognise(model: SpeechModel, source: Recording, measured: Sound, settings: Settings) -> Spoken:
    """Recognise and align.

    Parameters
    ----------
    model : SpeechModel
    source : Recording
    measured : Sound
    settings : Settings
    """
    language, levels = settings.language, measured.levels
    regions = speech_regions(measured, settings.vad)
    waiting = list(windows(regions, levels, min(LONGEST, model.window)))
    found: list[tuple[float, Stretch, str]] = []
    dropped: list[str] = []
    while waiting:
        batch, waiting = waiting[: model.together], waiting[model.together :]
        encoded = [model.encode(source.read(region.start, region.end)) for region in batch]
        language = language or model.detect_language(encoded[0])[0]
        heard = model.transcribe(encoded, language, settings.task)
        for region, window, transcription in zip(batch, encoded, heard, strict=True):
            text = transcription.text
            tokens = model.tokenize(text, settings.units, language)
            if len(tokens) >= model.max_tokens - 1 and not is_loop(text) and region.end - region.start > 2.0:
                # The decoder ran full: the window holds more words than one pass can write.
                cut = quietest(levels, region.start * 0.7 + region.end * 0.3, region.start * 0.3 + region.end * 0.7)
                waiting = [Region(region.start, cut), Region(cut, region.end), *waiting]
                continue
            text, reason = _without_loop(text)
            if reason:
                dropped.append(f"{region.start:.2f}-{region.end:.2f} s: {reason}")
            tokens = model.tokenize(text, settings.units, language)
            if not tokens.words:
                continue
            if len(tokens) >= int(window.duration / model.frame_duration):
                dropped.append(f"{region.start:.2f}-{region.end:.2f} s: more text than can be spoken")
                continue
            found.append((region.start, align_window(model, window, text, settings, language, region.start), text))
    found.sort(key=lambda item: item[0])  # halves of a window come after its neighbours
    return _joined(
        [stretch for _, stretch, _ in found], [text for _, _, text in found], language, dropped=tuple(dropped)
    )


def is_loop(text: str) -> bool:
    """Whether a text repeats itself as decoders do when they are lost.

    Examples
    --------
    >>> is_loop("thank you " * 30)
    True
    """
    raw = text.encode()
    return len(raw) > 60 and len(raw) / len(zlib.compress(raw)) > REPETITIVE


def _without_loop(text: str) -> tuple[str, str]:
    """A text cut after the first round of a loop, and what was cut off."""
    if not is_loop(text):
        return text, ""
    words = text.split()
    for size in range(1, len(words) // 3 + 1):
        for start in range(len(words) - 3 * size + 1):
            phrase = words[start : start + size]
            if words[start + size : start + 2 * size] == phrase == words[start + 2 * size : start + 3 * size]:
                return " ".join(words[: start + size]), f"a repetition of {' '.join(phrase)!r} was cut"
    return "", "repetitive text was dropped"


def _joined(
    stretches: Sequence[Stretch],
    texts: Sequence[str],
    language: str | None,
    missing: tuple[str, ...] = (),
    dropped: tuple[str, ...] = (),
) -> Spoken:
    segments: list[tuple[int, int]] = []
    total = 0
    for stretch, text in zip(stretches, texts, strict=True):
        segments += _segments(stretch, text, total)
        total += len(stretch.words)
    return Spoken(
        words=tuple(word for stretch in stretches for word in stretch.words),
        tokens=tuple(token for stretch in stretches for token in stretch.tokens),
        segments=tuple(segments),
        repairs=sum(stretch.repairs for stretch in stretches),
        windows=len(stretches),
        language=language,
        missing=missing,
        dropped=dropped,
    )


def _segments(stretch: Stretch, text: str, offset: int) -> list[tuple[int, int]]:
    """Word ranges of the sentences of a stretch.

    A word of the output can hold several written ones (marks that stand
    alone), or part of one in scripts without spaces: letters are counted.
    """
    ends = np.cumsum([len("".join(sentence.split())) for sentence in sentences(text)])
    seen, start, found, k = 0, 0, [], 0
    for i, word in enumerate(stretch.words):
        seen += len("".join(word.text.split()))
        if k < len(ends) and seen >= ends[k]:
            found.append((offset + start, offset + i + 1))
            start = i + 1
            k = int(np.searchsorted(ends, seen, side="right"))
    if start < len(stretch.words):
        found.append((offset + start, offset + len(stretch.words)))
    return found


def _without_silence(sound: NDArray[np.bool_], duration: float) -> Region:
    """A recording without long silence at its ends: attention that finds nothing to hold on to wanders there."""
    loud = np.flatnonzero(sound) * STEP
    if not len(loud):
        return Region(0.0, duration)
    start = float(loud[0]) - SILENT_EDGE / 2 if loud[0] > SILENT_EDGE else 0.0
    end = float(loud[-1]) + SILENT_EDGE / 2 if duration - loud[-1] > SILENT_EDGE else duration
    return Region(start, end)


def _language(model: SpeechModel, source: Recording, measured: Sound, settings: Settings) -> str:
    """Language of the first window that holds speech."""
    if len(model.languages) == 1:
        return model.languages[0]
    first = windows(speech_regions(measured, settings.vad), measured.levels, min(LONGEST, model.window))
    region = first[0] if first else Region(0.0, min(LONGEST, source.duration))
    return model.detect_language(model.encode(source.read(region.start, region.end)))[0]


@dataclass(frozen=True)
class _Script:
    """A transcript as a sequence of words, and where its sentences end."""

    words: tuple[str, ...]
    ends: frozenset[int]  # indices of the last word of each sentence
    glue: str  # between words: a space, or nothing in scripts written without

    def text(self, indices: Sequence[int]) -> str:
        """Words by index, a line for each sentence."""
        parts = [self.words[i] + ("\n" if i in self.ends else self.glue) for i in indices]
        return "".join(parts).strip()

    def runs(self, indices: Sequence[int]) -> tuple[str, ...]:
        """Stretches of neighbouring words."""
        found: list[list[int]] = []
        for i in sorted(indices):
            if found and found[-1][-1] == i - 1 and i - 1 not in self.ends:
                found[-1].append(i)
            else:
                found.append([i])
        return tuple(self.text(run) for run in found)

    def mostly(self, indices: Sequence[int]) -> frozenset[int]:
        """All words of the sentences that have more than half their words among the indices."""
        wanted, first = set(indices), 0
        found: set[int] = set()
        for end in sorted(self.ends):
            sentence = range(first, end + 1)
            if 2 * len(wanted.intersection(sentence)) > len(sentence):
                found.update(sentence)
            first = end + 1
        return frozenset(found)


def _script(text: str, language: str) -> _Script:
    unspaced = language in UNSPACED_LANGUAGES
    words: list[str] = []
    ends: set[int] = set()
    for sentence in sentences(text):
        words += list("".join(sentence.split())) if unspaced else sentence.split()
        ends.add(len(words) - 1)
    return _Script(tuple(words), frozenset(ends), "" if unspaced else " ")


def _fill(
    anchors: Sequence[Anchor], script: _Script, active: NDArray[np.bool_], duration: float
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


def _parts(run: range, script: _Script) -> tuple[range, range, range]:
    """Words between two anchors: of the first one's sentence, of neither's, of the last one's.

    Words of one sentence with both anchors stand in the middle.
    """
    cuts = [k for k in range(run.start, run.stop + 1) if k == 0 or k - 1 in script.ends] or [run.start, run.stop]
    return range(run.start, cuts[0]), range(cuts[0], cuts[-1]), range(cuts[-1], run.stop)


def _spread(parts: Sequence[Sequence[int]], script: _Script, low: float, high: float) -> Iterator[Anchor]:
    """Rough times of the words of `_parts`: beside their sentence's anchor, at an ordinary pace if there is room."""
    tail, _, head = sizes = [PACE * sum(len(script.words[i]) for i in part) for part in parts]
    edges = [low, low + tail, high - head, high]
    if sum(sizes) > high - low:
        parts, edges = [[i for part in parts for i in part]], [low, high]
    for words, (start, end) in zip(parts, itertools.pairwise(edges), strict=True):
        width = (end - start) / max(1, len(words))
        for k, word in enumerate(words):
            yield Anchor(word, start + k * width, start + (k + 1) * width, max(LOOSE, end - start))


def _chunks(
    model: SpeechModel, anchors: Sequence[Anchor], script: _Script, levels: NDArray[np.float32], whole: Region
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
            stop = _best_cut(anchors, script, first, stop)
        last = anchors[stop - 1]
        following = anchors[stop].start if stop < len(anchors) else whole.end
        if following - last.end > 2 * MARGIN:
            end = last.end + MARGIN
        else:
            end = quietest(levels, max(last.end - 0.15, (last.start + last.end) / 2), max(following, last.end) + 0.1)
        end = min(max(end, start + 0.1), whole.end, start + model.window)
        yield anchors[first:stop], Region(start, end)
        first, start = stop, end


def _best_cut(anchors: Sequence[Anchor], script: _Script, first: int, stop: int) -> int:
    """Where to end a chunk that is full: in its second half, after a sentence, in the longest gap."""
    candidates = range(first + 1 + (stop - first) // 2, stop + 1)

    def worth(cut: int) -> tuple[bool, float]:
        return anchors[cut - 1].word in script.ends, anchors[cut].start - anchors[cut - 1].end

    return max(candidates, key=worth, default=stop)


def _most_tokens(word: str) -> int:
    """No vocabulary in use needs more tokens for a word and its space."""
    return max(len(word.encode()), len(spoken_form(word))) + 1
