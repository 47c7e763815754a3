"""One model window: a text that fits it, and the times of its words. Everything longer is made of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aligner.core import Word
from aligner.errors import InputError
from aligner.models import Encoded, SpeechModel
from aligner.timing.case import Case
from aligner.timing.places import Place
from aligner.timing.settings import Settings


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
    places: Sequence[Place] = (),
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
    places : sequence of Place
        Where each part of the text is known to lie; none for a free alignment.

    Raises
    ------
    InputError
        The transcript holds no words, or more tokens than the window has frames.
    """
    case = Case(model, encoded, text, language, places)
    tokens = case.tokens(settings.units)
    if not tokens.words:
        raise InputError("the transcript holds no words: give the spoken words, or leave --text out")
    frames = int(encoded.duration / model.frame_duration)
    if len(tokens) >= frames:
        raise InputError(
            f"the transcript has {len(tokens)} tokens, the {encoded.duration:.2f} s of audio only {frames} frames: "
            "is it the right transcript?"
        )
    timed = case.words(settings)
    spelled = case.spelled(settings) if settings.tokens else ()
    return Stretch(shifted(timed.words, offset), shifted(spelled, offset), timed.repairs)


def shifted(words: tuple[Word, ...], offset: float) -> tuple[Word, ...]:
    """The same words, `offset` seconds later."""
    if not offset:
        return words
    return tuple(replace(word, start=word.start + offset, end=word.end + offset) for word in words)
