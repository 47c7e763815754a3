"""Linear layers in whole numbers: what they compute, what they cost in words and times, and who refuses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from aligner.command.cli import main
from aligner.errors import SettingError
from aligner.memory import page_out
from aligner.models import load_model
from aligner.models.products import Int8Linear, supported
from aligner.pipeline import align
from aligner.textgrid import read_words

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
pytestmark = pytest.mark.skipif(not supported(), reason="torch has no FBGEMM on this processor")


@pytest.fixture(scope="module")
def whole() -> Any:
    return load_model(dtype="int8")


@pytest.mark.parametrize("rows", [1, 3, 200])
def test_a_layer_in_whole_numbers_is_the_layer_but_for_rounding(rows: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    weight, bias = torch.randn(3000, 64, generator=generator), torch.randn(3000, generator=generator)
    weight[5] *= 100  # a row's scale is its own
    hidden = torch.randn(2, rows, 64, generator=generator)
    exact = torch.nn.functional.linear(hidden, weight, bias)
    found = Int8Linear(weight.half(), bias)(hidden)
    assert found.shape == exact.shape and found.dtype == torch.float32
    off = (found - exact).pow(2).mean((0, 1)).sqrt() / exact.pow(2).mean((0, 1)).sqrt()
    assert 0 < off.median() < 0.02 and off[5] < 0.05


def test_words_and_times_hardly_change_in_whole_numbers(whole: Any) -> None:
    text = " ".join(word.text for word in read_words(SAMPLES / "alice.TextGrid"))
    exact = align(SAMPLES / "alice.flac", text)
    found = align(SAMPLES / "alice.flac", text, whole)
    assert found.provenance["dtype"] == "int8" and exact.provenance["dtype"] == "float32"
    off = [abs(a.start - b.start) for a, b in zip(exact.words, found.words, strict=True)]
    assert 0 < np.mean(off) < 0.005
    heard = align(SAMPLES / "alice.flac", model=whole).text.split()
    before = align(SAMPLES / "alice.flac").text.split()
    assert len(set(heard) & set(before)) > 0.8 * len(set(before))


def test_saliency_refuses_whole_numbers(whole: Any) -> None:
    with pytest.raises(SettingError, match="--dtype float32"):
        align(SAMPLES / "oranges.flac", "oranges", whole, saliency="encoder")


def test_the_command_says_which_precision_auto_took(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    audio = str(SAMPLES / "oranges.flac")
    ran = CliRunner().invoke(main, [audio, "--text", "oranges", "--dtype", "auto", "-o", str(out)])
    assert ran.exit_code == 0, ran.output
    known = torch.cpu.get_capabilities()
    taken = "bfloat16" if known.get("avx512_bf16") or known.get("amx_bf16") else "float32"
    assert f"computed in {taken}" in ran.stderr
    assert json.loads(out.read_text())["provenance"]["dtype"] == taken


def test_weights_that_were_sent_back_to_their_file_are_read_again(tmp_path: Path) -> None:
    expected = np.random.default_rng(0).normal(size=(3000, 40)).astype(np.float16)
    path = tmp_path / "weights"
    path.write_bytes(b"x" + expected.tobytes())
    held = torch.from_numpy(np.memmap(path, np.float16, "c", 1, expected.shape))
    few = torch.from_numpy(expected.copy())[:3]
    for tensor, whole in ((held, expected), (few, expected[:3])):
        page_out(tensor)
        np.testing.assert_array_equal(tensor, whole)
