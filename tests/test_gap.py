"""The gap study: its statistics on planted records, and the command on recordings of this project."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from aligner.metrics.bootstrap import bootstrap
from aligner.metrics.saliency import spearman
from eval import gap_findings as findings
from eval.cli import main

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
pytestmark = pytest.mark.usefixtures("few_draws")
# Every mask is a pass of the whole encoder: enough of them to run, not to converge.
SMALL = ["--method", "encoder", "--method", "gradient", "--masks", "20", "--few", "1", "--deletion", "0"]
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
        error = rng.exponential(0.04, 8)
        agreement = -error if agreement_tells else rng.random(8)
        head_error = 0.05 * np.arange(1, 5)
        records.append(
            {
                "id": str(k),
                "speaker": f"s{k % 6}",
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
                        "pearson_mean_pooled": 0.4,
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


def test_paired_cost_of_a_source_is_exact() -> None:
    rows = {row["source"]: row for row in findings.timing(planted(False))}
    assert rows["attention"]["minus_attention_ms"] == 0
    assert rows["encoder"]["minus_attention_ms"] == rows["encoder"]["minus_attention_ms_low"] == 10
    assert rows["encoder"]["words"] == 24 * 8
    assert rows["encoder"]["error_ms"] == pytest.approx(rows["attention"]["error_ms"] + 10, abs=0.11)


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
    row = findings.correlation_and_timing(records, ["encoder"])[0]
    assert row["spearman"] == -1 and row["n"] == 4


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
    assert timing["gradient"]["utterances"] == timing["encoder"]["utterances"] == 3
    assert timing["attention"]["error_ms"] < timing["uniform"]["error_ms"]
    assert {"timing.csv", "heads.csv", "timing.svg", "heads.svg", "gap.md"} <= {p.name for p in output.iterdir()}
    assert (study / "stdout").read_text() == (output / "gap.md").read_text()
    assert len(result["tables"]["heads"]) >= 3 and result["findings"]


def test_study_resumes_to_the_same_bytes(study: Path) -> None:
    output = study / "results"
    before = {p.name: p.read_bytes() for p in output.iterdir() if p.suffix != ".html"}
    lines = before["utterances.jsonl"].splitlines(keepends=True)
    (output / "utterances.jsonl").write_bytes(b"".join(lines[:2]) + lines[2][:100])
    found = CliRunner().invoke(main, ["gap", str(study / "samples.jsonl"), "-o", str(output), *SMALL])
    assert found.exit_code == 0, found.output
    assert {p.name: p.read_bytes() for p in output.iterdir() if p.suffix != ".html"} == before


def test_another_study_in_the_same_folder_is_refused(study: Path) -> None:
    command = ["gap", str(study / "samples.jsonl"), "-o", str(study / "results"), "--masks", "40"]
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 1 and "give another -o" in found.output


def test_report_makes_a_page_of_a_study(study: Path) -> None:
    found = CliRunner().invoke(main, ["report", str(study / "results")])
    assert found.exit_code == 0, found.output
    page = (study / "results" / "report.html").read_text()
    assert page.count("<svg") == 2 and 'src="http' not in page and 'href="http' not in page
    result = json.loads((study / "results" / "gap.json").read_text())
    assert all(f"{row['error_ms']:g}" in page for row in result["tables"]["timing"])
