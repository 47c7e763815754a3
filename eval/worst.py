"""Attention of the utterances that the default setting gets most wrong, kept so that a report can show it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aligner.files import atomic_write
from aligner.models import SpeechModel
from aligner.timing.settings import Settings
from eval.cases import open_case
from eval.manifest import Utterance
from eval.systems import AlignedUtterance, System

COUNT = 6
SHOWN = "default"


def worst_recordings(system: System, count: int = COUNT) -> list[AlignedUtterance]:
    """Recordings of largest boundary error."""
    scored = [(r.scores, r) for r in system.recordings if r.estimated]
    kept = [(s.boundary_error, r) for s, r in scored if s.n_matched]
    return [r for _, r in sorted(kept, key=lambda item: (-item[0], item[1].id))[:count]]


def save_worst(
    utterances: Sequence[Utterance], systems: Sequence[System], model: SpeechModel, settings: Settings, folder: Path
) -> None:
    """Write the map, tokens and path of the worst utterances of the default setting.

    Parameters
    ----------
    utterances : sequence of Utterance
    systems : sequence of System
        That of the default setting among them.
    model : SpeechModel
    settings : Settings
        The default ones.
    folder : Path
        Gets a pair K.npy (float16, tokens + 1 by frames) and K.json for each.
    """
    by_id = {u.id: u for u in utterances}
    shown = next(s for s in systems if s.name == SHOWN)
    folder.mkdir(parents=True, exist_ok=True)
    for rank, recording in enumerate(worst_recordings(shown)):
        case = open_case(model, by_id[recording.id])
        evidence, path = case.evidence(settings), case.path(settings)
        with atomic_write(folder / f"{rank}.npy") as temporary:
            np.save(temporary, evidence.values.astype(np.float16))
        details = {
            "id": recording.id,
            "setting": SHOWN,
            "frame_duration": evidence.frame_duration,
            "tokens": [*case.tokens(settings.units).texts, "end"],
            "path": [path.tokens.tolist(), path.frames.tolist()],
        }
        with atomic_write(folder / f"{rank}.json") as temporary:
            temporary.write_text(json.dumps(details, ensure_ascii=False) + "\n", encoding="utf-8")
