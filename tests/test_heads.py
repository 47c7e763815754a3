"""Finding alignment heads: planted ones are found, and the list reaches the checkpoint."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from aligner.core import AttentionMap, Tokens, Word, WordSpan
from aligner.models import load_model
from aligner.models.base import Encoded
from aligner.timing.case import Case
from eval.cli import main
from eval.corpora.base import pieces
from eval.heads import Labelled, choose_heads, heads, load_cases, rank_heads
from eval.manifest import read_manifest, write_manifest

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
GOOD = {(1, 0), (1, 2)}


@dataclass(frozen=True)
class Planted:
    """A model whose attention is known."""

    attention: AttentionMap
    tokens: Tokens
    alignment_heads: tuple[tuple[int, int], ...] = ()

    def tokenize(self, text: str, units: str, language: str | None) -> Tokens:
        return self.tokens

    def attend(self, encoded: Encoded, tokens: Tokens, language: str | None) -> AttentionMap:
        return self.attention


def planted(seed: int) -> Labelled:
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
    model = Planted(AttentionMap(np.log(weights + 1e-9), n_frames, 0.02), tokens)
    empty = torch.zeros(n_frames, 1)
    return Labelled(Case(model, Encoded(empty, empty, n_frames, n_frames * 0.02), "0 1 2 3 4 5"), words)


def test_planted_heads_are_found() -> None:
    cases = [planted(seed) for seed in range(6)]
    ranked = rank_heads(cases)
    assert {pair for pair, _ in ranked[:2]} == GOOD
    assert set(choose_heads(cases, ranked, most=2)) >= GOOD


def test_the_list_is_written_into_the_checkpoint(tmp_path: Path, embedded_checkpoint: Path) -> None:
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


def test_a_piece_of_a_recording_is_heard_alone(tmp_path: Path) -> None:
    """Cut into pieces, a recording gives what separate files of the pieces give."""
    samples, rate = soundfile.read(SAMPLES / "alice.flac", dtype="float32")
    (tmp_path / "whole").mkdir()
    for suffix in (".flac", ".TextGrid"):
        shutil.copy(SAMPLES / f"alice{suffix}", tmp_path / "whole")
    manifest = tmp_path / "pieces.jsonl"
    runner = CliRunner()
    made = runner.invoke(main, ["prepare", "textgrid", str(tmp_path / "whole"), "--tier", "words", "-o", str(manifest)])
    assert made.exit_code == 0, made.output
    (recording,) = read_manifest(manifest)
    utterances = list(pieces(recording, [word.end for word in recording.words[7:30:8]]))[:4]
    write_manifest(utterances, manifest)
    apart = []
    for u in utterances:
        path = tmp_path / f"{u.id}.wav"
        soundfile.write(path, samples[round(u.offset * rate) : round((u.offset + u.duration) * rate)], rate, "FLOAT")
        apart.append(replace(u, audio=str(path), offset=0.0))
    write_manifest(apart, tmp_path / "apart.jsonl")
    model = load_model("embedded")
    of_pieces, of_files = (load_cases(model, path, 4) for path in (manifest, tmp_path / "apart.jsonl"))
    for piece, alone, utterance in zip(of_pieces, of_files, utterances, strict=True):
        assert piece.case.encoded.duration == pytest.approx(utterance.duration, abs=1e-3)
        assert piece.error([(3, 0), (3, 1)]) == pytest.approx(alone.error([(3, 0), (3, 1)]), abs=1e-6)
