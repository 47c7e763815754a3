"""Every step on attention against its definition, and the fast median filter against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter as scipy_median_filter

from aligner.errors import SettingError
from aligner.timing.steps import COMBINE, Rows, apply, median_filter, steps


def scores(shape: tuple[int, ...] = (3, 5, 20), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32)


def run(values: np.ndarray, *names: str, text: slice = slice(1, 4)) -> np.ndarray:
    return apply(values, Rows(text), names)[0]


@given(
    width=st.sampled_from([3, 5, 7, 9, 11]),
    rows=st.integers(1, 70),
    frames=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    ties=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_median_filter_is_bit_identical_to_scipy(width: int, rows: int, frames: int, seed: int, ties: bool) -> None:
    values = scores((2, rows, frames), seed)
    if ties:
        values = np.round(values / 3)
    found = median_filter(values, width)
    if frames <= width // 2:
        assert found is values  # as openai-whisper: too short to filter
    else:
        np.testing.assert_array_equal(found, scipy_median_filter(values, (1, 1, width), mode="mirror"))
    assert found.dtype == np.float32


@given(width=st.sampled_from([3, 7, 9]), frames=st.integers(12, 40), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_median_filter_with_repeated_edges_is_scipys_default(width: int, frames: int, seed: int) -> None:
    values = scores((2, 3, frames), seed)
    expected = scipy_median_filter(values, (1, 1, width), mode="reflect")
    np.testing.assert_array_equal(median_filter(values, width, repeat=True), expected)
    np.testing.assert_array_equal(run(values, f"median:{width}:repeat"), expected)


def test_median_filter_takes_any_number_of_leading_axes_and_leaves_its_input_alone() -> None:
    values = scores((2, 3, 4, 30))
    before = values.copy()
    expected = scipy_median_filter(values, (1, 1, 1, 7), mode="mirror")
    np.testing.assert_array_equal(median_filter(values, 7), expected)
    np.testing.assert_array_equal(median_filter(values[0, 0, 0], 7), expected[0, 0, 0])
    np.testing.assert_array_equal(values, before)
    assert median_filter(values, 1) is values


@pytest.mark.parametrize("step", ["median", "median:4", "median:x", "median:-3", "median:7:wrap"])
def test_a_median_filter_without_a_middle_is_refused(step: str) -> None:
    with pytest.raises(SettingError, match="odd"):
        run(scores(), step)


def test_unknown_steps_are_refused_with_the_choices() -> None:
    with pytest.raises(SettingError, match=r"unknown attention step 'blur'.*column-norm"):
        run(scores(), "blur")


def test_softmax_and_renormalise_make_rows_that_sum_to_one() -> None:
    attention = run(scores(), "softmax")
    np.testing.assert_allclose(attention.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(attention, np.exp(scores()) / np.exp(scores()).sum(-1, keepdims=True), rtol=1e-4)
    cut = attention[..., :8]
    np.testing.assert_allclose(run(cut, "renormalise").sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(run(cut, "renormalise"), run(scores()[..., :8], "softmax"), rtol=1e-4)


def test_standardise_is_a_z_score_over_the_tokens_with_the_population_deviation() -> None:
    values = scores()
    expected = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True, ddof=0)
    np.testing.assert_allclose(run(values, "standardise"), expected, rtol=1e-4, atol=1e-6)
    constant = np.ones((1, 4, 6), np.float32)
    np.testing.assert_array_equal(run(constant, "standardise"), 0)  # not NaN, as the peers give


def test_column_norm_gives_every_frame_unit_length_over_the_tokens() -> None:
    np.testing.assert_allclose(np.linalg.norm(run(scores(), "column-norm"), axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(run(np.zeros((1, 4, 6), np.float32), "column-norm"), 0)


def test_row_max_and_log() -> None:
    attention = run(scores(), "softmax")
    np.testing.assert_allclose(run(attention, "row-max").max(-1), 1)
    assert (run(attention, "row-max").argmax(-1) == attention.argmax(-1)).all()
    np.testing.assert_allclose(run(attention, "log"), np.log(np.maximum(attention, 1e-6)))
    assert np.isfinite(run(np.zeros((1, 2, 3), np.float32), "log")).all()


def test_combining_steps_leave_one_head() -> None:
    attention = run(scores(), "softmax")
    np.testing.assert_allclose(run(attention, "mean")[0], attention.mean(0), rtol=1e-6)
    np.testing.assert_array_equal(run(attention, "max")[0], attention.max(0))
    expected = np.maximum(attention, 1e-6).prod(0) ** (1 / 3)
    np.testing.assert_allclose(run(attention, "geometric-mean")[0], expected, rtol=1e-4)
    for name in COMBINE:
        assert run(attention, name).shape == (1, 5, 20)


def test_row_steps_keep_the_right_rows_and_say_so() -> None:
    values = scores()
    kept, rows = apply(values, Rows(slice(1, 4)), ("text-rows",))
    np.testing.assert_array_equal(kept[:, rows.text], values[:, 1:4])
    kept, rows = apply(values, Rows(slice(1, 4)), ("input-rows",))
    np.testing.assert_array_equal(kept[:, rows.text], values[:, 2:4])  # row 1 predicts the first token, row 2 reads it


def test_the_order_of_steps_matters() -> None:
    values = scores()
    assert np.abs(run(values, "softmax", "median:3") - run(values, "median:3", "softmax")).max() > 1e-3
    both = run(values, "standardise", "text-rows"), run(values, "text-rows", "standardise")
    assert np.abs(both[0] - both[1]).max() > 1e-3  # the statistics include the prompt or do not


@pytest.mark.parametrize("name", [name for name in steps if name != "median"])
def test_no_step_makes_values_that_are_not_finite(name: str) -> None:
    for values in (np.zeros((2, 4, 6), np.float32), np.full((2, 4, 6), 1e4, np.float32), scores((2, 4, 6))):
        assert np.isfinite(run(values, name)).all()
