"""The gap study in files: JSON, a CSV per table, Markdown and plots. All derived from its records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aligner.errors import InputError
from aligner.files import atomic_write
from aligner.metrics import interval, paired_difference
from eval import gap_findings as findings
from eval.pages import template
from eval.scoring import as_csv

TITLES = {
    "timing": "Boundary error by source of the times",
    "explained": "Correlation of attention with saliency",
    "association": "Agreement and error, word by word",
    "warning": "Agreement as a warning light",
    "correlation_and_timing": "Does a higher correlation mean better timing?",
    "choices": "Heads chosen without and with gold",
    "deletion": "Faithfulness of the maps: deletion (area under the word error rate, percent; higher is better)",
    "heads": "Every head, layer and set: timing error and correlation with saliency",
}


def write_results(
    provenance: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    choices: Sequence[Mapping[str, Any]],
    output: Path,
) -> dict[str, Any]:
    """Tables, sentences and plots of a study; returns what `gap.json` holds."""
    methods = list(provenance["methods"])
    tables = {
        "timing": findings.timing(records),
        "explained": findings.explained(records, methods),
        "association": findings.association(records, methods),
        "warning": findings.warning_light(records, methods),
        "correlation_and_timing": findings.correlation_and_timing(records, methods),
        "choices": _choices(records, choices),
        "deletion": _deletion(records),
        "heads": findings.heads(records, methods),
    }
    result = {
        "provenance": dict(provenance),
        "words": sum(len(r["words"]) for r in records),
        "speakers": len({r["speaker"] for r in records if r["speaker"]}),
        "findings": findings.sentences(tables, methods),
        "tables": tables,
    }
    files = {"gap.json": json.dumps(_plain(result), indent=1, ensure_ascii=False) + "\n", "gap.md": markdown(result)}
    files |= {f"{name}.csv": as_csv(rows) for name, rows in tables.items() if rows}
    files |= _plots(tables, methods)
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
        plots = _plots(result["tables"], list(result["provenance"]["methods"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'gap.json'} is not a study of align-eval gap: {error}") from error
    with atomic_write(output) as temporary:
        temporary.write_text(page.render(result=result, plots=plots, titles=TITLES), encoding="utf-8")
    return [output]


def _plain(value: Any) -> Any:
    """JSON has no NaN: intervals that cannot be made become null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value


def _choices(records: Sequence[Mapping[str, Any]], choices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    groups = [findings.unit(r) for r in records for _ in r["words"]]
    attention = np.concatenate([findings.errors_of(r, "attention").mean(1) for r in records])
    named = [(c["choice"], np.concatenate(c["errors"])) for c in choices]
    for source in records[0]["times"]:
        if source.startswith("top "):
            named.append((source, np.concatenate([findings.errors_of(r, source).mean(1) for r in records])))
    return [
        {
            "choice": name,
            "words": len(errors),
            **findings.cells("error_ms", interval(errors, groups), 1000, 1),
            **findings.cells("minus_attention_ms", paired_difference(errors, attention, groups), 1000, 1),
        }
        for name, errors in named
    ]


def _deletion(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    mine = [r for r in records if "deletion" in r]
    names = mine[0]["deletion"] if mine else ()
    return [
        {
            "order": name,
            "utterances": len(mine),
            **findings.cells("area", interval([r["deletion"][name] for r in mine], [r["id"] for r in mine]), 1, 1),
        }
        for name in names
    ]


def markdown(result: Mapping[str, Any]) -> str:
    """The findings and tables as Markdown."""
    provenance = result["provenance"]
    lines = [
        "# What the gap between attention and saliency costs",
        "",
        f"`{provenance['command']}`: model `{provenance['model']['name']}` "
        f"({provenance['model']['fingerprint']}), {provenance['utterances']} utterances, {result['words']} words, "
        f"{result['speakers'] or 'unknown'} speakers. "
        "In brackets: 95 % intervals, bootstrapped over speakers (utterances where unknown).",
        "",
        *(f"* {sentence}" for sentence in result["findings"]),
    ]
    for name, rows in result["tables"].items():
        if rows:
            lines += ["", f"## {TITLES[name]}", "", *_table(rows)]
    return "\n".join(lines) + "\n"


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


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    header, body = cells_of(rows)
    lines = ["| " + " | ".join(line) + " |" for line in (header, *body)]
    return [lines[0], "|" + " --- |" * len(header), *lines[1:]]


def _plots(tables: Mapping[str, list[dict[str, Any]]], methods: Sequence[str]) -> dict[str, str]:
    """SVG by file name."""
    from eval.plots import COLOURS, panels, svg  # the study shares the report's look

    figure, axis = panels(7.6, 0.8 + 0.24 * len(tables["timing"]))
    for k, row in enumerate(reversed(tables["timing"])):
        colour = COLOURS[0] if row["source"] == "attention" else COLOURS[4]
        axis.plot([row["error_ms_low"], row["error_ms_high"]], [k, k], color=colour, linewidth=2.5, alpha=0.5)
        axis.plot(row["error_ms"], k, "o", color=colour)
    axis.set_yticks(range(len(tables["timing"])), [row["source"] for row in reversed(tables["timing"])], fontsize=7)
    axis.set_xscale("log")
    axis.set_xticks([10, 20, 50, 100, 200, 500], ["10", "20", "50", "100", "200", "500"])
    axis.minorticks_off()
    axis.set_xlabel("mean boundary error (ms); line: 95 % interval")
    axis.grid(axis="x", alpha=0.3)
    found = {"timing.svg": svg(figure, "boundary error by source")}
    figure, axes = panels(3.2 * len(methods), 3.2, 1, len(methods), sharey=True, squeeze=False)
    kinds = {"head": COLOURS[1], "aggregate": COLOURS[2]}
    for panel, method in zip(axes[0], methods, strict=True):
        for kind, colour in kinds.items():
            mine = [row for row in tables["heads"] if row["kind"] == kind]
            panel.scatter([r[method] for r in mine], [r["error_ms"] for r in mine], color=colour, label=kind, s=18)
        panel.set_xlabel(f"correlation with {method}")
        panel.set_yscale("log")
        panel.grid(alpha=0.25)
    axes[0][0].set_ylabel("boundary error (ms)")
    axes[0][-1].legend(fontsize=7)
    found["heads.svg"] = svg(figure, "correlation with saliency against timing error, per head and set")
    return found
