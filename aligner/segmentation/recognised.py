"""Recordings without a transcript: cut in pauses into windows, each recognised and aligned.

Windows never overlap, so no word is lost or doubled at a joint and times are monotone. What sounds like speech and got
no words is heard once more on its own; what was left out in the end is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aligner.audio.level import quietest
from aligner.audio.recording import Recording
from aligner.audio.sound import Sound
from aligner.audio.speech import Region, silero_regions, speech_regions, uncovered, windows
from aligner.core import Word
from aligner.memory import give_back
from aligner.models import Encoded, SpeechModel, Transcription
from aligner.segmentation.joined import Aligned, joined
from aligner.segmentation.language import FULL, SHORT, Follower, evidence
from aligner.segmentation.loops import is_loop, without_loop
from aligner.segmentation.passage import Passage
from aligner.timing.choice import heard_only
from aligner.timing.settings import Settings
from aligner.timing.window import align_window

_POOR = -1.0  # mean log probability of a text that is tried another way, as in openai-whisper
_SILENT = 0.6  # probability of no speech with which a poor text is nothing, likewise
_FAINT, _WEAK = 0.6, -0.7  # where speech is never likelier than this, a text less likely than that is invented
_UNSURE = 0.5  # probability of a word that is left out where nothing sounds like speech
_SPOKEN = 0.5  # probability of speech, and
_MISSED = 0.5  # seconds of it that should have had words


def recognise(model: SpeechModel, source: Recording, measured: Sound, settings: Settings) -> Aligned:
    """Recognise and align.

    Parameters
    ----------
    model : SpeechModel
    source : Recording
    measured : Sound
    settings : Settings
    """
    hearing = _Hearing(model, source, measured, settings)
    longest = min(SHORT, model.window) if hearing.follower else model.window - FULL
    hearing.hear(windows(speech_regions(measured, settings.vad), measured.levels, longest))
    hearing.hear_again()
    return hearing.result()


class _Hearing:
    """What was heard so far."""

    def __init__(self, model: SpeechModel, source: Recording, measured: Sound, settings: Settings) -> None:
        from aligner.audio.silero import SECONDS  # which imports torch

        self.step = SECONDS
        self.model, self.source, self.measured, self.settings = model, source, measured, settings
        self.language = settings.language or (model.languages[0] if len(model.languages) == 1 else None)
        self.follower = None if self.language else Follower()
        self.thin = heard_only(model, settings, self.language)
        self.speech = silero_regions(measured)
        self.passages: list[Passage] = []
        self.left_out: list[tuple[float, float, str]] = []  # from, to, and why

    def hear(self, waiting: Sequence[Region], again: bool = False) -> None:
        """Recognise windows; of those heard `again`, only what is no guess is kept."""
        waiting = list(waiting)
        while waiting:
            batch, waiting = waiting[: self.model.together], waiting[self.model.together :]
            encoded = self.model.encode_all([self.source.read(part.start, part.end) for part in batch], self.thin)
            give_back()
            languages = self._languages(batch, encoded)
            texts = self._transcribed(encoded, languages)
            give_back()
            for region, window, language, heard in zip(batch, encoded, languages, texts, strict=True):
                tokens = self.model.tokenize(heard.text, self.settings.units, language)
                if len(tokens) >= self.model.max_tokens - 1 and not is_loop(heard.text) and region.duration > 2.0:
                    # The decoder ran full: the window holds more words than one pass can write.
                    third = region.duration / 3
                    cut = quietest(self.measured.levels, region.start + third, region.end - third)
                    waiting = [Region(region.start, cut), Region(cut, region.end), *waiting]
                elif reason := self._doubted(region, heard, again):
                    self._leave_out(region, f"{heard.text!r} was left out: {reason}")
                elif tokens.words:
                    self._align(region, window, language, heard)

    def _languages(self, batch: Sequence[Region], encoded: Sequence[Encoded]) -> list[str]:
        if self.follower is None:
            assert self.language is not None
            return [self.language] * len(batch)

        found = [self.model.language_probabilities(window) for window in encoded]

        def gain(k: int, language: str, other: str) -> float:
            first, second = (
                evidence(self.model, encoded[k], code, found[k].get(code, 0)) for code in (language, other)
            )
            return second - first

        return self.follower.follow(batch, found, gain)

    def _transcribed(self, encoded: Sequence[Encoded], languages: Sequence[str]) -> list[Transcription]:
        """Transcripts; a poor one is made with timestamps too, and the better one taken."""
        found: list[Transcription | None] = [None] * len(encoded)
        for timestamps in (False, True):
            for language in dict.fromkeys(languages):
                open_ = [k for k, heard in enumerate(found) if languages[k] == language and _is_poor(heard)]
                chosen = [encoded[k] for k in open_]
                made = self.model.transcribe(chosen, language, self.settings.task, timestamps) if chosen else []
                for k, heard in zip(open_, made, strict=True):
                    before = found[k]
                    found[k] = heard if before is None else max(before, heard, key=_worth)
        return [heard for heard in found if heard is not None]

    def _doubted(self, region: Region, heard: Transcription, again: bool) -> str:
        """Why a text is taken for invented; empty where it is not."""
        if not heard.text:
            return ""
        if heard.no_speech > _SILENT and heard.mean_log_prob < _POOR:
            return "nobody seems to speak"
        peak = max(self._likelihood(region), default=0.0)
        if peak < _FAINT and heard.mean_log_prob < _WEAK:
            return "hardly anything sounds like speech"
        return "it is a guess" if again and (_is_poor(heard) or heard.no_speech > _SILENT) else ""

    def _align(self, region: Region, window: Encoded, language: str, heard: Transcription) -> None:
        text, reason = without_loop(heard.text)
        if reason:
            self._leave_out(region, reason)
        tokens = self.model.tokenize(text, self.settings.units, language)
        if not tokens.words:
            return
        if len(tokens) >= int(window.duration / self.model.frame_duration):
            self._leave_out(region, f"{text!r} was left out: more text than can be spoken")
            return
        stretch = align_window(self.model, window, text, self.settings, language, region.start)
        give_back()
        passage = Passage.of(stretch, text)
        likely = float(np.exp(heard.mean_log_prob))

        def invented(word: Word) -> bool:
            sure = likely if word.probability is None else word.probability
            return sure < _UNSURE and not any(r.start < word.end and word.start < r.end for r in self.speech)

        if gone := [word for word in stretch.words if invented(word)]:
            said = " ".join(word.text for word in gone)
            self._leave_out(
                Region(gone[0].start, gone[-1].end), f"{said!r} was left out: nothing sounds like speech there"
            )
            kept = {(word.start, word.end) for word in stretch.words if word not in gone}
            passage = passage.where(lambda word: any(low <= word.start < high for low, high in kept))
        if passage.stretch.words:
            self.passages.append(passage)

    def hear_again(self) -> None:
        """Hear what sounds like speech and got no words on its own, once, and name what still has none."""
        missed = self._missed()
        longest = min(SHORT, self.model.window)
        self.hear([part for region in missed for part in windows((region,), self.measured.levels, longest)], again=True)
        if missed:
            named = list(self.left_out)
            for region in self._missed():
                if not any(low < region.end and region.start < high for low, high, _ in named):
                    self._leave_out(region, "it sounds like speech, but no words were recognised")

    def _missed(self) -> list[Region]:
        words = sorted((word for passage in self.passages for word in passage.stretch.words), key=lambda w: w.start)
        return [
            region
            for region in uncovered(words, self.speech)
            if (self._likelihood(region) > _SPOKEN).sum() * self.step >= _MISSED
        ]

    def _likelihood(self, region: Region) -> np.ndarray:
        """Probabilities of speech in a region."""
        return self.measured.speech[int(region.start / self.step) : int(np.ceil(region.end / self.step))]

    def _leave_out(self, region: Region, what: str) -> None:
        self.left_out.append((region.start, region.end, what))

    def result(self) -> Aligned:
        """Everything in order; a passage that was heard again may lie between words of another."""
        ordered: list[Passage] = []
        for passage in sorted(self.passages, key=lambda passage: passage.start):
            before, after = ordered.pop().parted(passage.start) if ordered else (None, None)
            ordered += [part for part in (before, passage, after) if part and part.stretch.words]
        language, probability = self.follower.main() if self.follower else (self.language, None)
        aligned = joined(
            [passage.stretch for passage in ordered],
            [passage.text for passage in ordered],
            language,
            dropped=tuple(f"{low:.2f}-{high:.2f} s: {what}" for low, high, what in sorted(self.left_out)),
        )
        changes = self.follower.changes() if self.follower else ()
        return replace(aligned, language_probability=probability, warnings=changes)


def _is_poor(heard: Transcription | None) -> bool:
    """Whether a text is worth another try."""
    return heard is None or is_loop(heard.text) or heard.mean_log_prob < _POOR


def _worth(heard: Transcription) -> tuple[bool, float]:
    return not is_loop(heard.text), heard.mean_log_prob
