"""The `align` command: options, messages and exit codes. The work is in `aligner.pipeline` and `aligner.command.batch`.

Exit codes: 0 done, 1 a recording failed, 2 wrong usage, 130 interrupted.
Nothing heavy is imported before the options are known to make sense.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aligner import __version__
from aligner.errors import AlignerError, SettingError

if TYPE_CHECKING:
    from aligner.command.plan import Job, Plan
    from aligner.core import Alignment


class _Misuse(click.ClickException):
    """A setting that does not exist or fit: one sentence, without the usage lines."""

    exit_code = 2


class _Masks(click.IntRange):
    """A number of masks, or "auto" (None) to draw until the map has converged."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        return None if value == "auto" else super().convert(value, parameter, context)


class _Align(click.Command):
    """`align RECORDING ...`, and beside it `align models`, where no recording or folder is called so."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> Any:
        given = sys.argv[1:] if args is None else list(args)
        if given[:1] == ["models"] and not Path("models").exists():
            from aligner.command.models import models

            settings["prog_name"] = "align models"
            return models.main(given[1:], *rest, **settings)
        return super().main(args, *rest, **settings)


EPILOG = """\b
Examples:
  align talk.wav
  align talk.wav --text talk.txt -f textgrid,srt,vtt,json -o out/
  align talk.wav --text "she had your dark suit" -f json -o -
  align recordings/ --text transcripts/ -f all -o out/ --jobs 4 --resume
  align talk.wav --model small --language en
  align talk.wav --layers last:2 --heads all --aggregation mean
  align models
"""


@click.command(
    cls=_Align, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.argument("audio", nargs=-1)
@click.option(
    "-t",
    "--text",
    metavar="TEXT",
    help="Transcript: a file of plain text, subtitles or annotations (SubRip, WebVTT, ASS, LRC, TextGrid, ELAN, CTM, "
    "whisper's JSON), a folder of them matched by file stem, the words themselves, or - for standard input. "
    "Recognised by the model when left out.",
)
@click.option(
    "-f",
    "--format",
    "formats",
    metavar="LIST",
    help="textgrid, srt, vtt, ass, json, ctm, csv, tsv, audacity, eaf, several with commas, or all.  "
    "[default: textgrid]",
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="A file (its extension names the format), a folder, or - for standard output.  [default: the current folder]",
)
@click.option(
    "-m",
    "--model",
    default="embedded",
    show_default=True,
    help="embedded, a name such as base, large-v3 or turbo, one of the hub such as openai/whisper-base, or a "
    "checkpoint's folder or file; align models lists those on this machine.",
)
@click.option("-l", "--language", metavar="NAME", help="Language, such as en, German or pt-BR; detected when left out.")
@click.option("--task", type=click.Choice(["transcribe", "translate"]), default="transcribe", show_default=True)
@click.option("--channel", type=click.IntRange(min=0), help="Channel to read, from 0; the mean of all when left out.")
@click.option(
    "--track", type=click.IntRange(min=0), help="Sound track of a video to read, from 0; the first otherwise."
)
@click.option(
    "--skip",
    multiple=True,
    metavar="PATTERN",
    help="Part of the transcript that is not spoken: speakers, headings, brackets or a regular expression; repeatable.",
)
@click.option(
    "--hints",
    is_flag=True,
    flag_value=1.0,
    type=float,
    default=None,
    help="Words lie where the times of the transcript have them, give or take a second.",
)
@click.option("--encoding", metavar="NAME", help="Encoding of transcripts without a byte order mark.  [default: utf-8]")
@click.option(
    "--timing",
    type=click.Choice(["auto", "head", "attention", "both"]),
    help="What times the words: the model's timing head, its attention, or both.  "
    "[default: auto: the head where one is known, else attention]",
)
@click.option("--head", metavar="FILE", help="Timing head of the model; the one that comes with it when left out.")
@click.option(
    "--preset",
    default="default",
    show_default=True,
    metavar="NAME",
    help="default, openai, huggingface, whisper-timestamped or char-alignment; list shows what each reproduces.",
)
@click.option(
    "--layers", metavar="LAYERS", help="Decoder layers read: last:N, upper-half, all, or indices such as 3,4."
)
@click.option(
    "--heads",
    metavar="HEADS",
    help="Heads read: all, alignment (the checkpoint's list), top:K, or pairs such as 3.1,3.5.",
)
@click.option("--aggregation", "combine", metavar="NAME", help="How heads are combined: mean, max or geometric-mean.")
@click.option("--steps", metavar="LIST", help="All attention steps in order, with commas.")
@click.option("--path", metavar="NAME", help="dtw or linear.")
@click.option(
    "--pauses",
    type=click.Choice(["trim", "keep"]),
    help="trim: a pause belongs to no word; keep: a word lasts until the next.",
)
@click.option(
    "--shift",
    type=float,
    metavar="SECONDS",
    help="Added to every edge that attention finds, which turns to a word before it begins.  [default: 0.025]",
)
@click.option("--units", type=click.Choice(["subword", "character"]), help="What the transcript is teacher-forced as.")
@click.option(
    "--vad",
    metavar="NAME",
    default="silero",
    show_default=True,
    help="Speech detector for audio without a transcript: silero or energy.",
)
@click.option(
    "--saliency", metavar="METHOD", help="Also compute saliency by this method and each word's agreement with it."
)
@click.option(
    "--masks",
    type=_Masks(),
    metavar="N|auto",
    help="Random masks of the saliency method; auto draws until the map converges.  [default: auto]",
)
@click.option(
    "--reference",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Gold TextGrid (or a folder of them) to score against; scores go to standard error.",
)
@click.option(
    "--cues",
    type=click.Choice(["given", "sentence", "word"]),
    help="What a subtitle holds: what it holds in a transcript of subtitles, a sentence or less, or a word.  "
    "[default: given, else sentence]",
)
@click.option(
    "--max-cps",
    type=click.FloatRange(min=1),
    help="Most characters of a subtitle per second.  [default: 20; Korean 12, Chinese 9, Japanese 4]",
)
@click.option(
    "--max-chars",
    type=click.IntRange(min=1),
    help="Most characters of a subtitle line.  [default: 42; Chinese, Korean 16, Japanese 13]",
)
@click.option("--max-lines", type=click.IntRange(min=1), help="Most lines of a subtitle.  [default: 2]")
@click.option("--max-duration", type=click.FloatRange(min=0.1), help="Longest subtitle in seconds.  [default: 7]")
@click.option(
    "--fps",
    type=click.FloatRange(min=1),
    help="Frames per second of the video: two frames part subtitles.  [default: 25]",
)
@click.option("--highlight", is_flag=True, help="Mark each word in subtitles while it is spoken.")
@click.option(
    "--tier",
    "tiers",
    multiple=True,
    type=click.Choice(["tokens", "flags", "margins"]),
    help="Further TextGrid and ELAN tiers; repeatable.",
)
@click.option(
    "--labels",
    type=click.Choice(["written", "bare"]),
    default="written",
    show_default=True,
    help="Words of TextGrid and ELAN tiers as written, or bare of the marks around them.",
)
@click.option(
    "--manifest",
    metavar="FILE",
    help="List of recordings, one a line (path, or path TAB transcript, or JSON with audio and text); "
    "- for standard input.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Recordings aligned at the same time."
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Scheduler of a Dask cluster whose workers align the recordings, such as tcp://10.0.0.5:8786.",
)
@click.option("--resume", is_flag=True, help="Keep what an earlier, interrupted run finished.")
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="MODULE",
    help="Python module, or file ending in .py, that registers steps, paths or formats of your own; repeatable.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16", "int8", "auto"]),
    default="float32",
    show_default=True,
    help="Precision; int8 is for processors; auto takes bfloat16 where the processor has it, and says so.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of each job.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.version_option(__version__, prog_name="align")
@click.pass_context
def main(context: click.Context, /, audio: tuple[str, ...], manifest: str | None, **options: Any) -> None:
    """Find when each word of a recording is spoken.

    AUDIO is one or more recordings, folders or patterns such as 'talks/*.wav'.
    Files are named after the recording: talk.wav becomes talk.TextGrid.

    align models lists the checkpoints on this machine (align ./models, a folder of that name).
    """
    # Read when torch loads: threads that spin for work stall each other wherever a core is busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if options["quiet"]:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # read when a checkpoint is fetched
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # tables and messages hold any script and any file name
            stream.reconfigure(errors="backslashreplace")
    if options["preset"] == "list":
        return _print_presets()
    if not audio and not manifest:
        raise click.UsageError("name a recording: align talk.wav (align --help shows more)")
    try:
        failed = _run(audio, manifest, options)
    except AlignerError as error:
        kind = _Misuse if isinstance(error, SettingError) else click.ClickException
        raise kind(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Interrupted; finished files are whole, --resume continues.", err=True)
        sys.stdout.flush()
        # Interrupted while an extension module loads, Python would end as killed by the signal, whatever the code.
        os._exit(130)
    context.exit(1 if failed else 0)


def _run(audio: tuple[str, ...], manifest: str | None, options: dict[str, Any]) -> int:
    """Check the options, then align; the number of recordings that failed."""
    from aligner import plugins
    from aligner.command.plan import plan

    plugins.load(options["plugins"])
    planned = plan(audio, manifest, options)
    if options["cluster"] is not None and (options["jobs"] > 1 or planned.to_stdout):
        raise SettingError("--cluster writes into a folder, with the workers that it has: leave --jobs and -o - out")
    if len(planned.jobs) == 1 and not planned.many and options["cluster"] is None:
        _single(planned, planned.jobs[0], options)
        return 0
    from aligner.command import batch

    return batch.run(planned, options)


def _print_presets() -> None:
    """What each preset reproduces, a line each."""
    from aligner.timing.settings import PRESETS

    for name, preset in PRESETS.items():
        click.echo(f"{name:20} {preset.source}")


def _single(plan: Plan, job: Job, options: dict[str, Any]) -> None:
    from aligner.command import batch

    def say(message: str) -> None:
        if not options["quiet"]:
            click.echo(message, err=True)

    batch.check(plan, job)
    found = batch.transcript(plan, job)
    say(f"{job.audio}: {batch.text_used(job, found)}")
    alignment = batch.align_job(plan, job, found)
    for message in batch.messages(plan, job, alignment):
        say(message)
    written = batch.write(plan, job, alignment, found)
    scores = batch.reference_scores(plan, job, alignment)
    if scores:
        click.echo(scores, err=True)
    if plan.to_stdout or options["quiet"]:
        return
    _print_words(alignment)
    click.echo("wrote " + ", ".join(map(str, written)), err=True)


def _print_words(alignment: Alignment) -> None:
    """The word table, for a person."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name, justify in (("start", "right"), ("end", "right"), ("word", "left"), ("probability", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    agreed = any(word.agreement is not None for word in alignment.words)
    if agreed:
        table.add_column("agreement", justify="right")
    table.add_column("flags")
    for word in alignment.words:
        numbers = [word.probability, *([word.agreement] if agreed else [])]
        cells = ["" if number is None else f"{number:.2f}" for number in numbers]
        table.add_row(f"{word.start:.2f}", f"{word.end:.2f}", escape(word.text), *cells, " ".join(word.flags))
    Console().print(table)


if __name__ == "__main__":
    main()
