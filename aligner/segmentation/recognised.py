"""Recordings without a transcript: cut in pauses into windows, each recognised and aligned.

Stretches never overlap, so no word is lost or doubled at a joint and times are monotone.
"""

from __future__ import annotations

from aligner.audio.level import quietest
from aligner.audio.recording import Recording
from aligner.audio.sound import Sound
from aligner.audio.speech import Region, speech_regions, windows
from aligner.models import SpeechModel
from aligner.segmentation.chunks import LONGEST
from aligner.segmentation.joined import Aligned, joined
from aligner.segmentation.loops import is_loop, without_loop
from aligner.timing.settings import Settings
from aligner.timing.window import Stretch, align_window


def recognise(model: SpeechModel, source: Recording, measured: Sound, settings: Settings) -> Aligned:
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
            text, reason = without_loop(text)
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
    return joined(
        [stretch for _, stretch, _ in found], [text for _, _, text in found], language, dropped=tuple(dropped)
    )


def language_of(model: SpeechModel, source: Recording, measured: Sound, settings: Settings) -> str:
    """Language of the first window that holds speech."""
    if len(model.languages) == 1:
        return model.languages[0]
    first = windows(speech_regions(measured, settings.vad), measured.levels, min(LONGEST, model.window))
    region = first[0] if first else Region(0.0, min(LONGEST, source.duration))
    return model.detect_language(model.encode(source.read(region.start, region.end)))[0]
