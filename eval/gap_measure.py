"""What the gap study measures of one utterance: times from attention, saliency and head, and how far they agree.

All maps share the path finder, the pause rule and the form in which `align`
reads attention, logarithms, so that they differ in their evidence only. The
timing head reads the encoder and has a path of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner import saliency
from aligner.core import AttentionMap, SaliencyMap, TokenFrameMap, Tokens
from aligner.errors import InputError
from aligner.metrics.saliency import correlation
from aligner.timing.aggregation import norm_score
from aligner.timing.choice import head_of
from aligner.timing.settings import ATTENTION, Settings
from eval.baselines import uniform_times
from eval.cases import named, open_case
from eval.manifest import Utterance

SETTINGS = Settings(shift=0.0, timing="attention", confidence=False)
LINEAR = replace(ATTENTION, steps=tuple(step for step in ATTENTION.steps if step != "log"))
TOP = 4  # heads in each choice of heads
FLOOR = 1e-3  # share of a row that a frame without evidence is taken to have
DECIMALS = 5

Head = tuple[int, int]
Floats = NDArray[np.float64]


def unit(record: Mapping[str, Any]) -> str:
    """What is resampled and left out: the speaker, or the utterance where unknown."""
    return str(record["speaker"] or record["id"])


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
        self.model, self.utterance = model, utterance
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
        return _pairs(self.case.timed(evidence, SETTINGS).words)

    def error(self, times: Sequence[tuple[float, float]]) -> float:
        """Mean absolute error of onsets and offsets, in seconds."""
        reference = np.array([(w.start, w.end) for w in self.utterance.words])
        return float(np.abs(np.array(times) - reference).mean())

    def mean_of(self, heads: Sequence[Head]) -> TokenFrameMap:
        """Mean attention of some heads."""
        layers, columns = np.array(heads).T
        return TokenFrameMap(self.weights[layers, columns].mean(0), self.attention.frame_duration)

    def evidence_of(self, heads: Sequence[Head]) -> TokenFrameMap:
        """The same in the form in which attention is aligned."""
        return as_evidence(self.mean_of(heads).values, self.attention.frame_duration)

    @property
    def heads(self) -> list[Head]:
        """Every (layer, head)."""
        return [(layer, head) for layer, head in np.ndindex(*self.weights.shape[:2])]

    def groups_of_heads(self) -> dict[str, list[Head]]:
        """Head sets of the paper's tables: single heads, layers, last layers, all; and the checkpoint's own list."""
        n_layers, n_heads = self.weights.shape[:2]
        found = {f"head {layer}.{head}": [(layer, head)] for layer, head in self.heads}
        for layer in range(n_layers):
            found[f"layer {layer}"] = [(layer, head) for head in range(n_heads)]
        for count in range(2, n_layers):
            found[f"last {count} layers"] = [pair for pair in self.heads if pair[0] >= n_layers - count]
        found["all layers"] = self.heads
        if self.model.alignment_heads:
            found["OpenAI's heads"] = list(self.model.alignment_heads)
        return found

    def by_the_head(self, timing: str) -> tuple[Any, ...]:
        """Words of the checkpoint's timing head; none where it has none."""
        settings = replace(SETTINGS, timing=timing)
        if head_of(self.model, replace(settings, timing="auto"), self.case.language) is None:
            return ()
        return self.case.words(settings).words


def _pairs(words: Sequence[Any]) -> list[tuple[float, float]]:
    return [(round(w.start, DECIMALS), round(w.end, DECIMALS)) for w in words]


def as_evidence(values: Floats, step: float) -> TokenFrameMap:
    """Logarithms of rows that sum to 1."""
    rows = values / np.maximum(values.sum(1, keepdims=True), 1e-12)
    return TokenFrameMap(np.log(rows + FLOOR), step)


def measure(case: Measured, maps: Mapping[str, SaliencyMap]) -> dict[str, Any]:
    """The record of an utterance, JSON-serialisable.

    Parameters
    ----------
    case : Measured
    maps : mapping of str to SaliencyMap
        Its saliency, by method.
    """
    utterance = case.utterance
    tokens, step, frames = case.tokens, case.attention.frame_duration, case.attention.frames
    groups = case.groups_of_heads()
    head_maps = {name: case.mean_of(heads) for name, heads in groups.items()}
    plain = case.case.evidence(replace(SETTINGS, aggregation=LINEAR))
    rows = plain.values / np.maximum(plain.values.sum(1, keepdims=True), 1e-12)
    sources = {"attention": case.case.evidence(SETTINGS)}
    last, upper = len(case.weights) - 1, [pair for pair in case.heads if pair[0] >= len(case.weights) // 2]
    for name, heads in groups.items():
        if (name == f"layer {last}" or name.split()[0] not in ("head", "layer")) and heads != upper:
            sources[f"attention, {name}"] = case.evidence_of(heads)
    found: dict[str, Any] = {}
    for method, saliency_map in maps.items():
        pooled = saliency.pool(saliency_map, step, frames)
        own = saliency.evidence(saliency_map, step, frames, log=method.startswith("gradient")).values
        sources[method] = as_evidence(own, step)
        sources[f"attention + {method}"] = as_evidence(rows + own, step)
        whole = correlation(plain.values, pooled.values)
        found[method] = {
            "masks": saliency_map.masks,
            "convergence": saliency_map.convergence,
            "pearson": whole.pearson,
            "spearman": whole.spearman,
            "agreement": list(saliency.agreement(plain, saliency_map, tokens)),
            "maps": {name: correlation(m.values, pooled.values).pearson for name, m in head_maps.items()},
        }
    times = {name: case.times(evidence) for name, evidence in sources.items()}
    of_head, of_both = case.by_the_head("head"), case.by_the_head("both")
    if of_head:
        times |= {"head": _pairs(of_head), "head and attention": _pairs(of_both)}
    times["uniform"] = uniform_times([span.text for span in tokens.words], case.case.encoded.duration)
    return {
        "id": utterance.id,
        "speaker": utterance.speaker,
        "frame_duration": step,
        "words": [[w.text, w.start, w.end] for w in utterance.words],
        "times": times,
        "saliency": found,
        "factors": _factors(case, rows, of_head, times),
        "map_error": {name: case.error(case.times(case.evidence_of(heads))) for name, heads in groups.items()},
        "norm": {f"head {h[0]}.{h[1]}": norm_score(case.attention.probabilities(*h)) for h in case.heads},
    }


def _factors(
    measured: Measured, rows: Floats, of_head: Sequence[Any], times: Mapping[str, Sequence[tuple[float, float]]]
) -> dict[str, list[float]]:
    """What else may go with a word's error: known before the gold (cost, entropy, ...) and from it (pause)."""
    case, tokens, words = measured.case, measured.tokens, measured.utterance.words
    evidence, path = case.evidence(SETTINGS), case.path(SETTINGS)
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
    if of_head:
        apart = np.abs(np.array(times["head"]) - np.array(times["attention"])).max(1)
        found["distance to the head"] = [float(d) for d in apart]
        found["margin of the head"] = [float(word.margin or 0) for word in of_head]
    return found
