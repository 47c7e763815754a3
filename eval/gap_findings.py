"""What the records of the gap study say: tables with intervals, and sentences.

Intervals are percentile bootstraps over speakers (utterances where unknown).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.metrics import Interval, interval, paired_difference
from aligner.metrics.bootstrap import bootstrap
from aligner.metrics.saliency import auroc, partial_spearman, spearman
from eval.gap_account import PARTS, Errors, Floats, Records
from eval.gap_measure import unit

Rows = list[dict[str, Any]]

DRAWS = 500  # of statistics that are no weighted means
TOLERANCES = (0.05, 0.1)  # seconds; a word with an edge off by more is wrong
CONTROLS = ("letters", "position", "pause", "probability", "entropy")
BASELINES = ("probability", "entropy", "cost", "distance to the head", "margin of the head")
FLAGGED = 0.1  # share of words that the warning light may mark


def drawn(statistic: Callable[[NDArray[np.intp]], float], groups: Sequence[str]) -> Interval:
    """Interval of a statistic that is no weighted mean."""
    return bootstrap(statistic, groups, DRAWS)


def cells(name: str, found: Interval, scale: float = 1.0, digits: int = 3) -> dict[str, float]:
    """A value and its interval, rounded."""

    def rounded(value: float) -> float:
        return round(scale * value, digits) + 0.0

    return {name: rounded(found.value), f"{name}_low": rounded(found.low), f"{name}_high": rounded(found.high)}


def sources_of(records: Records) -> list[str]:
    """Every source of times, attention first and the trivial one last."""
    found = dict.fromkeys(name for record in records for name in record["times"])
    return sorted(found, key=lambda name: (name == "uniform", name[:10] not in ("attention", "attention,")))


def timing(records: Records) -> Rows:
    """Boundary error of words timed from each source, and its paired differences to attention."""
    rows = []
    for source in sources_of(records):
        mine = [r for r in records if source in r["times"]]
        own, attention = Errors(mine, source), Errors(mine, "attention")
        errors = np.abs(own.signed)
        rows.append(
            {
                "source": source,
                "utterances": len(mine),
                "words": len(own.groups),
                **cells("error_ms", interval(own.plain, own.groups), 1000, 1),
                "onset_ms": round(1000 * float(errors[:, 0].mean()), 1),
                "offset_ms": round(1000 * float(errors[:, 1].mean()), 1),
                "onset_late_ms": round(1000 * float(np.median(own.signed[:, 0])), 1) + 0.0,
                "offset_late_ms": round(1000 * float(np.median(own.signed[:, 1])), 1) + 0.0,
                "within_50ms_percent": round(100 * float((errors <= 0.05 + 1e-9).mean()), 1),
                **cells("without_constant_ms", interval(own.without_constant, own.groups), 1000, 1),
                **cells(
                    "minus_attention_ms",
                    paired_difference(own.without_constant, attention.without_constant, own.groups),
                    1000,
                    1,
                ),
            }
        )
    return rows


def account(records: Records) -> Rows:
    """Where the error of each source goes; the parts sum to it."""
    rows = []
    for source in sources_of(records):
        found = Errors(records, source)
        rows.append(
            {
                "source": source,
                "words": len(found.groups),
                "error_ms": round(1000 * float(found.plain.mean()), 1),
                **{
                    f"{name.replace(' ', '_')}_ms": round(1000 * float(found.parts[name].mean()), 1) + 0.0
                    for name in PARTS
                },
                "words_astray_percent": round(100 * float((found.parts["wrong place"] > 0).mean()), 1),
            }
        )
    return rows


def present(records: Records, methods: Sequence[str]) -> list[str]:
    """Methods that there are maps of."""
    return [method for method in methods if any(method in r["saliency"] for r in records)]


def _table(records: Records, method: str) -> tuple[Floats, Floats, dict[str, Floats], list[str]]:
    """Per word: agreement, onset and offset error without the constant, other factors, group."""
    mine = [r for r in records if method in r["saliency"]]
    agreement = np.concatenate([r["saliency"][method]["agreement"] for r in mine])
    errors = np.abs(Errors(mine, "attention").centred)
    factors = {name: np.concatenate([r["factors"][name] for r in mine]) for name in mine[0]["factors"]}
    return agreement, errors, factors, [unit(r) for r in mine for _ in r["words"]]


def association(records: Records, methods: Sequence[str]) -> Rows:
    """Rank correlation of a word's agreement with its error, plain and with other properties held fixed."""
    rows = []
    for method in present(records, methods):
        agreement, errors, factors, groups = _table(records, method)
        error = errors.mean(1)
        controls = np.column_stack([factors[name] for name in CONTROLS])

        def plain(k: NDArray[np.intp], a: Floats = agreement, e: Floats = error) -> float:
            return spearman(a[k], e[k])

        def partial(k: NDArray[np.intp], a: Floats = agreement, e: Floats = error, c: Floats = controls) -> float:
            return partial_spearman(a[k], e[k], c[k])

        rows.append(
            {
                "method": method,
                "words": len(groups),
                **cells("spearman", drawn(plain, groups)),
                **cells("partial", drawn(partial, groups)),
            }
        )
    return rows


def warning_light(records: Records, methods: Sequence[str]) -> Rows:
    """Low agreement as a warning of a wrong word, against confidence, entropy and path cost."""
    rows = []
    there = present(records, methods)
    known = [name for name in BASELINES if all(name in r["factors"] for r in records)] if there else []
    for tolerance in TOLERANCES:
        for name in (*there, *known):
            agreement, errors, factors, groups = _table(records, name if name in there else there[0])
            wrong = errors.max(1) > tolerance
            risk = -agreement if name in there else factors[name] * (-1 if name == "probability" else 1)
            rival = -factors["probability"]

            def area(k: NDArray[np.intp], r: Floats = risk, w: Any = wrong) -> float:
                return auroc(r[k], w[k])

            def gain(k: NDArray[np.intp], r: Floats = risk, s: Floats = rival, w: Any = wrong) -> float:
                return auroc(r[k], w[k]) - auroc(s[k], w[k])

            flagged = np.argsort(-risk, kind="stable")[: max(1, round(FLAGGED * len(risk)))]
            rows.append(
                {
                    "wrong_by_more_than_ms": round(1000 * tolerance),
                    "signal": f"agreement with {name}" if name in there else name,
                    "words": len(wrong),
                    "wrong": int(wrong.sum()),
                    **cells("auroc", drawn(area, groups)),
                    **cells("minus_probability", drawn(gain, groups)),
                    "precision_at_10_percent": round(float(wrong[flagged].mean()), 3),
                    "recall_at_10_percent": round(float(wrong[flagged].sum() / max(1, wrong.sum())), 3),
                }
            )
    return rows
