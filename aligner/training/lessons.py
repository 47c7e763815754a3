"""Pieces of speech after the frozen encoder: packed into windows, encoded in batches, kept until a head is taught.

An encoder costs the same for a window of one second as for one of thirty, so short recordings share windows, with
silence between them. Their states are as good as from windows of their own, to within one frame in a hundred.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligner.audio.file import of_file
from aligner.core import Audio
from aligner.files import atomic_write, output_errors
from aligner.models.base import Encoded, SpeechModel
from aligner.timing.case import Case
from aligner.timing.cepstra import bands
from aligner.timing.head import arrays_of
from aligner.timing.places import Place
from aligner.timing.settings import Settings
from aligner.training.corpus import Item, spoken
from aligner.training.teach import Lesson

_BETWEEN = 0.3  # seconds of silence at least between the pieces of a window
_TOKENS = 0.8  # of the most that the decoder takes


@dataclass(frozen=True)
class _Placed:
    """A piece in a window, with the frame of the encoder that it begins with."""

    item: Item
    frame: int
    tokens: int


def packed(model: SpeechModel, items: Sequence[Item], language: str, apart: bool = False) -> list[list[_Placed]]:
    """Pieces in windows, in their order.

    Parameters
    ----------
    model : SpeechModel
    items : sequence of Item
        None longer than a window.
    language : str
    apart : bool
        A window for every piece.
    """
    windows: list[list[_Placed]] = []
    step, whole = model.frame_duration, int(model.window / model.frame_duration)
    frame = tokens = whole
    for item in items:
        size = len(model.tokenize(item.text or "", "subword", language))
        length = int(np.ceil(item.duration / step))
        if not windows or apart or frame + length > whole or tokens + size > _TOKENS * model.max_tokens:
            windows.append([])
            frame = tokens = 0
        windows[-1].append(_Placed(item, frame, size))
        frame += length + int(np.ceil(_BETWEEN / step))
        tokens += size
    return windows


def encoded(
    model: SpeechModel,
    windows: Sequence[Sequence[_Placed]],
    language: str,
    folder: Path,
    step: Callable[[float], None] = lambda _seconds: None,
) -> Iterator[Lesson]:
    """A lesson for every piece, with word starts from attention; each window's are kept in a folder.

    What the folder has of an earlier run, of the same pieces and the same model, is not made again.

    Parameters
    ----------
    model : SpeechModel
    windows : sequences of placed pieces
        From `packed`.
    language : str
    folder : Path
    step : callable
        Told the seconds of speech that are done.

    Raises
    ------
    InputError
        A recording that cannot be read.
    OutputError
        The folder cannot be written.
    """
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{_key(model, window, language)}.npz" for window in windows]
    kept = [_kept(model, window, file) for window, file in zip(windows, files, strict=True)]
    todo = [k for k, lessons in enumerate(kept) if lessons is None]
    for window, lessons in zip(windows, kept, strict=True):
        if lessons is not None:
            step(_seconds(window))
    for low in range(0, len(todo), model.together):
        batch = todo[low : low + model.together]
        made = model.encode_all([_audio(model, windows[k]) for k in batch])
        for k, one in zip(batch, made, strict=True):
            lessons = _lessons(model, one, windows[k], language)
            _keep(lessons, files[k])
            step(_seconds(windows[k]))
    for window, file, known in zip(windows, files, kept, strict=True):
        yield from known if known is not None else _kept(model, window, file) or ()


def _seconds(window: Sequence[_Placed]) -> float:
    return sum(placed.item.duration for placed in window)


def _key(model: SpeechModel, window: Sequence[_Placed], language: str) -> str:
    said = [(str(p.item.audio), p.item.text, p.item.start, p.item.end, p.frame) for p in window]
    return hashlib.sha256(json.dumps([model.fingerprint, language, said]).encode()).hexdigest()[:24]


def _samples(model: SpeechModel, item: Item) -> NDArray[np.float32]:
    return of_file(item.audio, model.sample_rate).read(item.start, item.end).samples


def _audio(model: SpeechModel, window: Sequence[_Placed]) -> Audio:
    """The pieces of a window in their places, silence between them."""
    per_frame = round(model.frame_duration * model.sample_rate)
    parts = [(placed.frame * per_frame, _samples(model, placed.item)) for placed in window]
    samples = np.zeros(max(start + len(own) for start, own in parts), np.float32)
    for start, own in parts:
        samples[start : start + len(own)] = own
    return Audio(samples[: round(model.window * model.sample_rate)], model.sample_rate)


def _lessons(model: SpeechModel, window: Encoded, placed: Sequence[_Placed], language: str) -> list[Lesson]:
    _, states = arrays_of(window)
    found = []
    words = _by_attention(model, window, placed, language)
    for own, said in zip(placed, words, strict=True):
        frames = int(np.ceil(own.item.duration / model.frame_duration))
        found.append(
            Lesson(
                tuple(text for text, _ in said),
                bands(_samples(model, own.item)),
                states[own.frame : own.frame + frames].astype(np.float16),
                tuple(start - own.frame * model.frame_duration for _, start in said),
            )
        )
    return found


def _by_attention(
    model: SpeechModel, window: Encoded, placed: Sequence[_Placed], language: str
) -> list[list[tuple[str, float]]]:
    """Words of every piece and where attention sees them begin, in seconds of the window."""
    texts = [own.item.text or "" for own in placed]
    letters = [len("".join(text.split())) for text in texts]
    places = [
        Place(count, start, start + own.item.duration, 0.0, False)
        for count, own in zip(letters, placed, strict=True)
        for start in [own.frame * model.frame_duration]
    ]
    settings = Settings(timing="attention", confidence=False)
    words = Case(model, window, " ".join(texts), language, places).words(settings).words
    bounds, seen = np.cumsum(letters), 0
    found: list[list[tuple[str, float]]] = [[] for _ in placed]
    for word in words:
        own = min(int(np.searchsorted(bounds, seen, side="right")), len(placed) - 1)
        seen += len("".join(word.text.split()))
        if spoken(word.text):
            found[own].append((word.text, word.start))
    return found


def _keep(lessons: Sequence[Lesson], file: Path) -> None:
    """Write a window's lessons, but for energies, which are quickly made again."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for k, lesson in enumerate(lessons):
        arrays[f"states{k}"] = lesson.states
        arrays[f"starts{k}"] = np.array(lesson.starts or (), np.float64)
        arrays[f"words{k}"] = np.array(lesson.words, np.str_)
    with atomic_write(file) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def _kept(model: SpeechModel, window: Sequence[_Placed], file: Path) -> list[Lesson] | None:
    """Lessons of an earlier run; None where there are none, or what there is cannot be read."""
    try:
        with np.load(file) as arrays:
            return [
                Lesson(
                    tuple(map(str, arrays[f"words{k}"])),
                    bands(_samples(model, placed.item)),
                    arrays[f"states{k}"],
                    tuple(map(float, arrays[f"starts{k}"])),
                )
                for k, placed in enumerate(window)
            ]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
