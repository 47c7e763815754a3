"""Templates of pages that stand on their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aligner.errors import SettingError


def template(name: str, **filters: Callable[[Any], Any]) -> Any:
    """A jinja2 template, whose `render` gives a page.

    Parameters
    ----------
    name : str
        File in `eval/templates`.
    **filters
        How it writes some values.

    Raises
    ------
    SettingError
        The extra `eval` is not installed.
    """
    try:
        import matplotlib  # noqa: F401  pages hold its plots
        from jinja2 import Environment, FileSystemLoader
    except ImportError as error:
        raise SettingError(
            f"reports need {error.name}: install the extra with pip install 'cross-attention-aligner[eval]'"
        ) from None
    folder = Path(__file__).parent / "templates"
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(filters)
    return environment.get_template(name)
