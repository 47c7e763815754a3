"""Which heads are read, and what becomes of them, on maps with known heads."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aligner.core import AttentionMap, softmax
from aligner.errors import SettingError
from aligner.timing.aggregation import Aggregation, aggregate, choose_heads, choose_layers, norm_score
from aligner.timing.settings import PRESETS

TOKENS, FRAMES, SEEN = 6, 40, 50


def attention_map(layers: int = 4, heads: int = 3, seed: int = 0, prefix: int = 2) -> AttentionMap:
    """Noise; rows are the prompt's, the tokens', the end's and one more."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (layers, heads, prefix + TOKENS + 2, SEEN)).astype(np.float32)
    return AttentionMap(logits, FRAMES, 0.02, prefix=prefix, suffix=1)


def planted(attention: AttentionMap, pairs: tuple[tuple[int, int], ...]) -> AttentionMap:
    """The same with a sharp diagonal in some heads."""
    logits = attention.logits.copy()
    for layer, head in pairs:
        for token in range(TOKENS + 1):
            logits[layer, head, attention.prefix + token, 5 * token + 2] += 12
    return AttentionMap(logits, attention.frames, attention.frame_duration, attention.prefix, attention.suffix)


@pytest.mark.parametrize(
    ("setting", "layers"),
    [("all", (0, 1, 2, 3, 4)), ("upper-half", (2, 3, 4)), ("last:1", (4,)), ("last:2", (3, 4)), ("1,3", (1, 3))],
)
def test_layers_are_chosen_by_name(setting: str, layers: tuple[int, ...]) -> None:
    assert choose_layers(setting, 5) == layers


@pytest.mark.parametrize("setting", ["last:0", "last:6", "5", "1,9", "top", "last:", "", "-1", "1.2"])
def test_layers_that_do_not_exist_are_refused(setting: str) -> None:
    with pytest.raises(SettingError, match="--layers"):
        choose_layers(Aggregation(setting).layers, 5)


def test_heads_are_chosen_by_name() -> None:
    attention = planted(attention_map(), ((1, 2), (3, 0)))
    upper = tuple((layer, head) for layer in (2, 3) for head in range(3))

    def chosen(heads: str, layers: str = "upper-half", listed: tuple[tuple[int, int], ...] = ()) -> object:
        return choose_heads(Aggregation(layers, heads), attention, listed)

    assert chosen("all") == upper
    assert chosen("alignment", listed=((0, 1),)) == ((0, 1),)
    assert chosen("alignment-or-all", listed=((0, 1),)) == ((0, 1),)
    assert chosen("alignment-or-all") == upper
    assert chosen("3.1,0.2") == ((3, 1), (0, 2))
    assert set(chosen("top:2", "all")) == {(1, 2), (3, 0)}  # the two that know where they look
    assert chosen("top:1") == ((3, 0),)


@pytest.mark.parametrize("heads", ["alignment", "top:0", "top:99", "4.0", "0.3", "some", "1", "top:x", ""])
def test_heads_that_do_not_exist_are_refused(heads: str) -> None:
    with pytest.raises(SettingError, match="--heads"):
        choose_heads(Aggregation("all", heads), attention_map())


def test_a_list_of_heads_that_does_not_fit_the_model_is_refused() -> None:
    with pytest.raises(SettingError, match="does not fit"):
        choose_heads(Aggregation("all", "alignment"), attention_map(), ((9, 0),))


def test_ranking_needs_probabilities() -> None:
    with pytest.raises(SettingError, match="softmax"):
        Aggregation("all", "top:2", ("logits", "mean"))
    Aggregation("all", "top:2", ("logits", "softmax", "mean"))


@pytest.mark.parametrize(
    "steps", [(), ("mean",), ("softmax-crop",), ("softmax-crop", "mean", "max"), ("softmax", "mean")]
)
def test_steps_need_one_source_and_one_combination(steps: tuple[str, ...]) -> None:
    with pytest.raises(SettingError):
        Aggregation(steps=steps)


def test_norm_score_is_the_sum_of_both_norms() -> None:
    weights = np.array([[3.0, 0.0], [4.0, 1.0]], np.float32)
    assert norm_score(weights) == pytest.approx((5 + 1) + (3 + np.sqrt(17)))


def test_sources_differ_in_when_padding_is_cut() -> None:
    attention = attention_map()
    logits = attention.logits[3]
    rows = attention.text_rows

    def made(source: str) -> np.ndarray:
        return aggregate(attention, Aggregation("last:1", "all", (source, "mean"))).values

    np.testing.assert_allclose(made("softmax-crop"), softmax(logits)[:, rows, :FRAMES].mean(0), atol=1e-7)
    np.testing.assert_allclose(made("crop-softmax"), softmax(logits[..., :FRAMES])[:, rows].mean(0), atol=1e-7)
    np.testing.assert_allclose(made("logits"), logits[:, rows, :FRAMES].mean(0), atol=1e-6)
    assert made("softmax-crop").sum(-1).max() < 1 - 1e-3  # what padding took is gone
    np.testing.assert_allclose(made("crop-softmax").sum(-1), 1, rtol=1e-5)


def test_the_map_has_a_row_per_token_and_one_for_the_end_whatever_the_steps() -> None:
    attention = planted(attention_map(), ((3, 0), (3, 1), (3, 2)))
    for steps in (("softmax-crop", "mean"), ("softmax-crop", "text-rows", "standardise", "median:3", "max")):
        found = aggregate(attention, Aggregation("last:1", "all", steps))
        assert found.values.shape == (TOKENS + 1, FRAMES) and found.values.dtype == np.float64
        assert found.frame_duration == 0.02
    np.testing.assert_array_equal(
        aggregate(attention, Aggregation("last:1")).values.argmax(1), [5 * token + 2 for token in range(TOKENS + 1)]
    )


def test_every_head_counts_once_and_the_same() -> None:
    attention = attention_map()
    one = [aggregate(attention, Aggregation(heads=f"{layer}.1")).values for layer in range(4)]
    both = aggregate(attention, Aggregation(heads="0.1,1.1,2.1,3.1")).values
    np.testing.assert_allclose(both, np.mean(one, axis=0), atol=1e-7)
    top = aggregate(attention, Aggregation("all", "top:12")).values
    np.testing.assert_allclose(top, aggregate(attention, Aggregation("all")).values, atol=1e-7)


def test_aggregating_leaves_the_attention_alone() -> None:
    attention = attention_map()
    before = attention.logits.copy()
    for preset in (named.settings for named in PRESETS.values()):
        heads = "all" if preset.aggregation.heads.startswith("top") else preset.aggregation.heads
        aggregate(attention, Aggregation("all", heads, preset.aggregation.steps), ((3, 0), (2, 1)))
    np.testing.assert_array_equal(attention.logits, before)


def test_provenance_is_json_and_complete() -> None:
    for preset in (named.settings for named in PRESETS.values()):
        described = json.loads(json.dumps(preset.aggregation.describe()))
        assert Aggregation(described["layers"], described["heads"], tuple(described["steps"])) == preset.aggregation
