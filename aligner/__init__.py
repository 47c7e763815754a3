"""Word timings from the cross-attention of speech-to-text models.

>>> import aligner
>>> alignment = aligner.align("talk.wav", text="she had your dark suit")  # doctest: +SKIP
>>> [(word.text, word.start, word.end) for word in alignment.words]  # doctest: +SKIP

Importing this package loads neither torch nor numpy; the first use of a name does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aligner.core import Alignment, Word
    from aligner.errors import AlignerError
    from aligner.models import load_model
    from aligner.pipeline import align

__version__ = "0.1.0"
__all__ = ["AlignerError", "Alignment", "Word", "__version__", "align", "load_model"]

_HOME = {
    "AlignerError": "aligner.errors",
    "Alignment": "aligner.core",
    "Word": "aligner.core",
    "align": "aligner.pipeline",
    "load_model": "aligner.models",
}


def __getattr__(name: str) -> Any:
    """Import a public name on its first use, so that `align --help` waits for nothing."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
