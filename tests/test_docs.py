"""What the documentation says is what the code does."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
import soundfile
from click.testing import CliRunner, Result

from aligner.command.cli import main as align
from aligner.command.models import models
from aligner.textgrid import read_words
from benchmarks.reference import reference
from eval.cli import main as align_eval

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = [
    path
    for package in ("aligner", "eval")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def test_the_reference_of_the_commands_is_current() -> None:
    """Words are compared, not lines: versions of click break them differently."""
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written.split() == reference().split(), "run: python -m benchmarks.reference > docs/cli.md"


def test_help_names_every_choice_that_is_registered() -> None:
    from aligner.audio.speech import detectors
    from aligner.timing.path import paths
    from aligner.timing.settings import PRESETS
    from aligner.timing.steps import COMBINE
    from aligner.writers import formats
    from eval.corpora import recipes
    from eval.grid import grids

    text = " ".join(reference().replace("-\n", "-").split())
    text = re.sub(r"(\w-) (\w)", r"\1\2", text)  # words that a line break parted
    for name in (*formats, *detectors, *paths, *PRESETS, *COMBINE, *grids, *recipes):
        assert re.search(rf"\b{re.escape(name)}\b", text), name


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_in_docstrings_hold(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


# --- commands in the README and the guides ---------------------------------------------------

PAGES = [ROOT / "README.md", *sorted(set((ROOT / "docs").glob("*.md")) - {ROOT / "docs" / "cli.md"})]
COMMAND = re.compile(r"^(?:    |\$ )?(align|align-eval|python -m benchmarks\.\w+)( .*)", re.MULTILINE)
COMMANDS = [
    pytest.param(program, shlex.split(rest.replace("*", "x"), comments=True), id=f"{page.stem}: {program}{rest}"[:70])
    for page in PAGES
    for program, rest in COMMAND.findall(page.read_text(encoding="utf-8"))
    if "--plugin" not in rest  # those of the guide to extending are run by its own test
]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SAMPLES = ROOT / "data" / "samples"


def accept(command: click.Command, arguments: list[str]) -> None:
    """Let a command read its arguments, as it does before it runs."""
    if isinstance(command, click.Group):
        place = next(k for k, argument in enumerate(arguments) if argument in command.commands)
        command, arguments = command.commands[arguments[place]], arguments[place + 1 :]
    command.make_context(command.name, arguments)


@pytest.mark.parametrize(("program", "arguments"), COMMANDS)
def test_commands_in_the_documentation_are_commands(
    program: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in filter(re.compile(r"[\w/.-]+").fullmatch, arguments):  # what the reader of the page would have
        if "." in Path(name).name:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()
        elif not name.startswith("-"):
            Path(name).mkdir(parents=True, exist_ok=True)
    if program.startswith("python"):
        command = importlib.import_module(program.split()[-1]).main
        if not isinstance(command, click.Command) or "--help" in arguments:
            return
    elif arguments == ["models"]:
        command, arguments = models, []
    else:
        command = {"align": align, "align-eval": align_eval}[program]
    accept(command, arguments)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README speaks of."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("recordings", "transcripts"):
        (folder / name).mkdir()
    for stem in ("carrots", "oranges"):
        shutil.copy(SAMPLES / f"{stem}.flac", folder / "recordings")
        shutil.copy(SAMPLES / f"{stem}.txt", folder / "transcripts")
    samples, rate = soundfile.read(SAMPLES / "oranges.flac")
    soundfile.write(folder / "talk.wav", samples, rate)
    shutil.copy(SAMPLES / "oranges.txt", folder / "talk.txt")
    shutil.copy(SAMPLES / "oranges.TextGrid", folder / "gold.TextGrid")
    said = (SAMPLES / "oranges.txt").read_text().strip()
    (folder / "old.srt").write_text(f"1\n00:00:00,300 --> 00:00:01,900\n{said}\n")
    return folder


def run(line: str) -> Result:
    program, *arguments = shlex.split(line, comments=True)
    assert program == "align"
    done = CliRunner().invoke(align, arguments)
    assert done.exit_code == 0, f"{line}\n{done.output}"
    return done


def test_the_readme_does_what_it_says(
    reader: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its lines on `align`, in their order, but for the model that has to be fetched."""
    monkeypatch.chdir(reader)
    lines = re.findall(r"^    (align .*)$", README.partition("## Use")[2].partition("```")[0], re.MULTILINE)
    said = {line: run(line) for line in lines if "--model small" not in line}
    assert len(said) == len(lines) - 1 >= 8
    assert len(read_words(Path("talk.TextGrid"))) == 7
    assert {path.name for path in Path("out").glob("talk.*")} == {
        f"talk.{s}" for s in ("TextGrid", "srt", "vtt", "json")
    }
    (piped,) = [done for line, done in said.items() if " -o - " in f"{line} "]
    words = [word["word"].strip() for part in json.loads(piped.stdout)["segments"] for word in part["words"]]
    assert words == ["she", "had", "your", "dark", "suit"]
    assert {path.stem for path in Path("out").glob("*.ass")} == {"carrots", "oranges"}
    assert any("embedded" in done.stdout for line, done in said.items() if line.startswith("align models"))
    (scored,) = [done.stderr for line, done in said.items() if "--reference" in line]
    assert "7 of 7 reference words matched" in scored
    (python,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(python, {})
    assert capsys.readouterr().out.split()[2::3] == words


def test_the_words_in_the_readme_are_those_that_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a hundredth of a second or two: another processor may round otherwise."""
    monkeypatch.chdir(ROOT)
    shown = re.search(r"```\n\$ (align .*)\n((?:.*\n)+?)```", README)
    assert shown is not None
    printed = run(f"{shown[1]} -o {tmp_path}").stdout
    rows, expected = ([line.split() for line in text.strip().splitlines()[1:]] for text in (printed, shown[2]))
    assert [row[2] for row in rows] == [row[2] for row in expected]
    for row, other in zip(rows, expected, strict=True):
        assert all(abs(float(row[k]) - float(other[k])) <= 0.02 for k in (0, 1, 3)), (row, other)


def test_links_in_the_documentation_lead_somewhere() -> None:
    for page in (*PAGES, ROOT / "docs" / "cli.md"):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
