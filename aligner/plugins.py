"""A user's own parts: modules that register an attention step, a path finder, a format, a corpus or a metric.

They are imported before any option is checked, so that what they register can be chosen like what is built in.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from aligner.errors import AlignerError, SettingError

_loaded: dict[str, str] = {}


def load(names: Iterable[str]) -> None:
    """Import modules, each once.

    Parameters
    ----------
    names : iterable of str
        A path that ends in .py, or a module's name as Python imports it.

    Raises
    ------
    SettingError
        No such module, or it fails; the sentence says where.
    """
    for name in names:
        if name not in _loaded:
            _loaded[name] = _import(name)


def loaded() -> dict[str, str]:
    """Names given to `load`, and the SHA-256 of each module's source: workers load them, journals compare them."""
    return dict(_loaded)


def _import(name: str) -> str:
    path = Path(name)
    if name.endswith(".py") and not path.is_file():
        raise SettingError(f"--plugin {name}: there is no such file")
    try:
        if name.endswith(".py"):
            module_name = f"aligner_plugin_{path.stem}"
            spec = importlib.util.spec_from_file_location(module_name, path)
            assert spec is not None and spec.loader is not None  # of a file that ends in .py
            module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(name)
    except AlignerError:
        raise
    except Exception as error:  # whatever a user's module raises is the module's fault, and told in a sentence
        raise SettingError(
            f"--plugin {name} cannot be loaded: {type(error).__name__}: {error}{_where(error)}"
        ) from error
    source = getattr(module, "__file__", None)
    return hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""


def _where(error: Exception) -> str:
    """The line of the plugin that failed."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if isinstance(error, SyntaxError) or last is None or "importlib" in last.tb_frame.f_code.co_filename:
        return ""
    return f" ({last.tb_frame.f_code.co_filename}, line {last.tb_lineno})"
