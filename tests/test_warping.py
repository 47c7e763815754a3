"""Paths against brute force and against paths planted in a map."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aligner.core import Path, TokenFrameMap
from aligner.errors import SettingError
from aligner.timing.path import dtw_path, linear_path, paths, warp


def best_score(values: np.ndarray) -> float:
    """Highest evidence of all monotone complete paths, by trying each."""
    tokens, frames = values.shape

    def walks(token: int, frame: int) -> list[float]:
        here = values[token, frame]
        if (token, frame) == (tokens - 1, frames - 1):
            return [here]
        moves = [
            (token + a, frame + b) for a, b in ((0, 1), (1, 0), (1, 1)) if token + a < tokens and frame + b < frames
        ]
        return [here + rest for move in moves for rest in walks(*move)]

    return max(walks(0, 0))


@pytest.mark.parametrize(("tokens", "frames"), list(itertools.product((1, 2, 4, 6), (1, 3, 6))))
def test_dtw_finds_the_best_of_all_paths(tokens: int, frames: int) -> None:
    rng = np.random.default_rng(tokens * 10 + frames)
    for values in (rng.normal(0, 1, (tokens, frames)), rng.integers(0, 3, (tokens, frames)).astype(float)):
        path = dtw_path(values)
        assert values[path.tokens, path.frames].sum() == pytest.approx(best_score(values))


def planted(tokens: int, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A noisy map in which leaving a monotone path costs, and the first frame of each row."""
    onsets = np.concatenate([[0], np.sort(rng.choice(np.arange(1, frames), tokens - 1, replace=False))])
    values = rng.random((tokens, frames)) * 0.1 - 1.1  # below zero, or a detour would pay
    for token, (start, stop) in enumerate(itertools.pairwise([*onsets, frames])):
        values[token, start:stop] += 1
    return values, onsets


@given(st.integers(1, 12), st.integers(12, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_dtw_recovers_a_planted_path(tokens: int, frames: int, seed: int) -> None:
    values, onsets = planted(tokens, frames, np.random.default_rng(seed))
    path = warp(TokenFrameMap(values, 0.02))
    np.testing.assert_array_equal(path.frames[np.searchsorted(path.tokens, np.arange(tokens))], onsets)


@given(st.sampled_from(sorted(paths)), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_every_path_finder_visits_every_token_and_every_frame(name: str, tokens: int, frames: int, seed: int) -> None:
    path = warp(TokenFrameMap(np.random.default_rng(seed).normal(0, 1, (tokens, frames)), 0.02), name)
    assert isinstance(path, Path)  # which is monotone without gaps, or could not be built
    assert (path.tokens[0], path.frames[0]) == (0, 0)
    assert (path.tokens[-1], path.frames[-1]) == (tokens - 1, frames - 1)


def test_the_linear_path_spreads_tokens_evenly() -> None:
    path = linear_path(np.zeros((4, 12)))
    np.testing.assert_array_equal(np.searchsorted(path.tokens, np.arange(4)), [0, 3, 6, 9])


def test_an_unknown_path_finder_is_refused_with_the_choices() -> None:
    with pytest.raises(SettingError, match=r"unknown path finder 'viterbi'.*dtw"):
        warp(TokenFrameMap(np.zeros((2, 2)), 0.02), "viterbi")


@pytest.mark.parametrize(
    ("tokens", "frames"), [([0, 2], [0, 1]), ([0, 1], [1, 0]), ([0, 1], [0]), ([], []), ([1, 0], [0, 1])]
)
def test_a_path_with_gaps_or_steps_back_cannot_be_built(tokens: list[int], frames: list[int]) -> None:
    with pytest.raises(ValueError, match="path"):
        Path(np.array(tokens, int), np.array(frames, int))


def test_paths_agree_with_the_dynamic_programme_of_openai_whisper() -> None:
    timing = pytest.importorskip("whisper.timing", reason="openai-whisper, a test-only peer, is not installed")
    rng = np.random.default_rng(3)
    for tokens, frames in ((1, 1), (5, 9), (30, 200), (60, 1400)):
        values = rng.normal(0, 1, (tokens, frames))
        theirs = timing.dtw_cpu(-values)
        path = dtw_path(values)
        np.testing.assert_array_equal(np.stack([path.tokens, path.frames]), theirs)
