"""One utterance after the model: evidence, path, words, edges. The one place where this chain is put together.

Settings share what they have in common: tokens, attention, evidence and paths are computed once each, so a grid of
settings costs one pass of the model.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aligner.core import AttentionMap, Audio, Path, TokenFrameMap, Tokens, Word, WordSpan
from aligner.memory import give_back
from aligner.timing.aggregation import aggregate
from aligner.timing.choice import head_of
from aligner.timing.edges import snapped
from aligner.timing.head import Head, arrays_of
from aligner.timing.path import warp
from aligner.timing.places import Place, constrained, extended, of_words
from aligner.timing.sounds import edges, word_evidence
from aligner.timing.words import TimedWords, time_words

if TYPE_CHECKING:
    from aligner.models.base import Encoded, ForcedPass, SpeechModel
    from aligner.timing.settings import Settings


class Case:
    """An utterance of at most one model window, ready to be timed by any settings.

    Parameters
    ----------
    model : SpeechModel
    encoded : Encoded
        The utterance after the encoder.
    text : str
        What is said.
    language : str or None
    places : sequence of Place
        Where each part of the text is known to lie; none for a free alignment.
    levels : float32 array, shape (10 ms frames,), optional
        Loudness in dB, from `aligner.audio.level.loudness`. With it, and pauses "trim", words beside a pause are
        drawn to their sound; without it that is left to whoever knows the whole recording.
    """

    def __init__(
        self,
        model: SpeechModel,
        encoded: Encoded,
        text: str,
        language: str | None = None,
        places: Sequence[Place] = (),
        levels: NDArray[np.float32] | None = None,
    ) -> None:
        self.model, self.encoded, self.text, self.language = model, encoded, text, language
        self.places, self.levels = places, levels
        self._tokens: dict[str, Tokens] = {}
        self._passes: dict[tuple[int, ...], ForcedPass] = {}
        self._attention: dict[tuple[int, ...], AttentionMap] = {}
        self._evidence: dict[Hashable, TokenFrameMap] = {}
        self._paths: dict[Hashable, Path] = {}
        self._sounds: dict[Head, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def tokens(self, units: str = "subword") -> Tokens:
        """Tokens of the text in some units."""
        if units not in self._tokens:
            self._tokens[units] = self.model.tokenize(self.text, units, self.language)
        return self._tokens[units]

    def attention(self, units: str = "subword") -> AttentionMap:
        """Cross-attention of every layer and head."""
        tokens = self.tokens(units)
        if tokens.ids in self._passes:
            return self._passes[tokens.ids].attention
        if tokens.ids not in self._attention:
            self._attention[tokens.ids] = self.model.attend(self.encoded, tokens, self.language)
        return self._attention[tokens.ids]

    def probabilities(self, units: str = "subword") -> NDArray[np.float64]:
        """Mean probability of each word's tokens, shape (words,)."""
        tokens = self.tokens(units)
        of_token = self._forced(tokens).probabilities()
        return np.array([of_token[span.start : span.stop].mean() for span in tokens.words])

    def _forced(self, tokens: Tokens) -> ForcedPass:
        if tokens.ids not in self._passes:
            self._passes[tokens.ids] = self.model.force(self.encoded, tokens, self.language)
        return self._passes[tokens.ids]

    def evidence(self, settings: Settings) -> TokenFrameMap:
        """What the attention says, one map.

        Raises
        ------
        SettingError
            Layers or heads that the model does not have.
        """
        tokens = self.tokens(settings.units)
        key = (settings.aggregation, tokens.ids)
        if key not in self._evidence:
            if settings.confidence:
                self._forced(tokens)  # gives the attention, too
            self._evidence[key] = aggregate(
                self.attention(settings.units), settings.aggregation, self.model.alignment_heads
            )
        return self._evidence[key]

    def path(self, settings: Settings) -> Path:
        """The way through the evidence, held to the places that are known."""
        key = (settings.aggregation, self.tokens(settings.units).ids, settings.path)
        if key not in self._paths:
            self._paths[key] = self._walked(self.evidence(settings), settings)
        return self._paths[key]

    def words(self, settings: Settings) -> TimedWords:
        """Times of every word, and what else the settings ask for: probabilities, agreement with saliency.

        Returns
        -------
        TimedWords
            Seconds from the start of the utterance.

        Raises
        ------
        SettingError
            Settings that do not exist or do not fit the model.
        """
        head = head_of(self.model, settings, self.language)
        if head is None:
            self._hear_all()
            timed = self._timed(self.path(settings), self.evidence(settings), settings)
        else:
            timed = self._by_sounds(head, settings)
        words = timed.words
        if settings.confidence and words:
            give_back()
            found = self.probabilities(settings.units)
            words = tuple(replace(word, probability=float(p)) for word, p in zip(words, found, strict=True))
        if settings.saliency and words:
            scores = self._agreement(settings, settings.saliency)
            words = tuple(replace(word, agreement=float(score)) for word, score in zip(words, scores, strict=True))
        return replace(timed, words=words)

    def _hear_all(self) -> None:
        """Have every frame of the window: it was thinned for a head, and there is none for the language."""
        if self.encoded.counts is not None and self.encoded.samples is not None:
            self.encoded = self.model.encode(Audio(self.encoded.samples, self.model.sample_rate))

    def _by_sounds(self, head: Head, settings: Settings) -> TimedWords:
        """Times of every word from the sounds that a head hears; how sure they are."""
        tokens = self.tokens(settings.units)
        if not tokens.words:
            return TimedWords((), 0)
        evidence, posteriors = self.sounds(head)
        texts = [span.text for span in tokens.words]
        if settings.timing == "both":
            evidence_of_words = word_evidence(self.evidence(settings), tokens, len(evidence))
            found = edges(head, evidence, posteriors, texts, evidence_of_words)
        else:
            found = edges(head, evidence, posteriors, texts)
        timed = found.words(texts, self.encoded.duration, settings.pauses)
        if settings.pauses == "trim" and self.levels is not None:
            voiced = [head.ends_in_voice(text) for text in texts]
            timed = replace(timed, words=snapped(timed.words, self.levels, self.encoded.duration, voiced))
        return timed

    def sounds(self, head: Head) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Evidence of sounds every 10 ms, and their posteriors at every encoder state; see `Head`."""
        if head not in self._sounds:
            self._sounds[head] = head.evidence(*arrays_of(self.encoded))
        return self._sounds[head]

    def timed(self, evidence: TokenFrameMap, settings: Settings) -> TimedWords:
        """Times of every word from other evidence than the attention that the settings name.

        Parameters
        ----------
        evidence : TokenFrameMap
            Rows of the tokens in the settings' units and of the end of the text.
        settings : Settings
            Their aggregation is not used.
        """
        return self._timed(self._walked(evidence, settings), evidence, settings)

    def spelled(self, settings: Settings) -> tuple[Word, ...]:
        """Times of every token that is more than a space."""
        tokens = self.tokens(settings.units)
        rows = tuple(WordSpan(text.strip(), i, i + 1) for i, text in enumerate(tokens.texts) if text.strip())
        parts = replace(tokens, words=rows)
        path, evidence = self.path(settings), self.evidence(settings)
        return time_words(path, evidence, parts, self.encoded.duration, "keep", settings.shift).words

    def _walked(self, evidence: TokenFrameMap, settings: Settings) -> Path:
        if self.places:
            tokens = self.tokens(settings.units)
            evidence = constrained(evidence, tokens, of_words(tokens, self.places))
        return warp(evidence, settings.path)

    def _timed(self, path: Path, evidence: TokenFrameMap, settings: Settings) -> TimedWords:
        tokens, duration = self.tokens(settings.units), self.encoded.duration
        timed = time_words(path, evidence, tokens, duration, settings.pauses, settings.shift)
        words = timed.words
        if settings.pauses == "trim":
            if self.places:
                words = extended(words, of_words(tokens, self.places), duration)
            if self.levels is not None:
                words = snapped(words, self.levels, duration)
        return replace(timed, words=words)

    def _agreement(self, settings: Settings, method: str) -> Sequence[float]:
        """Of attention with saliency, word by word: of its probabilities, whatever the path is found through."""
        from aligner import saliency

        tokens = self.tokens(settings.units)
        found = saliency.compute(
            self.model, self.encoded, tokens, method=method, masks=settings.masks, language=self.language
        )
        plain = tuple(step for step in settings.aggregation.steps if step != "log")
        linear = replace(settings, aggregation=replace(settings.aggregation, steps=plain))
        return saliency.agreement(self.evidence(linear), found, tokens)
