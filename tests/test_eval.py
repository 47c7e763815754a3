"""Grid, resumable runs, cross-validation, comparison and report, as their users run them."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from aligner.core import Word
from aligner.errors import InputError, SettingError
from aligner.metrics import merge
from aligner.timing.aggregation import Aggregation
from aligner.timing.settings import Settings
from eval import plots
from eval.baselines import uniform_times
from eval.breakdown import breakdown, word_errors
from eval.cli import main
from eval.columns import cells
from eval.compare import comparison
from eval.crossvalidation import cross_validated
from eval.grid import DecoderShape, candidates_of
from eval.manifest import make_utterance, write_manifest
from eval.report import answer, runs_in
from eval.scoring import as_csv, ranked, score
from eval.systems import AlignedUtterance, System, groups, read_system, write_system

ROOT = Path(__file__).parent.parent
WORDS = [("she", 0.3, 0.6), ("had", 0.7, 0.95), ("your", 0.95, 1.2), ("suit", 1.6, 2.1)]


def recording(name: str, speaker: str | None, shift: float, texts: str = "she had your suit") -> AlignedUtterance:
    reference = tuple(Word(*w) for w in WORDS)
    estimated = tuple(Word(t, w.start + shift, w.end + shift) for t, w in zip(texts.split(), reference, strict=True))
    return AlignedUtterance(name, "toy", "gold", speaker, 2.5, reference, estimated)


def system(name: str, shifts: list[float], family: str = "steps", **setting) -> System:
    recordings = (recording(f"u{k}", f"s{k // 2}", shift) for k, shift in enumerate(shifts))
    return System(name, family, tuple(recordings), setting)


# --- baselines -------------------------------------------------------------------------------


def test_uniform_words_share_the_time_by_length() -> None:
    assert uniform_times(["a", "cat"], 2.0) == [(0.0, 0.5), (0.5, 2.0)]


# --- grid ------------------------------------------------------------------------------------


def test_default_grid_covers_every_choice_of_the_embedded_shape() -> None:
    found = candidates_of("default", DecoderShape(3, 6, True))
    names = {s.name for s in found}
    assert len(found) == len(names) >= 60
    assert {f"head-{layer}.{head}" for layer in range(3) for head in range(6)} <= names
    assert {"layer-0", "layer-2", "last-1", "last-3", "upper-half-layers", "all-layers", "alignment-heads"} <= names
    assert {"default", "openai", "huggingface", "whisper-timestamped", "char-alignment"} <= names
    assert {"top-1", "top-15", "default+pauses-keep", "default+pauses-trim", "openai+units-character"} <= names
    assert {s.settings.units for s in found} == {"subword", "character"}
    assert {s.settings.pauses for s in found} == {"keep", "trim"}


def test_grid_leaves_out_what_a_checkpoint_does_not_have() -> None:
    found = candidates_of("default", DecoderShape(2, 2, False))
    assert not [s for s in found if s.settings.aggregation.heads == "alignment"]
    assert "top-5" not in {s.name for s in found}


def test_a_grid_of_ones_own(tmp_path) -> None:
    path = tmp_path / "grid.json"
    path.write_text('[{"name": "mine", "heads": "2.0", "layers": "all", "pauses": "keep", "vad": "energy"}]')
    mine = candidates_of(str(path), DecoderShape(3, 6, True))[-1]
    assert mine.name == "mine" and mine.settings == Settings(
        Aggregation("all", "2.0", ("softmax-crop", "mean", "log")),
        pauses="keep",
        timing="attention",
        vad="energy",
        confidence=False,
    )
    for text, error in (
        ('[{"name": "a b"}]', "may hold letters"),
        ('[{"name": "a"}, {"name": "a"}]', "two settings named 'a'"),
        ('[{"name": "a", "colour": 1}]', "setting 'a': unknown setting 'colour'"),
        ('[{"name": "a", "steps": ["nonsense"]}]', "first attention step"),
        ('[{"name": "a", "path": "astar"}]', "unknown path finder 'astar'"),
        ('[{"name": "uniform"}]', "two settings named 'uniform'"),
        ("{", "is not a grid"),
    ):
        path.write_text(text)
        with pytest.raises((InputError, SettingError), match=error):
            candidates_of(str(path), DecoderShape(3, 6, True))
    with pytest.raises(SettingError, match="unknown grid 'huge'"):
        candidates_of("huge", DecoderShape(3, 6, True))


# --- systems, scores, cross-validation, comparison -------------------------------------------------


def test_system_file_round_trip(tmp_path) -> None:
    before = system("mine", [0.01, 0.02], heads="all")
    assert read_system(write_system(before, tmp_path)) == before
    (tmp_path / "other.json").write_text('{"words": []}')
    with pytest.raises(InputError, match="is not a system of align-eval"):
        read_system(tmp_path / "other.json")


def test_intervals_are_resampled_by_speaker_where_known() -> None:
    known = [recording("a", "x", 0), recording("b", "y", 0), recording("c", None, 0)]
    assert groups(known) == (["speaker x", "speaker y", "c"], "2 speakers and 1 utterances of unknown speakers")
    assert groups([recording("a", None, 0), recording("b", None, 0)]) == (["a", "b"], "2 utterances")
    assert groups([recording("a", "x", 0), recording("b", "x", 0)]) == (["a", "b"], "2 utterances")


def test_row_states_errors_counts_and_matched_share_together() -> None:
    half = System("half", "steps", (recording("a", "x", 0.03), recording("b", "y", 0.03, "she hat the suit")))
    row = score(half)
    table = cells(row)
    assert row.boundary_error.value == pytest.approx(0.03) and row.macro_error == pytest.approx(0.03)
    assert table["matched_percent"] == 75.0 and table["words"] == 8 and table["speakers"] == 2
    assert table["onset_within_25ms_percent"] == 0 and table["onset_within_50ms_percent"] == 100
    assert table["resampled_by"] == "2 speakers"
    parsed = list(csv.DictReader(as_csv([table]).splitlines()))
    assert parsed[0]["micro_boundary_error_ms"] == "30.0"


def test_leaving_words_out_does_not_win() -> None:
    full = system("full", [0.05] * 4)
    picky = System("picky", "steps", tuple(recording(f"u{k}", f"s{k // 2}", 0.0, "she x x x") for k in range(4)))
    assert [r.name for r in ranked([score(picky), score(full)])] == ["full", "picky"]
    assert cross_validated([full, picky]).setting["picks"] == {"full": 2}


def test_cross_validation_scores_each_speaker_with_a_choice_made_on_the_others() -> None:
    # A is best for speakers 0 and 1, B for speaker 2 and overall worse.
    a = system("a", [0.01, 0.01, 0.01, 0.01, 0.2, 0.2])
    b = system("b", [0.06, 0.06, 0.06, 0.06, 0.05, 0.05])
    baseline = system("oracle", [0.0] * 6, family="baseline")
    found = cross_validated([a, b, baseline])
    # Without speaker 0 or 1, the others say B (0.055 < 0.105); without speaker 2 they say A.
    assert found.setting == {"picks": {"b": 2, "a": 1}, "folds": 3}
    assert [round(r.estimated[0].start - 0.3, 3) for r in found.recordings] == [0.06, 0.06, 0.06, 0.06, 0.2, 0.2]
    honest, tuned = (merge([r.scores for r in s.recordings]).boundary_error for s in (found, b))
    assert honest > tuned


def test_comparison_pairs_the_words_that_both_found() -> None:
    better, worse = system("better", [0.01] * 6), system("worse", [0.04, 0.05, 0.04, 0.05, 0.04, 0.06])
    text = comparison(better, worse)
    assert "better minus worse, on the 24 words that both matched of 24 (100.0 %)" in text
    assert "resampled by 3 speakers" in text
    line = next(x for x in text.splitlines() if x.startswith("onset mean absolute error, ms"))
    assert line.split()[5:8] == ["10.0", "46.7", "-36.7"] and line.endswith("(first is better)")
    assert "(not told apart)" in comparison(better, better)
    with pytest.raises(InputError, match="no utterance in common"):
        comparison(better, System("x", "steps", (recording("other", "x", 0),)))


def test_answer_names_the_pick_its_rivals_and_what_beats_it() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.004, 12)
    systems = [
        system("default", list(0.06 + noise), family="preset"),
        system("good", list(0.02 + noise)),
        system("twin", list(0.02 + noise)),
        system("close", list(0.02 + rng.normal(0, 0.004, 12))),
        system("bad", list(0.2 + noise)),
        system("oracle", list(0.005 + noise / 4), family="baseline"),
    ]
    systems.append(cross_validated(systems))
    found = answer(systems, [score(s) for s in systems])
    assert found.pick.name in ("good", "close") and found.folds == 6
    assert found.gain.value == pytest.approx(-0.04, abs=0.005) and found.gain.excludes_zero
    assert "bad" not in found.rivals and "default" not in found.rivals and len(found.rivals) <= 1
    assert [r.name for r in found.better] == ["oracle"]
    assert found.n_settings == 4 and found.attention is None


def test_answer_names_the_best_of_attention_alone_where_the_pick_listens_to_a_timing_head() -> None:
    systems = [
        system("default", [0.01, 0.012] * 6, family="preset", timing="auto"),
        system("head-0.0", [0.03, 0.032] * 6, timing="attention"),
        system("openai", [0.09, 0.092] * 6, family="preset", timing="attention"),
    ]
    with_head = [*systems, system("attention", [0.04, 0.042] * 6, family="timing", timing="attention")]
    for tried, expected in ((with_head, "head-0.0"), (systems, None)):
        tried = [*tried, cross_validated(tried)]
        found = answer(tried, [score(s) for s in tried])
        assert found.pick.name == "default" and (found.attention and found.attention.name) == expected


def test_words_fall_into_the_right_categories() -> None:
    words = list(word_errors(system("s", [0.02, -0.03])))
    assert [w.position for w in words[:4]] == ["first", "second", "inner", "last"]
    assert [w.before for w in words[:4]] == ["edge", "short pause", "no pause", "pause ≥ 0.2 s"]
    assert [w.after for w in words[:4]] == ["short pause", "no pause", "pause ≥ 0.2 s", "edge"]
    assert {w.length for w in words[:4]} == {"3-4"}
    table = breakdown([system("s", [0.02, -0.03])])["onset by the pause before the word"]["s"]
    assert [(name, count) for name, count, _ in table] == [
        ("edge", 2), ("no pause", 2), ("short pause", 2), ("pause ≥ 0.2 s", 2),
    ]  # fmt: skip
    assert table[0][2].value == pytest.approx(0.025)


# --- the commands ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Manifest of four short utterances of noise bursts, two speakers."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(3)
    utterances = []
    for k in range(4):
        moved = [(w, a + 0.05 * k, b + 0.05 * k) for w, a, b in WORDS]
        samples = 0.001 * rng.standard_normal(40_000)
        for _, start, end in moved:
            samples[round(start * 16_000) : round(end * 16_000)] *= 150
        soundfile.write(folder / f"u{k}.wav", samples, 16_000)
        utterances.append(make_utterance(f"u{k}", folder / f"u{k}.wav", moved, speaker=f"s{k % 2}", source="bursts"))
    write_manifest(utterances, folder / "bursts.jsonl")
    return folder / "bursts.jsonl"


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def results(corpus, tmp_path_factory) -> Path:
    """A finished run of the small grid."""
    folder = tmp_path_factory.mktemp("results") / "bursts"
    outcome = CliRunner().invoke(main, ["run", str(corpus), "-o", str(folder), "--grid", "small"])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout == ""
    return folder


def test_run_leaves_systems_scores_and_maps(results) -> None:
    names = {p.stem for p in (results / "systems").glob("*.json")}
    assert {"default", "openai", "uniform", "cross-validated"} <= names
    rows = list(csv.DictReader((results / "scores.csv").open()))
    assert {r["system"] for r in rows} == names and all(float(r["matched_percent"]) == 100 for r in rows)
    default = read_system(results / "systems" / "default.json")
    assert all(len(r.estimated) == 4 for r in default.recordings)
    values = np.load(results / "maps" / "0.npy")
    details = json.loads((results / "maps" / "0.json").read_text())
    assert values.shape == (len(details["tokens"]), max(details["path"][1]) + 1)


@pytest.mark.parametrize("name", ["carrots", "twelve"])
def test_run_agrees_with_the_pipeline(name: str) -> None:
    """The grid's shared passes give what `align` gives for one setting, of speech that fills its recording."""
    import aligner
    from aligner.textgrid import read_words
    from eval.run import Aligner

    path = ROOT / "data" / "samples" / name
    gold = [(w.text, w.start, w.end) for w in read_words(path.with_suffix(".TextGrid"))]
    utterance = make_utterance(name, path.with_suffix(".flac"), gold, speaker="s", source="samples")
    line = Aligner("embedded", "small", "gold").align(utterance)
    found = aligner.align(utterance.audio, text=utterance.text)
    assert line["words"] == [w.text for w in found.words]
    np.testing.assert_allclose(line["times"]["default"], [(w.start, w.end) for w in found.words], atol=1e-4)


def test_killed_run_resumes_to_the_same_bytes(corpus, results, tmp_path) -> None:
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "eval", "run", str(corpus), "-o", str(output), "--grid", "small"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (output / "words.jsonl").exists() and (output / "words.jsonl").stat().st_size:
            process.kill()
            break
        time.sleep(0.005)
    process.communicate()
    lines = (output / "words.jsonl").read_bytes()
    kept = lines[: lines.index(b"\n") + 1]
    # What a kill in the middle of a write leaves: a whole line and a part of the next.
    (output / "words.jsonl").write_bytes(kept + b'{"id": "u1", "wor')
    outcome = CliRunner().invoke(main, ["run", str(corpus), "-o", str(output), "--grid", "small"])
    assert outcome.exit_code == 0, outcome.output
    assert contents(output) == contents(results)


def test_two_processes_give_the_same_bytes_as_one(corpus, results, tmp_path) -> None:
    outcome = CliRunner().invoke(
        main, ["run", str(corpus), "-o", str(tmp_path / "two"), "--grid", "small", "--jobs", "2"]
    )
    assert outcome.exit_code == 0, outcome.output
    assert contents(tmp_path / "two") == contents(results)


def test_a_folder_of_another_run_is_refused(corpus, results, tmp_path) -> None:
    before = contents(results)
    outcome = CliRunner().invoke(main, ["run", str(corpus), "-o", str(results), "--grid", "default"])
    assert outcome.exit_code == 1 and "holds a run with other manifests, model, grid" in outcome.stderr
    assert contents(results) == before


def test_own_transcript_is_matched_by_words(corpus, tmp_path) -> None:
    output = tmp_path / "own"
    outcome = CliRunner().invoke(
        main, ["run", str(corpus), "-o", str(output), "--grid", "small", "--transcript", "own"]
    )
    assert outcome.exit_code == 0, outcome.output
    row = next(r for r in csv.DictReader((output / "scores.csv").open()) if r["system"] == "default")
    assert float(row["matched_percent"]) < 100  # bursts of noise are not these words
    assert row["words"] == "16"


def test_compare_command(results) -> None:
    first, second = (str(results / "systems" / f"{name}.json") for name in ("default", "uniform"))
    outcome = CliRunner().invoke(main, ["compare", first, second])
    assert outcome.exit_code == 0 and "default minus uniform, on the 16 words" in outcome.stdout


def test_report_is_one_page_that_needs_nothing_else(results, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    outcome = CliRunner().invoke(main, ["report", str(results), "-o", str(page)])
    assert outcome.exit_code == 0, outcome.output
    text = page.read_text()
    assert outcome.stdout.splitlines()[0] == str(page)
    assert {p.name for p in tmp_path.iterdir()} == {"page.html", "page-scores.csv", "page-words.csv"}
    head = text[: text.index("<h2>")]
    assert "Which aggregation should I use" in head and "<strong>How sure:</strong>" in head and "Use <strong>" in head
    assert 'src="http' not in text and "<link" not in text and "<script" not in text
    assert text.count("<svg") >= 5 and text.count("data:image/png;base64,") == 4
    assert f"align-eval report {results} -o {page}" in text and "align-eval run" in text
    assert "16 of 16" in text
    shown = re.sub(r"<[^>]+>", "", head)
    assert "times from the timing head; without one, from attention: layers upper-half" in text
    assert not re.search(r"[a-z]\.[A-Z0-9]", shown), "a sentence begins without a space"
    assert '"alignment_heads": [[' in re.sub(r"&#34;", '"', text)  # not a line for each number


def test_figures_are_drawn_the_same_way_twice() -> None:
    pytest.importorskip("matplotlib")
    rows = [(r.name, r.family, r.boundary_error) for r in (score(system("a", [0.01, 0.03, 0.02, 0.02])),)]
    assert plots.intervals(rows) == plots.intervals(rows)


def test_report_finds_runs_in_a_folder_and_refuses_one_without(results, tmp_path) -> None:
    assert list(runs_in([results.parent])) == list(runs_in([results])) == [results]
    (tmp_path / "empty").mkdir()
    outcome = CliRunner().invoke(main, ["report", str(tmp_path / "empty"), "-o", str(tmp_path / "none.html")])
    assert outcome.exit_code == 1 and "holds no finished run" in outcome.stderr
    shutil.copytree(results, tmp_path / "damaged")
    (tmp_path / "damaged" / "run.json").write_bytes(b"{\xff")
    outcome = CliRunner().invoke(main, ["report", str(tmp_path / "damaged"), "-o", str(tmp_path / "none.html")])
    assert outcome.exit_code == 1 and "run.json is not what align-eval run has written" in outcome.stderr


def test_help_is_instant_and_loads_no_torch() -> None:
    code = "import sys; from eval.cli import main; main(['--help'], standalone_mode=False); assert 'torch' not in sys.modules"  # noqa: E501
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    for command in main.commands.values():
        assert command.help, command.name
