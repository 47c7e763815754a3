"""What the benchmarks on speed measure: clips of the wanted length, and sums over the turns that belong to a load."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.contenders import RATE, Turn, clip, pieces
from benchmarks.throughput import compare_tools


@pytest.mark.parametrize("seconds", [2.5, 7.0, 40.0])
def test_clips_have_the_length_and_the_words_that_are_whole_in_them(seconds: float) -> None:
    audio, text = clip(seconds)
    parts = list(pieces(seconds))
    assert len(audio.samples) == round(seconds * RATE) == sum(len(samples) for samples, _ in parts)
    np.testing.assert_array_equal(audio.samples, np.concatenate([samples for samples, _ in parts]))
    assert text.split() == [word for _, words in parts for word in words]
    shorter = clip(seconds / 2)[1].split()
    assert text.split()[: len(shorter)] == shorter
    assert len(shorter) < len(text.split()) < 5 * seconds


def test_a_shorter_load_is_the_beginning_of_the_longest(monkeypatch, capsys) -> None:
    """Two minutes are five windows of 28 s; each later window costs and holds more than the one before."""

    def turns(names: tuple[str, ...], folder: object, seconds: float, count: int) -> dict[str, list[Turn]]:
        return {"tool": [Turn(cpu=number, peak=100 * number) for number in range(1, count + 1)]}

    monkeypatch.setattr("benchmarks.throughput.take_turns", turns)
    monkeypatch.setattr("benchmarks.peers.random_checkpoint", lambda folder, size: folder)
    compare_tools("tiny", [1, 2], files=4)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [
        ["1 min", "tool", "6.0", f"{6 / 84:.4f}", "300"],
        ["2 min", "tool", "15.0", f"{15 / 140:.4f}", "500"],
        ["4 files of 3 s", "tool", "10.0", f"{10 / 12:.4f}", "400"],
    ]
