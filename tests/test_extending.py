"""The guide to extending, followed to the letter: its files are written, its commands are run."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from safetensors.torch import load_file

from aligner.command.cli import main as align
from aligner.textgrid import read_words
from eval.cli import main as align_eval

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
BLOCKS = re.findall(r"```(python|json|sh)\n(.*?)```", (ROOT / "docs" / "extending.md").read_text("utf-8"), re.DOTALL)


def follow() -> None:
    """Write and run, in the current folder, what the guide says."""
    for kind, block in BLOCKS:
        if kind != "sh":
            name, content = re.fullmatch(r"# (\S+)\n(.*)", block, re.DOTALL).groups()  # type: ignore[union-attr]
            Path(name).write_text(content)
            continue
        for line in block.splitlines():
            program, *arguments = shlex.split(line)
            command = {"align": align, "align-eval": align_eval}[program]
            done = CliRunner().invoke(command, arguments)
            assert done.exit_code == 0, f"{line}\n{done.output}"
            if Path("talk.json").exists():
                plugin = Path(arguments[arguments.index("--plugin") + 1]).stem
                Path("talk.json").rename(f"{plugin}.out.json")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, embedded_checkpoint: Path) -> Path:
    """A folder with what a reader of the guide has at hand, after the guide."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "recordings").mkdir()
    samples, rate = soundfile.read(SAMPLES / "carrots.flac")
    words = read_words(SAMPLES / "carrots.TextGrid")
    for place in (folder / "talk.wav", folder / "recordings" / "carrots.wav"):
        soundfile.write(place, samples, rate)
    shutil.copy(SAMPLES / "carrots.TextGrid", folder / "recordings")
    times = "".join(f"{w.start} {w.end} {w.text}\n" for w in words)
    (folder / "recordings" / "carrots.times").write_text(times)
    shutil.copy(SAMPLES / "carrots.txt", folder / "talk.txt")
    (folder / "talk.dialogue").write_text("[ANNA] " + (SAMPLES / "carrots.txt").read_text())
    shutil.copytree(embedded_checkpoint, folder / "checkpoint")
    config = json.loads((folder / "checkpoint" / "config.json").read_text())
    (folder / "checkpoint" / "config.json").write_text(json.dumps({**config, "model_type": "renamed_whisper"}))
    shutil.copytree(embedded_checkpoint, folder / "arrays")
    (folder / "arrays" / "model.safetensors").unlink()
    weights = load_file(embedded_checkpoint / "model.safetensors")
    np.savez(folder / "arrays" / "weights.npz", **{name: tensor.numpy() for name, tensor in weights.items()})
    # A process of its own: what the guide registers would stay for the other tests.
    done = subprocess.run([sys.executable, __file__], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def spoken(path: Path) -> list[str]:
    made = json.loads(path.read_text())
    return [word["word"].strip() for segment in made["segments"] for word in segment["words"]]


def test_every_seam_of_the_guide_is_there_and_shown(followed: Path) -> None:
    guide = (ROOT / "docs" / "extending.md").read_text("utf-8")
    for module, name in re.findall(r"`((?:aligner|eval)(?:\.\w+)+)\.(\w+)` \|$", guide, re.MULTILINE):
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
    assert len([kind for kind, _ in BLOCKS if kind == "python"]) >= 7


def test_steps_and_paths_are_recorded(followed: Path) -> None:
    step, path = (json.loads((followed / f"{name}.out.json").read_text())["provenance"] for name in ("power", "sharp"))
    assert step["aggregation"]["steps"] == ["softmax-crop", "mean", "power:3"]
    assert path["path"] == "sharp"


def test_formats_are_written_and_read(followed: Path) -> None:
    words = (SAMPLES / "carrots.txt").read_text().split()
    assert [line.split(" ", 2)[2] for line in (followed / "talk.lab").read_text().splitlines()] == words
    assert spoken(followed / "dialogue.out.json") == words


@pytest.mark.parametrize("plugin", ["renamed", "npz"])
def test_families_and_weights_formats_time_the_same_words(plugin: str, followed: Path) -> None:
    """Whatever its file or its name, the checkpoint is the embedded one."""
    made, embedded = (json.loads((followed / f"{name}.out.json").read_text()) for name in (plugin, "dialogue"))
    assert made["provenance"]["fingerprint"] == embedded["provenance"]["fingerprint"]
    assert spoken(followed / f"{plugin}.out.json") == (SAMPLES / "carrots.txt").read_text().split()


def test_corpora_grids_and_metrics_reach_the_results(followed: Path) -> None:
    gold = read_words(SAMPLES / "carrots.TextGrid")
    (line,) = [json.loads(line) for line in (followed / "field.jsonl").read_text().splitlines()]
    assert [word for word, *_ in line["words"]] == [word.text for word in gold]
    systems = {row["system"] for row in csv.DictReader((followed / "results" / "scores.csv").open())}
    assert {"cubed", "all-heads", "default"} <= systems
    rows = list(csv.DictReader((followed / "results-late" / "scores.csv").open()))
    assert all(0 <= float(row["late_onsets_percent"]) <= 100 for row in rows) and len(rows) > 3


if __name__ == "__main__":
    follow()
