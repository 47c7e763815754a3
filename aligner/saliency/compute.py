"""The one entry: a method by name on one window of audio."""

from __future__ import annotations

from aligner.core import SaliencyMap, Tokens
from aligner.errors import InputError, SettingError
from aligner.models.base import Encoded, SpeechModel
from aligner.saliency.base import Request, methods


def compute(
    model: SpeechModel,
    encoded: Encoded,
    tokens: Tokens,
    method: str,
    masks: int | None = None,
    seed: int = 0,
    language: str | None = None,
    fill: str = "mean",
    threshold: float = 0.95,
) -> SaliencyMap:
    """Saliency of every token of a teacher-forced transcript.

    Parameters
    ----------
    model : SpeechModel
    encoded : Encoded
        One window; its states are computed once and reused.
    tokens : Tokens
    method : str
        "encoder", "strips", "spes" or "gradient", with an argument after a
        colon where the method takes one ("spes:code", "strips:80",
        "gradient:output", "gradient:2").
    masks : int or None
        Random masks; None draws until the split-half correlation passes `threshold`.
    seed : int
        Same seed, same masks.
    language : str or None
    fill : str
        "mean", "zero" or "min"; what takes the place of hidden features ("encoder" always zeroes states).
    threshold : float
        Split-half correlation that counts as converged.

    Returns
    -------
    SaliencyMap
        With the split-half correlation it reached; a map below `threshold` is logged as a warning.

    Raises
    ------
    SettingError
        Unknown method, argument or fill, too few masks to tell anything, an extra that is not installed, or a model
        in int8.
    InputError
        No tokens, or audio shorter than what the method hides at a time.
    """
    if model.precision == "int8":
        raise SettingError("saliency is not computed in whole numbers, which have no gradients: take --dtype float32")
    name, _, argument = method.partition(":")
    if masks is not None and masks < 1:
        raise SettingError(f"{masks} masks asked for: give at least 1, or none to draw until the map converges")
    if not len(tokens):
        raise InputError("saliency needs a transcript with at least one token")
    request = Request(model, encoded, tokens, language, argument, masks, seed, fill, threshold)
    request.filling()
    return methods[name](request)
