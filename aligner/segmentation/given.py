"""Recordings with a transcript.

The words of a long recording are anchored first, so an error stays between its neighbours; then each chunk of
neighbouring words is aligned within its own stretch of audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aligner.audio.level import STEP, active, longest_pause
from aligner.audio.recording import Recording
from aligner.audio.sound import listen
from aligner.audio.speech import Region
from aligner.core import Cue
from aligner.errors import InputError
from aligner.models import Encoded, SpeechModel
from aligner.segmentation.anchors import Anchor, by_recognition
from aligner.segmentation.chunks import PACE, PAUSE, fill, in_chunks
from aligner.segmentation.hints import Hints
from aligner.segmentation.joined import Aligned, joined
from aligner.segmentation.language import language_of, unknown_script
from aligner.segmentation.recognised import recognise
from aligner.segmentation.script import Script, script_of
from aligner.segmentation.sounded import align_by_sounds
from aligner.timing.choice import head_of, heard_only, no_attention
from aligner.timing.settings import Settings
from aligner.timing.window import align_window

SILENT_EDGE = 1.0  # seconds; more silence than this is left out at either end, but for a half of it
SLOW, SPARE = 1.5, 1.0  # a text fills a window that lasts at most so many times as long as it takes, and seconds more


def align_text(
    model: SpeechModel,
    source: Recording,
    levels: NDArray[np.float32],
    text: str,
    settings: Settings,
    cues: Sequence[Cue] = (),
) -> Aligned:
    """Align a given transcript.

    Parameters
    ----------
    model : SpeechModel
    source : Recording
    levels : float32 array, shape (10 ms frames,)
        From `aligner.audio.level.loudness`.
    text : str
    settings : Settings
    cues : sequence of Cue
        Of the text, where it has any: its lines. Their times are used where the settings ask for hints.

    Raises
    ------
    InputError
        No words in the text, or none of it found in the recording; hints beyond its end, or none where they are asked.
    """
    whole = without_silence(active(levels), source.duration)
    # A head hears silence, too.
    heard = heard_only(model, settings, settings.language)
    region = Region(0.0, source.duration) if heard else whole
    window = None
    if region.duration <= model.window:
        window = model.encode(source.read(region.start, region.end), thin=heard)
    language, probability = language_of(model, source, settings, text, window)
    doubt = unknown_script(text, model.languages, model.name) if settings.language is None else None
    hints = None
    if settings.hints is not None:
        if not cues:
            raise InputError("the transcript has no times that could be hints: leave --hints out")
        hints = Hints.of(cues, language, settings.hints, source.duration)
    if no_attention(settings) and (head := head_of(model, settings, language)) is not None:
        aligned = align_by_sounds(model, head, source, levels, text, settings, language, window, hints)
    else:
        if heard and whole.duration <= model.window:
            window = model.encode(source.read(whole.start, whole.end))
        aligned = _by_attention(model, source, levels, text, settings, language, whole, window, hints)
    warnings = (*aligned.warnings, doubt) if doubt else aligned.warnings
    return replace(aligned, language_probability=probability, warnings=warnings)


def _by_attention(
    model: SpeechModel,
    source: Recording,
    levels: NDArray[np.float32],
    text: str,
    settings: Settings,
    language: str,
    whole: Region,
    window: Encoded | None,
    hints: Hints | None,
) -> Aligned:
    """Align a text of a known language; `window` is the encoded `whole` recording, where that fits."""
    sound = active(levels)
    script = script_of(text, language)
    fits = window is not None and len(model.tokenize(text, settings.units, language)) <= model.max_tokens
    if window is not None and fits and _filled(whole, script, sound):
        places = hints.places(script, whole.start) if hints else ()
        return joined([align_window(model, window, text, settings, language, whole.start, places)], [text], language)
    found: Sequence[Anchor] = ()
    if hints or not fits:
        told = replace(settings, language=language)
        heard = recognise(model, source, listen(source), told).words
        if hints:
            found = hints.completed(hints.recognised(script, heard, language))
        else:
            found = by_recognition(script.words, heard, language)
    spoken, absent = fill(found, script, sound, source.duration) if found else ([], [])
    everything = Region(0.0, source.duration)
    stretches, texts, tight = in_chunks(model, source, levels, spoken, script, settings, language, everything)
    absent += tight
    if stretches:
        return joined(stretches, texts, language, missing=script.runs(absent))
    if not fits:
        raise InputError(f"nothing of the transcript was found in {source.name}: is it the right transcript?")
    # Nothing to go by, but one window takes it all: every word gets a time, and a probability that tells.
    assert window is not None
    return joined([align_window(model, window, text, settings, language, whole.start)], [text], language)


def _filled(whole: Region, script: Script, sound: NDArray[np.bool_]) -> bool:
    """Whether a text fills a window: one with music, noise or a long pause is cut at its anchors."""
    most = SPARE + SLOW * PACE * sum(map(len, script.words))
    return whole.end - whole.start <= most and longest_pause(sound) <= PAUSE


def without_silence(sound: NDArray[np.bool_], duration: float) -> Region:
    """A recording without long silence at its ends: attention that finds nothing to hold on to wanders there."""
    loud = np.flatnonzero(sound) * STEP
    if not len(loud):
        return Region(0.0, duration)
    start = float(loud[0]) - SILENT_EDGE / 2 if loud[0] > SILENT_EDGE else 0.0
    end = float(loud[-1]) + SILENT_EDGE / 2 if duration - loud[-1] > SILENT_EDGE else duration
    return Region(start, end)
