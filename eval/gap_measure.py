"""What the gap study measures of one utterance: times from attention and saliency, and how far the two agree.

All sources of times share the path finder and the pause rule of the default
preset, so that they differ in their evidence only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner import saliency
from aligner.core import AttentionMap, TokenFrameMap, Tokens
from aligner.errors import InputError
from aligner.metrics.saliency import correlation
from aligner.models.base import hears_spectrogram
from aligner.timing.aggregation import Aggregation, norm_score
from aligner.timing.settings import Settings
from eval.baselines import uniform_times
from eval.cases import named, open_case
from eval.manifest import Utterance

SETTINGS = Settings(Aggregation(), shift=0.0, timing="attention", confidence=False)
TOP = 4  # heads in each choice of heads
DECIMALS = 5

Head = tuple[int, int]


class Measured:
    """An utterance after the model beside its reference, ready for any choice of heads.

    Parameters
    ----------
    model : SpeechModel
    utterance : Utterance

    Raises
    ------
    InputError
        The utterance's words are not the model's, or do not fit it; the sentence names it.
    """

    def __init__(self, model: Any, utterance: Utterance) -> None:
        self.utterance = utterance
        self.case = open_case(model, utterance)
        with named(utterance):
            self.tokens: Tokens = self.case.tokens(SETTINGS.units)
            self.attention: AttentionMap = self.case.attention(SETTINGS.units)
        if len(self.tokens.words) != len(utterance.words):
            raise InputError(
                f"utterance {utterance.id}: the model makes {len(self.tokens.words)} words of its "
                f"{len(utterance.words)}: give a manifest whose words are written as they are spoken"
            )
        self.weights = self.attention.weights

    def times(self, evidence: TokenFrameMap) -> list[tuple[float, float]]:
        """Onset and offset of each word in seconds."""
        words = self.case.timed(evidence, SETTINGS).words
        return [(round(w.start, DECIMALS), round(w.end, DECIMALS)) for w in words]

    def errors(self, times: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
        """Absolute onset and offset errors in seconds, shape (words, 2)."""
        reference = np.array([(w.start, w.end) for w in self.utterance.words])
        return np.abs(np.array(times) - reference)

    def mean_of(self, heads: Sequence[Head]) -> TokenFrameMap:
        """Mean attention of some heads."""
        layers, columns = np.array(heads).T
        return TokenFrameMap(self.weights[layers, columns].mean(0), self.attention.frame_duration)

    @property
    def heads(self) -> list[Head]:
        """Every (layer, head)."""
        return [(layer, head) for layer, head in np.ndindex(*self.weights.shape[:2])]

    def groups_of_heads(self) -> dict[str, list[Head]]:
        """Head sets of the paper's tables: single heads, layers, last layers, all."""
        n_layers, n_heads = self.weights.shape[:2]
        found = {f"head {layer}.{head}": [(layer, head)] for layer, head in self.heads}
        for layer in range(n_layers):
            found[f"layer {layer}"] = [(layer, head) for head in range(n_heads)]
        for count in range(2, n_layers):
            found[f"last {count}"] = [pair for pair in self.heads if pair[0] >= n_layers - count]
        found["all"] = self.heads
        return found


def measure(
    model: Any, utterance: Utterance, methods: Sequence[str], masks: Mapping[str, int | None], seed: int = 0
) -> dict[str, Any]:
    """The record of an utterance, JSON-serialisable.

    Parameters
    ----------
    model : SpeechModel
    utterance : Utterance
    methods : sequence of str
        Saliency methods, the first of which chooses heads.
    masks : mapping of str to int or None
        Random masks of each method.
    seed : int

    Raises
    ------
    InputError
        See `Measured`.
    """
    case = Measured(model, utterance)
    tokens = case.tokens
    step, frames = case.attention.frame_duration, case.attention.frames
    default = case.case.evidence(SETTINGS)
    sources = {"attention": default}
    groups = case.groups_of_heads()
    maps = {name: case.mean_of(heads) for name, heads in groups.items()}
    found: dict[str, Any] = {}
    for method in methods:
        # A map that has not converged is part of the record, so no threshold is asked for.
        result = saliency.compute(
            model, case.case.encoded, tokens, method, masks.get(method), seed, case.case.language, threshold=0
        )
        pooled = saliency.pool(result, step, frames)
        own = saliency.evidence(result, step, frames, log=method.startswith("gradient"))
        rows = default.values / np.maximum(default.values.sum(1, keepdims=True), 1e-12)
        sources[method] = own
        sources[f"attention + {method}"] = TokenFrameMap((rows + own.values) / 2, step)
        sources[f"attention * {method}"] = TokenFrameMap(np.sqrt(np.maximum(rows, 0) * own.values), step)
        whole = correlation(default.values, pooled.values)
        found[method] = {
            "masks": result.masks,
            "convergence": result.convergence,
            "pearson": whole.pearson,
            "spearman": whole.spearman,
            "pearson_mean_pooled": correlation(
                default.values, saliency.pool(result, step, frames, "mean").values
            ).pearson,
            "agreement": list(saliency.agreement(default, result, tokens)),
            "maps": {name: correlation(m.values, pooled.values).pearson for name, m in maps.items()},
        }
    first = found[methods[0]]["maps"]
    by_agreement = sorted(case.heads, key=lambda h: -first[f"head {h[0]}.{h[1]}"])[:TOP]
    norms = {h: norm_score(case.attention.probabilities(*h)) for h in case.heads}
    sources[f"top {TOP} by agreement, per utterance"] = case.mean_of(by_agreement)
    sources[f"top {TOP} by norm, per utterance"] = case.mean_of(sorted(case.heads, key=lambda h: -norms[h])[:TOP])
    times = {name: case.times(evidence) for name, evidence in sources.items()}
    times["uniform"] = uniform_times([span.text for span in tokens.words], case.case.encoded.duration)
    return {
        "id": utterance.id,
        "speaker": utterance.speaker,
        "words": [[w.text, w.start, w.end] for w in utterance.words],
        "times": times,
        "saliency": found,
        "factors": _factors(case),
        "map_error": {name: float(case.errors(case.times(m)).mean()) for name, m in maps.items()},
        "norm": {f"head {layer}.{head}": norms[layer, head] for layer, head in case.heads},
    }


def _factors(measured: Measured) -> dict[str, list[float]]:
    """What else may go with a word's error: known before the gold (cost, entropy, probability) and from it."""
    case, tokens, words = measured.case, measured.tokens, measured.utterance.words
    evidence, path = case.evidence(SETTINGS), case.path(SETTINGS)
    rows = evidence.values / np.maximum(evidence.values.sum(1, keepdims=True), 1e-12)
    entropy = -(rows * np.log(np.maximum(rows, 1e-12))).sum(1)
    probabilities = case.probabilities(SETTINGS.units)
    found: dict[str, list[float]] = {
        name: [] for name in ("letters", "duration", "position", "pause", "probability", "entropy", "cost")
    }
    for i, (span, word) in enumerate(zip(tokens.words, words, strict=True)):
        before = word.start - (words[i - 1].end if i else 0)
        after = (words[i + 1].start if i + 1 < len(words) else case.encoded.duration) - word.end
        mine = (path.tokens >= span.start) & (path.tokens < span.stop)
        found["letters"].append(float(sum(c.isalnum() for c in word.text)))
        found["duration"].append(word.duration)
        found["position"].append(i / max(1, len(words) - 1))
        found["pause"].append(max(before, after))
        found["probability"].append(float(probabilities[i]))
        found["entropy"].append(float(entropy[span.start : span.stop].mean()))
        found["cost"].append(-float(evidence.values[path.tokens[mine], path.frames[mine]].mean()))
    return found


def deletion_areas(
    model: Any, utterance: Utterance, methods: Sequence[str], masks: Mapping[str, int | None], seed: int = 0
) -> dict[str, float]:
    """Deletion area of the frame importance that attention and each saliency map give, and of a random order.

    All masked versions are transcribed in one batch. Importance of a frame is
    its mean over the tokens of the standardised map.
    """
    import torch

    from aligner.metrics.saliency import STEPS, deletion, standardise

    case = open_case(model, utterance)
    attention, tokens = case.attention(SETTINGS.units), case.tokens(SETTINGS.units)
    step, frames = attention.frame_duration, attention.frames
    default = case.evidence(SETTINGS)
    importance = {
        "attention": standardise(default.values[:-1], 1).mean(0),
        "random": np.random.default_rng(seed).random(frames),
    }
    for method in methods:
        result = saliency.compute(
            model, case.encoded, tokens, method, masks.get(method), seed, case.language, threshold=0
        )
        importance[method] = standardise(saliency.pool(result, step, frames).values[:-1], 1).mean(0)
    keeps: list[NDArray[np.bool_]] = []

    def collect(keep: NDArray[np.bool_]) -> float:
        keeps.append(keep)
        return 0.0

    for scores in importance.values():
        deletion(scores, collect)
    hears, features = hears_spectrogram(model, "the deletion test"), case.encoded.features
    ratio = round(step / hears.feature_duration)
    shown = np.ones((len(keeps), len(features)), bool)
    wide = np.repeat(np.array(keeps), ratio, axis=1)[:, : len(features)]
    shown[:, : wide.shape[1]] = wide
    errors: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(keeps), STEPS):
            keep = torch.from_numpy(shown[start : start + STEPS]).to(features.device)[..., None]
            states = hears.encode_features(torch.where(keep, features, features.mean(0)))
            heard = model.transcribe([replace(case.encoded, states=window) for window in states], case.language)
            errors += [_word_error(utterance.text, transcription.text) for transcription in heard]
    known = iter(errors)
    return {name: deletion(scores, lambda _keep: next(known)) for name, scores in importance.items()}


def _word_error(reference: str, hypothesis: str) -> float:
    import jiwer

    from aligner.text.spoken import spoken_form

    return float(jiwer.wer(spoken_form(reference), spoken_form(hypothesis) or "-"))
