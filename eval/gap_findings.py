"""What the records of the gap study say: tables with intervals, and sentences.

Intervals are percentile bootstraps over speakers (utterances where unknown).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.metrics import Interval, interval, paired_difference
from aligner.metrics.bootstrap import bootstrap
from aligner.metrics.saliency import auroc, partial_spearman, spearman

Records = Sequence[Mapping[str, Any]]
Rows = list[dict[str, Any]]
Floats = NDArray[np.float64]

DRAWS = 500  # of statistics that are no weighted means
TOLERANCES = (0.05, 0.1)  # seconds; a word with an edge off by more is wrong
CONTROLS = ("letters", "position", "pause", "probability", "entropy")
BASELINES = ("probability", "entropy", "cost")
FLAGGED = 0.1  # share of words that the warning light may mark


def _interval(statistic: Callable[[NDArray[np.intp]], float], groups: Sequence[str]) -> Interval:
    return bootstrap(statistic, groups, DRAWS)


def unit(record: Mapping[str, Any]) -> str:
    """What is resampled: the speaker, or the utterance where unknown."""
    return str(record["speaker"] or record["id"])


def errors_of(record: Mapping[str, Any], source: str) -> Floats:
    """Absolute onset and offset errors in seconds, shape (words, 2)."""
    reference = np.array([word[1:] for word in record["words"]], float)
    return np.abs(np.array(record["times"][source], float) - reference)


def cells(name: str, found: Interval, scale: float = 1.0, digits: int = 3) -> dict[str, float]:
    def rounded(value: float) -> float:
        return round(scale * value, digits)

    return {name: rounded(found.value), f"{name}_low": rounded(found.low), f"{name}_high": rounded(found.high)}


def timing(records: Records) -> Rows:
    """4a. Boundary error of words timed from each source, and its paired difference to attention."""
    sources = list(dict.fromkeys(name for record in records for name in record["times"]))
    rows = []
    for source in sources:
        mine = [r for r in records if source in r["times"]]
        errors = np.concatenate([errors_of(r, source) for r in mine])
        attention = np.concatenate([errors_of(r, "attention") for r in mine])
        groups = [unit(r) for r in mine for _ in r["words"]]
        rows.append(
            {
                "source": source,
                "utterances": len(mine),
                "words": len(groups),
                **cells("error_ms", interval(errors.mean(1), groups), 1000, 1),
                "onset_ms": round(1000 * float(errors[:, 0].mean()), 1),
                "offset_ms": round(1000 * float(errors[:, 1].mean()), 1),
                "median_ms": round(1000 * float(np.median(errors)), 1),
                "within_50ms_percent": round(100 * float((errors <= 0.05 + 1e-9).mean()), 1),
                **cells("minus_attention_ms", paired_difference(errors.mean(1), attention.mean(1), groups), 1000, 1),
            }
        )
    return rows


def explained(records: Records, methods: Sequence[str]) -> Rows:
    """3. Correlation of the default attention map with each saliency map, averaged over utterances."""
    rows = []
    for method in methods:
        mine = [r for r in records if method in r["saliency"]]
        groups = [unit(r) for r in mine]
        found = [r["saliency"][method] for r in mine]
        masks = [f["convergence"] for f in found if f["convergence"] is not None]
        rows.append(
            {
                "method": method,
                "utterances": len(mine),
                **cells("pearson", interval([f["pearson"] for f in found], groups)),
                "r_squared": round(float(np.mean([f["pearson"] ** 2 for f in found])), 3),
                "spearman": round(float(np.mean([f["spearman"] for f in found])), 3),
                "pearson_mean_pooled": round(float(np.mean([f["pearson_mean_pooled"] for f in found])), 3),
                **cells(
                    "per_word",
                    interval([a for f in found for a in f["agreement"]], [unit(r) for r in mine for _ in r["words"]]),
                ),
                "masks": round(float(np.mean([f["masks"] for f in found]))),
                "split_half": round(float(np.mean(masks)), 3) if masks else None,
            }
        )
    return rows


def _table(records: Records, method: str) -> tuple[Floats, Floats, dict[str, Floats], list[str]]:
    """Per word: agreement, mean and largest error, other factors, group."""
    mine = [r for r in records if method in r["saliency"]]
    agreement = np.concatenate([r["saliency"][method]["agreement"] for r in mine])
    errors = np.concatenate([errors_of(r, "attention") for r in mine])
    factors = {name: np.concatenate([r["factors"][name] for r in mine]) for name in mine[0]["factors"]}
    return agreement, errors, factors, [unit(r) for r in mine for _ in r["words"]]


def association(records: Records, methods: Sequence[str]) -> Rows:
    """4b. Rank correlation of a word's agreement with its error, plain and with other properties held fixed."""
    rows = []
    for method in methods:
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
                **cells("spearman", _interval(plain, groups)),
                **cells("partial", _interval(partial, groups)),
            }
        )
    return rows


def warning_light(records: Records, methods: Sequence[str]) -> Rows:
    """4c. Low agreement as a warning of a wrong word, against confidence, entropy and path cost."""
    rows = []
    for tolerance in TOLERANCES:
        for name in (*methods, *BASELINES):
            agreement, errors, factors, groups = _table(records, name if name in methods else methods[0])
            wrong = errors.max(1) > tolerance
            risk = -agreement if name in methods else factors[name] * (-1 if name == "probability" else 1)
            rival = -factors["probability"]

            def area(k: NDArray[np.intp], r: Floats = risk, w: Any = wrong) -> float:
                return auroc(r[k], w[k])

            def gain(k: NDArray[np.intp], r: Floats = risk, s: Floats = rival, w: Any = wrong) -> float:
                return auroc(r[k], w[k]) - auroc(s[k], w[k])

            flagged = np.argsort(-risk, kind="stable")[: max(1, round(FLAGGED * len(risk)))]
            rows.append(
                {
                    "wrong_by_more_than_ms": round(1000 * tolerance),
                    "signal": f"agreement with {name}" if name in methods else name,
                    "words": len(wrong),
                    "wrong": int(wrong.sum()),
                    **cells("auroc", _interval(area, groups)),
                    **cells("minus_probability", _interval(gain, groups)),
                    "precision_at_10_percent": round(float(wrong[flagged].mean()), 3),
                    "recall_at_10_percent": round(float(wrong[flagged].sum() / max(1, wrong.sum())), 3),
                }
            )
    return rows


def heads(records: Records, methods: Sequence[str]) -> Rows:
    """4d. Timing error and correlation of every head, layer and last layers (the paper's tables)."""
    rows = []
    for name in records[0]["map_error"]:
        row: dict[str, Any] = {
            "map": name,
            "kind": "head" if name.startswith("head") else "aggregate",
            "error_ms": round(1000 * _mean_error(records, name), 1),
        }
        for method in methods:
            mine = [r["saliency"][method]["maps"][name] for r in records if method in r["saliency"]]
            row[method] = round(float(np.mean(mine)), 3)
        rows.append(row)
    return rows


def _mean_error(records: Records, name: str) -> float:
    words = [len(r["words"]) for r in records]
    return float(np.average([r["map_error"][name] for r in records], weights=words))


def correlation_and_timing(records: Records, methods: Sequence[str]) -> Rows:
    """4d. Rank correlation, across maps, of the correlation with saliency and the timing error (negative: it helps)."""
    rows = []
    names = list(records[0]["map_error"])
    kinds = {
        "heads": [n for n in names if n.startswith("head")],
        "layers and sets": [n for n in names if n[:4] != "head"],
    }
    for method in methods:
        mine = [r for r in records if method in r["saliency"]]
        error = np.array([[r["map_error"][n] for n in names] for r in mine])
        close = np.array([[r["saliency"][method]["maps"][n] for n in names] for r in mine])
        groups = [unit(r) for r in mine]
        for kind, chosen in kinds.items():
            if len(chosen) < 2:
                continue
            columns = np.array([names.index(n) for n in chosen])

            def statistic(k: NDArray[np.intp], c: Any = columns, e: Floats = error, a: Floats = close) -> float:
                return spearman(a[k][:, c].mean(0), e[k][:, c].mean(0))

            rows.append(
                {"method": method, "maps": kind, "n": len(chosen), **cells("spearman", _interval(statistic, groups))}
            )
    return rows


def _of(rows: Rows, **wanted: Any) -> dict[str, Any]:
    return next(row for row in rows if all(row[key] == value for key, value in wanted.items()))


def _range(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:g}" if low != low else f"{row[name]:g} [{low:g}, {high:g}]"


def _sure(row: Mapping[str, Any], name: str) -> bool:
    return bool(row[f"{name}_low"] > 0 or row[f"{name}_high"] < 0)


def sentences(tables: Mapping[str, Rows], methods: Sequence[str]) -> list[str]:
    """The findings in plain sentences, with intervals and the number of words."""
    found = []
    for method in methods:
        row = _of(tables["explained"], method=method)
        found.append(
            f"How large is the gap: attention correlates {_range(row, 'pearson')} with {method} saliency "
            f"(R squared {row['r_squared']:g}; {row['utterances']} utterances"
            + (
                f"; noise of the masks lowers it, their halves correlate {row['split_half']:g})."
                if row["masks"]
                else ")."
            )
        )
    base = _of(tables["timing"], source="attention")
    found.append(
        f"Words timed from attention are off by {_range(base, 'error_ms')} ms on average ({base['words']} words)."
    )
    for method in methods:
        for source in (method, f"attention + {method}", f"attention * {method}"):
            row = _of(tables["timing"], source=source)
            difference = row["minus_attention_ms"]
            verdict = (
                ("worse" if difference > 0 else "better") if _sure(row, "minus_attention_ms") else "not told apart"
            )
            found.append(
                f"Timed from {source}, they differ from attention by {_range(row, 'minus_attention_ms')} ms "
                f"({verdict}; {row['words']} words)."
            )
    for method in methods:
        row = _of(tables["association"], method=method)
        verdict = "words with less agreement have larger errors" if row["partial"] < 0 else "no such link"
        found.append(
            f"Agreement with {method} and error of a word: rank correlation {_range(row, 'spearman')}, "
            f"{_range(row, 'partial')} with {', '.join(CONTROLS)} held fixed ({row['words']} words): "
            f"{verdict if _sure(row, 'partial') else 'no link that these words can show'}."
        )
    for tolerance in TOLERANCES:
        at = round(1000 * tolerance)
        for method in methods:
            row = _of(tables["warning"], signal=f"agreement with {method}", wrong_by_more_than_ms=at)
            if not 0 < row["wrong"] < row["words"]:
                continue
            verdict = "better" if row["minus_probability"] > 0 else "worse"
            found.append(
                f"Low agreement with {method} finds words wrong by more than {at} ms with AUROC {_range(row, 'auroc')} "
                f"({row['wrong']} of {row['words']} words wrong), {_range(row, 'minus_probability')} against token "
                f"probability ({verdict if _sure(row, 'minus_probability') else 'not told apart'})."
            )
    for row in tables["correlation_and_timing"]:
        if row["maps"] == "heads":
            verdict = (
                "heads closer to saliency time better" if row["spearman"] < 0 else "heads closer to saliency time worse"
            )
            found.append(
                f"Across {row['n']} heads, correlation with {row['method']} saliency and timing error have a rank "
                f"correlation of {_range(row, 'spearman')}: {verdict if _sure(row, 'spearman') else 'no clear link'}."
            )
    for row in tables["choices"]:
        found.append(
            f"Heads chosen by {row['choice']}: {_range(row, 'error_ms')} ms, {_range(row, 'minus_attention_ms')} "
            f"against the default ({row['words']} words)."
        )
    return found
