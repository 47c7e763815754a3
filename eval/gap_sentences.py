"""What the tables of the gap study say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aligner.metrics import paired_difference
from eval.gap_account import ASTRAY, Errors, Floats, Records
from eval.gap_findings import CONTROLS, Rows, cells, sources_of


def _of(rows: Rows, **wanted: Any) -> dict[str, Any]:
    return next(row for row in rows if all(row[key] == value for key, value in wanted.items()))


def _range(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:g}" if low != low else f"{row[name]:g} [{low:g}, {high:g}]"


def _sure(row: Mapping[str, Any], name: str) -> bool:
    return bool(row[f"{name}_low"] > 0 or row[f"{name}_high"] < 0)


def sentences(records: Records, tables: Mapping[str, Rows]) -> dict[str, list[str]]:
    """The findings in plain sentences, with intervals and the number of words: the answer, then by table."""
    found: dict[str, list[str]] = {"answer": [], **{name: [] for name in tables}}
    for row in tables["explained"]:
        noise = (
            f"; the halves of the masks correlate {row['split_half']:g}, which puts a ceiling of {row['ceiling']:g}"
            if row["masks"]
            else ""
        )
        found["answer"].append(
            f"How large is the gap: attention correlates {_range(row, 'pearson')} with {row['method']} saliency "
            f"(R squared {row['r_squared']:g}; {row['utterances']} utterances{noise})."
        )
    base, parts = _of(tables["timing"], source="attention"), _of(tables["account"], source="attention")
    found["answer"] += [
        f"Words timed from attention are off by {_range(base, 'error_ms')} ms ({base['words']} words): "
        f"{parts['constant_ms']:g} ms are a constant, {parts['wrong_place_ms']:g} ms lie in the "
        f"{parts['words_astray_percent']:g} % of words that are more than {1000 * ASTRAY:g} ms away, "
        f"{parts['grid_ms']:g} ms are the grid of the frames, {parts['rest_ms']:g} ms the rest.",
        *_costs(records),
    ]
    for row in tables["timing"]:
        if row["source"] in ("attention", "uniform"):
            continue
        difference = row["minus_attention_ms"]
        verdict = ("worse" if difference > 0 else "better") if _sure(row, "minus_attention_ms") else "not told apart"
        found["timing"].append(
            f"Timed from {row['source']}: {_range(row, 'error_ms')} ms; without constants "
            f"{_range(row, 'minus_attention_ms')} ms against attention ({verdict}; {row['words']} words)."
        )
    for row in tables["association"]:
        verdict = "words with less agreement have larger errors" if row["partial"] < 0 else "no such link"
        found["association"].append(
            f"Agreement with {row['method']} and error of a word: rank correlation {_range(row, 'spearman')}, "
            f"{_range(row, 'partial')} with {', '.join(CONTROLS)} held fixed ({row['words']} words): "
            f"{verdict if _sure(row, 'partial') else 'no link that these words can show'}."
        )
    for row in tables["warning"]:
        if 0 < row["wrong"] < row["words"]:
            found["warning"].append(
                f"As a warning of words wrong by more than {row['wrong_by_more_than_ms']} ms "
                f"({row['wrong']} of {row['words']}), {row['signal']} has an AUROC of {_range(row, 'auroc')}."
            )
    for row in tables["correlation_and_timing"]:
        verdict = "closer to saliency is better timed" if row["spearman"] < 0 else "closer to saliency is worse timed"
        found["correlation_and_timing"].append(
            f"Across {row['n']} {row['maps']}, correlation with {row['method']} saliency and timing error have a rank "
            f"correlation of {_range(row, 'spearman')}: {verdict if _sure(row, 'spearman') else 'no clear link'}."
        )
    return found


def _costs(records: Records) -> list[str]:
    """What the head takes off attention, and what a constant and a choice of heads would, on the same words."""
    if not all("head" in r["times"] for r in records):
        return []
    attention, head = Errors(records, "attention"), Errors(records, "head")
    groups = attention.groups

    def less(better: Floats) -> str:
        row = cells("less", paired_difference(attention.plain, better, groups), 1000, 1)
        return f"{_range(row, 'less')} ms"

    best = next((s for s in sources_of(records) if s.endswith("heads by gold")), None)
    chosen = (
        f" ({less(Errors(records, best).without_constant)} with the best heads besides; negative: adds)" if best else ""
    )
    return [
        f"What the gap costs: the timing head, on the same encoder, takes {less(head.plain)} off attention's error. "
        f"A constant from other speakers takes {less(attention.without_constant)} off it{chosen}; the rest is not "
        f"repaired by reading attention in another way."
    ]
