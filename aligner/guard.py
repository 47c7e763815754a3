"""What transformers needs before it is imported.

The registry's torchaudio wheels link CUDA, so on a CPU build of torch the
import fails, and transformers, which imports torchaudio when it is installed,
fails with it. Everything used here is pure Python: a stand-in for the one
module that loads the compiled part is enough.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def import_torchaudio() -> ModuleType:
    """Import torchaudio, without its compiled extension where that cannot be loaded.

    Returns
    -------
    module
        torchaudio; `functional.forced_align` and `rnnt_loss` raise
        RuntimeError when the extension is missing.
    """
    try:
        return importlib.import_module("torchaudio")
    except (OSError, RuntimeError, ImportError):
        for name in [n for n in sys.modules if n.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        extension: Any = ModuleType("torchaudio._extension")
        extension._IS_TORCHAUDIO_EXT_AVAILABLE = False
        extension._IS_ALIGN_AVAILABLE = False
        extension.fail_if_no_align = _unavailable
        sys.modules["torchaudio._extension"] = extension
        return importlib.import_module("torchaudio")


def _unavailable(function: Any) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"torchaudio's {function.__name__} needs its compiled extension, which does not load here")

    return refuse
