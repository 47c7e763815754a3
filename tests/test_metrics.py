"""Metrics against hand-worked examples, mir_eval, brute force and their own laws."""

from __future__ import annotations

import itertools
import math

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aligner.core import Word
from aligner.errors import InputError
from aligner.metrics import bootstrap, boundary, merge, reference_table, score_words
from aligner.metrics import words as word_metrics
from aligner.metrics.scores import BoundaryScores, macro_boundary_error

times = st.lists(st.floats(0, 20).map(lambda t: round(t, 3)), min_size=1, max_size=12, unique=True).map(sorted)


@st.composite
def word_lists(draw: st.DrawFn, max_size: int = 8) -> tuple[Word, ...]:
    """Ordered, disjoint words of a small vocabulary."""
    edges = draw(st.lists(st.integers(0, 3000), min_size=2, max_size=2 * max_size, unique=True).map(sorted))
    return tuple(
        Word(draw(st.sampled_from(["the", "cat", "sat"])), a / 100, b / 100)
        for a, b in zip(edges[::2], edges[1::2], strict=False)
    )


def test_errors_of_a_hand_worked_example() -> None:
    errors = boundary.signed_errors([1.0, 2.0, 3.0, 4.0], [1.01, 1.98, 3.2, 4.0])
    assert errors == pytest.approx([0.01, -0.02, 0.2, 0.0])
    assert boundary.mean_abs_error(errors) == pytest.approx(0.0575)
    assert boundary.median_abs_error(errors) == pytest.approx(0.015)
    assert boundary.mean_signed_error(errors) == pytest.approx(0.0475)
    assert [boundary.share_within(errors, t) for t in boundary.TOLERANCES] == [0.5, 0.75, 0.75, 0.75, 0.75, 1.0]


def test_tolerance_is_inclusive_in_spite_of_rounding() -> None:
    assert 1.25 - 1.2 > 0.05
    assert boundary.share_within([1.25 - 1.2], 0.05) == 1
    assert boundary.count_hits([1.2], [1.25], 0.05) == 1


@pytest.mark.parametrize("function", [boundary.mean_abs_error, boundary.median_abs_error, boundary.mean_signed_error])
def test_no_words_have_no_error(function) -> None:
    assert math.isnan(function([]))


@pytest.mark.parametrize(
    ("reference", "estimated", "message"),
    [([1.0], [1.0, 2.0], "paired"), ([[1.0]], [[1.0]], "paired"), ([1.0], [math.nan], "NaN")],
)
def test_unpaired_or_broken_boundaries_are_refused(reference, estimated, message) -> None:
    with pytest.raises(ValueError, match=message):
        boundary.signed_errors(reference, estimated)


@given(times, st.lists(st.floats(-0.4, 0.4), min_size=12, max_size=12))
def test_errors_agree_with_mir_eval(reference, noise) -> None:
    estimated = sorted(max(0.0, t + n) for t, n in zip(reference, noise, strict=False))
    reference, estimated = np.array(reference), np.array(estimated)
    errors = boundary.signed_errors(reference, estimated)
    median, mean = mir_eval.alignment.absolute_error(reference, estimated)
    assert boundary.median_abs_error(errors) == pytest.approx(median)
    assert boundary.mean_abs_error(errors) == pytest.approx(mean)
    for tolerance in (0.05, 0.1, 0.3):
        if not np.any(np.abs(np.abs(errors) - tolerance) < 1e-6):  # mir_eval rounds differently on the very edge
            expected = mir_eval.alignment.percentage_correct(reference, estimated, window=tolerance)
            assert boundary.share_within(errors, tolerance) == pytest.approx(expected)


@given(times, times, st.sampled_from([0.0125, 0.0505, 0.2005, 1.0005]))
def test_detection_agrees_with_mir_eval(reference, estimated, tolerance) -> None:
    f, p, r = mir_eval.onset.f_measure(np.array(reference), np.array(estimated), window=tolerance)
    hits = boundary.count_hits(reference, estimated, tolerance)
    assert boundary.precision(hits, len(estimated)) == pytest.approx(p)
    assert boundary.recall(hits, len(reference)) == pytest.approx(r)
    assert boundary.f1(hits, len(reference), len(estimated)) == pytest.approx(f)


def test_r_value_of_published_extremes() -> None:
    """Räsänen et al. 2009: full recall without over-segmentation is 1."""
    assert boundary.r_value(10, 10, 10) == 1
    # R = 1, S = 1: r1 = 1, r2 = -1 / sqrt 2.
    assert boundary.r_value(10, 10, 20) == pytest.approx(1 - (1 + 1 / math.sqrt(2)) / 2)
    # R = 0, S = -1, nothing estimated: r1 = sqrt 2, r2 = 0.
    assert boundary.r_value(0, 10, 0) == pytest.approx(1 - math.sqrt(2) / 2)
    assert math.isnan(boundary.r_value(0, 0, 3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Suit.", "suit"),
        ("“Don’t,", "don't"),
        ("'tis'", "tis"),
        ("co-op", "coop"),
        ("—", "—"),
        ("Straße", "strasse"),
        ("42%", "42"),
    ],
)
def test_normalised_words(text, expected) -> None:
    assert word_metrics.normalise(text) == expected


def make(text: str, start: float = 0.0, step: float = 0.5) -> tuple[Word, ...]:
    return tuple(Word(w, start + k * step, start + k * step + 0.4) for k, w in enumerate(text.split()))


def test_words_match_by_edit_distance() -> None:
    reference, estimated = make("the cat sat on the mat"), make("The cat, on a mat!")
    assert word_metrics.match_words(reference, estimated) == ((0, 0), (1, 1), (3, 2), (5, 4))


def test_a_repeated_word_goes_to_the_nearer_copy() -> None:
    once = (Word("the", 5.0, 5.2),)
    assert word_metrics.match_words(make("the the", step=5.0), once) == ((1, 0),)
    assert word_metrics.match_words(once, make("the the", step=5.0)) == ((0, 1),)


def edit_distance(a: list[str], b: list[str]) -> int:
    """Plain recursion."""
    if not a or not b:
        return len(a) + len(b)
    return min(edit_distance(a[1:], b) + 1, edit_distance(a, b[1:]) + 1, edit_distance(a[1:], b[1:]) + (a[0] != b[0]))


@settings(max_examples=60)
@given(word_lists(5), word_lists(5))
def test_matching_is_a_minimal_edit_alignment(reference, estimated) -> None:
    pairs = word_metrics.match_words(reference, estimated)
    assert all(reference[i].text == estimated[j].text for i, j in pairs)
    assert all(i < k and j < m for (i, j), (k, m) in itertools.pairwise(pairs))
    # Between two matches, everything is substituted as far as both sides last, and the rest inserted or deleted.
    borders = [(-1, -1), *pairs, (len(reference), len(estimated))]
    cost = sum(max(k - i, m - j) - 1 for (i, j), (k, m) in itertools.pairwise(borders))
    assert cost == edit_distance([w.text for w in reference], [w.text for w in estimated])


def test_word_scores_of_a_hand_worked_example() -> None:
    reference = (Word("a", 0.0, 1.0), Word("b", 1.0, 2.0), Word("c", 2.0, 3.0))
    estimated = (Word("a", 0.1, 1.0), Word("x", 1.0, 2.0), Word("c", 2.5, 3.5))
    pairs = word_metrics.match_words(reference, estimated)
    assert pairs == ((0, 0), (2, 2))
    scores = score_words(reference, estimated)
    assert (scores.n_matched, scores.n_reference, scores.n_estimated) == (2, 3, 3)
    assert scores.matched_share == pytest.approx(2 / 3)
    assert scores.boundary_error == pytest.approx((0.1 + 0 + 0.5 + 0.5) / 4)
    assert scores.mean_iou == pytest.approx((0.9 + 1 / 3) / 3)
    assert scores.word_f1 == pytest.approx(1 / 3)


@given(word_lists())
def test_a_perfect_estimate_is_perfect(words) -> None:
    scores = score_words(words, words)
    assert scores.matched_share == scores.mean_iou == scores.word_f1 == 1
    assert scores.boundary_error == 0
    for tolerance in boundary.TOLERANCES:
        assert scores.precision(tolerance) == scores.recall(tolerance) == scores.f1(tolerance) == 1
        assert scores.r_value(tolerance) == 1


@given(word_lists(), st.floats(0.001, 5))
def test_a_shifted_estimate_errs_by_the_shift(words, shift) -> None:
    scores = score_words(words, [Word(w.text, w.start + shift, w.end + shift) for w in words])
    assert scores.onset + scores.offset == pytest.approx([shift] * 2 * len(words))
    assert boundary.median_abs_error(scores.onset) == pytest.approx(shift)
    for word, overlap in zip(words, scores.overlap, strict=True):  # (L - d) / (L + d)
        assert overlap == pytest.approx(max(0.0, (word.duration - shift) / (word.duration + shift)))


@given(st.lists(st.tuples(word_lists(4), st.integers(-40, 40)), max_size=4))
def test_merging_scores_is_scoring_the_concatenation(recordings) -> None:
    parts, joined = [], ([], [])
    for k, (reference, shift) in enumerate(recordings):
        estimated = [Word(w.text, w.start + (shift + 50) / 100, w.end + (shift + 50) / 100) for w in reference]
        reference = [Word(w.text, w.start + 0.5, w.end + 0.5) for w in reference]
        parts.append(score_words(reference, estimated))
        for side, words in zip(joined, (reference, estimated), strict=True):  # a minute apart
            side += [Word(w.text, w.start + 60 * k, w.end + 60 * k) for w in words]
    whole, together = sum(parts, BoundaryScores()), score_words(*joined)
    assert merge(parts) == whole
    assert together.onset == pytest.approx(whole.onset) and together.offset == pytest.approx(whole.offset)
    assert together.overlap == pytest.approx(whole.overlap)
    assert (together.onset_hits, together.offset_hits) == (whole.onset_hits, whole.offset_hits)
    assert (together.word_hits, together.n_reference) == (whole.word_hits, whole.n_reference)
    assert together.n_estimated == whole.n_estimated


def test_micro_and_macro_weigh_words_and_recordings() -> None:
    long = score_words(make("a b c"), make("a b c", start=0.1))
    short = score_words(make("d"), make("d", start=0.5))
    assert merge([long, short]).boundary_error == pytest.approx((3 * 0.1 + 0.5) / 4)
    assert macro_boundary_error([long, short]) == pytest.approx((0.1 + 0.5) / 2)


def test_hits_at_an_unknown_tolerance_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not at 0\.03"):
        score_words(make("a"), make("a")).f1(0.03)


def test_weighted_median_is_numpys_median_of_the_repeated_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=11)
    weights = rng.integers(0, 4, (40, 11)).astype(float)
    weights[:, 0] += 1
    expected = [np.median(np.repeat(values, row.astype(int))) for row in weights]
    assert bootstrap.median(values, weights) == pytest.approx(expected)
    assert bootstrap.mean(values, weights) == pytest.approx(
        [np.repeat(values, row.astype(int)).mean() for row in weights]
    )


def test_whole_groups_are_drawn() -> None:
    weights = bootstrap.group_weights(["a", "b", "a", "c"], draws=50)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.all(weights[:, 0] + weights[:, 1] + weights[:, 3] == 3)
    assert len(np.unique(weights, axis=0)) > 5


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Speakers with an offset of their own: intervals by speaker cover, intervals by word would not."""
    rng = np.random.default_rng(1)
    by_speaker = by_word = 0
    for _ in range(100):
        values = (rng.normal(size=(30, 1)) + 0.3 * rng.normal(size=(30, 10))).ravel()
        speakers = np.repeat(np.arange(30), 10).tolist()
        found = bootstrap.interval(values, speakers, draws=200)
        by_speaker += found.low <= 0 <= found.high
        naive = bootstrap.interval(values, range(300), draws=200)
        by_word += naive.low <= 0 <= naive.high
    assert by_speaker >= 85
    assert by_word <= 70


def test_pairing_removes_what_is_hard_for_both() -> None:
    rng = np.random.default_rng(2)
    speakers = np.repeat(np.arange(20), 20).tolist()
    hard = np.repeat(rng.exponential(size=20), 20)
    first, second = hard + 0.05 + 0.01 * rng.normal(size=400), hard + 0.01 * rng.normal(size=400)
    difference = bootstrap.paired_difference(first, second, speakers)
    assert difference.value == pytest.approx(0.05, abs=0.005) and difference.excludes_zero
    alone = bootstrap.interval(first, speakers)
    assert alone.high - alone.low > 10 * (difference.high - difference.low)
    none = bootstrap.paired_difference(first, first, speakers, bootstrap.median)
    assert (none.value, none.low, none.high) == (0, 0, 0) and not none.excludes_zero


def test_one_group_has_no_interval_and_no_words_no_value() -> None:
    assert math.isnan(bootstrap.interval([1.0, 2.0], ["a", "a"]).low)
    assert math.isnan(bootstrap.interval([], []).value)
    with pytest.raises(ValueError, match="paired"):
        bootstrap.paired_difference([1.0], [1.0, 2.0], ["a"])


def test_reference_table_states_errors_and_matched_share() -> None:
    table = reference_table(make("the cat sat"), make("the dog sat", start=0.03))
    assert table.splitlines()[0] == "2 of 3 reference words matched (66.7 %), 3 aligned"
    assert "mean absolute error, ms          30.0     30.0" in table
    assert "within 25 ms, %                   0.0      0.0" in table
    with pytest.raises(InputError, match="none of the 1 reference words"):
        reference_table(make("dog"), make("cat"))
