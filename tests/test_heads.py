"""Finding alignment heads: planted ones are found, and the list reaches the checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from aligner.core import Tokens, Word, WordSpan
from eval.heads import Case, choose_heads, heads, rank_heads

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
GOOD = {(1, 0), (1, 2)}


def planted(seed: int) -> Case:
    """Three layers of three heads; two follow the words, the others look anywhere."""
    rng = np.random.default_rng(seed)
    n_words, width = 6, 5
    n_frames = n_words * width
    weights = rng.dirichlet(np.ones(n_frames), (3, 3, n_words + 1)).astype(np.float32)
    for layer, head in GOOD:
        for row in range(n_words):
            weights[layer, head, row] = 0.01
            weights[layer, head, row, row * width : (row + 1) * width] += 0.2
    words = tuple(Word(str(i), i * width * 0.02, (i + 1) * width * 0.02) for i in range(n_words))
    spans = tuple(WordSpan(str(i), i, i + 1) for i in range(n_words))
    tokens = Tokens(tuple(range(n_words)), tuple(map(str, range(n_words))), spans)
    return Case(weights, 0.02, tokens, n_frames * 0.02, words)


def test_planted_heads_are_found() -> None:
    cases = [planted(seed) for seed in range(6)]
    ranked = rank_heads(cases)
    assert {pair for pair, _ in ranked[:2]} == GOOD
    assert set(choose_heads(cases, ranked, most=2)) >= GOOD


def test_the_list_is_written_into_the_checkpoint(tmp_path: Path, embedded_checkpoint: Path) -> None:
    from eval.cli import main

    folder = tmp_path / "checkpoint"
    shutil.copytree(embedded_checkpoint, folder)
    before = json.loads((folder / "generation_config.json").read_text())
    for i, name in enumerate(("oranges", "carrots", "twelve", "oranges")):
        for suffix in (".flac", ".TextGrid"):
            shutil.copy(SAMPLES / f"{name}{suffix}", tmp_path / f"{i}{suffix}")
    runner = CliRunner()
    made = runner.invoke(
        main, ["prepare", "textgrid", str(tmp_path), "--tier", "words", "-o", str(tmp_path / "m.jsonl")]
    )
    assert made.exit_code == 0, made.output
    found = runner.invoke(heads, [str(tmp_path / "m.jsonl"), "--model", str(folder), "--write"])
    assert found.exit_code == 0, found.output
    after = json.loads((folder / "generation_config.json").read_text())
    assert after["alignment_heads"] and {**after, "alignment_heads": 0} == {**before, "alignment_heads": 0}
