"""Pick a setting on some speakers, report it on the others: no number is tuned on what it reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from eval.systems import System, groups

NAME = "cross-validated"
FOLDS = 10
NOT_CHOSEN = ("baseline", "peer", NAME)  # families that are not settings of ours


def cross_validated(systems: Sequence[System]) -> System:
    """The setting of least boundary error on the other folds, applied to each fold.

    A fold is a speaker (an utterance where speakers are unknown); groups are
    dealt out in order where there are more than `FOLDS`. Unmatched words count
    as a second each, so that leaving words out does not pay.

    Parameters
    ----------
    systems : sequence of System
        On the same recordings in the same order.

    Returns
    -------
    System
        Its setting lists the picks: {"picks": {setting: folds}, "folds": n}.
    """
    candidates = [s for s in systems if s.family not in NOT_CHOSEN]
    units, _ = groups(candidates[0].recordings)
    fold_of = {unit: k % FOLDS for k, unit in enumerate(dict.fromkeys(units))}
    folds = np.array([fold_of[unit] for unit in units])
    n_folds = len(set(fold_of.values()))
    words = np.array([len(r.reference) for r in candidates[0].recordings])
    errors = np.array([[_loss(r) for r in s.recordings] for s in candidates])
    chosen = []
    for fold in range(n_folds):
        others = folds != fold if n_folds > 1 else folds == fold
        chosen.append(int((errors[:, others].sum(1) / max(1, words[others].sum())).argmin()))
    picks: dict[str, int] = {}
    for index in chosen:
        picks[candidates[index].name] = picks.get(candidates[index].name, 0) + 1
    recordings = tuple(candidates[chosen[fold]].recordings[k] for k, fold in enumerate(folds))
    ordered = dict(sorted(picks.items(), key=lambda item: (-item[1], item[0])))
    return replace(
        candidates[0], name=NAME, family=NAME, recordings=recordings, setting={"picks": ordered, "folds": n_folds}
    )


def _loss(recording) -> float:  # type: ignore[no-untyped-def]
    scores = recording.scores
    return float(sum(map(abs, scores.onset + scores.offset)) / 2 + scores.n_reference - scores.n_matched)
