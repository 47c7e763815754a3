"""Whether two checkouts write the same bytes: the check of a change that is to change nothing.

    python -m benchmarks.same ../before . ../shared/corpora/gold-small/alice12 ../shared/corpora/gold-small/timmahrt

Runs `align --text` of both checkouts, each with its own code, over every recording with a `.txt` beside it, into every
format, and compares the files. Times and versions are no part of outputs, so equal means equal to the byte.
"""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click


def outputs(checkout: Path, folder: Path, out: Path) -> None:
    """Write every format of every recording of a folder with the code of a checkout."""
    module = "aligner" if (checkout / "aligner" / "__main__.py").exists() else "aligner.cli"
    command = [sys.executable, "-m", module, str(folder), "--text", str(folder), "-f", "all", "-o", str(out), "-q"]
    subprocess.run(command, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)}, check=False)


def differing(one: Path, two: Path) -> list[str]:
    """Files that are not the same in two folders, the journal's summary aside (it holds fingerprints)."""
    names = {p.relative_to(root) for root in (one, two) for p in root.rglob("*") if p.is_file()}
    names = {name for name in names if name.name != "summary.csv"}
    same = {n for n in names if (one / n).is_file() and (two / n).is_file() and filecmp.cmp(one / n, two / n, False)}
    return sorted(map(str, names - same))


@click.command()
@click.argument("before", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(before: Path, after: Path, folders: tuple[Path, ...]) -> None:
    """Compare the outputs of two checkouts over FOLDERS of recordings with transcripts."""
    found = False
    for folder in folders:
        with tempfile.TemporaryDirectory() as temporary:
            one, two = Path(temporary, "before"), Path(temporary, "after")
            outputs(before.resolve(), folder.resolve(), one)
            outputs(after.resolve(), folder.resolve(), two)
            count = sum(p.is_file() for p in one.rglob("*"))
            different = differing(one, two)
        click.echo(f"{folder}: {count} files, {len(different)} differ {' '.join(different[:5])}")
        found |= bool(different) or not count
    sys.exit(found)


if __name__ == "__main__":
    main()
