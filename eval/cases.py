"""Utterances of a manifest after the model: what the grid, the gap study and the ranking of heads all start from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aligner.audio.level import loudness
from aligner.audio.recording import of_audio
from aligner.errors import InputError
from aligner.timing.case import Case
from eval.manifest import Utterance, load_audio

if TYPE_CHECKING:
    from aligner.models import SpeechModel


@contextmanager
def named(utterance: Utterance) -> Iterator[None]:
    """Errors about an utterance name it.

    Raises
    ------
    InputError
        As inside, with the utterance's id before the sentence.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"utterance {utterance.id}: {error}") from error


def open_case(model: SpeechModel, utterance: Utterance, own_words: bool = False, edges: bool = False) -> Case:
    """An utterance after the model.

    Parameters
    ----------
    model : SpeechModel
    utterance : Utterance
        A whole recording or a piece of one.
    own_words : bool
        Take the model's own transcript instead of the reference's words.
    edges : bool
        Draw words to their sound, as `align` does at the end.

    Raises
    ------
    InputError
        The utterance does not fit the model; the sentence names it.
    """
    with named(utterance):
        if utterance.duration > model.window:
            raise InputError(
                f"it lasts {utterance.duration:.2f} s, and the model hears {model.window:g} s at a time: make the "
                "manifest with align-eval prepare --cut"
            )
        audio = load_audio(utterance, model.sample_rate)
        encoded = model.encode(audio)
        language = utterance.language if utterance.language in model.languages else None
        text = model.transcribe([encoded], utterance.language)[0].text if own_words else utterance.text
        return Case(model, encoded, text, language, levels=loudness(of_audio(audio)) if edges else None)
