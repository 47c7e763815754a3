"""What a batch has finished: a line a recording while it runs, a table when it is done.

Each finished recording is one line in a journal in the output folder, written
after its outputs are. A run that is killed leaves the journal; with `resume`
a recording whose line is there is not done again, if its audio, its
transcript, the model and the settings are the same. At the end the journal
becomes `summary.csv`, which serves a later `resume` as well.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

import aligner
from aligner import plugins
from aligner.command.plan import Job, Plan, outputs
from aligner.errors import OutputError
from aligner.files import TEMPORARY, atomic_write, lock, output_errors
from aligner.models.find import find
from aligner.text.transcript import Transcript

JOURNAL, SUMMARY = ".align-journal.jsonl", "summary.csv"
_HASHED = 1 << 28  # bytes; of larger recordings size and time of change stand for the content


@dataclass(frozen=True)
class Row:
    """What became of a recording: a line of the summary."""

    audio: str
    status: str
    words: int = 0
    duration: float = 0.0
    language: str = ""
    probability: str = ""
    flagged: int = 0
    repairs: int = 0
    missing: int = 0
    message: str = ""
    key: str = ""


class Journal:
    """The open journal of a run; see `opened`."""

    def __init__(self, handle: IO[str]) -> None:
        self._handle = handle
        handle.write("\n")  # ends the line that an earlier run was writing when it ended

    def add(self, job: Job, row: Row) -> None:
        """Record that a recording's outputs are complete."""
        self._handle.write(json.dumps({"name": job.name, **asdict(row)}) + "\n")
        self._handle.flush()


@contextmanager
def opened(plan: Plan, resume: bool) -> Iterator[Journal]:
    """Open the journal of an output folder for this run alone; what is left of killed runs is removed.

    Raises
    ------
    OutputError
        Another run writes to the folder, or nobody can.
    """
    path = plan.folder / JOURNAL
    with output_errors(path):
        plan.folder.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as handle:
            if not lock(handle):
                raise OutputError(f"another run is writing to {plan.folder}: wait for it, or choose another -o")
            if not resume:
                handle.truncate(0)
            remove_leftovers(plan)
            yield Journal(handle)


def close(plan: Plan, rows: Sequence[Row]) -> None:
    """Turn the journal into the summary.

    Raises
    ------
    OutputError
    """
    # Names that are no Unicode are written escaped.
    with (
        atomic_write(plan.folder / SUMMARY) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as handle,
    ):
        table = csv.DictWriter(handle, [field.name for field in fields(Row)])
        table.writeheader()
        table.writerows(asdict(row) for row in rows)
    with output_errors(plan.folder / JOURNAL):
        (plan.folder / JOURNAL).unlink(missing_ok=True)


def key(plan: Plan, job: Job, found: Transcript | None) -> str:
    """Fingerprint of everything that shapes a recording's outputs."""
    stat = job.audio.stat()
    digest = hashlib.sha256(job.audio.read_bytes() if stat.st_size < _HASHED else str(stat.st_mtime_ns).encode())
    loading = {name: value for name, value in plan.loading.items() if name != "threads"}
    parts = (
        stat.st_size, found and (found.text, found.cues), plan.settings, plan.writer, loading,
        _weights(plan.loading["name"]), _head(plan.settings.head), plan.channel, plan.track,
        plugins.loaded(), aligner.__version__,
    )  # fmt: skip
    digest.update(repr(parts).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:16]


def _weights(name: str) -> list[tuple[str, int, int]]:
    """Sizes and times of change of a checkpoint's files."""
    path = find(name)
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    stats = [(file.name, file.stat()) for file in files]
    return [(file, stat.st_size, stat.st_mtime_ns) for file, stat in stats]


def _head(name: str | None) -> str | None:
    """Content of the timing head that is given, hashed; those that come with the package are of its version."""
    return None if name is None else hashlib.sha256(Path(name).read_bytes()).hexdigest()


def earlier(plan: Plan) -> Iterator[tuple[Job, Row]]:
    """Recordings that an earlier run recorded and whose files are all there; their key is still to be compared."""
    by_name: dict[str, Row] = {}
    by_audio = {row.audio: row for row in _summarised(plan.folder / SUMMARY) if row.status == "done"}
    if (journal := plan.folder / JOURNAL).is_file():
        for line in journal.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # blank, or the line that was being written when the run ended
            name = entry.pop("name", "")
            if (row := _row(entry)) is not None:
                by_name[name] = row
    for job in plan.jobs:
        row = by_name.get(job.name) or by_audio.get(str(job.audio))
        # Not even a machine that lost power may make an empty file pass for an output.
        if row is not None and all(path.is_file() and path.stat().st_size for _, path in outputs(plan, job)):
            yield job, row


def _summarised(path: Path) -> list[Row]:
    """Rows of a summary; none of another table of that name."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace", newline="") as handle:
        try:
            return [row for entry in csv.DictReader(handle) if (row := _row(dict(entry))) is not None]
        except csv.Error:
            return []


def _row(entry: dict[str, Any]) -> Row | None:
    """A row from a line; None for what this version did not write."""
    try:
        numbers = {name: int(entry[name]) for name in ("words", "flagged", "repairs", "missing")}
        return Row(**{**entry, **numbers, "duration": float(entry["duration"])})
    except (KeyError, TypeError, ValueError):
        return None


def remove_leftovers(plan: Plan) -> None:
    """Remove what workers were writing when they ended."""
    for folder in {path.parent for job in plan.jobs for _, path in outputs(plan, job)} | {plan.folder}:
        if folder.is_dir():
            for path in folder.iterdir():
                if TEMPORARY.fullmatch(path.name) and path.is_file():
                    path.unlink(missing_ok=True)
