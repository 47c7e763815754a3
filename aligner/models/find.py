"""Where a checkpoint lies that its user names."""

from __future__ import annotations

from pathlib import Path

from aligner.errors import ModelError

# The checkpoint inside the package.
EMBEDDED = Path(__file__).parent.parent / "embedded"


def find(name: str) -> Path:
    """Folder or file of a checkpoint.

    Parameters
    ----------
    name : str
        "embedded", or a path.

    Raises
    ------
    ModelError
        There is none of that name.
    """
    if name == "embedded":
        return EMBEDDED
    path = Path(name).expanduser()
    if path.exists():
        return path
    raise ModelError(f"no model {name!r}: give 'embedded', a checkpoint folder, or a .pt file of openai-whisper")
