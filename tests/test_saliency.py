"""Saliency on a toy model whose truth is known, and on the embedded one."""

from __future__ import annotations

import itertools
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aligner.audio.read import read_audio
from aligner.core import Audio, SaliencyMap, TokenFrameMap, Tokens, WordSpan
from aligner.errors import InputError, SettingError
from aligner.metrics.saliency import (
    auroc,
    correlation,
    deletion,
    partial_spearman,
    pearson,
    prepare,
    size,
    word_correlations,
)
from aligner.models import load_model
from aligner.models.base import Encoded
from aligner.saliency import Request, agreement, compute, evidence, methods, pool
from aligner.saliency.masks import Estimate, draw, split_half
from aligner.saliency.perturbation import occlude_features
from aligner.saliency.reading import kl_divergence

ROOT = Path(__file__).parents[1]
SAMPLES, BASE = ROOT / "data" / "samples", ROOT / "build" / "real" / "base"

FRAMES, CHANNELS = 24, 8  # encoder frames of 20 ms, channels of the features


class Toy:
    """Encoder: mean of two feature frames. Row i sees nothing but encoder frames FRAME_OF[i], row 2 two of them."""

    frame_of = ((4,), (11,), (15, 16), (20,))
    feature_duration, frame_duration, precision = 0.01, 0.02, "float32"
    encoder_layers = torch.nn.ModuleList()

    def encode_features(self, features: torch.Tensor) -> torch.Tensor:
        return features.unflatten(1, (-1, 2)).mean(2)

    def token_log_probs(self, states: torch.Tensor, tokens: Tokens, language: str | None = None) -> torch.Tensor:
        rows = []
        for frames in self.frame_of:
            heard = states[:, list(frames)].mean((1, 2))
            rows.append(torch.stack([heard, -heard, 0 * heard], -1))
        return torch.log_softmax(torch.stack(rows, 1), -1)


TOKENS = Tokens((0, 1, 0), ("a", "b", "c"), (WordSpan("ab", 0, 2), WordSpan("c", 2, 3)))


@pytest.fixture
def encoded() -> Encoded:
    generator = torch.Generator().manual_seed(3)
    features = 2 + torch.rand(2 * FRAMES, CHANNELS, generator=generator)
    features[::7] -= 3  # so that the mean differs from every frame
    states = Toy().encode_features(features[None])[0]
    return Encoded(features, states, FRAMES, FRAMES * 0.02)


@pytest.mark.parametrize(
    ("method", "fill", "masks"),
    [
        ("encoder", "mean", 2000),
        ("strips:20", "zero", 600),
        ("spes:code", "zero", 3000),
        ("gradient", "mean", None),
        ("gradient:output", "mean", None),
    ],
)
def test_known_frames_are_recovered(encoded: Encoded, method: str, fill: str, masks: int | None) -> None:
    found = compute(Toy(), encoded, TOKENS, method, masks, fill=fill, threshold=0)
    assert found.values.shape[0] == len(TOKENS) + 1
    pooled = pool(found, 0.02, FRAMES, "mean").values
    for row, frames in zip(pooled, Toy.frame_of, strict=True):
        order = np.argsort(-row)
        # spes segments may join a frame with its neighbours, of the same energy
        slack = 1 if method.startswith("spes") else 0
        assert all(min(abs(f - g) for g in frames) <= slack for f in order[: len(frames)])


@pytest.mark.parametrize("p", [0.5, 0.7])
def test_random_masks_agree_with_all_masks(encoded: Encoded, p: float) -> None:
    """Five segments: the mean score of all 32 masks that drop each, weighed by their probability."""
    model, partition = Toy(), np.minimum(np.arange(2 * FRAMES) // 9, 4)[:, None]
    request = Request(model, encoded, TOKENS, masks=40_000, fill="zero", threshold=0)
    found = occlude_features(request, [partition], p)
    original = model.token_log_probs(encoded.states[None], TOKENS)[0]
    total, weight = np.zeros((4, 5)), np.zeros(5)
    for bits in itertools.product([False, True], repeat=5):
        dropped = np.array(bits)
        features = torch.where(torch.from_numpy(~dropped[partition]), encoded.features, 0.0)
        score = kl_divergence(original, model.token_log_probs(model.encode_features(features[None]), TOKENS))[0].numpy()
        probability = np.prod(np.where(dropped, p, 1 - p))
        total += probability * score[:, None] * dropped
        weight += probability * dropped
    exact = (total / weight)[:, partition[:, 0]]
    np.testing.assert_allclose(found.values[..., 0], exact, atol=0.02 * exact.max())


def test_spes_with_a_handful_of_segments_agrees_with_all_masks(encoded: Encoded, monkeypatch) -> None:
    """The same for SLIC segments of two granularities, cell by cell."""
    from aligner.saliency import spes

    preset = spes.Clustering((16, 25), 0, 0.1, float("inf"), 0.5, 1000)
    monkeypatch.setitem(spes.PRESETS, "handful", preset)
    model = Toy()
    found = compute(model, encoded, TOKENS, "spes:handful", 40_000, fill="zero", threshold=0)
    original = model.token_log_probs(encoded.states[None], TOKENS)[0]
    maps = []
    for count in (round(16 * 0.48), round(25 * 0.48)):
        labels = spes.segments(encoded.features.numpy(), count, preset)
        n = int(labels.max()) + 1
        assert 2 <= n <= 13
        every = np.array(list(itertools.product([False, True], repeat=n)))
        features = torch.where(torch.from_numpy(~every[:, labels]), encoded.features, 0.0)
        scores = kl_divergence(original, model.token_log_probs(model.encode_features(features), TOKENS)).numpy()
        maps.append(((scores.T @ every) / every.sum(0))[:, labels])
    exact = np.mean(maps, 0)
    np.testing.assert_allclose(found.values, exact, atol=0.03 * exact.max())


def test_the_ratio_and_the_regression_estimate_the_same() -> None:
    rng = np.random.default_rng(1)
    dropped = draw(rng, 60_000, 6, 0.7)
    scores = np.stack([dropped @ np.array([3.0, 0, 0, 1, 0, 0]), (dropped[:, 1] & dropped[:, 2]) * 1.0], 1)
    ratio, regression = Estimate(6, 2, 0.7), Estimate(6, 2, 0.7)
    ratio.gram = None
    ratio.add(dropped, scores)
    regression.add(dropped, scores)
    np.testing.assert_allclose(ratio.worth(), regression.worth(), atol=0.03)
    np.testing.assert_allclose(regression.worth()[1], [0.49, 0.7, 0.7, 0.49, 0.49, 0.49], atol=0.02)


def test_regression_needs_fewer_masks() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(30,))
    errors = []
    for plain in (True, False):
        estimate = Estimate(30, 1, 0.7)
        if plain:
            estimate.gram = None
        dropped = draw(np.random.default_rng(0), 400, 30, 0.7)
        estimate.add(dropped, dropped @ truth[:, None])
        slope = estimate.worth()[0] - estimate.worth()[0].mean()
        errors.append(1 - pearson(slope, truth))
    assert errors[1] < errors[0] / 4


def test_same_seed_same_map_other_seed_another(encoded: Encoded) -> None:
    first, again, other = (
        compute(Toy(), encoded, TOKENS, "encoder", 200, seed=seed, threshold=0).values for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_drawing_stops_when_converged_and_says_so(encoded: Encoded, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        loose = compute(Toy(), encoded, TOKENS, "encoder", threshold=0.5)
        strict = compute(Toy(), encoded, TOKENS, "encoder", threshold=0.995)
    assert loose.convergence >= 0.5 and strict.convergence >= 0.995
    assert 512 <= loose.masks < strict.masks < 20_000
    assert not caplog.records


def test_too_few_masks_for_the_threshold_is_said(encoded: Encoded, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        found = compute(Toy(), encoded, TOKENS, "encoder", 8)
    assert found.masks == 8 and found.convergence < 0.95
    assert "has not converged" in caplog.text and "8 masks" in caplog.text


def test_split_half_ignores_the_level_of_tokens() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6, 50))
    assert abs(split_half(a, b)) < 0.2
    level = 100 * np.arange(6)[:, None]
    assert split_half(a + level, b + level) == pytest.approx(split_half(a, b))


@pytest.mark.parametrize(
    ("method", "masks", "fill", "sentence"),
    [
        ("nothing", None, "mean", "unknown saliency method"),
        ("spes:none", None, "mean", "unknown spes preset"),
        ("strips:15", None, "mean", "multiple of 10"),
        ("encoder:3", None, "mean", "takes no argument"),
        ("gradient:9", None, "mean", "encoder has layers"),
        ("encoder", 3, "mean", "too few"),
        ("encoder", 0, "mean", "at least 1"),
        ("spes:code", 12, "mean", "too few"),
        ("strips", 100, "median", "unknown fill"),
    ],
)
def test_bad_settings(encoded: Encoded, method: str, masks: int | None, fill: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        compute(Toy(), encoded, TOKENS, method, masks, fill=fill)


@pytest.mark.parametrize("method", ["encoder", "strips", "spes:code"])
def test_audio_shorter_than_a_segment(method: str) -> None:
    states = torch.rand(1, CHANNELS)
    short = Encoded(torch.rand(1, CHANNELS), states, 1, 0.01)
    with pytest.raises(InputError, match=r"0\.010 s"):
        compute(Toy(), short, TOKENS, method)


def test_missing_extra_names_it(encoded: Encoded, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(SettingError, match=r"cross-attention-aligner\[saliency\]"):
        compute(Toy(), encoded, TOKENS, "spes")


def test_padding_is_never_hidden(encoded: Encoded) -> None:
    class Padded(Toy):
        seen: list[torch.Tensor] = []  # noqa: RUF012

        def token_log_probs(self, states, tokens, language=None):
            self.seen.append(states.abs().amax(2) > 0)
            return super().token_log_probs(states, tokens, language)

    seen = torch.cat([encoded.states, torch.ones(100, CHANNELS)])
    padded = Encoded(encoded.features, seen, encoded.frames, encoded.duration)
    found = compute(Padded(), padded, TOKENS, "encoder", 64, threshold=0)
    keep = torch.cat(Padded.seen)
    assert found.values.shape[1] == FRAMES and bool(keep[:, FRAMES:].all()) and not bool(keep[1:, :FRAMES].all())


def test_pooling() -> None:
    values = np.arange(2 * 5 * 2, dtype=float).reshape(2, 5, 2)
    saliency = SaliencyMap(values, 0.01)
    np.testing.assert_array_equal(pool(saliency, 0.02, 3).values, [[3, 7, 9], [13, 17, 19]])
    np.testing.assert_array_equal(pool(saliency, 0.02, 3, "mean").values, [[1.5, 5.5, 8.5], [11.5, 15.5, 18.5]])
    np.testing.assert_array_equal(pool(saliency, 0.01, 5).values, values.max(2))
    with pytest.raises(SettingError, match="max, mean"):
        pool(saliency, 0.02, 3, "median")


def test_agreement_is_one_where_attention_is_saliency_and_low_elsewhere() -> None:
    values = np.full((5, 40), 0.01)
    for row in range(5):
        values[row, 4 + 8 * row] = 1
    tokens = Tokens((1, 2, 3, 4), ("a", "b", "c", "d"), (WordSpan("ab", 0, 2), WordSpan("cd", 2, 4)))
    moved = values.copy()
    moved[2:4] = moved[[3, 2]]
    good = agreement(TokenFrameMap(values, 0.02), SaliencyMap(values[..., None], 0.02), tokens)
    mixed = agreement(TokenFrameMap(values, 0.02), SaliencyMap(moved[..., None], 0.02), tokens)
    assert min(good) > 0.5
    assert mixed[0] == pytest.approx(good[0]) and mixed[1] < 0.2


def test_evidence_rows_sum_to_one_and_keep_the_peak() -> None:
    values = np.full((3, 10, 1), 5.0)
    values[0, 3], values[1, 7] = 6, 9
    found = evidence(SaliencyMap(values, 0.02), 0.02, 10).values
    np.testing.assert_allclose(found.sum(1), 1)
    assert found[0].argmax() == 3 and found[1].argmax() == 7 and np.ptp(found[2]) == 0


def test_correlation_as_in_the_paper() -> None:
    rng = np.random.default_rng(5)
    attention, saliency = rng.random((2, 6, 30))
    a, b = attention[:-1], saliency[:-1]
    a = (a - a.mean(0)) / a.std(0)
    b = (b - b.mean(1, keepdims=True)) / b.std(1, keepdims=True)
    found = correlation(attention, saliency)
    assert found.pearson == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    from scipy.stats import spearmanr

    assert found.spearman == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic)
    assert found.r_squared == pytest.approx(found.pearson**2)
    word = word_correlations(attention, saliency, [WordSpan("w", 1, 3)])
    assert word[0] == pytest.approx(np.corrcoef(a[1:3].ravel(), b[1:3].ravel())[0, 1])
    with pytest.raises(ValueError, match="shape"):
        prepare(attention, saliency[:, :-1])


def test_partial_correlation_takes_a_common_cause_away() -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=3000)
    a, b = cause + 0.3 * rng.normal(size=(2, 3000))
    assert abs(partial_spearman(a, b, cause[:, None])) < 0.06 < 0.8 < pearson(a, b)
    direct = a + 0.1 * rng.normal(size=3000)
    assert partial_spearman(a, direct, cause[:, None]) > 0.8


def test_auroc_against_all_pairs() -> None:
    rng = np.random.default_rng(0)
    scores, positive = np.round(rng.random(60), 1), rng.random(60) < 0.4
    wins = [(p > n) + (p == n) / 2 for p in scores[positive] for n in scores[~positive]]
    assert auroc(scores, positive) == pytest.approx(np.mean(wins))
    assert np.isnan(auroc(scores, np.zeros(60, bool)))


def test_deletion_and_size() -> None:
    needed = np.zeros(40, bool)
    needed[[3, 9]] = True

    def error(keep: np.ndarray) -> float:
        return float((~keep[needed]).mean()) * 3  # counted as 1 at most

    good, bad = needed.astype(float), -needed.astype(float)
    assert deletion(good, error) == pytest.approx(97.5) and deletion(bad, error) == pytest.approx(2.5)
    assert size(np.eye(20)) < size(np.linspace(0, 1, 400))
    assert size(np.zeros((2, 2))) == pytest.approx(100 / 40)


def test_methods_on_the_embedded_model() -> None:
    model = load_model("embedded", threads=1)
    audio = read_audio(SAMPLES / "carrots.flac", 16_000)
    audio = Audio(audio.samples[: 16_000 * 2], 16_000)
    encoded = model.encode(audio)
    tokens = model.tokenize("put the kettle")
    frames = model.attend(encoded, tokens).frames
    assert set(methods) == {"encoder", "gradient", "spes", "strips"}
    for method in ("encoder", "strips", "spes:code", "gradient", "gradient:1", "gradient:output"):
        found = compute(model, encoded, tokens, method, None if "gradient" in method else 64, threshold=0)
        pooled = pool(found, model.frame_duration, frames)
        assert pooled.values.shape == (len(tokens) + 1, frames)
        assert np.ptp(pooled.values[:-1], axis=1).min() > 0


@pytest.fixture(scope="module", params=["embedded", "base"])
def real(request: pytest.FixtureRequest) -> tuple[Any, Encoded, Tokens]:
    """One of OpenAI's checkpoints, a sample that it has encoded, and what is said in it."""
    if request.param == "base" and not BASE.is_dir():
        pytest.skip("base is not there: run make real")
    model = load_model(str(BASE) if request.param == "base" else "embedded", threads=1)
    encoded = model.encode(read_audio(SAMPLES / "carrots.flac", 16_000))
    return model, encoded, model.tokenize("Carrots are a good source of vitamins.")


def divergence(model: Any, tokens: Tokens, original: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """In double precision, of whole passes: single is off by 4e-4 where a token is nearly sure."""
    first, new = (model.token_log_probs(s, tokens).double().log_softmax(-1) for s in (original[None], states))
    return (first.exp() * (first - new)).sum(-1)


def test_a_text_read_again_diverges_as_in_passes_of_the_whole(real: tuple[Any, Encoded, Tokens]) -> None:
    model, encoded, tokens = real
    share = torch.tensor([[0.7], [0.2], [-1.0]])
    keep = torch.rand(3, encoded.frames, generator=torch.Generator().manual_seed(0)) > share
    states = encoded.states.repeat(3, 1, 1)
    states[:, : encoded.frames] *= keep[..., None]
    with torch.inference_mode():
        expected = divergence(model, tokens, encoded.states, states)
        found = model.reread(encoded, tokens).without_states(keep)
    assert expected[0].max() > 0.5 and expected[2].max() == 0
    torch.testing.assert_close(found.double(), expected, atol=5e-5, rtol=1e-5)


def test_hidden_features_are_heard_anew_beside_a_silence_that_stays(real: tuple[Any, Encoded, Tokens]) -> None:
    """The same numbers as the whole encoder's, if hooks put back what it made of the silence, layer by layer."""
    model, encoded, tokens = real
    frames, features = encoded.frames, encoded.features.repeat(2, 1, 1)
    features[1, 40:90] = features.mean((0, 1))
    silence: list[torch.Tensor] = []
    layers = model.encoder_layers

    def keep(_module: Any, inputs: Any) -> None:
        silence.append(inputs[0][:, frames:].clone())

    def put_back(index: int) -> Any:
        def change(_module: Any, inputs: Any) -> Any:
            hidden = inputs[0].clone()
            hidden[:, frames:] = silence[index]
            return (hidden,)

        return change

    with torch.inference_mode():
        hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
        model.encode_features(encoded.features[None])
        for hook in hooks:
            hook.remove()
        hooks = [layer.register_forward_pre_hook(put_back(k)) for k, layer in enumerate(layers)]
        states = model.encode_features(features)
        for hook in hooks:
            hook.remove()
        states[:, frames:] = encoded.states[frames:]
        expected = divergence(model, tokens, encoded.states, states)
        found = model.reread(encoded, tokens).with_features(features)
    assert expected[1].max() > 0.5 and expected[0].max() < 1e-3
    torch.testing.assert_close(found.double(), expected, atol=2e-4, rtol=1e-4)
