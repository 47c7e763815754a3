"""What the documentation says is what the code does."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from benchmarks.reference import reference

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = [
    path
    for package in ("aligner", "eval")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def test_the_reference_of_the_commands_is_current() -> None:
    """Words are compared, not lines: versions of click break them differently."""
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written.split() == reference().split(), "run: python -m benchmarks.reference > docs/cli.md"


def test_help_names_every_choice_that_is_registered() -> None:
    from aligner.audio.speech import detectors
    from aligner.timing.path import paths
    from aligner.timing.settings import PRESETS
    from aligner.timing.steps import COMBINE
    from aligner.writers import formats

    text = " ".join(reference().replace("-\n", "-").split())
    text = re.sub(r"(\w-) (\w)", r"\1\2", text)  # words that a line break parted
    for name in (*formats, *detectors, *paths, *PRESETS, *COMBINE):
        assert re.search(rf"\b{re.escape(name)}\b", text), name


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_in_docstrings_hold(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    found = doctest.testmod(module)
    assert found.attempted and not found.failed
