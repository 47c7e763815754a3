"""Checkpoints that other tools have left on this machine: the hub's cache and that of openai-whisper.

The hub's cache (https://huggingface.co/docs/huggingface_hub/guides/manage-cache)
has a folder `models--OWNER--NAME` for each repository, with `refs/main` (the
name of a commit) and `snapshots/COMMIT` (its files). transformers and
faster-whisper both fetch into it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from aligner.errors import ModelError
from aligner.models.formats import read_json, weights_formats


def hub_cache() -> Path:
    """Folder of the hub's cache: `HF_HUB_CACHE`, or below `HF_HOME` or `XDG_CACHE_HOME`."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):  # the second is its older name
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    home = os.environ.get("HF_HOME")
    return (Path(home).expanduser() if home else _cache_home() / "huggingface") / "hub"


def whisper_cache() -> Path:
    """Folder where openai-whisper keeps its `.pt` files."""
    return _cache_home() / "whisper"


def _cache_home() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home).expanduser() if home else Path.home() / ".cache"


def snapshot(repository: str) -> Path | None:
    """Newest complete copy of a repository in the hub's cache.

    Parameters
    ----------
    repository : str
        Such as "openai/whisper-base".

    Returns
    -------
    Path or None
        Folder; None where there is none, or only a part of it.
    """
    folder = hub_cache() / ("models--" + repository.replace("/", "--"))
    copies = [path for path in _listed(folder / "snapshots") if path.is_dir()]
    current = folder / "refs" / "main"
    commit = current.read_text(encoding="utf-8").strip() if current.is_file() else ""
    copies.sort(key=lambda path: (path.name == commit, path.stat().st_mtime), reverse=True)
    return next((path for path in copies if is_complete(path)), None)


def is_complete(path: Path) -> bool:
    """Whether a folder holds a checkpoint that a reader knows, with every piece of its weights."""
    if not any(weights_formats[name].owns(path) for name in weights_formats):
        return False
    for index in path.glob("*.index.json"):
        try:
            pieces = read_json(index).get("weight_map")
        except ModelError:
            return False
        if not isinstance(pieces, dict) or not all((path / str(piece)).is_file() for piece in pieces.values()):
            return False
    return True


def repositories() -> Iterator[tuple[str, Path]]:
    """Repositories of complete checkpoints in the hub's cache, and their folders."""
    for folder in _listed(hub_cache()):
        kind, *parts = folder.name.split("--")
        if kind == "models" and parts and (path := snapshot("/".join(parts))) is not None:
            yield "/".join(parts), path


def whisper_files() -> list[Path]:
    """openai-whisper's files."""
    return [path for path in _listed(whisper_cache()) if path.suffix == ".pt"]


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
