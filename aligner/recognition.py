"""The words of windows, by the ways that a checkpoint offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aligner import hearing, lexicon
from aligner.errors import ModelError
from aligner.models.base import Encoded, SpeechModel
from aligner.registry import Registry

Recogniser = Callable[[SpeechModel, Sequence[Encoded], str | None, str], list[str]]
recognisers: Registry[Recogniser] = Registry("recogniser")


@recognisers.register("decoder")
def by_decoder(model: SpeechModel, windows: Sequence[Encoded], language: str | None, task: str) -> list[str]:
    """The decoder's own text, greedily."""
    return model.transcribe_all(windows, language, task)


@recognisers.register("lexicon")
def by_lexicon(model: SpeechModel, windows: Sequence[Encoded], language: str | None, task: str) -> list[str]:
    """What the phone classifier hears, looked up in the lexicon.

    Raises
    ------
    ModelError
        The checkpoint has no lexicon.
    """
    found = lexicon.of_model(model)
    if found is None:
        raise ModelError(f"model {model.name!r} has no lexicon: use --recogniser decoder")
    return [hearing.hear(model, window, found) for window in windows]


def choose(model: SpeechModel, name: str | None, task: str) -> str:
    """The recogniser asked for, or the best that a checkpoint has for a task."""
    if name is not None:
        recognisers[name]  # an unknown one is refused here
        return name
    return "lexicon" if task == "transcribe" and lexicon.of_model(model) else "decoder"


def transcript(model: SpeechModel, encoded: Encoded, language: str | None = None) -> str:
    """The words of one window by the best recogniser that the checkpoint has."""
    return recognisers[choose(model, None, "transcribe")](model, [encoded], language, "transcribe")[0]
