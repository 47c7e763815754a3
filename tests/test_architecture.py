"""The plan of the house: which room may use which, no circles, no module too long to read at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST = 400  # lines of a module
# Rooms of aligner/, lowest floor first. A module uses its own room and those on floors below it.
FLOORS = (
    ("errors",),
    ("core", "files", "guard", "memory", "registry"),
    ("plugins", "textgrid"),
    ("audio", "metrics", "text"),
    ("models", "subtitles"),
    ("saliency", "writers"),
    ("timing",),
    ("segmentation",),
    ("pipeline",),
    ("command", "training"),
)


def modules(package: str) -> dict[str, Path]:
    """Files of a package by the name they are imported by."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of each import of a module, those of functions and for types alone, too.

    A name that is imported from a package counts as a module where it may be one.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room(module: str) -> str:
    """The room of a module of aligner/; empty for the package itself, which holds the public functions."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "aligner" else ""


def test_every_room_uses_only_rooms_below_it() -> None:
    floor = {name: k for k, names in enumerate(FLOORS) for name in names}
    known = modules("aligner")
    assert {room(name) for name in known} - {"", "__main__"} == set(floor), "FLOORS names every room"
    wrong = []
    for name, path in known.items():
        mine = room(name)
        for line, other in imported(path):
            theirs = room(other)
            if mine in floor and theirs in floor and mine != theirs and floor[theirs] >= floor[mine]:
                wrong.append(f"{path.relative_to(ROOT)}:{line}  {mine} (floor {floor[mine]}) uses {theirs} "
                             f"(floor {floor[theirs]}): {other}")  # fmt: skip
    picture = "\n".join(f"{k}: {', '.join(names)}" for k, names in reversed(list(enumerate(FLOORS))))
    assert not wrong, "\n".join(["", *sorted(set(wrong)), "", picture])


def test_the_aligner_knows_nothing_of_what_measures_it() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}  {other}"
        for path in modules("aligner").values()
        for line, other in imported(path)
        if other.split(".")[0] in ("eval", "benchmarks", "tests")
    ]
    assert not wrong, "\n".join(["", *wrong])


def test_no_import_goes_in_a_circle() -> None:
    known = modules("aligner") | modules("eval")
    arrows: dict[str, set[str]] = {}
    for name, path in known.items():
        used = {other for _, other in imported(path) if other in known and other != name}
        # What a package's own module imports from a sibling runs the package, which is being imported already.
        arrows[name] = {other for other in used if not name.startswith(f"{other}.")}
    circles = []
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            circles.append(" -> ".join((*trail[trail.index(name) :], name)))
        elif name not in done:
            for other in sorted(arrows[name]):
                walk(other, (*trail, name))
            done.add(name)

    for name in sorted(arrows):
        walk(name, ())
    assert not circles, "\n".join(["", *circles])


def test_no_module_is_too_long_to_read_at_once() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for package in ("aligner", "eval", "benchmarks")
        for path in modules(package).values()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert not long, f"over {LONGEST} lines: {long}"


def test_modules_and_tests_use_public_names_of_each_other() -> None:
    """What begins with an underscore may change with its module."""
    ours = ("aligner", "eval", "benchmarks")
    wrong = [
        f"{path.relative_to(ROOT)}:{line}  {other}"
        for package in (*ours, "tests")
        for path in modules(package).values()
        for line, other in imported(path)
        if other.split(".")[0] in ours and any(re.match("_[a-z]", part) for part in other.split("."))
    ]
    assert not wrong, "\n".join(["", *wrong])


def test_the_plan_of_the_house_stays_simple() -> None:
    """Rooms of aligner/ and arrows between them; before they were laid out there were 40 and 139."""
    known = modules("aligner")
    rooms = {room(name) for name in known} - {"", "__main__"}
    arrows = {(room(name), room(other)) for name, path in known.items() for _, other in imported(path)}
    between = {(one, other) for one, other in arrows if one != other and {one, other} <= rooms}
    assert len(rooms) <= 2 / 3 * 40 and len(between) <= 2 / 3 * 139
