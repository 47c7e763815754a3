"""The guide to extending, followed to the letter: as plugins, and inside a copy of the package, where files count."""

from __future__ import annotations

import csv
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
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
GUIDE = (ROOT / "docs" / "extending.md").read_text("utf-8")
BLOCKS = re.findall(r"```(python|json|sh)\n(.*?)```", GUIDE, re.DOTALL)
EXAMPLES = {block[2:].partition("\n")[0]: block.partition("\n")[2] for kind, block in BLOCKS if kind == "python"}
# What the table says: module and name of each registry, and how many files a part inside the package takes.
TABLE = re.findall(r"`((?:aligner|eval)(?:\.\w+)+)\.(\w+)` \| (\d) \|$", GUIDE, re.MULTILINE)
WORDS = (SAMPLES / "carrots.txt").read_text().split()


def example_of(registry: str) -> str:
    """The file of the guide that registers a part there."""
    (name,) = [name for name, code in EXAMPLES.items() if re.search(rf"\b{registry}\.register", code)]
    return name


def follow() -> None:
    """Write and run, in the current folder, what the guide says."""
    for kind, block in BLOCKS:
        if kind != "sh":
            name, _, content = block[2:].partition("\n")
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
def folder(tmp_path_factory: pytest.TempPathFactory, embedded_checkpoint: Path) -> Path:
    """What a reader of the guide has at hand."""
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
    return folder


@pytest.fixture(scope="module")
def followed(folder: Path) -> Path:
    """That folder after the guide, in a process of its own: what is registered there would stay for other tests."""
    done = subprocess.run([sys.executable, __file__], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def made(folder: Path, plugin: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / f"{plugin}.out.json").read_text())
    return found


def words_of(alignment: dict[str, object]) -> list[str]:
    segments: list[dict[str, list[dict[str, str]]]] = alignment["segments"]  # type: ignore[assignment]
    return [word["word"].strip() for segment in segments for word in segment["words"]]


# --- from outside ----------------------------------------------------------------------------


def test_every_registry_of_the_guide_is_there_and_shown(followed: Path) -> None:
    assert len(TABLE) == 14
    for module, name, _ in TABLE:
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
        assert name == "Settings" or example_of(name)


def test_steps_and_paths_are_recorded(followed: Path) -> None:
    step, path = (made(followed, name)["provenance"] for name in ("power", "sharp"))
    assert step["aggregation"]["steps"] == ["softmax-crop", "mean", "power:3"]  # type: ignore[index]
    assert path["path"] == "sharp"  # type: ignore[index]


def test_formats_are_written_and_read(followed: Path) -> None:
    assert [line.split(" ", 2)[2] for line in (followed / "talk.lab").read_text().splitlines()] == WORDS
    assert words_of(made(followed, "dialogue")) == WORDS


@pytest.mark.parametrize("plugin", ["renamed", "npz"])
def test_families_and_weights_formats_give_the_model_that_they_hold(plugin: str, followed: Path) -> None:
    """Whatever its file or its name, the checkpoint is the embedded one."""
    mine, embedded = (made(followed, name)["provenance"] for name in (plugin, "dialogue"))
    assert mine["fingerprint"] == embedded["fingerprint"]  # type: ignore[index]
    assert words_of(made(followed, plugin)) == WORDS


def test_detectors_spellers_and_saliency_are_used(followed: Path) -> None:
    assert made(followed, "whole")["provenance"]["vad"] == "whole"  # type: ignore[index]
    assert words_of(made(followed, "names")) == WORDS
    assert made(followed, "loud")["provenance"]["saliency"] == "loud"  # type: ignore[index]
    assert '"agreement"' in (followed / "loud.out.json").read_text()


def test_corpora_grids_metrics_and_baselines_reach_the_results(followed: Path) -> None:
    gold = read_words(SAMPLES / "carrots.TextGrid")
    (line,) = [json.loads(line) for line in (followed / "field.jsonl").read_text().splitlines()]
    assert [word for word, *_ in line["words"]] == [word.text for word in gold]
    rows = {name: list(csv.DictReader((followed / name / "scores.csv").open())) for name in (
        "results", "results-late", "results-pauses"
    )}  # fmt: skip
    assert {"cubed", "all-heads", "default"} <= {row["system"] for row in rows["results"]}
    assert all(0 <= float(row["late_onsets_percent"]) <= 100 for row in rows["results-late"])
    assert len(rows["results-late"]) > 3
    assert {"trim", "keep", "even"} <= {row["system"] for row in rows["results-pauses"]}


# --- from inside -----------------------------------------------------------------------------

FIELD = "    confidence: bool = True\n"
OPTION = '@click.option("--units"'
PROVE = """
from aligner.audio.speech import detectors
from aligner.saliency import methods
from aligner.text.pronunciation import spellers
from eval.baselines import baselines
from eval.columns import metrics
from eval.corpora import recipes
from eval.grid import DecoderShape, candidates_of, grids

assert "whole" in detectors and "loud" in methods and "even" in baselines and "field" in recipes
assert "late_onsets_percent" in metrics and "pauses" in grids
assert spellers["cmudict"]("en")("Xochitl.") == (("S", "OW", "CH", "IY", "L"),)
(mine,) = [c for c in candidates_of("mine.json", DecoderShape(4, 6, True)) if c.name == "mine"]
assert mine.settings.tempo == 2.0
"""
MODULES_OF_THEIR_OWN = ("methods", "weights_formats", "formats", "readers", "recipes")  # in a package that imports them


def build_in(example: str, module: str, registry: str, tree: Path) -> None:
    """Make an example of the guide a part of the package: in the module of its registry, or a module beside that."""
    home = tree.joinpath(*module.split(".")).with_suffix(".py")
    code = EXAMPLES[example]
    stem = example.removesuffix(".py")
    if registry == "model_families":  # whose modules are imported only when their models are
        adapter, registration = code.split("\n\n\nmodel_families.register")
        name, class_name = re.fullmatch(r"\((\".*\")\)\((\w+)\)\n", registration).groups()  # type: ignore[union-attr]
        write(home.with_name(example), adapter.replace(f"from {module} import {registry}\n", "") + "\n")
        lazy = (
            f"\n\n@model_families.register({name})\n"
            f"def _{stem}(checkpoint: Checkpoint, device: Any, dtype: Any) -> SpeechModel:\n"
            f"    from aligner.models.{stem} import {class_name}\n\n"
            f"    return {class_name}(checkpoint, device, dtype)\n"
        )
        write(home, home.read_text("utf-8") + lazy)
    elif registry in MODULES_OF_THEIR_OWN:
        package = (home if home.is_file() else home.with_suffix("") / "x").parent
        write(package / example, code)
        face, line = package / "__init__.py", f"from {'.'.join(package.relative_to(tree).parts)} import "
        write(face, face.read_text("utf-8").replace(line, f"{line}{stem}, ", 1))
    else:
        own = re.compile(rf"^from {re.escape(module)} import .*\n", re.MULTILINE)
        write(home, home.read_text("utf-8") + "\n\n" + own.sub("", code))


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def add_setting(tree: Path) -> None:
    """A setting, as the guide says: its field and its option."""
    settings, cli = tree / "aligner" / "timing" / "settings.py", tree / "aligner" / "command" / "cli.py"
    write(settings, settings.read_text("utf-8").replace(FIELD, FIELD + "    tempo: float = 1.0\n"))
    option = '@click.option("--tempo", type=float, help="How fast is spoken.")\n'
    write(cli, cli.read_text("utf-8").replace(OPTION, option + OPTION))


def snapshot(tree: Path) -> dict[str, str]:
    return {path.relative_to(tree).as_posix(): path.read_text("utf-8") for path in tree.rglob("*.py")}


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, int]]]:
    """A copy of the package with a part of each kind more, and how many files each took."""
    tree = tmp_path_factory.mktemp("tree")
    for package in ("aligner", "eval"):
        shutil.copytree(
            ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__", "embedded", "heads")
        )
    (tree / "aligner" / "embedded").symlink_to(ROOT / "aligner" / "embedded")
    (tree / "aligner" / "heads").mkdir()
    touched = {}
    for module, registry, _ in TABLE:
        before = snapshot(tree)
        if registry == "Settings":
            add_setting(tree)
        else:
            build_in(example_of(registry), module, registry, tree)
        after = snapshot(tree)
        touched[registry] = len([name for name in after if before.get(name) != after[name]])
    yield tree, touched


def test_a_part_inside_the_package_takes_as_many_files_as_the_guide_says(
    inside: tuple[Path, dict[str, int]],
) -> None:
    assert inside[1] == {registry: int(files) for _, registry, files in TABLE}
    assert max(inside[1].values()) == 2


def test_parts_inside_the_package_are_used(inside: tuple[Path, dict[str, int]], folder: Path, tmp_path: Path) -> None:
    tree, _ = inside
    shutil.copytree(folder / "arrays", tmp_path / "arrays")
    config = json.loads((folder / "checkpoint" / "config.json").read_text())
    (tmp_path / "arrays" / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.json").write_text(json.dumps([{"name": "mine", "tempo": 2.0}]))
    # A timing head is a file in the folder of heads, and no other change.
    (tree / "aligner" / "heads" / "mine.safetensors").symlink_to(ROOT / "aligner" / "heads" / "tiny.en.safetensors")

    def run(*arguments: object) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    run("-m", "aligner", folder / "talk.wav", "--text", folder / "talk.dialogue", "--model", "arrays",
        "--steps", "softmax-crop,mean,power:3", "--path", "sharp", "--timing", "both", "--saliency", "loud",
        "--tempo", "2", "-f", "lab,json", "-o", "out")  # fmt: skip
    found = json.loads((tmp_path / "out" / "talk.json").read_text())
    assert (
        words_of(found)
        == WORDS
        == [x.split(" ", 2)[2] for x in (tmp_path / "out" / "talk.lab").read_text().splitlines()]
    )
    provenance = found["provenance"]
    assert (provenance["path"], provenance["saliency"], provenance["tempo"]) == ("sharp", "loud", 2.0)
    assert "checkpoint" in json.dumps(provenance["head"])
    run("-c", PROVE)


if __name__ == "__main__":
    follow()
