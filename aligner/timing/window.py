"""One model window: attention, aggregation, path, words. Everything longer is made of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aligner.core import Path, TokenFrameMap, Tokens, Word, WordSpan
from aligner.errors import InputError, SettingError
from aligner.models import Encoded, SpeechModel
from aligner.timing.aggregation import aggregate
from aligner.timing.path import warp
from aligner.timing.places import Near, covering, held, of_words
from aligner.timing.settings import Settings
from aligner.timing.words import time_words


@dataclass(frozen=True)
class Stretch:
    """The words of one window.

    Attributes
    ----------
    words : tuple of Word
        Times from the start of the recording.
    tokens : tuple of Word
        Likewise; empty unless asked for.
    repairs : int
        Boundaries that had to be moved to be valid.
    """

    words: tuple[Word, ...]
    tokens: tuple[Word, ...]
    repairs: int


def align_window(
    model: SpeechModel,
    encoded: Encoded,
    text: str,
    settings: Settings,
    language: str | None,
    offset: float = 0.0,
    near: Sequence[Near] = (),
) -> Stretch:
    """Word times of a transcript in one window.

    Parameters
    ----------
    model : SpeechModel
    encoded : Encoded
        The window after the encoder.
    text : str
    settings : Settings
    language : str or None
    offset : float
        Seconds from the start of the recording to the start of the window.
    near : sequence of Near
        Where each part of the text is known to lie; none for a free alignment.

    Raises
    ------
    InputError
        The transcript holds no words, or more tokens than the window has frames.
    """
    tokens = model.tokenize(text, settings.units, language)
    if not tokens.words:
        raise InputError("the transcript holds no words: give the spoken words, or leave --text out")
    frames = int(encoded.duration / model.frame_duration)
    if len(tokens) >= frames:
        raise InputError(
            f"the transcript has {len(tokens)} tokens, the {encoded.duration:.2f} s of audio only {frames} frames: "
            "is it the right transcript?"
        )
    forced_pass = model.force(encoded, tokens, language) if settings.confidence else None
    attention = forced_pass.attention if forced_pass else model.attend(encoded, tokens, language)
    evidence = aggregate(attention, settings.aggregation, model.alignment_heads)
    places = of_words(tokens, near) if near else ()
    path = warp(held(evidence, tokens, places) if near else evidence, settings.path)
    timed = time_words(path, evidence, tokens, encoded.duration, settings.pauses)
    if near and settings.pauses == "trim":
        timed = replace(timed, words=covering(timed.words, places, encoded.duration))
    words = timed.words
    if forced_pass:
        probabilities = forced_pass.probabilities()
        words = tuple(
            replace(word, probability=float(probabilities[span.start : span.stop].mean()))
            for word, span in zip(words, tokens.words, strict=True)
        )
    if settings.saliency:
        words = _with_agreement(words, model, encoded, tokens, evidence, settings.saliency, settings.masks, language)
    spelled = _token_times(path, evidence, tokens, encoded.duration) if settings.tokens else ()
    return Stretch(shifted(words, offset), shifted(spelled, offset), timed.repairs)


def shifted(words: tuple[Word, ...], offset: float) -> tuple[Word, ...]:
    """The same words, `offset` seconds later."""
    if not offset:
        return words
    return tuple(replace(word, start=word.start + offset, end=word.end + offset) for word in words)


def _token_times(path: Path, evidence: TokenFrameMap, tokens: Tokens, duration: float) -> tuple[Word, ...]:
    rows = tuple(WordSpan(text.strip(), i, i + 1) for i, text in enumerate(tokens.texts) if text.strip())
    return time_words(path, evidence, replace(tokens, words=rows), duration, "keep").words


def _with_agreement(
    words: tuple[Word, ...],
    model: SpeechModel,
    encoded: Encoded,
    tokens: Tokens,
    evidence: TokenFrameMap,
    method: str,
    masks: int | None,
    language: str | None,
) -> tuple[Word, ...]:
    try:
        from aligner import saliency
    except ImportError as error:
        raise SettingError(
            f"--saliency needs {error.name}: install the extra with pip install 'cross-attention-aligner[saliency]'"
        ) from None
    found = saliency.compute(model, encoded, tokens, method=method, masks=masks, language=language)
    scores = saliency.agreement(evidence, found, tokens)
    return tuple(replace(word, agreement=float(score)) for word, score in zip(words, scores, strict=True))
