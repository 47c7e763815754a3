"""Options and places that many tests use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test reaches a hub

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"
CASES = Path(__file__).parent / "data" / "cases"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Development corpora beside the checkout."""
    if not CORPORA.is_dir():
        pytest.skip("the development corpora are not beside this checkout")
    return CORPORA


@pytest.fixture(scope="session")
def cases() -> Path:
    """Recordings that failed once; `README.md` there says what each is."""
    return CASES


@pytest.fixture(scope="session")
def multilingual_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small Whisper checkpoint with random weights and the real multilingual vocabulary."""
    pytest.importorskip("transformers", reason="transformers, a test-only peer, is not installed")
    from benchmarks.peers import random_checkpoint

    return random_checkpoint(tmp_path_factory.mktemp("multilingual"), alignment_heads=[(0, 1), (1, 0), (1, 1)])


@pytest.fixture(scope="session")
def embedded_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded weights as a folder of transformers."""
    pytest.importorskip("transformers", reason="transformers, a test-only peer, is not installed")
    from benchmarks.peers import transformers_folder

    return transformers_folder("embedded", tmp_path_factory.mktemp("embedded"))
