"""What a corpus recipe is, and what recipes share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from aligner.core import Word
from aligner.errors import InputError
from aligner.registry import Registry
from eval.manifest import QUALITIES, Utterance

LONGEST = 20.0  # seconds of a piece of a long recording
PAUSE = 1.0  # seconds without a word at which a long recording is always cut
MARGIN = 0.25  # seconds of sound kept around the words of a piece


@dataclass(frozen=True)
class Option:
    """A command line option of a recipe: flags, and the keyword arguments of `click.option`."""

    flags: tuple[str, ...]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A way to turn a corpus into utterances.

    Attributes
    ----------
    prepare : callable
        prepare(folder, **options) yields utterances.
    options : tuple of Option
    """

    prepare: Callable[..., Iterable[Utterance]]
    options: tuple[Option, ...] = ()


recipes: Registry[Recipe] = Registry("corpus")

QUALITY = Option(
    ("--quality",),
    {
        "type": click.Choice(QUALITIES),
        "default": "gold",
        "show_default": True,
        "help": "Who made the times: people (gold) or an aligner (silver).",
    },
)
LANGUAGE = Option(("--language",), {"default": "en", "show_default": True, "help": "Language code."})


def files(folder: Path, suffix: str) -> list[Path]:
    """Files with a suffix (in any case) under a folder, sorted.

    Raises
    ------
    InputError
        No such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() == suffix.lower() and p.is_file())
    if not found:
        raise InputError(f"{folder} holds no {suffix} file")
    return found


def sibling(path: Path, suffixes: Sequence[str]) -> Path:
    """The file of the same stem with one of some suffixes, in lower or upper case.

    Raises
    ------
    InputError
        There is none.
    """
    for suffix in suffixes:
        for candidate in (path.with_suffix(suffix), path.with_suffix(suffix.upper())):
            if candidate.is_file():
                return candidate
    raise InputError(f"utterance {path.stem}: no audio file beside {path} (looked for {', '.join(suffixes)})")


def pieces(recording: Utterance, breaks: Sequence[float] = ()) -> Iterator[Utterance]:
    """Cut a long recording where nobody speaks.

    Cuts at every pause of a second or more and at `breaks`; what is still
    longer than `LONGEST` is cut again at its longest pause.

    Parameters
    ----------
    recording : Utterance
    breaks : sequence of float
        Seconds at which speech without usable labels makes a cut necessary.
    """
    groups: list[list[Word]] = []
    for word in recording.words:
        previous = groups[-1][-1] if groups else None
        if (
            previous is None
            or word.start - previous.end >= PAUSE
            or any(previous.end <= b <= word.start for b in breaks)
        ):
            groups.append([])
        groups[-1].append(word)
    groups = [part for group in groups for part in _parts(group)]
    for k, group in enumerate(groups):
        before = groups[k - 1][-1].end if k else 0.0
        after = groups[k + 1][0].start if k + 1 < len(groups) else recording.duration
        start = max(group[0].start - MARGIN, (before + group[0].start) / 2)
        end = min(group[-1].end + MARGIN, (after + group[-1].end) / 2)
        words = tuple(replace(w, start=w.start - start, end=w.end - start) for w in group)
        yield replace(
            recording,
            id=f"{recording.id}-{k:04d}",
            words=words,
            offset=round(recording.offset + start, 6),
            duration=round(end - start, 6),
        )


def shorter(utterances: Iterable[Utterance]) -> Iterator[Utterance]:
    """Utterances, those of more than `LONGEST` cut where nobody speaks."""
    for utterance in utterances:
        yield from pieces(utterance) if utterance.duration > LONGEST else (utterance,)


def _parts(group: list[Word]) -> list[list[Word]]:
    if len(group) < 2 or group[-1].end - group[0].start <= LONGEST:
        return [group]
    cut = max(range(1, len(group)), key=lambda k: group[k].start - group[k - 1].end)
    return _parts(group[:cut]) + _parts(group[cut:])
