"""The gap study in files: JSON, a CSV per table, Markdown and plots. All derived from its records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aligner.errors import InputError
from aligner.files import atomic_write
from eval import gap_correlation as correlation
from eval import gap_findings as findings
from eval.gap_account import PARTS
from eval.gap_sentences import sentences
from eval.pages import template
from eval.scoring import as_csv

TITLES = {
    "timing": "Boundary error by source of the times",
    "account": "Where the error goes",
    "published": "The findings of arXiv 2509.18010, on this checkpoint",
    "explained": "Correlation of attention (upper half of the layers) with saliency",
    "layers": "Correlation with saliency by layer",
    "correlation_and_timing": "Does a higher correlation mean better timing?",
    "association": "Agreement and error, word by word",
    "warning": "Warning lights",
    "heads": "Every head, layer and set: timing error and correlation with saliency",
}
FIGURES = {"account.svg": "where the error goes, by source", "heads.svg": "closeness to saliency and timing error"}


def write_results(provenance: Mapping[str, Any], records: Sequence[Mapping[str, Any]], output: Path) -> dict[str, Any]:
    """Tables, sentences and plots of a study; returns what `gap.json` holds."""
    methods = list(provenance["methods"])
    marked = [f"head {layer}.{head}" for layer, head in provenance["model"]["alignment_heads"]]
    tables = {
        "timing": findings.timing(records),
        "account": findings.account(records),
        "published": correlation.published(records),
        "explained": correlation.explained(records, methods),
        "layers": correlation.layers(records, methods),
        "correlation_and_timing": correlation.correlation_and_timing(records, methods, marked),
        "association": findings.association(records, methods),
        "warning": findings.warning_light(records, methods),
        "heads": correlation.heads(records, methods),
    }
    result = {
        "provenance": dict(provenance),
        "words": sum(len(r["words"]) for r in records),
        "speakers": len({r["speaker"] for r in records if r["speaker"]}),
        "maps": {method: sum(method in r["saliency"] for r in records) for method in methods},
        "findings": sentences(records, tables),
        "tables": tables,
    }
    files = {"gap.json": json.dumps(_plain(result), indent=1, ensure_ascii=False) + "\n", "gap.md": markdown(result)}
    files |= {f"{name}.csv": as_csv(rows) for name, rows in tables.items() if rows}
    files |= plots_of(result)
    for name, text in files.items():
        with atomic_write(output / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return result


def is_study(folder: Path) -> bool:
    """Whether a results folder holds a finished gap study."""
    return (folder / "gap.json").is_file()


def write_page(folder: Path, output: Path) -> list[Path]:
    """One self-contained page on a finished study; its tables lie in the study's folder.

    Raises
    ------
    InputError
        `gap.json` is not one of a study.
    SettingError
        The extra `eval` is not installed.
    """
    page = template("gap.html", cells=cells_of)
    try:
        result = json.loads((folder / "gap.json").read_text(encoding="utf-8"))
        plots = plots_of(result)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'gap.json'} is not a study of align-eval gap: {error}") from error
    text = page.render(result=result, plots=plots, titles=TITLES, summary=summary(result))
    with atomic_write(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return [output]


def _plain(value: Any) -> Any:
    """JSON has no NaN: intervals that cannot be made become null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value


def markdown(result: Mapping[str, Any]) -> str:
    """The findings and tables as Markdown."""
    lines = [
        "# What the gap between attention and saliency costs",
        "",
        summary(result),
        "",
        *(f"![{text}]({name})" for name, text in FIGURES.items()),
        "",
        *(f"* {sentence}" for sentence in result["findings"]),
    ]
    for name, rows in result["tables"].items():
        if rows:
            lines += ["", f"## {TITLES[name]}", "", *table(rows)]
    return "\n".join(lines) + "\n"


def summary(result: Mapping[str, Any]) -> str:
    """What was studied, in a sentence."""
    provenance = result["provenance"]
    maps = ", ".join(f"{count} with a map of {method}" for method, count in result["maps"].items())
    return (
        f"`{provenance['command']}`: model `{Path(provenance['model']['name']).name}` "
        f"({provenance['model']['fingerprint']}), {provenance['utterances']} utterances, {result['words']} words, "
        f"{result['speakers'] or 'unknown'} speakers; {maps}. "
        "In brackets: 95 % intervals, bootstrapped over speakers (utterances where unknown)."
    )


def cells_of(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of a table as text; a value and its interval share a cell."""
    columns = [c for c in rows[0] if not c.endswith(("_low", "_high"))]

    def cell(row: Mapping[str, Any], column: str) -> str:
        value = row[column]
        if value is None or value != value:
            return "–"
        low = row.get(f"{column}_low")
        text = f"{value:g}" if isinstance(value, float) else str(value)
        return text if low in (None, "") or low != low else f"{text} [{low:g}, {row[f'{column}_high']:g}]"

    return [c.replace("_", " ") for c in columns], [[cell(row, column) for column in columns] for row in rows]


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    header, body = cells_of(rows)
    lines = ["| " + " | ".join(line) + " |" for line in (header, *body)]
    return [lines[0], "|" + " --- |" * len(header), *lines[1:]]


def plots_of(result: Mapping[str, Any]) -> dict[str, str]:
    """SVG by file name."""
    tables = result["tables"]
    methods = [row["method"] for row in tables["explained"]]
    found = {"account.svg": _account_plot(tables["account"], result)}
    if methods:
        found["heads.svg"] = _heads_plot(tables["heads"], methods)
    return found


def _account_plot(rows: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> str:
    """Errors as stacked bars."""
    from eval.plots import COLOURS, panels, svg  # the study shares the report's look

    shown = [row for row in rows if row["source"] != "uniform"]
    figure, axis = panels(7.6, 0.9 + 0.26 * len(shown))
    places, left = range(len(shown) - 1, -1, -1), np.zeros(len(shown))
    colours = (COLOURS[1], COLOURS[3], "#c7c7c7", COLOURS[0])
    for name, colour in zip(PARTS, colours, strict=True):
        widths = np.array([max(0.0, row[f"{name.replace(' ', '_')}_ms"]) for row in shown])
        axis.barh(places, widths, left=left, color=colour, label=name, height=0.7)
        left += widths
    most = max(row["words"] for row in shown)
    names = [row["source"] + ("" if row["words"] == most else f" ({row['words']} words)") for row in shown]
    axis.set_yticks(places, names, fontsize=7)
    axis.set_xlabel(f"mean error of an edge (ms), {Path(result['provenance']['model']['name']).name}, {most} words")
    axis.legend(fontsize=7, loc="lower right")
    axis.grid(axis="x", alpha=0.3)
    return svg(figure, "where the error of word edges goes, by source of the times")


def _heads_plot(rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> str:
    """Closeness to saliency against timing error, head by head."""
    from eval.plots import COLOURS, panels, svg

    figure, axes = panels(3.2 * len(methods), 3.2, 1, len(methods), sharey=True, squeeze=False)
    kinds = {"head": COLOURS[1], "set": COLOURS[2]}
    for panel, method in zip(axes[0], methods, strict=True):
        for kind, colour in kinds.items():
            mine = [row for row in rows if row["kind"] == kind]
            panel.scatter([r[method] for r in mine], [r["error_ms"] for r in mine], color=colour, label=kind, s=18)
        panel.set_xlabel(f"correlation with {method}")
        panel.set_yscale("log")
        panel.grid(alpha=0.25)
    axes[0][0].set_ylabel("boundary error (ms)")
    axes[0][-1].legend(fontsize=7)
    return svg(figure, "correlation with saliency against timing error, per head and set")
