"""One recording or thousands: what is to be aligned, written where, and what was finished already.

Every finished recording is one line in a journal in the output folder. With
`resume` a recording whose line is there is not done again, if its audio, its
transcript and the settings are the same. At the end the journal becomes
`summary.csv`. Outputs carry no times of day and no speeds, so a run that was
interrupted and resumed leaves the same bytes as one that was not.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import aligner
from aligner.audio import AUDIO_SUFFIXES, duration
from aligner.core import Alignment
from aligner.errors import AlignerError, InputError, OutputError, SettingError
from aligner.files import atomic_write, reason
from aligner.settings import Settings, choose
from aligner.transcript import SUFFIXES, Transcript, clean, find_transcript, read_text
from aligner.writers import WriterOptions, formats, render

JOURNAL, SUMMARY = ".align-journal.jsonl", "summary.csv"
DOUBTFUL = 0.8  # mean probability of its own words below which a transcript is doubted
MISMATCH = 0.33  # mean probability of given words below which they are hardly what is said


@dataclass(frozen=True)
class Job:
    """One recording.

    Attributes
    ----------
    audio : Path
    name : str
        Of its outputs, without suffix, relative to the output folder.
    text : str or None
        What `--text` or the manifest says.
    """

    audio: Path
    name: str
    text: str | None


@dataclass(frozen=True)
class Plan:
    """Everything a worker needs to know.

    Attributes
    ----------
    jobs : tuple of Job
    many : bool
        Whether a batch was asked for, be it of one recording.
    folder : Path
        Of the outputs.
    file : Path or None
        The one output file, where `-o` names one.
    to_stdout : bool
    formats : tuple of str
    writer : WriterOptions
    settings : Settings
    loading : dict
        Arguments of `aligner.load_model`.
    channel, encoding : int, str or None
    skip : tuple of str
    reference : Path or None
    """

    jobs: tuple[Job, ...]
    many: bool
    folder: Path
    file: Path | None
    to_stdout: bool
    formats: tuple[str, ...]
    writer: WriterOptions
    settings: Settings
    loading: dict[str, Any]
    channel: int | None
    encoding: str | None
    skip: tuple[str, ...]
    reference: Path | None


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


# --- what is to be done --------------------------------------------------------------------


def plan(inputs: Sequence[str], manifest: str | None, options: dict[str, Any]) -> Plan:
    """Jobs and settings from the command line's options.

    Raises
    ------
    SettingError
        Options that do not exist or contradict each other.
    InputError
        No recordings, or an unreadable manifest.
    """
    settings = choose(
        options["preset"],
        options["layers"],
        options["heads"],
        options["aggregation"],
        options["steps"],
        **{name: options[name] for name in ("path", "pauses", "units", "language", "task", "vad", "saliency", "masks")},
        tokens="tokens" in options["tiers"],
    )
    folder, file, chosen = _outputs(options["output"], options["formats"])
    text = options["text"]
    if text == "-":
        text = clean(sys.stdin.read()) or "-"
    jobs = _jobs(inputs, manifest, text)
    many = bool(manifest) or len(jobs) > 1 or any(Path(name).is_dir() for name in inputs)
    to_stdout = options["output"] == "-"
    if len(jobs) > 1 and (to_stdout or file is not None):
        raise SettingError(f"-o {options['output']} takes one recording, there are {len(jobs)}: name a folder")
    if len(jobs) > 1 and text is not None and not manifest and not Path(text[:255]).is_dir():
        raise SettingError("--text is one transcript for several recordings: name a folder of transcripts")
    given = {name: options[name] for name in ("cues", "max_chars", "max_lines", "max_duration") if options[name]}
    return Plan(
        jobs=jobs,
        many=many,
        folder=folder,
        file=file,
        to_stdout=to_stdout,
        formats=chosen,
        writer=WriterOptions(
            **given,
            highlight=options["highlight"],
            token_tier="tokens" in options["tiers"],
            flag_tier="flags" in options["tiers"],
        ),
        settings=settings,
        loading={"name": options["model"], **{name: options[name] for name in ("device", "dtype", "threads")}},
        channel=options["channel"],
        encoding=options["encoding"],
        skip=options["skip"],
        reference=options["reference"],
    )


def _outputs(output: str | None, listed: str | None) -> tuple[Path, Path | None, tuple[str, ...]]:
    """Output folder, output file if one is named, and formats."""
    names = tuple(formats) if listed == "all" else tuple(dict.fromkeys(f.strip() for f in (listed or "").split(",")))
    names = tuple(name for name in names if name)
    for name in names:
        formats[name]  # an unknown one is refused here
    if output is None:
        return Path(), None, names or ("textgrid",)
    if output == "-":
        if len(names) > 1:
            raise SettingError(f"standard output takes one format, not {', '.join(names)}")
        return Path(), None, names or ("json",)
    path = Path(output)
    named = next((name for name in formats if path.name.lower().endswith(formats[name].suffix.lower())), None)
    if path.is_dir() or output.endswith(("/", os.sep)) or not path.suffix:
        return path, None, names or ("textgrid",)
    if len(names) > 1:
        if named:
            raise SettingError(f"-o {output} is one file, -f names {len(names)} formats: name a folder")
        return path, None, names
    if not names:
        if named is None:
            raise SettingError(f"-o {output}: no format ends in {path.suffix}; name one with -f, or end a folder in /")
        names = (named,)
    return path.parent, path, names


def _jobs(inputs: Sequence[str], manifest: str | None, text: str | None) -> tuple[Job, ...]:
    jobs = [Job(audio, name, text) for given in inputs for audio, name in _recordings(given)]
    if manifest:
        jobs += [Job(audio, audio.stem, own or text) for audio, own in _manifest(manifest)]
    seen: dict[str, Job] = {}
    for job in jobs:
        other = seen.setdefault(job.name, job)
        if other.audio != job.audio:
            raise SettingError(f"{other.audio} and {job.audio} would write the same files: align them separately")
    if not seen:
        raise InputError(f"no recordings in {', '.join(inputs) or manifest}: looked for {' '.join(AUDIO_SUFFIXES)}")
    return tuple(seen.values())


def _recordings(given: str) -> Iterator[tuple[Path, str]]:
    """Recordings that an argument names, and the names of their outputs."""
    path = Path(given)
    if path.is_dir():
        for found in sorted(path.rglob("*")):
            if found.suffix.lower() in AUDIO_SUFFIXES and found.is_file():
                yield found, found.relative_to(path).with_suffix("").as_posix()
    elif not path.exists() and glob.has_magic(given):
        for name in sorted(glob.glob(given, recursive=True)):
            if Path(name).is_file():
                yield Path(name), Path(name).stem
    else:
        yield path, path.stem


def _manifest(name: str) -> Iterator[tuple[Path, str | None]]:
    """Recordings of a list, with their transcripts where it has them; paths are relative to the list."""
    base = Path() if name == "-" else Path(name).parent
    lines = (sys.stdin.read() if name == "-" else read_text(Path(name))).splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if line.lstrip().startswith("{"):
            try:
                entry = json.loads(line)
                audio, text = entry["audio"], entry.get("text")
            except (json.JSONDecodeError, KeyError):
                raise InputError(f'{name}, line {number} is no object with "audio" and, if wanted, "text"') from None
        else:
            audio, _, text = line.strip().partition("\t")
        yield base / str(audio), str(text) if text else None


# --- one recording -------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _model(loading: tuple[tuple[str, Any], ...]) -> Any:
    from aligner.models import load_model

    return load_model(**dict(loading))


def transcript(plan: Plan, job: Job) -> Transcript | None:
    """The text of a job; None when the model is to recognise it."""
    return None if job.text is None else find_transcript(job.text, job.audio, plan.skip, plan.encoding)


def text_used(job: Job, found: Transcript | None) -> str:
    """A sentence on where the words come from."""
    if found is not None:
        return f"words from {found.source}"
    beside = [job.audio.with_suffix(suffix) for suffix in SUFFIXES]
    unused = next((path for path in beside if path.is_file()), None)
    note = f"; {unused} is not used, --text {unused} would" if unused else ""
    return f"words recognised by the model{note}"


def check(job: Job) -> None:
    """Refuse a bad recording before a model is loaded for it."""
    duration(job.audio)


def align_job(plan: Plan, job: Job, found: Transcript | None) -> Alignment:
    """Align one recording."""
    from aligner import recording
    from aligner.pipeline import align_audio

    model = _model(tuple(plan.loading.items()))
    source = recording.of_file(job.audio, model.sample_rate, plan.channel)
    return align_audio(model, source, None if found is None else found.text, plan.settings)


def messages(plan: Plan, job: Job, alignment: Alignment) -> list[str]:
    """What a user should know about an alignment, a sentence each."""
    said = [f"{job.audio}: {message}" for message in alignment.provenance.get("warnings", ())]
    said += [f"{job.audio}: not spoken: {_short(text)}" for text in alignment.provenance.get("missing", ())]
    said += [f"{job.audio}: {text}" for text in alignment.provenance.get("dropped", ())]
    mean = mean_probability(alignment)
    if mean is not None and alignment.provenance["text"] == "given" and mean < MISMATCH:
        said.append(f"{job.audio}: the transcript hardly matches what is said (mean word probability {mean:.2f})")
    if mean is not None and alignment.provenance["text"] == "recognised" and mean < DOUBTFUL:
        larger = ", or choose a larger model with --model" if plan.loading["name"] == "embedded" else ""
        said.append(
            f"{job.audio}: the recognised words are doubtful (mean probability {mean:.2f}): "
            f"give the words with --text{larger}"
        )
    return said


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:117] + "..."


def mean_probability(alignment: Alignment) -> float | None:
    """Over all words; None where none was computed."""
    values = [word.probability for word in alignment.words if word.probability is not None]
    return sum(values) / len(values) if values else None


def reference_scores(plan: Plan, job: Job, alignment: Alignment) -> str | None:
    """Scores against `--reference`, as a table; None when none was given."""
    if plan.reference is None:
        return None
    from aligner.metrics import reference_table
    from aligner.textgrid import read_words

    gold = plan.reference / f"{job.name}.TextGrid" if plan.reference.is_dir() else plan.reference
    return reference_table(read_words(gold), alignment.words)


def outputs(plan: Plan, job: Job) -> list[tuple[str, Path]]:
    """Format and path of every file that a job writes."""
    if plan.file is not None:
        return [(plan.formats[0], plan.file)]
    return [(name, plan.folder / f"{job.name}{formats[name].suffix}") for name in plan.formats]


def write(plan: Plan, job: Job, alignment: Alignment) -> list[Path]:
    """Write every format of a job, each file whole or not at all; inputs are never overwritten."""
    options = WriterOptions(**{**asdict(plan.writer), "stem": job.audio.stem})
    if plan.to_stdout:
        _to_stdout(render(plan.formats[0], alignment, options))
        return []
    protect = [job.audio, *(job.audio.with_suffix(suffix) for suffix in SUFFIXES)]
    if job.text is not None and len(job.text) < 256:
        protect += [Path(job.text), *(Path(job.text) / f"{job.audio.stem}{suffix}" for suffix in SUFFIXES)]
    if plan.reference is not None:
        protect += [plan.reference, plan.reference / f"{job.name}.TextGrid"]
    written = []
    for name, path in outputs(plan, job):
        with atomic_write(path, [p for p in protect if p.is_file()]) as temporary:
            formats[name].write(alignment, temporary, options)
        written.append(path)
    return written


def _to_stdout(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # the reader has had enough, as `head` has: click ends quietly
    except OSError as error:
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"cannot write to standard output: {reason(error)}") from error


# --- many ----------------------------------------------------------------------------------


def run(plan: Plan, options: dict[str, Any]) -> int:
    """Align every job of a plan; the number that failed.

    Raises
    ------
    OutputError
        Nothing can be written any more; what was finished is whole.
    ModelError, SettingError
        No recording can be aligned this way.
    """
    import click
    from rich.console import Console

    console = Console(stderr=True, quiet=options["quiet"])
    journal = plan.folder / JOURNAL
    rows = _finished(plan) if options["resume"] else {}
    if not options["resume"]:
        with _output_errors(journal):
            journal.unlink(missing_ok=True)
    _remove_leftovers(plan)
    waiting = [job for job in plan.jobs if job.name not in rows]
    with _progress(console, len(plan.jobs), len(rows)) as step, _output_errors(journal):
        plan.folder.mkdir(parents=True, exist_ok=True)
        with journal.open("a", encoding="utf-8") as handle:
            for job, row, said in _rows(plan, waiting, options["jobs"]):
                rows[job.name] = row
                if row.status == "done":
                    handle.write(json.dumps({"name": job.name, **asdict(row)}) + "\n")
                    handle.flush()
                    os.fsync(handle.fileno())
                for message in said:
                    console.print(message, style="red" if row.status != "done" else "", markup=False, soft_wrap=True)
                step()
        ordered = [rows[job.name] for job in plan.jobs]
        with atomic_write(plan.folder / SUMMARY) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(asdict(ordered[0])))
            writer.writeheader()
            writer.writerows(asdict(row) for row in ordered)
        journal.unlink()
    failed = sum(row.status != "done" for row in ordered)
    if not options["quiet"]:
        _print_summary(ordered)
        click.echo(f"{len(ordered) - failed} of {len(ordered)} aligned; see {plan.folder / SUMMARY}", err=True)
    return failed


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error


@contextmanager
def _progress(console: Any, total: int, done: int) -> Iterator[Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("aligning"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, completed=done)
        yield lambda: progress.advance(task)


def _rows(plan: Plan, jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Row, list[str]]]:
    """Results as they come."""
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, *_process(plan, job)
        return
    if plan.loading["threads"] is None:
        plan.loading["threads"] = max(1, (os.cpu_count() or 1) // workers)
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_leave_quietly)
    try:
        futures = {pool.submit(_process, plan, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], *future.result()
    except BrokenProcessPool:
        raise InputError("a worker was killed (out of memory?): go on with --resume and fewer --jobs") from None
    except BaseException:
        for child in multiprocessing.active_children():
            if child.pid:
                os.kill(child.pid, signal.SIGINT)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_quietly() -> None:
    """On Ctrl-C a worker unwinds, removing what is half-written, and says nothing."""
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))


def _process(plan: Plan, job: Job) -> tuple[Row, list[str]]:
    """Align and write one recording; a row that says why, if its input does not allow it."""
    try:
        check(job)
        found = transcript(plan, job)
        alignment = align_job(plan, job, found)
        write(plan, job, alignment)
        scores = reference_scores(plan, job, alignment)
    except InputError as error:
        return Row(str(job.audio), "failed", message=str(error)), [str(error)]
    mean = mean_probability(alignment)
    provenance = alignment.provenance
    row = Row(
        str(job.audio),
        "done",
        len(alignment.words),
        round(alignment.duration, 3),
        alignment.language or "",
        "" if mean is None else f"{mean:.3f}",
        sum(bool(word.flags) for word in alignment.words),
        provenance["repairs"],
        sum(len(text.split()) for text in provenance.get("missing", ())),
        key=_key(plan, job, found),
    )
    said = messages(plan, job, alignment)
    return row, [*said, f"{job.audio}: {scores}"] if scores else said


def _key(plan: Plan, job: Job, found: Transcript | None) -> str:
    """Fingerprint of everything that shapes a recording's outputs."""
    digest = hashlib.sha256(job.audio.read_bytes() if job.audio.stat().st_size < 1 << 28 else b"")
    stat = job.audio.stat()
    model = {name: value for name, value in plan.loading.items() if name != "threads"}
    parts = (stat.st_size, found and found.text, plan.settings, plan.writer, model, plan.channel, aligner.__version__)
    digest.update(repr(parts).encode())
    return digest.hexdigest()[:16]


def _finished(plan: Plan) -> dict[str, Row]:
    """Rows of an earlier run whose inputs and settings are the same and whose files are there."""
    by_name: dict[str, Row] = {}
    by_audio: dict[str, Row] = {}
    if (summary := plan.folder / SUMMARY).is_file():
        with summary.open(encoding="utf-8", newline="") as handle:
            for entry in csv.DictReader(handle):
                if entry.get("status") == "done" and entry.keys() == Row.__dataclass_fields__.keys():
                    by_audio[entry["audio"]] = _row(entry)
    if (journal := plan.folder / JOURNAL).is_file():
        for line in journal.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # the line that was being written when the run ended
            name = entry.pop("name")
            by_name[name] = _row(entry)
    found: dict[str, Row] = {}
    for job in plan.jobs:
        row = by_name.get(job.name) or by_audio.get(str(job.audio))
        if row is None or not all(path.is_file() for _, path in outputs(plan, job)):
            continue
        try:
            same = row.key == _key(plan, job, transcript(plan, job))
        except (AlignerError, OSError):
            continue  # its input is gone or broken: let the run say so
        if same:
            found[job.name] = row
    return found


def _row(entry: dict[str, Any]) -> Row:
    numbers = {name: int(entry[name]) for name in ("words", "flagged", "repairs", "missing")}
    return Row(**{**entry, **numbers, "duration": float(entry["duration"])})


def _remove_leftovers(plan: Plan) -> None:
    """Temporary files of a run that was killed."""
    for folder in {path.parent for job in plan.jobs for _, path in outputs(plan, job)} | {plan.folder}:
        if folder.is_dir():
            for path in folder.iterdir():
                if re.fullmatch(r"\..+\.[a-z0-9_]{8}\.[A-Za-z]+", path.name) and path.is_file():
                    path.unlink(missing_ok=True)


def _print_summary(rows: Sequence[Row], most: int = 50) -> None:
    """The summary table: every recording, or the failed ones of many."""
    from rich.console import Console
    from rich.table import Table

    shown = rows if len(rows) <= most else [row for row in rows if row.status != "done"]
    if not shown:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("recording", "status", "words", "seconds", "probability", "flagged", "missing"):
        table.add_column(name, justify="left" if name in ("recording", "status") else "right")
    for row in shown:
        numbers = (row.words, f"{row.duration:.2f}", row.probability, row.flagged, row.missing)
        table.add_row(row.audio, row.status, *map(str, numbers))
    Console().print(table)
