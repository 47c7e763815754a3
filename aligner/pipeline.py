"""From a recording to an alignment: the parts in their order, and the record of what was done."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aligner
from aligner.audio.file import of_file
from aligner.audio.level import SILENCE, loudness
from aligner.audio.read import SHORTEST_RECORDING, duration
from aligner.audio.recording import Recording, of_audio
from aligner.audio.sound import listen
from aligner.core import Alignment, Audio
from aligner.errors import InputError, SettingError
from aligner.models import SpeechModel, load_model
from aligner.segmentation.given import align_text
from aligner.segmentation.joined import Aligned
from aligner.segmentation.recognised import recognise
from aligner.text import cues, spacing
from aligner.text.transcript import Transcript, read_transcript
from aligner.timing.choice import head_of
from aligner.timing.edges import snapped
from aligner.timing.flags import flagged
from aligner.timing.head import Head, describe
from aligner.timing.settings import Settings, choose

__all__ = ["Settings", "align", "align_audio", "choose"]

_LOADING = ("device", "dtype", "threads")


def align(
    audio: str | os.PathLike[str] | Audio,
    text: str | Transcript | None = None,
    model: str | SpeechModel = "embedded",
    *,
    channel: int | None = None,
    track: int | None = None,
    skip: tuple[str, ...] = (),
    **settings: Any,
) -> Alignment:
    """Words of a recording and when each is spoken.

    Parameters
    ----------
    audio : path or Audio
        Any length; a file is read a window at a time.
    text : str or Transcript, optional
        What is said: plain text, or the content of a file of subtitles or
        annotations (see `aligner.text.readers`); recognised by the model when None.
    model : str or SpeechModel
        "embedded", a name such as "base", one of the hub, a checkpoint's
        folder or file, or a model from `aligner.load_model`.
    channel : int, optional
        From 0; the mean of all by default.
    track : int, optional
        Of a container, from 0 among its sound tracks; the first by default.
    skip : tuple of str
        Patterns of what is not spoken in the text; see `aligner.text.transcript.clean`.
    **settings
        Of `aligner.timing.settings.choose`: preset, layers, heads, combine, steps, and
        the fields of `Settings`; device, dtype and threads for a model given by name.

    Returns
    -------
    Alignment

    Raises
    ------
    AlignerError
        Anything wrong with the recording, the transcript, the model or a setting.

    Examples
    --------
    >>> import aligner
    >>> alignment = aligner.align("talk.wav", text="she had your dark suit")  # doctest: +SKIP
    >>> alignment.words[0].text  # doctest: +SKIP
    'she'
    """
    loading = {name: settings.pop(name) for name in _LOADING if name in settings}
    if not isinstance(model, str):
        if loading:
            raise SettingError(f"{sorted(loading)[0]} belongs to load_model: the model is loaded already")
        loaded = model
    chosen = choose(**settings)
    if isinstance(audio, Audio):
        source = of_audio(audio)
    else:
        duration(Path(audio), track)  # before the model is loaded: a wrong path is answered at once
    if isinstance(model, str):
        loaded = load_model(model, **loading)
    if not isinstance(audio, Audio):
        source = of_file(Path(audio), loaded.sample_rate, channel, track)
    given = read_transcript(text, "text", skip) if isinstance(text, str) else text
    return align_audio(loaded, source, given, chosen)


def align_audio(
    model: SpeechModel, audio: Audio | Recording, transcript: str | Transcript | None, settings: Settings
) -> Alignment:
    """Words of a recording with a model that is loaded.

    Parameters
    ----------
    model : SpeechModel
    audio : Audio or Recording
        At the model's rate.
    transcript : str, Transcript or None
        Recognised when None. A string is taken as it stands.
    settings : Settings

    Returns
    -------
    Alignment
        Its provenance names everything that shaped it: model, fingerprint,
        timing, head, aggregation, path, pauses, units, versions; and what went wrong:
        "repairs", "missing" pieces of text, "dropped" stretches, "warnings".

    Raises
    ------
    InputError
        Silence, too short, a transcript without words or far too long for the audio.
    SettingError
        A language, task or setting that the model does not have.
    """
    source = of_audio(audio) if isinstance(audio, Audio) else audio
    given = transcript.cues if isinstance(transcript, Transcript) else ()
    text = transcript.text if isinstance(transcript, Transcript) else transcript
    model.check_language(settings.language, settings.task)
    if source.duration < SHORTEST_RECORDING:
        raise InputError(f"{source.name} lasts {source.duration:.3f} s, too short to hold a word")
    if text is not None:
        _check_length(text, source, model)
    # How likely speech is costs a fifth of the encoder, and only recognition asks for it.
    heard = listen(source) if text is None else None
    levels = heard.levels if heard else loudness(source)
    doubted = "".join(f"; {doubt}" for doubt in source.doubts)
    if not (levels > SILENCE).any():
        raise InputError(
            f"{source.name} is silent: no sound above {SILENCE:g} dB; check the file or the --channel{doubted}"
        )
    if text is not None:
        spoken = align_text(model, source, levels, text, settings, given)
    elif heard is not None:
        spoken = recognise(model, source, heard, settings)
    if not spoken.words:
        raise InputError(f"no speech was recognised in {source.name}: check it, or give its words with --text{doubted}")
    segments = cues.ranges(given, [word.text for word in spoken.words], spoken.missing) if given else spoken.segments
    doubts = source.doubts
    if segments is None:
        segments, given = spoken.segments, ()
        doubts = (*doubts, "the cues of the transcript are not kept: its words cannot be told apart")
    spoken = replace(spoken, warnings=(*doubts, *spoken.warnings))
    head, words = head_of(model, settings, spoken.language), spoken.words
    if settings.pauses == "trim":
        voiced = None if head is None else [head.ends_in_voice(word.text) for word in words]
        words = snapped(words, levels, source.duration, voiced)
    words = flagged(words, levels)
    if text is not None:
        words = spacing.as_written(words, text, spoken.missing)
    return Alignment(
        words,
        source.duration,
        spoken.language,
        _provenance(model, settings, text is not None, spoken, head),
        segments,
        spoken.tokens,
        given,
    )


def _check_length(text: str, source: Recording, model: SpeechModel) -> None:
    """Refuse a text that cannot be spoken in the time, before any work is spent on it."""
    characters = sum(not character.isspace() for character in text)
    if not characters:
        raise InputError("the transcript is empty: give the spoken words, or leave --text out")
    frames = int(source.duration / model.frame_duration)
    if characters > frames:
        raise InputError(
            f"the transcript has {characters} characters, the {source.duration:.2f} s of {source.name} only "
            f"{frames} frames: is it the right transcript?"
        )


def _provenance(
    model: SpeechModel, settings: Settings, given: bool, spoken: Aligned, head: Head | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "dtype": model.precision,
        **settings.describe(),
        "text": "given" if given else "recognised",
        "windows": spoken.windows,
        "repairs": spoken.repairs,
        "versions": {"aligner": aligner.__version__, **_versions()},
    }
    found["timing"] = "attention" if head is None else "both" if settings.timing == "both" else "head"
    if head is not None:
        found["head"] = {**({"file": settings.head} if settings.head else {}), **describe(head)}
    if spoken.language_probability is not None:
        found["language_probability"] = round(spoken.language_probability, 4)
    for name in ("missing", "dropped", "warnings"):
        if values := getattr(spoken, name):
            found[name] = list(values)
    return found


@cache
def _versions() -> dict[str, str]:
    """Of the packages that shape a result; once, as each is parsed from a file."""
    return {package: version(package) for package in ("torch", "tokenizers", "dtw-python")}
