"""One recording or thousands of them: aligned, written, reported.

Outputs carry no times of day and no speeds, so a run that was interrupted and
resumed (`aligner.command.journal`) leaves the same bytes as one that was not.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from aligner import plugins
from aligner.audio.read import duration
from aligner.command import journal, process
from aligner.command.journal import SUMMARY, Row
from aligner.command.plan import Job, Plan, outputs
from aligner.core import Alignment
from aligner.errors import AlignerError, InputError, OutputError, StorageError
from aligner.files import atomic_write, reason
from aligner.text.languages import name_and_code
from aligner.text.transcript import SUFFIXES, Transcript, find_transcript
from aligner.writers import formats, render

DOUBTFUL = 0.8  # mean probability of its own words below which a transcript is doubted
MOST = 20  # messages of a kind about one recording
MISMATCH = 0.33  # mean probability of given words below which they are hardly what is said


# --- one recording -------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _model(loading: tuple[tuple[str, Any], ...]) -> Any:
    with process.lasting():
        from aligner.models import load_model

        return load_model(**dict(loading))


def transcript(plan: Plan, job: Job) -> Transcript | None:
    """The text of a job; None when the model is to recognise it."""
    return None if job.text is None else find_transcript(job.text, job.audio, plan.skip, plan.encoding)


def text_used(job: Job, found: Transcript | None) -> str:
    """A sentence on where the words come from."""
    if found is not None:
        cues = f"of {len(found.cues)} cue{'s' * (len(found.cues) != 1)} " if found.cues else ""
        return f"words {cues}from {found.source}"
    beside = [job.audio.with_suffix(suffix) for suffix in SUFFIXES]
    unused = next((path for path in beside if path.is_file()), None)
    note = f"; {unused} is not used, --text {unused} would" if unused else ""
    return f"words recognised by the model{note}"


def check(plan: Plan, job: Job) -> None:
    """Refuse a bad recording before a model is loaded for it."""
    duration(job.audio, plan.track)


def align_job(plan: Plan, job: Job, found: Transcript | None) -> Alignment:
    """Align one recording."""
    from aligner.audio.file import of_file
    from aligner.pipeline import align_audio

    model = _model(tuple(plan.loading.items()))
    source = of_file(job.audio, model.sample_rate, plan.channel, plan.track)
    return align_audio(model, source, found, plan.settings)


def messages(plan: Plan, job: Job, alignment: Alignment) -> list[str]:
    """What a user should know about an alignment, a sentence each."""
    said = [f"{job.audio}: {message}" for message in alignment.provenance.get("warnings", ())]
    if plan.loading["dtype"] == "auto":
        said.append(f"{job.audio}: computed in {alignment.provenance['dtype']}")
    if (probability := alignment.provenance.get("language_probability")) is not None and alignment.language:
        said.append(f"{job.audio}: language: {name_and_code(alignment.language)}, probability {probability:.2f}")
    for name, before in (("missing", "not spoken: "), ("dropped", "")):
        found = alignment.provenance.get(name, ())
        said += [f"{job.audio}: {before}{_short(text)}" for text in found[:MOST]]
        if len(found) > MOST:
            said.append(f"{job.audio}: {before}{len(found) - MOST} more; the JSON output lists them all")
    mean, embedded = mean_probability(alignment), plan.loading["name"] == "embedded"
    if mean is not None and alignment.provenance["text"] == "given" and mean < MISMATCH:
        said.append(
            f"{job.audio}: the transcript hardly matches what is said (mean word probability {mean:.2f})"
            f"{'; if it is not English, choose a multilingual model, such as --model base' if embedded else ''}"
        )
    if mean is not None and alignment.provenance["text"] == "recognised" and mean < DOUBTFUL:
        larger = (
            ", or choose a larger model, a multilingual one if this is not English: --model base" if embedded else ""
        )
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

    gold = plan.reference
    if os.path.isdir(gold):  # by the recording's name, with or without its suffix
        names = (job.name, job.name.removesuffix(job.audio.suffix))
        places = [gold / f"{name}.TextGrid" for name in names]
        gold = next((place for place in places if place.is_file()), places[0])
    return reference_table(read_words(gold), alignment.words)


def write(plan: Plan, job: Job, alignment: Alignment, found: Transcript | None) -> list[Path]:
    """Write every format of a job, each file whole or not at all; inputs are never overwritten."""
    options = replace(plan.writer, stem=_readable(job.audio.stem))
    if plan.to_stdout:
        _to_stdout(render(plan.formats[0], alignment, options))
        return []
    protect = [job.audio, *(job.audio.with_suffix(suffix) for suffix in SUFFIXES)]
    if found is not None and found.path is not None:
        protect.append(found.path)
    if plan.reference is not None:
        protect += [plan.reference, plan.reference / f"{job.name}.TextGrid"]
    written = []
    for name, path in outputs(plan, job):
        media = os.path.abspath(job.audio), os.path.relpath(job.audio, path.parent)
        linked = replace(options, media=(_readable(media[0]), _readable(media[1])))
        with atomic_write(path, [p for p in protect if os.path.isfile(p)]) as temporary:
            formats[name].write(alignment, temporary, linked)
        written.append(path)
    return written


def _readable(name: str) -> str:
    """A file name that can be written into a file, though it may be no Unicode."""
    return name.encode("utf-8", "replace").decode()


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
    try:
        with journal.opened(plan, options["resume"]) as record:
            rows = dict(_finished(plan)) if options["resume"] else {}
            waiting = [job for job in plan.jobs if job.name not in rows]
            with _progress(console, len(plan.jobs), len(rows)) as step:
                for job, row in _rows(plan, waiting, options["jobs"], options["cluster"]):
                    rows[job.name] = row
                    if row.status == "done":
                        record.add(job, row)
                    if row.message:
                        style = "red" if row.status != "done" else ""
                        console.print(row.message, style=style, markup=False, soft_wrap=True)
                    step()
            if options["cluster"] is not None:
                journal.remove_leftovers(plan)  # of workers that were lost
            ordered = [rows[job.name] for job in plan.jobs]
            journal.close(plan, ordered)
    except StorageError as error:
        raise StorageError(f"{error}; what is finished is whole, --resume continues") from error
    failed = sum(row.status != "done" for row in ordered)
    if not options["quiet"]:
        _print_summary(ordered)
        click.echo(f"{len(ordered) - failed} of {len(ordered)} aligned; see {plan.folder / SUMMARY}", err=True)
    return failed


def _finished(plan: Plan) -> Iterator[tuple[str, Row]]:
    """Recordings that an earlier run finished and that would come out the same."""
    for job, row in journal.earlier(plan):
        try:
            same = row.key == journal.key(plan, job, transcript(plan, job))
        except (AlignerError, OSError):
            continue  # its input is gone or broken: let the run say so
        if same:
            yield job.name, row


@contextmanager
def _progress(console: Any, total: int, done: int) -> Iterator[Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("aligning"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not console.is_terminal
    # Recordings of an hour tell nothing within the library's half minute.
    with Progress(*columns, console=console, disable=hidden, speed_estimate_period=3600) as progress:
        task = progress.add_task("", total=total, completed=done)
        yield lambda: progress.advance(task)


def _rows(plan: Plan, jobs: Sequence[Job], workers: int, cluster: str | None) -> Iterator[tuple[Job, Row]]:
    """Results as they come."""
    alone = replace(plan, jobs=())  # what a worker needs to know
    if cluster is not None:
        from aligner.command.cluster import rows

        yield from rows(alone, jobs, cluster, _process)
        return
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, _process(plan, job)
        return
    if plan.loading["threads"] is None:
        plan.loading["threads"] = max(1, (os.cpu_count() or 1) // workers)
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), context, initializer=_start_worker, initargs=(tuple(plugins.loaded()),)
    )
    open_jobs = {job.name: job for job in jobs}
    try:
        futures = {pool.submit(_process, alone, job): job for job in jobs}
        for future in as_completed(futures):
            row = future.result()
            yield open_jobs.pop(futures[future].name), row
    except BrokenProcessPool:
        likely = ", ".join(str(job.audio) for job in list(open_jobs.values())[:workers])
        raise InputError(
            f"a worker was killed (out of memory?) at one of {likely}: leave it out, or fewer --jobs, and --resume"
        ) from None
    except BaseException:
        for child in multiprocessing.active_children():
            if child.pid:
                os.kill(child.pid, signal.SIGINT)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(modules: tuple[str, ...]) -> None:
    leave_with_parent()
    plugins.load(modules)


def leave_with_parent() -> None:
    """On Ctrl-C a worker unwinds, removing what is half-written, and says nothing; a killed batch leaves no workers."""
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


def _process(plan: Plan, job: Job) -> Row:
    """Align and write one recording; a row that says why, if its input does not allow it."""
    try:
        check(plan, job)
        found = transcript(plan, job)
        alignment = align_job(plan, job, found)
        write(plan, job, alignment, found)
        scores = reference_scores(plan, job, alignment)
    except StorageError:
        raise
    except (InputError, OutputError) as error:
        return Row(str(job.audio), "failed", message=str(error))
    mean = mean_probability(alignment)
    provenance = alignment.provenance
    said = messages(plan, job, alignment)
    if scores:
        said.append(f"{job.audio}: {scores}")
    return Row(
        str(job.audio),
        "done",
        len(alignment.words),
        round(alignment.duration, 3),
        alignment.language or "",
        "" if mean is None else f"{mean:.3f}",
        sum(bool(word.flags) for word in alignment.words),
        provenance["repairs"],
        sum(len(text.split()) for text in provenance.get("missing", ())),
        message="\n".join(said),
        key=journal.key(plan, job, found),
    )


def _print_summary(rows: Sequence[Row], most: int = 50) -> None:
    """The summary table: every recording, or the failed ones of many."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = rows if len(rows) <= most else [row for row in rows if row.status != "done"]
    if not shown:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("recording", "status", "words", "seconds", "probability", "flagged", "missing"):
        table.add_column(name, justify="left" if name in ("recording", "status") else "right")
    for row in shown:
        numbers = (row.words, f"{row.duration:.2f}", row.probability, row.flagged, row.missing)
        table.add_row(Text(row.audio), row.status, *map(str, numbers))
    Console().print(table)
