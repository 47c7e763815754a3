"""The reference of both commands from their own --help: python -m benchmarks.reference > docs/cli.md."""

from __future__ import annotations

from collections.abc import Iterator

import click

from aligner.command.cli import main as align
from eval.cli import main as align_eval

WIDTH = 100
HEAD = """# Commands

Made by `python -m benchmarks.reference > docs/cli.md` from what `--help` says; a test keeps it current.
"""


def helps(command: click.Command, path: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """Name and help of a command and of everything below it."""
    settings = {**command.context_settings, "terminal_width": WIDTH}
    context = click.Context(command, parent=parent, info_name=path.split()[-1], **settings)
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from helps(below, f"{path} {name}", context)


def reference() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for program, command in (("align", align), ("align-eval", align_eval)):
        for path, text in helps(command, program):
            lines = "\n".join(line.rstrip() for line in text.splitlines())
            parts.append(f"{'#' * min(4, 1 + len(path.split()))} {path}\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(reference(), end="")
