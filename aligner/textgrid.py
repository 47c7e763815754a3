"""Praat TextGrids: reading gold words, writing alignments. The only importer of praatio."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aligner.core import Word
from aligner.errors import InputError

WORD_TIERS = ("words", "word", "text", "orthography", "ort", "ortho", "wrd", "mot", "wort")
UTTERANCE_TIERS = (
    "sentences",
    "sentence",
    "segments",
    "segment",
    "utterances",
    "utterance",
    "transcript",
    "transcription",
)
SILENCES = frozenset({"sil", "sp", "spn", "<p:>", "<p>", "#", "h#", "pau", "<sil>", "*"})


def read_words(path: Path, tier: str | None = None, silences: frozenset[str] = SILENCES) -> tuple[Word, ...]:
    """Words of a TextGrid, without silences.

    Parameters
    ----------
    path : Path
        Long or short TextGrid in UTF-8 or UTF-16.
    tier : str, optional
        Name of the interval tier; found by its usual names when None, or the
        only interval tier.
    silences : frozenset of str
        Lower-case labels that are no words; empty labels never are.

    Raises
    ------
    InputError
        Not a TextGrid, or no such tier; the message lists the tiers.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    tiers = _interval_tiers(path, str(path))
    if tier is None:
        named = [name for wanted in WORD_TIERS for name in tiers if name.strip().lower() == wanted]
        named += [name for name in tiers if "word" in name.lower()]
        choices = named or (list(tiers) if len(tiers) == 1 else [])
        if not choices:
            raise InputError(f"{path}: which tier holds the words? give --tier, one of {', '.join(tiers) or '(none)'}")
        # A tier called Word may hold a class per word; the words are where the labels differ.
        tier = max(choices, key=lambda name: len({e.label.strip().lower() for e in tiers[name].entries}))
    if tier not in tiers:
        raise InputError(f"{path} has no interval tier {tier!r}: it has {', '.join(tiers) or 'none'}")
    return _labelled(tiers[tier], silences, f"{path}, tier {tier!r}")


def transcript(text: str) -> tuple[Word, ...]:
    """What is said by the content of a TextGrid: of its tier of utterances, else of its tiers of words, in time.

    Parameters
    ----------
    text : str

    Returns
    -------
    tuple of Word
        Labels and their times, be they words or utterances; of several speakers they may overlap.

    Raises
    ------
    InputError
        Not a TextGrid, or nothing tells which tier holds the transcript.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given.TextGrid"
        path.write_text(text, encoding="utf-8")
        tiers = _interval_tiers(path, "the transcript")
    for wanted in (*UTTERANCE_TIERS, *WORD_TIERS):
        chosen = [name for name in tiers if name.strip().lower() == wanted or _speaker(name, wanted)]
        if chosen:
            break
    else:
        chosen = list(tiers) if len(tiers) == 1 else []
    if not chosen:
        raise InputError(
            f"which tier holds the words? The TextGrid has {', '.join(tiers) or 'no interval tiers'}: "
            "name one of them words or utterances"
        )
    found = [word for name in chosen for word in _labelled(tiers[name], SILENCES, f"tier {name!r}")]
    return tuple(sorted(found, key=lambda word: word.start))


def _speaker(name: str, wanted: str) -> bool:
    """Whether a tier is of that kind and of one speaker, as "Anna - words" is."""
    return name.strip().lower().endswith((f"- {wanted}", f"_{wanted}", f":{wanted}", f": {wanted}"))


def _interval_tiers(path: Path, source: str) -> dict[str, Any]:
    """Interval tiers by name.

    Raises
    ------
    InputError
        Not a TextGrid.
    """
    from praatio import textgrid
    from praatio.utilities.errors import PraatioException

    try:
        # praatio would print its doubts on standard output.
        grid = textgrid.openTextgrid(
            str(path), includeEmptyIntervals=False, reportingMode="silence", duplicateNamesMode="rename"
        )
    except UnicodeError:
        raise InputError(f"{source} is neither UTF-8 nor UTF-16 text: save it as UTF-8") from None
    except (PraatioException, ValueError, IndexError, KeyError, AttributeError, TypeError, OSError) as error:
        raise InputError(f"{source} is not a TextGrid that praatio reads ({type(error).__name__})") from error
    return {t.name: t for t in grid.tiers if isinstance(t, textgrid.IntervalTier)}


def _labelled(tier: Any, silences: frozenset[str], where: str) -> tuple[Word, ...]:
    """Intervals of a tier that are no silences."""
    entries = [e for e in tier.entries if e.label.strip() and e.label.strip().lower() not in silences]
    try:
        return tuple(Word(" ".join(e.label.split()), float(e.start), float(e.end)) for e in entries)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def write_tiers(path: Path, tiers: Iterable[tuple[str, Iterable[Word]]], duration: float) -> None:
    """Write interval tiers as a long TextGrid; gaps become empty intervals.

    Parameters
    ----------
    path : Path
    tiers : iterable of (name, words)
    duration : float
        Seconds; every tier ends there.
    """
    from praatio import textgrid

    grid = textgrid.Textgrid()
    for name, words in tiers:
        # Clipped: an alignment may pass its duration by rounding, a tier may not.
        entries = [(w.start, min(w.end, duration), w.text) for w in words] or [(0.0, duration, "")]
        grid.addTier(textgrid.IntervalTier(name, entries, 0.0, duration))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)
