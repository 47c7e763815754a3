"""Parts of a user's own, from outside the package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
SQUARE = """
from aligner.timing.steps import steps


@steps.register("square")
def square(values, rows, argument):
    return values**2, rows
"""


def run(*arguments: object, module: str = "aligner") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", module, *map(str, arguments)], capture_output=True, text=True)


def test_a_step_of_ones_own_is_used_by_every_worker(tmp_path: Path) -> None:
    plugin = tmp_path / "square.py"
    plugin.write_text(SQUARE)
    chosen = ("--text", SAMPLES, "--steps", "softmax-crop,mean,square", "-f", "json")
    recordings = (SAMPLES / "carrots.flac", SAMPLES / "twelve.flac")
    unknown = run(*recordings, *chosen, "-o", tmp_path / "out")
    assert unknown.returncode == 2 and "unknown attention step 'square'" in unknown.stderr
    found = run(*recordings, *chosen, "-o", tmp_path / "out", "--plugin", plugin, "--jobs", 2)
    assert found.returncode == 0, found.stderr
    made = json.loads((tmp_path / "out" / "twelve.json").read_text())
    assert made["provenance"]["aggregation"]["steps"] == ["softmax-crop", "mean", "square"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("x = (", "SyntaxError"),
        ("\n\n1 / 0\n", "ZeroDivisionError: division by zero (%s, line 3)"),
    ],
)
def test_a_plugin_that_fails_says_where_in_one_sentence(tmp_path: Path, content: str | None, said: str) -> None:
    plugin = tmp_path / "mine.py"
    if content is not None:
        plugin.write_text(content)
    for module, rest in (("aligner", ["talk.wav"]), ("eval", ["prepare", "timit", "x", "-o", "y"])):
        found = run("--plugin", plugin, *rest, module=module)
        assert found.returncode in (1, 2) and "Traceback" not in found.stderr
        assert (said.replace("%s", str(plugin))) in found.stderr, found.stderr
        assert str(plugin) in found.stderr


def test_a_module_by_name_and_a_corpus_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from eval.corpora.base import Recipe, recipes\n\n\n"
        'def prepare(folder):\n    """Nothing at all."""\n    return ()\n\n\n'
        'recipes.register("mine")(Recipe(prepare))\n'
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[1]}")
    found = run("--plugin", "mine", "prepare", "mine", tmp_path, "-o", tmp_path / "m.jsonl", module="eval")
    assert found.returncode == 1 and "no utterance to write" in found.stderr
    assert "mine" in run("--plugin", "mine", "prepare", "--help", module="eval").stdout
