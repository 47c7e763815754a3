"""One self-contained HTML page on finished runs, with its tables as CSV beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.errors import InputError
from aligner.metrics import Interval, paired_difference
from eval import plots
from eval.breakdown import breakdown
from eval.columns import cells
from eval.compare import paired_errors
from eval.crossvalidation import NAME as CROSS_VALIDATED
from eval.crossvalidation import NOT_CHOSEN
from eval.pages import template
from eval.scoring import SystemScores, as_csv, ranked, score
from eval.systems import System, read_systems
from eval.worst import worst_recordings


@dataclass(frozen=True)
class Answer:
    """What a run says about the choice of a setting.

    Attributes
    ----------
    pick : SystemScores
        The setting that cross-validation picks most often.
    picked, folds : int
        In how many folds it is picked, of how many.
    honest : SystemScores
        The cross-validated score: picked on some speakers, scored on the others.
    default : SystemScores or None
    gain : Interval or None
        Boundary error of the pick minus that of the default, on the same words, in seconds.
    equals : tuple of str
        Settings that gave exactly the same times as the pick.
    rivals : tuple of str
        Other settings that these words do not tell apart from the pick.
    n_settings : int
        Settings with times of their own.
    better : tuple of SystemScores
        Systems that are no settings of attention (baselines, peers) and have a smaller error than the pick.
    attention : SystemScores or None
        The setting of attention alone with the smallest error, where the pick listens to a timing head.
    """

    pick: SystemScores
    picked: int
    folds: int
    honest: SystemScores
    default: SystemScores | None
    gain: Interval | None
    equals: tuple[str, ...]
    rivals: tuple[str, ...]
    n_settings: int
    better: tuple[SystemScores, ...]
    attention: SystemScores | None


def write_report(results: Sequence[Path], output: Path) -> list[Path]:
    """Write the page and its tables.

    Parameters
    ----------
    results : sequence of Path
        Results folders, or folders of results folders.
    output : Path
        HTML file.

    Returns
    -------
    list of Path
        Every file written, the page first.

    Raises
    ------
    InputError
        A folder without a finished run.
    SettingError
        The extra `eval` is not installed.
    """
    from aligner.files import atomic_write

    page = template("report.html", ms=_milliseconds, percent=_percent, compact=_compact)
    folders = list(runs_in(results))
    written = [output]
    sections = []
    for folder in folders:
        section, tables = _section(folder)
        sections.append(section)
        for name, text in tables.items():
            label = f"{folder.name}-" if len(folders) > 1 else ""
            path = output.with_name(f"{output.stem}-{label}{name}.csv")
            with atomic_write(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            written.append(path)
        section["tables"] = [path.name for path in written[-len(tables) :]]
    command = f"align-eval report {' '.join(map(str, results))} -o {output}"
    with atomic_write(output) as temporary:
        temporary.write_text(page.render(sections=sections, command=command), encoding="utf-8")
    return written


def runs_in(results: Sequence[Path]) -> Iterable[Path]:
    """Results folders among the given folders and directly in them.

    Raises
    ------
    InputError
        A folder has none.
    """
    for folder in results:
        inner = [folder] if (folder / "systems").is_dir() else sorted(p.parent for p in folder.glob("*/systems"))
        if not inner:
            raise InputError(
                f"{folder} holds no finished run (no systems/*.json): give the folder of align-eval run -o"
            )
        yield from inner


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not what align-eval run has written ({error}): delete it and run again") from error


def _percent(share: float) -> str:
    return "–" if share != share else f"{100 * share:.1f}"


def _compact(value: Any) -> str:
    """JSON with a line for each item, but not for each number."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return re.sub(
        r"\[[\s\d.,\[\]-]*\]", lambda found: re.sub(r"(?<=\[) | (?=\])", "", " ".join(found[0].split())), text
    )


def _milliseconds(value: float | Interval) -> str:
    if isinstance(value, Interval):
        if value.low != value.low:
            return f"{1000 * value.value:.1f}"
        return f"{1000 * value.value:.1f} [{1000 * value.low:.1f}, {1000 * value.high:.1f}]"
    return "–" if value != value else f"{1000 * value:.1f}"


def answer(systems: Sequence[System], rows: Sequence[SystemScores]) -> Answer | None:
    """The setting to use and how sure that is; None where nothing was cross-validated."""
    by_name = {s.name: s for s in systems}
    row_of = {r.name: r for r in rows}
    if CROSS_VALIDATED not in by_name:
        return None
    setting = by_name[CROSS_VALIDATED].setting
    pick = next(iter(setting["picks"]))
    candidates = [s for s in systems if s.family not in NOT_CHOSEN]
    times = {s.name: _times(s) for s in candidates}
    equals = tuple(s.name for s in candidates if s.name != pick and times[s.name] == times[pick])
    rivals, seen = [], {times[pick]}
    for row in ranked([row_of[s.name] for s in candidates]):
        if times[row.name] in seen:
            continue
        seen.add(times[row.name])
        if not _difference(by_name[row.name], by_name[pick]).excludes_zero:
            rivals.append(row.name)
    default = row_of.get("default")
    gain = _difference(by_name[pick], by_name["default"]) if default and "default" not in (pick, *equals) else None
    others = [r for r in rows if r.family in ("baseline", "peer")]
    better = tuple(r for r in ranked(others) if r.boundary_error.value < row_of[pick].boundary_error.value)
    alone = ranked([row_of[s.name] for s in candidates if s.setting.get("timing") == "attention"])
    # A grid tries attention alone by name where the checkpoint has a timing head.
    heard = by_name[pick].setting.get("timing") != "attention" and any(s.family == "timing" for s in candidates)
    return Answer(
        row_of[pick], setting["picks"][pick], setting["folds"], row_of[CROSS_VALIDATED], default, gain, equals,
        tuple(rivals), len(set(times.values())), better, alone[0] if heard and alone else None,
    )  # fmt: skip


def _times(system: System) -> tuple[tuple[float, float], ...]:
    return tuple((w.start, w.end) for r in system.recordings for w in r.estimated)


def _difference(first: System, second: System) -> Interval:
    errors, of_word, _ = paired_errors(first, second)
    return paired_difference(errors[0].mean(0), errors[1].mean(0), of_word)


def _section(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Everything the page shows of one run, and its CSV tables."""
    systems = read_systems(folder)
    rows = ranked([score(s) for s in systems])
    by_name = {s.name: s for s in systems}
    found = answer(systems, rows)
    main = _main_rows(rows, found)
    shown = [by_name[name] for name in _curves(found, by_name)]
    errors = {s.name: _signed(s) for s in shown}
    tables = {"scores": as_csv([cells(row) for row in rows])}
    factors = breakdown(shown[:4])
    tables["words"] = as_csv(
        [
            {
                "property": title,
                "system": name,
                "category": category,
                "words": count,
                "mean_abs_error_ms": round(1000 * value.value, 2),
                "low": round(1000 * value.low, 2),
                "high": round(1000 * value.high, 2),
            }
            for title, table in factors.items()
            for name, lines in table.items()
            for category, count, value in lines
        ]
    )  # fmt: skip
    heat = _heat(systems, rows)
    if heat is not None:
        tables["heads"] = as_csv(
            [
                {
                    "layer": layer,
                    "head": head if head < heat[0].shape[1] - 1 else "mean",
                    "onset_ms": round(1000 * float(onset), 2),
                    "offset_ms": round(1000 * float(heat[1][layer, head]), 2),
                }
                for (layer, head), onset in np.ndenumerate(heat[0])
            ]
        )  # fmt: skip
    record = folder / "run.json"
    provenance = _read(record) if record.is_file() else systems[0].provenance
    first = systems[0].recordings
    section = {
        "name": folder.name,
        "answer": found,
        "rows": rows,
        "main": main,
        "intervals": plots.intervals([(r.name, r.family, r.boundary_error) for r in main]),
        "heat": plots.heat_maps(*heat) if heat is not None else None,
        "cumulative": plots.cumulative(errors),
        "distributions": plots.distributions(errors),
        "scatter": plots.onset_against_offset(
            [(r.name, r.family, r.onset_mean.value, r.offset_mean.value) for r in rows],
            [r.name for r in main if r.name != CROSS_VALIDATED],
        ),
        "factors": plots.factors(factors),
        "worst": _worst(folder, by_name),
        "provenance": {k: v for k, v in provenance.items() if k != "settings"},
        "n_words": sum(len(r.reference) for r in first),
        "n_utterances": len(first),
        "n_speakers": len({r.speaker for r in first if r.speaker}),
        "minutes": sum(r.duration for r in first) / 60,
        "sources": sorted({r.source for r in first}),
        "silver": sorted({r.source for r in first if r.quality == "silver"}),
        "settings": {s.name: _describe(s) for s in systems},
    }
    return section, tables


def _main_rows(rows: Sequence[SystemScores], found: Answer | None) -> list[SystemScores]:
    """The rows of the first screen: the pick, the best of each family, and the references."""
    wanted = {row.name for row in rows if row.family in ("preset", "timing", "baseline", "peer", CROSS_VALIDATED)}
    for family in ("single head", "layer mean", "last layers", "top heads of the utterance", "alignment heads"):
        wanted |= {row.name for row in [r for r in rows if r.family == family][:1]}
    if found is not None:
        wanted.add(found.pick.name)
    wanted |= {row.name for row in rows if row.name == "all-layers"}
    if found is not None:
        # The same times under another name, unless the name is one that people look for.
        wanted -= {row.name for row in rows if row.name in found.equals and row.family != "preset"}
    return [row for row in rows if row.name in wanted]


def _curves(found: Answer | None, by_name: dict[str, System]) -> list[str]:
    """Systems drawn in the curves, the pick first."""
    names = [found.pick.name] if found is not None else []
    return list(dict.fromkeys(n for n in (*names, "default", "attention", "openai", "uniform") if n in by_name))


def _signed(system: System) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scores = [r.scores for r in system.recordings]
    return np.array([e for s in scores for e in s.onset]), np.array([e for s in scores for e in s.offset])


def _heat(
    systems: Sequence[System], rows: Sequence[SystemScores]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Onset and offset errors by layer and head, layer means last; None unless single heads were run."""
    row_of = {r.name: r for r in rows}
    cellsof = {}
    for system in systems:
        if system.family == "single head":
            layer, head = map(int, system.setting["aggregation"]["heads"].split("."))
            cellsof[layer, head] = row_of[system.name]
    if not cellsof:
        return None
    layers, heads = (1 + max(pair[k] for pair in cellsof) for k in (0, 1))
    maps = np.full((2, layers, heads + 1), np.nan)
    for system in systems:
        if system.family == "layer mean":
            cellsof[int(system.setting["aggregation"]["layers"]), heads] = row_of[system.name]
    for pair, row in cellsof.items():
        maps[:, pair[0], pair[1]] = row.onset_mean.value, row.offset_mean.value
    return maps[0], maps[1]


def _worst(folder: Path, by_name: dict[str, System]) -> list[dict[str, Any]]:
    """Worst utterances of the default setting, with pictures where the run kept their maps."""
    if "default" not in by_name:
        return []
    pictures = {}
    for path in sorted((folder / "maps").glob("*.json")):
        details = _read(path)
        pictures[details["id"]] = (details, np.load(path.with_suffix(".npy")))
    found = []
    for recording in worst_recordings(by_name["default"]):
        entry: dict[str, Any] = {"recording": recording, "scores": recording.scores, "picture": None}
        if recording.id in pictures:
            details, values = pictures[recording.id]
            entry["picture"] = plots.attention_picture(
                values,
                details["frame_duration"],
                details["tokens"],
                details["path"],
                recording.reference,
                recording.estimated,
            )
        found.append(entry)
    return found


_TIMING = {
    "auto": "times from the timing head; without one, from attention: ",
    "head": "times from the timing head; attention: ",
    "both": "times from the timing head and attention: ",
    "attention": "attention: ",
}


def _describe(system: System) -> str:
    setting = system.setting
    if "picks" in setting:
        return "; ".join(f"{name} in {count} of {setting['folds']} folds" for name, count in setting["picks"].items())
    if "aggregation" in setting:
        read = setting["aggregation"]
        times = _TIMING[setting.get("timing", "attention")]
        return (
            f"{times}layers {read['layers']}, heads {read['heads']}, {' → '.join(read['steps'])}, "
            f"{setting['units']} units, {setting['path']}; pauses {setting['pauses']}"
        )
    return ", ".join(f"{key} {value}" for key, value in setting.items())
