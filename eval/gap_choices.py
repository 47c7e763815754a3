"""Heads chosen on other speakers: by gold, by closeness to saliency, by norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eval.gap_measure import TOP, Head, Measured, unit
from eval.manifest import Utterance


def choices(records: Sequence[dict[str, Any]], method: str) -> dict[str, dict[str, list[Head]]]:
    """By criterion, the best heads for each speaker, judged on all the others.

    Parameters
    ----------
    records : sequence of dict
        Of `measure`.
    method : str
        Saliency that closeness is judged by; on the utterances that have it.
    """
    names = [name for name in records[0]["map_error"] if name.startswith("head ")]
    badness = {
        "gold": [[r["map_error"][n] for n in names] for r in records],
        "norm": [[-r["norm"][n] for n in names] for r in records],
        method: [
            [-r["saliency"][method]["maps"][n] for n in names] if method in r["saliency"] else [np.nan] * len(names)
            for r in records
        ],
    }
    units = np.array([unit(r) for r in records])
    found: dict[str, dict[str, list[Head]]] = {}
    for criterion, values in badness.items():
        table = np.array(values, float)
        for name in sorted(set(units)):
            others = table[(units != name) & np.isfinite(table).all(1)]
            if len(others):
                best = np.argsort(others.mean(0), kind="stable")[:TOP]
                pairs = [tuple(map(int, names[k].removeprefix("head ").split("."))) for k in best]
                found.setdefault(criterion, {})[str(name)] = [(layer, head) for layer, head in pairs]
    return found


def with_chosen_heads(
    opened: Callable[[Utterance], Measured],
    utterances: Sequence[Utterance],
    records: Sequence[dict[str, Any]],
    method: str,
) -> list[dict[str, Any]]:
    """Records with the times that chosen heads give; as they are where there is one speaker alone."""
    chosen = choices(records, method)
    if not chosen:
        return list(records)
    found = []
    for utterance, record in zip(utterances, records, strict=True):
        case = opened(utterance)
        times = {
            f"attention, best {TOP} heads by {criterion}": case.times(case.evidence_of(heads[unit(record)]))
            for criterion, heads in chosen.items()
            if unit(record) in heads
        }
        found.append({**record, "times": {**record["times"], **times}})
    return found
