"""Options and places that many tests use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test reaches a hub

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"


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
