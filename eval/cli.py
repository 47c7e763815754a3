"""`align-eval`: bring corpora into manifests, run grids of settings, compare, report. Parsing and exit codes only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aligner.errors import AlignerError
from eval.adapt import adapt as adapt_command
from eval.explain import explain_command
from eval.gap import gap as gap_command
from eval.heads import heads as heads_command
from eval.subtitles import subtitles_command


class _Group(click.Group):
    """Shows the project's own errors as one sentence."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except AlignerError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group)
@click.version_option(package_name="cross-attention-aligner", prog_name="align-eval")
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="MODULE",
    help="Python module, or file ending in .py, that registers steps, corpora or metrics of your own; repeatable.",
)
def main(plugins: tuple[str, ...]) -> None:
    """Measure word timings against gold, and find out which settings to trust.

    \b
    align-eval prepare timit DIR -o timit.jsonl
    align-eval run timit.jsonl -o results/timit
    align-eval compare results/timit/systems/default.json results/timit/systems/openai.json
    align-eval report results/timit -o report.html
    """
    from aligner.plugins import load

    load(plugins)


class _Recipes(click.Group):
    """A subcommand for every registered recipe, a plugin's too."""

    def list_commands(self, context: click.Context) -> list[str]:
        from eval.corpora import recipes

        return list(recipes)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        from eval.corpora import recipes

        return _prepare_command(name) if name in recipes else None


@main.group(cls=_Recipes)
def prepare() -> None:
    """Bring a corpus into a manifest, checked against its audio.

    \b
    align-eval prepare textgrid recordings/ --tier words -o mine.jsonl
    """


def _prepare_command(name: str) -> click.Command:
    """A subcommand of `prepare` for a registered recipe."""
    from eval.corpora import recipes

    recipe = recipes[name]

    def run(folder: Path, output: Path, cut: bool, **options: Any) -> None:
        from eval.corpora.base import shorter
        from eval.manifest import check, write_manifest

        utterances = tuple(recipe.prepare(folder, **options))
        if cut:
            utterances = tuple(shorter(utterances))
        check(utterances)
        count = write_manifest(utterances, output)
        words = sum(len(u.words) for u in utterances)
        speakers = {u.speaker for u in utterances if u.speaker}
        click.echo(
            f"{output}: {count} utterances, {words} words, {len(speakers) or 'unknown'} speakers, "
            f"{sum(u.duration for u in utterances) / 60:.1f} minutes",
            err=True,
        )

    module = recipe.prepare.__module__
    text = (sys.modules[module].__doc__ or recipe.prepare.__doc__ or "").strip()
    parameters: list[click.Parameter] = [
        click.Argument(["folder"], metavar="DIR", type=click.Path(path_type=Path)),
        click.Option(
            ["-o", "--output"], required=True, type=click.Path(path_type=Path), help="Manifest to write (JSONL)."
        ),
        click.Option(
            ["--cut"], is_flag=True, help="Cut recordings of more than 20 s at pauses, for the commands that need it."
        ),
    ]
    parameters += [click.Option(list(option.flags), **option.settings) for option in recipe.options]
    return click.Command(name, callback=run, params=parameters, help=text, short_help=text.split("\n")[0])


def _manifests(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument(
        "manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
    )(command)


@main.command()
@_manifests
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the results."
)
@click.option(
    "--grid",
    default="default",
    show_default=True,
    help="Settings to try: default, small, attention, or a JSON file of settings.",
)
@click.option("--model", default="embedded", show_default=True, help="Checkpoint to align with.")
@click.option(
    "--transcript",
    type=click.Choice(["gold", "own"]),
    default="gold",
    show_default=True,
    help="Words to align: the reference's, or the model's own.",
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
def run(manifests: tuple[Path, ...], output: Path, grid: str, model: str, transcript: str, jobs: int) -> None:
    """Align every utterance of MANIFESTS with every setting of a grid.

    A run that was stopped goes on where it was when the same command is given again.
    """
    from eval.run import RunPlan, run_plan

    run_plan(RunPlan(manifests, grid, model, transcript), output, jobs)


@main.command()
@click.argument("first", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("second", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def compare(first: Path, second: Path) -> None:
    """Paired difference of two systems on the words that both found.

    FIRST and SECOND are files of the folder `systems` of a run.
    """
    from eval.compare import comparison
    from eval.systems import read_system

    click.echo(comparison(read_system(first), read_system(second)))


@main.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="HTML page; its tables are written beside it as CSV.  [default: report.html in the first folder]",
)
def report(results: tuple[Path, ...], output: Path | None) -> None:
    """One self-contained page on the runs, or the gap study, in RESULTS."""
    from eval.gap_report import is_study, write_page
    from eval.report import write_report

    page = output or results[0] / "report.html"
    for path in write_page(results[0], page) if is_study(results[0]) else write_report(results, page):
        click.echo(str(path))


main.add_command(adapt_command)
main.add_command(explain_command)
main.add_command(gap_command)
main.add_command(heads_command)
main.add_command(subtitles_command)

if __name__ == "__main__":
    main()
