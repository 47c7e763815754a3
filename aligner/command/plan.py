"""What is to be aligned and written where, from the options of the command line."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from aligner.audio.read import AUDIO_SUFFIXES
from aligner.errors import InputError, SettingError
from aligner.text.encodings import decoded, numbered, numbered_lines
from aligner.text.transcript import REMEDY
from aligner.timing.settings import Settings, choose
from aligner.writers import WriterOptions, formats


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
    channel, track, encoding : int, int, str or None
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
    track: int | None
    encoding: str | None
    skip: tuple[str, ...]
    reference: Path | None


def plan(inputs: Sequence[str], manifest: str | None, options: dict[str, Any]) -> Plan:
    """Jobs and settings from the command line's options.

    Raises
    ------
    SettingError
        Options that do not exist or contradict each other.
    InputError
        No recordings, or an unreadable manifest.
    """
    named = ("preset", "layers", "heads", "combine", "steps", *(f.name for f in fields(Settings)))
    settings = choose(**{name: options[name] for name in named if name in options}, tokens="tokens" in options["tiers"])
    if settings.head is not None:
        from aligner.timing.head import read_card

        read_card(Path(settings.head))  # a file that is no head is told before any work
    folder, file, chosen = _outputs(options["output"], options["formats"])
    text = options["text"]
    if text == "-":
        if manifest == "-":
            raise SettingError("--text - and --manifest - would both read standard input: name a file for one of them")
        # The line break tells it from a path.
        text = decoded(_standard_input(), "standard input", options["encoding"], REMEDY) + "\n"
    if options["hints"] is not None and text is None and not manifest:
        raise SettingError("--hints are the times of a transcript: give it with --text")
    jobs = _jobs(inputs, manifest, text)
    many = bool(manifest) or len(jobs) > 1 or any(os.path.isdir(name) for name in inputs)
    to_stdout = options["output"] == "-"
    if len(jobs) > 1 and (to_stdout or file is not None):
        raise SettingError(f"-o {options['output']} takes one recording, there are {len(jobs)}: name a folder")
    if len(jobs) > 1 and text is not None and not manifest and not os.path.isdir(text):
        raise SettingError("--text is one transcript for several recordings: name a folder of transcripts")
    limits = ("cues", "max_cps", "max_chars", "max_lines", "max_duration", "fps")
    given = {name: options[name] for name in limits if options[name]}
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
            tiers=tuple(dict.fromkeys(options["tiers"])),
            labels=options["labels"],
        ),
        settings=settings,
        loading={"name": options["model"], **{name: options[name] for name in ("device", "dtype", "threads")}},
        channel=options["channel"],
        track=options["track"],
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
    if os.path.isdir(path) or output.endswith(("/", os.sep)) or not path.suffix:
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
        listed = list(_manifest(manifest))
        names = _names([audio for audio, _ in listed])
        jobs += [Job(audio, name, own or text) for (audio, own), name in zip(listed, names, strict=True)]
    if not jobs:
        raise InputError(f"no recordings in {', '.join(inputs) or manifest}: looked for {' '.join(AUDIO_SUFFIXES)}")
    return _apart(tuple(dict.fromkeys(jobs)))


def _apart(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """Jobs that write different files: where names are the same, suffixes or folders stay in them.

    Raises
    ------
    SettingError
        One recording with two transcripts.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.name, []).append(job)
    renamed: dict[Job, Job] = {}
    for name, group in groups.items():
        paths = [job.audio for job in group]
        inner = _names(paths)
        choices = (
            [name] * len(group),
            [f"{name}{path.suffix}" for path in paths],
            inner,
            [f"{place}{path.suffix}" for place, path in zip(inner, paths, strict=True)],
        )
        names = next((names for names in choices if len(set(names)) == len(names)), None)
        if names is None:
            raise SettingError(f"{paths[0]} is there twice, with different transcripts: align it separately")
        renamed.update((job, replace(job, name=own)) for job, own in zip(group, names, strict=True))
    found = tuple(renamed[job] for job in jobs)
    taken: dict[str, Job] = {}
    for job in found:
        other = taken.setdefault(job.name, job)
        if other is not job:
            raise SettingError(f"{other.audio} and {job.audio} would write the same files: align them separately")
    return found


def _recordings(given: str) -> Iterator[tuple[Path, str]]:
    """Recordings that an argument names, and the names of their outputs."""
    path = Path(given)
    if os.path.isdir(path):
        for found in sorted(path.rglob("*")):
            # Hidden files are no recordings: some systems keep notes on talk.wav in ._talk.wav.
            if found.suffix.lower() in AUDIO_SUFFIXES and found.is_file() and not found.name.startswith("."):
                yield found, found.relative_to(path).with_suffix("").as_posix()
    elif glob.has_magic(given) and not os.path.lexists(path):
        matches = [Path(name) for name in sorted(glob.glob(given, recursive=True)) if os.path.isfile(name)]
        yield from zip(matches, _names(matches), strict=True)
    else:
        yield path, path.stem


def _names(recordings: Sequence[Path]) -> list[str]:
    """Names of outputs: paths from the folder that all recordings share, so that equal stems stay apart."""
    if not recordings:
        return []
    paths = [Path(os.path.abspath(path)) for path in recordings]  # without .., which would lead out of -o
    shared = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(shared).with_suffix("").as_posix() for path in paths]


def _manifest(name: str) -> Iterator[tuple[Path, str | None]]:
    """Recordings of a list, with their transcripts where it has them; paths are relative to the list."""
    base = Path() if name == "-" else Path(name).parent
    lines = numbered(decoded(_standard_input(), "standard input")) if name == "-" else numbered_lines(Path(name))
    for number, line in lines:
        if line.lstrip().startswith("{"):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {}
            audio, words = entry.get("audio"), entry.get("text") or ""
            if not (isinstance(audio, str) and audio and isinstance(words, str)):
                raise InputError(f'{name}, line {number} is no object with "audio" and, if wanted, "text"')
        else:
            audio, _, words = line.strip().partition("\t")
        beside = str(base / words)
        yield base / audio, (beside if os.path.isfile(beside) else words) or None


def _standard_input() -> bytes:
    return sys.stdin.buffer.read()


def outputs(plan: Plan, job: Job) -> list[tuple[str, Path]]:
    """Format and path of every file that a job writes."""
    if plan.file is not None:
        return [(plan.formats[0], plan.file)]
    return [(name, plan.folder / f"{job.name}{formats[name].suffix}") for name in plan.formats]
