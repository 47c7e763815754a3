"""Voices that espeak-ng does not have: random variant files, so that no two phrases need sound alike.

A variant file changes formants, pitch and voicing of any espeak-ng voice; its
keywords are described in espeak-ng's docs/voices.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

NAME = "random"


def random_variant(rng: np.random.Generator) -> str:
    """The text of a variant file: a vocal tract of random length and formants, a random pitch, timbre and voicing."""
    low = rng.uniform(65, 240)
    lines = ["language variant", f"name {NAME}", f"pitch {low:.0f} {low * rng.uniform(1.1, 1.8):.0f}"]
    tract = rng.uniform(0.85, 1.3)  # shorter to the right
    for formant in range(9):
        frequency = 100 * (rng.uniform(0.9, 1.2) if formant == 0 else tract * rng.uniform(0.92, 1.08))
        height = rng.uniform(60, 150) if formant < 4 else rng.uniform(20, 140)
        lines.append(f"formant {formant} {frequency:.0f} {height:.0f} {rng.uniform(75, 165):.0f}")
    optional: tuple[tuple[float, Callable[[], str]], ...] = (
        (0.5, lambda: f"voicing {rng.uniform(35, 160):.0f}"),
        (0.5, lambda: f"consonants {rng.uniform(50, 140):.0f} {rng.uniform(50, 130):.0f}"),
        (0.4, lambda: f"flutter {rng.uniform(0, 10):.0f}"),
        (0.3, lambda: f"roughness {rng.integers(0, 4)}"),
        (0.2, lambda: f"klatt {rng.choice([1, 2, 3, 4, 6])}"),
        (0.2, lambda: f"tone {rng.uniform(100, 600):.0f} 255 {rng.uniform(1000, 2200):.0f} {rng.uniform(30, 160):.0f}"),
        (0.15, lambda: "breath 0 " + " ".join(f"{level:.0f}" for level in rng.uniform(0, 8, 7))),
        (0.1, lambda: f"echo {rng.uniform(20, 140):.0f} {rng.uniform(5, 30):.0f}"),
    )
    lines += [line() for share, line in optional if rng.random() < share]
    return "\n".join(lines) + "\n"


class VariantFolder:
    """A copy, by links, of espeak-ng's data that has one variant more, until it is closed."""

    def __init__(self, data: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="espeak-")
        self.path = Path(self._folder.name)
        copy = self.path / "espeak-ng-data"
        variants = copy / "voices" / "!v"
        variants.mkdir(parents=True)
        for source, target in ((data, copy), (data / "voices" / "!v", variants)):
            for entry in source.iterdir():
                if entry.name != "voices":
                    (target / entry.name).symlink_to(entry)
        self._file = variants / NAME

    def write(self, text: str) -> None:
        """Make `text` the variant that is called `NAME`."""
        self._file.write_text(text)

    def close(self) -> None:
        """Remove the copy."""
        self._folder.cleanup()
