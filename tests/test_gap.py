"""The gap study: its statistics on planted errors and records, and the command on recordings of this project."""

from __future__ import annotations

import html
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from aligner.metrics.bootstrap import bootstrap
from aligner.metrics.saliency import spearman
from eval import gap_correlation as close
from eval import gap_findings as findings
from eval.cli import main
from eval.gap_account import constants, parts
from eval.gap_report import NOTES, TITLES, cells_of

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
pytestmark = pytest.mark.usefixtures("few_draws")
# Enough masks to run, not to converge.
SMALL = ["--method", "encoder", "--method", "gradient:output", "--masks", "20", "--per-speaker", "1"]
HEADS = ("head 0.0", "head 0.1", "head 1.0", "head 1.1")


@pytest.fixture(scope="module")
def few_draws():
    """Intervals are not what is tested here, and cost most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "DRAWS", 60)
        yield


def planted(agreement_tells: bool, n: int = 24, seed: int = 0) -> list[dict]:
    """Records whose attention is off by a known amount, which agreement follows or not."""
    rng = np.random.default_rng(seed)
    records = []
    for k in range(n):
        words = [["w", 0.5 * i, 0.5 * i + 0.3] for i in range(8)]
        size = np.append(rng.exponential(0.04, 6), [0, 0])
        error = size * [1, 1, 1, -1, -1, -1, 1, 1]  # no constant
        agreement = -size if agreement_tells else rng.random(8)
        head_error = 0.05 * np.arange(1, 5)
        records.append(
            {
                "id": str(k),
                "speaker": f"s{k % 6}",
                "frame_duration": 0.02,
                "words": words,
                "times": {
                    "attention": [[a + e, b + e] for (_, a, b), e in zip(words, error, strict=True)],
                    "encoder": [[a + e + 0.01, b + e + 0.01] for (_, a, b), e in zip(words, error, strict=True)],
                },
                "saliency": {
                    "encoder": {
                        "masks": 10,
                        "convergence": 0.9,
                        "pearson": 0.5,
                        "spearman": 0.1,
                        "agreement": list(agreement),
                        "maps": dict(zip(HEADS, -head_error + 0.01 * rng.random(4), strict=True)),
                    }
                },
                "factors": {name: list(rng.random(8)) for name in (*findings.CONTROLS, "duration", "cost")},
                "map_error": dict(zip(HEADS, head_error, strict=True)),
                "norm": dict(zip(HEADS, range(4), strict=True)),
            }
        )
    return records


def test_a_source_that_is_late_by_a_constant_is_as_good_without_it() -> None:
    rows = {row["source"]: row for row in findings.timing(planted(False))}
    assert rows["attention"]["minus_attention_ms"] == 0 and rows["encoder"]["words"] == 24 * 8
    assert rows["encoder"]["onset_late_ms"] == pytest.approx(rows["attention"]["onset_late_ms"] + 10, abs=0.11)
    assert rows["encoder"]["minus_attention_ms"] == rows["encoder"]["minus_attention_ms_low"] == 0


def test_a_constant_is_that_of_other_speakers() -> None:
    errors = np.array([[0.1, 0.0], [0.1, 0.0], [0.3, 0.2], [0.3, 0.2]])
    found = constants(errors, ["a", "a", "b", "b"])
    np.testing.assert_allclose(found, [[0.3, 0.2], [0.3, 0.2], [0.1, 0.0], [0.1, 0.0]])
    assert not constants(errors, ["a"] * 4).any()


def test_the_parts_of_an_error_are_those_that_were_planted() -> None:
    rng = np.random.default_rng(0)
    edges = rng.random((4000, 2))
    late = np.full_like(edges, 0.03)
    rounded = np.round((edges + late) / 0.02) * 0.02 - edges - late  # what a grid of 20 ms does to them
    found = parts(rounded + late, late, edges, 0.02)
    total = np.abs(rounded + late).mean(1)
    np.testing.assert_allclose(sum(found.values()), total)
    assert found["grid"].mean() == pytest.approx(0.005, abs=2e-4)
    assert found["rest"].max() < 1e-9 and not found["wrong place"].any()
    astray = parts(rounded + late + [[0.5, 0]], late, edges, 0.02)
    assert astray["wrong place"].mean() == pytest.approx(0.25, abs=0.01) and not astray["rest"].any()
    off = parts(rounded + late + [[0.04, -0.04]], late, edges, 0.02)
    assert off["rest"].mean() == pytest.approx(0.035, abs=2e-3)


def test_half_of_the_masks_tell_how_much_noise_a_map_holds() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    halves = truth + rng.normal(size=(2, 20_000))
    found = close.ceiling_of(float(np.corrcoef(halves)[0, 1]))
    assert found == pytest.approx(float(np.corrcoef(halves.mean(0), truth)[0, 1]), abs=0.01)


def test_findings_of_the_paper_are_judged_by_intervals() -> None:
    records = planted(True)
    rng = np.random.default_rng(3)
    for record in records:
        level = 0.01 * rng.random()
        maps = {"head 0.0": 0.1, "head 0.1": 0.2, "head 1.0": 0.5, "head 1.1": 0.4}
        maps |= {"layer 0": 0.16, "layer 1": 0.5, "all layers": 0.6}
        for method, lower in (("encoder", 0), ("strips", 0.1)):
            record["saliency"].setdefault(method, {})["maps"] = {n: v - lower + level for n, v in maps.items()}
        # Masks so noisy that they alone would make the difference of the two.
        ceiling = 0.5 / 0.6 * close.ceiling_of(record["saliency"]["encoder"]["convergence"])
        record["saliency"]["strips"]["convergence"] = ceiling**2 / (2 - ceiling**2)
        record["map_error"] |= {"layer 0": 1.0, "layer 1": 1.0, "all layers": 1.0}
    rows = {row["finding"]: row for row in close.published(records)}
    assert rows["correlation of all layers and heads with SM^H"]["verdict"] == "confirmed"
    assert rows["SM^H: all layers and heads minus the best single head (1.0)"]["here"] == pytest.approx(0.1)
    assert rows["SM^X: later half of the layers minus the earlier"]["verdict"] == "confirmed"
    assert rows["context mixing: SM^H minus SM^X"]["here"] == pytest.approx(0.1)
    below = rows["the same, each as a share of the ceiling that the noise of its masks puts"]
    assert below["here"] == pytest.approx(0, abs=0.003)


@pytest.mark.parametrize("tells", [True, False])
def test_association_and_warning_light_find_what_was_planted(tells: bool) -> None:
    records = planted(tells)
    linked = findings.association(records, ["encoder"])[0]
    light = findings.warning_light(records, ["encoder"])
    row = next(r for r in light if r["signal"] == "agreement with encoder" and r["wrong_by_more_than_ms"] == 50)
    chance = next(r for r in light if r["signal"] == "entropy" and r["wrong_by_more_than_ms"] == 50)
    assert abs(chance["auroc"] - 0.5) < 0.15
    if tells:
        assert linked["spearman"] == -1 and linked["partial"] < -0.98 and row["auroc"] == 1
        assert row["precision_at_10_percent"] == 1 and row["minus_probability_low"] > 0
    else:
        assert abs(linked["partial"]) < 0.2 and abs(row["auroc"] - 0.5) < 0.15


def test_heads_close_to_saliency_time_better() -> None:
    records = planted(True)
    rows = close.correlation_and_timing(records, ["encoder"], ["head 0.0"])
    assert [row["n"] for row in rows] == [4, 3] and all(row["spearman"] == -1 for row in rows)


def test_bootstrap_resamples_whole_groups() -> None:
    values = np.repeat([0.0, 1.0], 50)
    found = bootstrap(lambda k: float(values[k].mean()), ["a"] * 50 + ["b"] * 50)
    assert found.value == 0.5 and found.low == 0 and found.high == 1
    alone = bootstrap(lambda k: spearman(values[k], values[k]), ["a"] * 100)
    assert alone.value == 1 and math.isnan(alone.low)


@pytest.fixture(scope="module")
def study(tmp_path_factory, few_draws) -> Path:
    """A small study of the sample recordings."""
    folder = tmp_path_factory.mktemp("gap")
    manifest, output = folder / "samples.jsonl", folder / "results"
    runner = CliRunner()
    for name in ("carrots", "oranges", "twelve"):
        for suffix in (".flac", ".TextGrid"):
            shutil.copy(SAMPLES / f"{name}{suffix}", folder)
    made = runner.invoke(main, ["prepare", "textgrid", str(folder), "-o", str(manifest)])
    assert made.exit_code == 0, made.output
    found = runner.invoke(main, ["gap", str(manifest), "-o", str(output), *SMALL])
    assert found.exit_code == 0, found.output
    (folder / "stdout").write_text(found.stdout)
    return folder


def test_study_writes_its_files(study: Path) -> None:
    output = study / "results"
    result = json.loads((output / "gap.json").read_text())
    records = [json.loads(line) for line in (output / "utterances.jsonl").read_text().splitlines()]
    assert len(records) == 3 and result["words"] == sum(len(r["words"]) for r in records)
    timing = {row["source"]: row for row in result["tables"]["timing"]}
    assert timing["gradient:output"]["utterances"] == timing["encoder"]["utterances"] == 3
    assert timing["head"]["error_ms"] < timing["attention"]["error_ms"] < timing["uniform"]["error_ms"]
    assert all(
        sum(row[f"{part.replace(' ', '_')}_ms"] for part in findings.PARTS) == pytest.approx(row["error_ms"], abs=0.3)
        for row in result["tables"]["account"]
    )
    assert {"timing.csv", "heads.csv", "account.svg", "heads.svg", "gap.md"} <= {p.name for p in output.iterdir()}
    assert (study / "stdout").read_text() == (output / "gap.md").read_text()
    assert len(result["tables"]["heads"]) >= 3 and result["findings"]


def test_study_resumes_to_the_same_bytes(study: Path) -> None:
    output = study / "results"
    before = {p.name: p.read_bytes() for p in output.iterdir() if p.is_file() and p.suffix != ".html"}
    lines = before["utterances.jsonl"].splitlines(keepends=True)
    (output / "utterances.jsonl").write_bytes(b"".join(lines[:2]) + lines[2][:100])
    found = CliRunner().invoke(main, ["gap", str(study / "samples.jsonl"), "-o", str(output), *SMALL])
    assert found.exit_code == 0, found.output
    assert {n: (output / n).read_bytes() for n in before} == before


def test_another_study_in_the_same_folder_is_refused(study: Path) -> None:
    command = ["gap", str(study / "samples.jsonl"), "-o", str(study / "results"), "--masks", "40"]
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 1 and "give another -o" in found.output


def test_report_makes_a_page_of_a_study(study: Path) -> None:
    found = CliRunner().invoke(main, ["report", str(study / "results")])
    assert found.exit_code == 0, found.output
    page = (study / "results" / "report.html").read_text()
    assert page.count("<svg") == 2 and 'src="http' not in page and 'href="http' not in page and "`" not in page
    result = json.loads((study / "results" / "gap.json").read_text())
    assert all(f"<td>{row['error_ms']:.1f} [" in page for row in result["tables"]["timing"])
    assert "What the gap costs" in result["findings"]["answer"][-1]
    assert (
        page.index("What the gap costs: ") < page.index("<svg") < page.index("<table") < page.index("Timed from head")
    )
    assert all(f"{note[:30]}" in html.unescape(page) for note in NOTES.values()) and set(NOTES) == set(TITLES)


def test_columns_are_told_with_their_units_and_numbers_of_a_column_have_as_many_digits() -> None:
    rows = [
        {"map": "a", "error_ms": 66.0, "error_ms_low": 50.0, "error_ms_high": 71.3, "at_10_percent": 0.5, "n": 3},
        {
            "map": "b",
            "error_ms": -0.0,
            "error_ms_low": math.nan,
            "error_ms_high": math.nan,
            "at_10_percent": None,
            "n": 4,
        },
    ]
    header, body, is_text = cells_of(rows)
    assert header == ["map", "error, ms", "at 10 percent", "n"] and is_text == [True, False, False, False]
    assert body == [["a", "66.0 [50.0, 71.3]", "0.500", "3"], ["b", "0.0", "–", "4"]]


def test_a_study_of_another_kind_is_refused_in_a_sentence(study: Path, tmp_path: Path) -> None:
    result = json.loads((study / "results" / "gap.json").read_text())
    (tmp_path / "gap.json").write_text(json.dumps({**result, "findings": ["one"]}))
    found = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert found.exit_code == 1 and "gap.json is not a study of align-eval gap" in found.stderr


def test_a_study_without_time_for_maps_reports_what_attention_and_the_head_say(study: Path) -> None:
    for path in (study / "results" / "maps").rglob("*.npz"):
        path.unlink()
    command = ["gap", str(study / "samples.jsonl"), "-o", str(study / "results"), *SMALL, "--minutes", "0"]
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 0, found.output
    result = json.loads((study / "results" / "gap.json").read_text())
    assert result["maps"] == {"encoder": 0, "gradient:output": 0} and not result["tables"]["explained"]
    assert {"attention", "head", "uniform"} <= {row["source"] for row in result["tables"]["timing"]}
