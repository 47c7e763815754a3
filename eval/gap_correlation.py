"""How close attention is to saliency, by head, layer and set, and whether that makes better times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.metrics import Interval, interval
from aligner.metrics.saliency import spearman
from eval.gap_account import Floats, Records
from eval.gap_findings import DRAWS, Rows, cells, drawn, present
from eval.gap_measure import unit


def explained(records: Records, methods: Sequence[str]) -> Rows:
    """Correlation of attention, upper half of the layers, with each saliency map, averaged over utterances."""
    rows = []
    for method in methods:
        mine = [r for r in records if method in r["saliency"]]
        if not mine:
            continue
        groups = [unit(r) for r in mine]
        found = [r["saliency"][method] for r in mine]
        halves = [f["convergence"] for f in found if f["convergence"] is not None]
        ceiling = float(np.mean([ceiling_of(half) for half in halves])) if halves else None
        pearson = [f["pearson"] for f in found]
        rows.append(
            {
                "method": method,
                "utterances": len(mine),
                **cells("pearson", interval(pearson, groups)),
                "r_squared": round(float(np.mean(np.square(pearson))), 3),
                "spearman": round(float(np.mean([f["spearman"] for f in found])), 3),
                **cells(
                    "per_word",
                    interval([a for f in found for a in f["agreement"]], [unit(r) for r in mine for _ in r["words"]]),
                ),
                "masks": round(float(np.mean([f["masks"] for f in found]))),
                "split_half": round(float(np.mean(halves)), 3) if halves else None,
                "ceiling": None if ceiling is None else round(ceiling, 3),
                "pearson_below_ceiling": None if ceiling is None else round(float(np.mean(pearson)) / ceiling, 3),
            }
        )
    return rows


def ceiling_of(split_half: float) -> float:
    """The highest correlation that a map can have with anything, for the noise of its masks.

    References
    ----------
    Spearman 1910 and Brown 1910: the whole is more reliable than its halves; and the square root of it bounds.
    """
    return float(np.sqrt(2 * max(split_half, 0) / (1 + max(split_half, 0))))


def published(records: Records) -> Rows:
    """The findings of arXiv 2509.18010, on this checkpoint."""
    rows = []
    names = [n for n in records[0]["map_error"] if n.startswith("head ")]
    layers = [n for n in records[0]["map_error"] if n.startswith("layer ")]

    def add(finding: str, paper: str, values: Any, groups: Sequence[str], verdict: Any) -> None:
        found = interval(values, groups)
        rows.append({"finding": finding, "paper": paper, **cells("here", found), "verdict": verdict(found)})

    def sign(found: Interval) -> str:
        return ("confirmed" if found.value > 0 else "not confirmed") if found.excludes_zero else "not told apart"

    for method, symbol, low, high in (("encoder", "SM^H", 0.519, 0.752), ("strips", "SM^X", 0.485, 0.633)):
        mine = [r["saliency"][method]["maps"] for r in records if method in r["saliency"]]
        if not mine:
            continue
        groups = [unit(r) for r in records if method in r["saliency"]]
        everything = np.array([m["all layers"] for m in mine])
        single = np.array([[m[n] for n in names] for m in mine])
        deep = np.array([[m[n] for n in layers] for m in mine])

        def inside(found: Interval, low: float = low, high: float = high) -> str:
            if found.high < low:
                return "not confirmed: lower"
            return "confirmed" if found.low <= high else "not confirmed: higher"

        add(f"correlation of all layers and heads with {symbol}", f"{low:g} to {high:g}", everything, groups, inside)
        best = int(single.mean(0).argmax())
        add(
            f"{symbol}: all layers and heads minus the best single head ({names[best].removeprefix('head ')})",
            "above 0",
            everything - single[:, best],
            groups,
            sign,
        )
        add(
            f"{symbol}: mean of a layer's heads minus the mean correlation of its single heads",
            "above 0",
            (deep - single.reshape(len(mine), len(layers), -1).mean(2)).mean(1),
            groups,
            sign,
        )
        half = len(layers) // 2
        add(
            f"{symbol}: later half of the layers minus the earlier",
            "above 0",
            deep[:, half:].mean(1) - deep[:, :half].mean(1),
            groups,
            sign,
        )
    both = [r for r in records if {"encoder", "strips"} <= set(r["saliency"])]
    if both:
        pairs = np.array([[r["saliency"][m]["maps"]["all layers"] for m in ("encoder", "strips")] for r in both])
        groups = [unit(r) for r in both]
        add("context mixing: SM^H minus SM^X", "0.03 to 0.18", pairs[:, 0] - pairs[:, 1], groups, sign)
        share = drawn(lambda k: float(1 - pairs[k, 1].mean() / pairs[k, 0].mean()), groups)
        rows.append(
            {"finding": "the same as a share of SM^H", "paper": "0.066 to 0.167", **cells("here", share), "verdict": ""}
        )
        halves = [[r["saliency"][m]["convergence"] or 0 for m in ("encoder", "strips")] for r in both]
        below = pairs / np.array([[max(ceiling_of(half), 1e-9) for half in pair] for pair in halves])
        add(
            "the same, each as a share of the ceiling that the noise of its masks puts",
            "",
            below[:, 0] - below[:, 1],
            groups,
            sign,
        )
    return rows


def heads(records: Records, methods: Sequence[str]) -> Rows:
    """Timing error and correlation of every head, layer and set of them (the paper's tables)."""
    rows = []
    there = present(records, methods)
    for name in records[0]["map_error"]:
        row: dict[str, Any] = {
            "map": name,
            "kind": "head" if name.startswith("head") else "set",
            "error_ms": round(1000 * _mean_error(records, name), 1),
        }
        for method in there:
            mine = [r for r in records if method in r["saliency"]]
            values = [r["saliency"][method]["maps"][name] for r in mine]
            row |= cells(method, interval(values, [unit(r) for r in mine], draws=DRAWS))
        rows.append(row)
    return rows


def layers(records: Records, methods: Sequence[str]) -> Rows:
    """Correlation with saliency, layer by layer: the mean of the heads, and single heads."""
    rows = []
    names = list(records[0]["map_error"])
    for method in present(records, methods):
        mine = [r["saliency"][method]["maps"] for r in records if method in r["saliency"]]
        mean = {name: float(np.mean([m[name] for m in mine])) for name in names}
        for name in [n for n in names if n.startswith("layer ")]:
            own = [mean[n] for n in names if n.startswith(f"head {name.removeprefix('layer ')}.")]
            rows.append(
                {
                    "method": method,
                    "layer": name.removeprefix("layer "),
                    "mean_of_heads": round(mean[name], 3),
                    "best_head": round(max(own), 3),
                    "median_head": round(float(np.median(own)), 3),
                    "worst_head": round(min(own), 3),
                }
            )
    return rows


def _mean_error(records: Records, name: str) -> float:
    words = [len(r["words"]) for r in records]
    return float(np.average([r["map_error"][name] for r in records], weights=words))


def correlation_and_timing(records: Records, methods: Sequence[str], marked: Sequence[str]) -> Rows:
    """Rank correlation, across maps, of the correlation with saliency and the timing error (negative: it helps).

    Errors are those of all utterances, correlations those of the utterances with maps; both are resampled.
    `marked` are the heads of the checkpoint's own list, which the second row leaves out.
    """
    rows = []
    names = list(records[0]["map_error"])
    single = [n for n in names if n.startswith("head")]
    kinds = {
        "heads": single,
        "heads, without OpenAI's": [n for n in single if n not in marked] if marked else [],
        "layers and sets": [n for n in names if n[:4] != "head"],
    }
    for method in present(records, methods):
        mine = [r for r in records if method in r["saliency"]]
        error = np.array([[r["map_error"][n] for n in names] for r in mine])
        close = np.array([[r["saliency"][method]["maps"][n] for n in names] for r in mine])
        groups = [unit(r) for r in mine]
        for kind, chosen in kinds.items():
            if len(chosen) < 3:
                continue
            columns = np.array([names.index(n) for n in chosen])

            def statistic(k: NDArray[np.intp], c: Any = columns, e: Floats = error, a: Floats = close) -> float:
                return spearman(a[k][:, c].mean(0), e[k][:, c].mean(0))

            rows.append(
                {"method": method, "maps": kind, "n": len(chosen), **cells("spearman", drawn(statistic, groups))}
            )
    return rows
