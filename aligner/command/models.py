"""`align models`: the checkpoints on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aligner.errors import ModelError

if TYPE_CHECKING:
    from aligner.models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Listed:
    """A checkpoint, as the table shows it."""

    name: str
    size: str
    family: str
    format: str
    languages: str
    head: str
    where: str


TITLES = Listed("model", "size", "family", "format", "languages", "timing head", "where")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def models() -> None:
    """List the checkpoints on this machine, by the names that --model takes.

    Looks inside the package, in the hub's cache (HF_HUB_CACHE, HF_HOME), where transformers and faster-whisper keep
    theirs, and in openai-whisper's (XDG_CACHE_HOME). A name such as small or turbo that is not listed is fetched from
    the hub when --model asks for it.
    """
    rows = [TITLES]
    for name, path in _on_this_machine():
        try:
            row = _row(name, path)
        except ModelError as error:
            click.echo(f"{name}: {error}", err=True)
            continue
        rows += [row] if row is not None else []
    cells = [astuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _on_this_machine() -> Iterator[tuple[str, Path]]:
    """Names and places of checkpoints; the shortest name that finds each."""
    from aligner.models import caches
    from aligner.models.find import REPOSITORIES, on_this_machine
    from aligner.models.known import EMBEDDED

    short = {path: name for name in REPOSITORIES if (path := on_this_machine(name)) is not None}
    yield "embedded", EMBEDDED
    for repository, folder in caches.repositories():
        yield short.get(folder, repository), folder
    for file in caches.whisper_files():
        yield short.get(file, str(file)), file


def _row(name: str, path: Path) -> Listed | None:
    """What a checkpoint's files say of it; None for one of another kind."""
    from aligner.models import model_families
    from aligner.models.checkpoint import read_checkpoint
    from aligner.models.hub import size

    checkpoint = read_checkpoint(path, name)
    family = str(checkpoint.config.get("model_type"))
    if family not in model_families:
        return None
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    n_bytes = sum(file.stat().st_size for file in files)
    return Listed(name, size(n_bytes), family, checkpoint.format, _languages(checkpoint), _head(checkpoint), str(path))


def _languages(checkpoint: Checkpoint) -> str:
    """How many languages a Whisper knows: its vocabulary has a token for each."""
    from aligner.models import known

    if checkpoint.config["model_type"] != "whisper":
        return "-"
    vocabulary = int(checkpoint.config["vocab_size"])
    more = vocabulary - known.ENGLISH_VOCABULARY - 1
    return "English" if more < 0 else str(99 + more)


def _head(checkpoint: Checkpoint) -> str:
    """Whether a timing head is known for a checkpoint; reads what its fingerprint needs, and no more."""
    from aligner.timing.head import known

    return "yes" if known(checkpoint.fingerprint) else "-"
