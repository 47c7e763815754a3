"""Which timing head times the words of a recording, if any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aligner.errors import SettingError
from aligner.timing.head import Head, known, load

if TYPE_CHECKING:
    from aligner.models.base import SpeechModel
    from aligner.timing.settings import Settings


def no_attention(settings: Settings) -> bool:
    """Whether nothing asks for attention where there is a head."""
    return settings.timing in ("auto", "head") and not (settings.tokens or settings.saliency)


def heard_only(model: SpeechModel, settings: Settings, language: str | None) -> bool:
    """Whether words are timed by a head and nothing asks for attention, as far as the language is known."""
    if not no_attention(settings):
        return False
    language = language or (model.languages[0] if len(model.languages) == 1 else None)
    return settings.head is not None or known(model.fingerprint, language) is not None


def head_of(model: SpeechModel, settings: Settings, language: str | None) -> Head | None:
    """The head that settings ask for; None where attention times the words.

    Parameters
    ----------
    model : SpeechModel
    settings : Settings
    language : str or None
        Of the speech.

    Raises
    ------
    ModelError
        The file is no head, or one of another checkpoint.
    SettingError
        A head is asked for and none is known.
    """
    if settings.timing == "attention":
        return None
    if settings.head is not None:
        head = load(Path(settings.head))
        head.check(model)
        return head
    path = known(model.fingerprint, language or model.languages[0])
    if path is not None:
        return load(path)
    if settings.timing == "auto":
        return None
    of = f" in the language {language}" if language and known(model.fingerprint) else ""
    raise SettingError(
        f"--timing {settings.timing}: no timing head is known for model {model.name}{of}; teach one with "
        "align-eval adapt and give it with --head, or use --timing attention"
    )
