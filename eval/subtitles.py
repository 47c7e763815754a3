"""`align-eval subtitles`: what a professional would retouch in files of subtitles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from aligner.core import Cue
from aligner.errors import InputError
from aligner.subtitles.check import KINDS, violations
from aligner.subtitles.style import Style, style
from aligner.text import readers
from aligner.text.languages import code
from aligner.text.transcript import read_text


def read_cues(path: Path) -> Sequence[Cue]:
    """Subtitles of a file.

    Raises
    ------
    InputError
        It holds none.
    """
    found = readers.read(read_text(path))
    if isinstance(found, str) or not any(cue.shown for cue in found):
        raise InputError(f"{path} holds no subtitles: give SubRip, WebVTT, ASS or LRC files")
    return found


def rates(files: Mapping[str, Sequence[Cue]], limits: Style) -> tuple[int, dict[str, float]]:
    """Number of subtitles, and violations of each kind per hundred of them."""
    count = sum(map(len, files.values()))
    kinds = Counter(found.kind for cues in files.values() for found in violations(cues, limits))
    return count, {kind: 100 * kinds[kind] / max(count, 1) for kind in KINDS}


def table(columns: Mapping[str, tuple[int, dict[str, float]]]) -> str:
    """Rates of several sources side by side, as a Markdown table."""
    rows = [["violations per 100 subtitles", *columns], ["---", *["---:"] * len(columns)]]
    rows += [
        [f"{kind}: {what}", *(f"{found[kind]:.1f}" for _, found in columns.values())] for kind, what in KINDS.items()
    ]
    rows += [["all", *(f"{sum(found.values()):.1f}" for _, found in columns.values())]]
    rows += [["subtitles", *(str(count) for count, _ in columns.values())]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@click.command("subtitles")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-l", "--language", default="en", show_default=True, metavar="NAME", help="Whose limits apply.")
@click.option("--max-cps", type=float, help="Most characters per second.")
@click.option("--max-chars", type=int, help="Most characters of a line.")
@click.option("--max-lines", type=int, help="Most lines.")
@click.option("--max-duration", type=float, help="Longest subtitle in seconds.")
@click.option("--fps", type=float, help="Frames per second of the video.")
@click.option("--list", "listed", is_flag=True, help="Also print every violation.")
def subtitles_command(files: tuple[Path, ...], language: str, listed: bool, **choices: Any) -> None:
    """What breaks the limits of public style guides in FILES, per hundred subtitles."""
    limits = style(code(language), **choices)
    cues = {str(path): read_cues(path) for path in files}
    if listed:
        for name, found in cues.items():
            for violation in violations(found, limits):
                click.echo(f"{name}, {violation.number}: {violation.kind}, {violation.detail}")
    click.echo(table({"found": rates(cues, limits)}))
