"""The package as it is shipped, and the directions its imports may take."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "aligner").rglob("*.py"))
TORCH = {"guard.py", "audio", "models", "saliency", "training"}


def imported(path: Path) -> set[str]:
    """Top-level modules and modules of ours that a file imports at run time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    names = imported(path)
    assert not {n for n in names if n.split(".")[0] in ("eval", "data", "benchmarks", "tests")}
    part = path.relative_to(ROOT / "aligner").parts[0]
    if part not in TORCH:
        assert not {n for n in names if n.split(".")[0] in ("torch", "torchaudio", "transformers")}
    if part == "core.py":
        assert not {n for n in names if n.startswith("aligner")}


def test_a_wheel_runs_outside_the_tree(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("aligner", "eval"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        str(tree),
        "-w",
        str(tmp_path),
    ]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    assert wheel.stat().st_size < 90e6
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    sample = ROOT / "data" / "samples" / "oranges"
    command = [
        sys.executable,
        "-m",
        "aligner.command.cli",
        f"{sample}.flac",
        "--text",
        f"{sample}.txt",
        "-f",
        "ctm",
        "-o",
        "-",
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(
        command, cwd=tmp_path / "installed", env=environment, capture_output=True, text=True, check=True
    )
    assert [line.split()[4] for line in done.stdout.splitlines()] == Path(f"{sample}.txt").read_text().split()
