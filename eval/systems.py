"""What a system (a setting of ours, a baseline or a peer) made of a corpus, and its file form.

Reports and comparisons know nothing else, so whatever can write this can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aligner.core import Word
from aligner.errors import InputError
from aligner.metrics import BoundaryScores, score_words
from eval.manifest import Utterance


@dataclass(frozen=True)
class AlignedUtterance:
    """One utterance: reference and estimate.

    Attributes
    ----------
    id, source, quality : str
        As in the manifest.
    speaker : str or None
    duration : float
        Seconds.
    reference, estimated : tuple of Word
        `estimated` is empty where the system found nothing.
    """

    id: str
    source: str
    quality: str
    speaker: str | None
    duration: float
    reference: tuple[Word, ...]
    estimated: tuple[Word, ...]

    @property
    def scores(self) -> BoundaryScores:
        """Scores of this utterance."""
        return score_words(self.reference, self.estimated)


def aligned_utterance(utterance: Utterance, estimated: tuple[Word, ...]) -> AlignedUtterance:
    """What a system estimated of an utterance, beside the utterance's own words."""
    return AlignedUtterance(
        utterance.id,
        utterance.source,
        utterance.quality,
        utterance.speaker,
        utterance.duration,
        utterance.words,
        estimated,
    )


@dataclass(frozen=True)
class System:
    """A system on a corpus.

    Attributes
    ----------
    name : str
    family : str
        What kind of choice it is, such as "single head".
    recordings : tuple of AlignedUtterance
    setting : dict
        What was set, for display; JSON-serialisable.
    provenance : dict
        Model, data, versions, command.
    """

    name: str
    family: str
    recordings: tuple[AlignedUtterance, ...]
    setting: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


def groups(recordings: Sequence[AlignedUtterance]) -> tuple[list[str], str]:
    """What is resampled for intervals, per recording, and its name.

    The speaker where known, else the utterance; the utterance for all where there is one speaker only.
    """
    speakers = {r.speaker for r in recordings if r.speaker}
    if len(speakers) < 2:
        return [r.id for r in recordings], f"{len(recordings)} utterances"
    found = [f"speaker {r.speaker}" if r.speaker else r.id for r in recordings]
    alone = sum(r.speaker is None for r in recordings)
    return found, f"{len(speakers)} speakers" + (f" and {alone} utterances of unknown speakers" if alone else "")


def to_json(system: System) -> str:
    """File form, one recording a line."""

    def words(found: tuple[Word, ...]) -> list[list[Any]]:
        return [[w.text, round(w.start, 6), round(w.end, 6)] for w in found]

    head = {"system": system.name, "family": system.family, "setting": system.setting, "provenance": system.provenance}
    lines = [
        json.dumps(
            {
                "id": r.id,
                "source": r.source,
                "quality": r.quality,
                "speaker": r.speaker,
                "duration": r.duration,
                "reference": words(r.reference),
                "estimated": words(r.estimated),
            },
            ensure_ascii=False,
        )
        for r in system.recordings
    ]
    start = json.dumps(head, ensure_ascii=False)[:-1]
    return start + ', "recordings": [\n' + ",\n".join(lines) + "\n]}\n"


def write_system(system: System, folder: Path) -> Path:
    """Write a system to `folder`/name.json."""
    from aligner.files import atomic_write

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{system.name}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(to_json(system), encoding="utf-8")
    return path


def read_system(path: Path) -> System:
    """Read what `write_system` wrote.

    Raises
    ------
    InputError
        Another kind of file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        recordings = tuple(
            AlignedUtterance(
                r["id"],
                r["source"],
                r["quality"],
                r["speaker"],
                r["duration"],
                tuple(Word(*w) for w in r["reference"]),
                tuple(Word(*w) for w in r["estimated"]),
            )
            for r in found["recordings"]
        )
        return System(found["system"], found["family"], recordings, found["setting"], found["provenance"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a system of align-eval (a file of the folder 'systems' of a run): {error}"
        ) from error


def read_systems(results: Path) -> list[System]:
    """Every system of a results folder, by name.

    Raises
    ------
    InputError
        The folder holds none.
    """
    paths = sorted((results / "systems").glob("*.json"))
    if not paths:
        raise InputError(f"{results} holds no finished run (no systems/*.json): give the folder of align-eval run -o")
    return [read_system(path) for path in paths]
