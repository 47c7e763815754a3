"""The gap study in files: JSON, a CSV per table, Markdown and plots. All derived from its records."""

from __future__ import annotations

import json
import re
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
NOTES = {
    "timing": (
        "error: mean absolute error of onsets and offsets; late: median signed error, negative where early; without "
        "constant: after the median error of all other speakers is taken away; minus attention: the same less "
        "attention's, on the same words, negative where better. Sources are maps of attention or saliency, all read "
        "by one path finder; head: the timing head; uniform: words spread evenly."
    ),
    "account": (
        "The parts sum to the error. constant: the median error of all other speakers; wrong place: words astray, "
        "that is with an edge more than 100 ms away without the constant; grid: what the nearest frame is off by; "
        "rest: everything else."
    ),
    "published": (
        "SM^H: saliency at the encoder's output (encoder); SM^X: at its input (strips). Context mixing: what the "
        "encoder moves between frames."
    ),
    "explained": (
        "encoder: encoder states are hidden (SM^H); strips: stretches of the spectrogram are hidden (SM^X); gradient "
        "and gradient:output: of each token's probability, at the input and at the encoder's output. pearson and "
        "spearman: of the maps of an utterance; per word: of the rows of a word; split half: correlation of the maps "
        "of two halves of the masks; ceiling: what no correlation can pass for their noise; pearson below ceiling: "
        "the share of it that is reached."
    ),
    "layers": "Pearson correlation; mean of heads: of their mean as one map.",
    "correlation_and_timing": (
        "spearman: rank correlation, over n maps, of correlation with saliency and timing error; negative where what "
        "is closer to saliency is better timed."
    ),
    "association": (
        "spearman: rank correlation of a word's agreement (correlation of its attention with its saliency) and its "
        "error without the constant; partial: the same with other properties of the word held fixed."
    ),
    "warning": (
        "How well a signal tells words that are wrong. auroc: 0.5 is chance, 1 is perfect; minus probability: the "
        "same less that of the word's probability; precision and recall: as shares, if the tenth of the words with "
        "the strongest signal is flagged."
    ),
    "heads": "Pearson correlation with each saliency; head: layer.head, counted from 0.",
}
FIGURES = {
    "account.svg": "Where the error goes, by source of the times (the parts: see the table of that name)",
    "heads.svg": "Correlation with saliency and timing error, a dot for every head and for every layer or set of heads",
}
_UNITS = {"ms": "ms", "percent": "%"}
_UNIT = r"(?<!\d)_(ms|percent)$"  # not of "at 10 percent"


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
        found = {name: list(result["findings"][name]) for name in ("answer", *result["tables"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'gap.json'} is not a study of align-eval gap: {error}") from error
    text = page.render(
        result=result,
        findings=found,
        plots=plots,
        captions=FIGURES,
        titles=TITLES,
        notes=NOTES,
        summary=summary(result),
    )
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
        *(f"* {sentence}" for sentence in result["findings"]["answer"]),
        "",
        *(f"![{text}]({name})" for name, text in FIGURES.items()),
    ]
    for name, rows in result["tables"].items():
        if rows:
            lines += ["", f"## {TITLES[name]}", "", NOTES[name], "", *table(rows), ""]
            lines += [f"* {sentence}" for sentence in result["findings"][name]]
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


def cells_of(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]], list[bool]]:
    """Header and cells of a table as text, a value and its interval in one cell, and which columns hold words."""
    columns = [c for c in rows[0] if not c.endswith(("_low", "_high"))]

    def shown(value: float, column: str) -> str:
        digits = 1 if re.search(_UNIT, column) else 3
        return f"{round(value, digits) + 0.0:.{digits}f}" if isinstance(value, float) else str(value)

    def cell(row: Mapping[str, Any], column: str) -> str:
        value, low = row[column], row.get(f"{column}_low")
        if value is None or value != value:
            return "–"
        text = shown(value, column)
        if low is None or low != low:
            return text
        return f"{text} [{shown(low, column)}, {shown(row[f'{column}_high'], column)}]"

    header = [re.sub(_UNIT, lambda unit: f", {_UNITS[unit[1]]}", c).replace("_", " ") for c in columns]
    body = [[cell(row, column) for column in columns] for row in rows]
    return header, body, [isinstance(rows[0][column], str) for column in columns]


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    header, body, _ = cells_of(rows)
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
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, ScalarFormatter

    from eval.plots import COLOURS, panels, svg

    figure, axes = panels(3.2 * len(methods), 3.2, 1, len(methods), sharey=True, squeeze=False)
    kinds = {"head": COLOURS[1], "set": COLOURS[2]}  # a layer is a set
    for panel, method in zip(axes[0], methods, strict=True):
        for kind, colour in kinds.items():
            mine = [row for row in rows if row["kind"] == kind]
            panel.scatter(
                [r[method] for r in mine], [r["error_ms"] for r in mine], color=colour, label=kind, s=18, clip_on=False
            )
        panel.set_xlabel(f"correlation with {method}")
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(ScalarFormatter())
        panel.yaxis.set_minor_locator(NullLocator())
        panel.grid(alpha=0.25)
    axes[0][0].set_ylabel("boundary error (ms)")
    axes[0][-1].legend(fontsize=7)
    return svg(figure, "correlation with saliency against timing error, per head and set")
