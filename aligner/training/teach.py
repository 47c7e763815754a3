"""Teaching a timing head from recordings and transcripts, by turns: train, align again, until nothing is gained.

No times are given. The first ones come from attention, which says roughly where words are, or from even spacing. From
either only the place of every few words is kept, and sounds are spread evenly between: attention is early by a
constant, and a start that is exact but wrong is never forgotten. The mixtures alone then find the edges, as they settle
where the sound changes; the classifier is taught last, from their path, and takes part in the last round.

References
----------
Juang and Rabiner, "The segmental K-means algorithm for estimating parameters of hidden Markov models", 1990;
McAuliffe et al., "Montreal Forced Aligner", 2017 (monophones from a flat start).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from aligner.errors import InputError
from aligner.timing.cepstra import cepstra
from aligner.timing.graph import PARTS, SILENCE, Graph, best_path
from aligner.timing.head import STEP, Card, Classifier, Head, between, stays_of
from aligner.timing.mixtures import Mixtures, fit
from aligner.training.classifier import teach as teach_classifier

COMPONENTS = (1, 1, 2, 4, 8, 16)  # Gaussians of a class, round by round; further rounds keep the last
MOST_ROUNDS = 9
ENOUGH = 1.0  # nats a frame of held-out speech that a round must gain: after that, edges drift
APART = 4  # words between the places that are kept of the first times
MIXED = 0.3  # weight of the classifier in the round in which it takes part
_STAY_FIRST = 0.7  # probability that a part lasts another frame, before any path
FEWEST_FRAMES = 3000  # half a minute of speech: with less nothing can be learned


@dataclass(frozen=True, eq=False)
class Lesson:
    """A recording to learn from.

    Attributes
    ----------
    words : tuple of str
    features : float32 array, shape (feature frames, channels)
    states : float16 array, shape (encoder frames, width)
    starts : tuple of float or None
        Rough start of every word in seconds; None where nothing is known.
    """

    words: tuple[str, ...]
    features: NDArray[np.float32]
    states: NDArray[np.float16]
    starts: tuple[float, ...] | None = None


@dataclass(eq=False)
class _Pupil:
    """A lesson while it is learned."""

    lesson: Lesson
    frames: NDArray[np.float32]
    graph: Graph
    classes: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))


Report = Callable[[str, float], None]  # what is done, and what share of all that is


def teach(
    card: Card, lessons: Sequence[Lesson], held_out: Sequence[Lesson], report: Report = lambda _what, _share: None
) -> Head:
    """Teach a head.

    Parameters
    ----------
    card : Card
        With its speller and sounds.
    lessons, held_out : sequences of Lesson
        To learn from, and to tell when nothing more is gained.
    report : callable
        Told what is done.

    Raises
    ------
    InputError
        Too little speech.
    """
    blank = _blank(card)
    pupils = [_pupil(blank, lesson) for lesson in lessons]
    judges = [_pupil(blank, lesson) for lesson in held_out]
    pupils = [p for p in pupils if len(p.frames) > _least_frames(p.graph)]
    judges = [p for p in judges if len(p.frames) > _least_frames(p.graph)]
    if sum(len(p.frames) for p in pupils) < FEWEST_FRAMES:
        raise InputError("there is too little speech to learn from: give at least some minutes with their transcripts")
    for pupil in pupils:
        pupil.classes = _first_classes(blank, pupil.lesson, len(pupil.frames))
    frames = np.concatenate([p.frames for p in pupils])
    count = PARTS * (len(card.sounds) + 1)
    mixtures: Mixtures | None = None
    stay, last = np.full(count, _STAY_FIRST, np.float32), -np.inf
    for turn in range(MOST_ROUNDS):
        classes = np.concatenate([p.classes for p in pupils])
        mixtures = fit(frames, classes, count, COMPONENTS[min(turn, len(COMPONENTS) - 1)], mixtures)
        score = _score(judges or pupils[:20], mixtures, stay)
        report(f"round {turn + 1}: {score:.3f} nats a frame on held-out speech", (turn + 1) / (MOST_ROUNDS + 2))
        if turn >= len(COMPONENTS) - 1 and score - last < ENOUGH:
            break
        last = score
        stay = _aligned(pupils, _looks(mixtures), stay, count)
    assert mixtures is not None
    head = Head(card, mixtures, _classifier(pupils, count), stay)
    report("classifier", MOST_ROUNDS / (MOST_ROUNDS + 2))
    stay = _aligned(pupils, lambda p: _both(head, p), stay, count)
    mixtures = fit(frames, np.concatenate([p.classes for p in pupils]), count, COMPONENTS[-1], mixtures)
    report("classifier, with its own part in the path", (MOST_ROUNDS + 1) / (MOST_ROUNDS + 2))
    hours = round(len(frames) * STEP / 3600, 2)
    return Head(replace(card, hours=hours), mixtures, _classifier(pupils, count), stay)


def _blank(card: Card) -> Head:
    """A head that can spell and nothing else."""
    none = np.zeros((0, 0), np.float32)
    empty = Mixtures(none[None], none[None], none)
    return Head(card, empty, Classifier(none, none, none, none, none, none, none), np.zeros(0, np.float32))


def _pupil(head: Head, lesson: Lesson) -> _Pupil:
    return _Pupil(lesson, cepstra(lesson.features), head.graph(lesson.words))


def _least_frames(graph: Graph) -> int:
    """Frames that every way through a graph has: three to a sound is not enough to learn from."""
    return int((graph.words >= 0).sum())


def _first_classes(head: Head, lesson: Lesson, count: int) -> NDArray[np.intp]:
    """A class for every frame: sounds spread evenly between the places that are known."""
    ways = [head.spell(word)[0] for word in lesson.words]
    pause = [PARTS * SILENCE + part for part in range(PARTS)]
    sounds = [[PARTS * sound + part for sound in way for part in range(PARTS)] for way in ways]
    if lesson.starts is None:
        cuts, groups = [0, count], [[*pause, *(c for word in sounds for c in word), *pause]]
    else:
        kept = range(0, len(ways), APART)
        cuts = [0, *(min(count, max(0, round(lesson.starts[k] / STEP))) for k in kept), count]
        cuts = np.maximum.accumulate(cuts).tolist()
        groups = [pause, *([c for word in sounds[k : k + APART] for c in word] for k in kept)]
        groups[-1] = [*groups[-1], *pause]
    found = np.zeros(count, np.intp)
    for (low, high), group in zip(itertools.pairwise(cuts), groups, strict=True):
        width = high - low
        found[low:high] = np.array(group)[np.arange(width) * len(group) // max(1, width)]
    # What may be anything teaches nothing: it counts as silence at first.
    found[found >= PARTS * (len(head.card.sounds) + 1)] = 0
    return found


def _emitted(likelihood: NDArray[np.float32], graph: Graph) -> NDArray[np.float32]:
    """Likelihoods of the states of a graph; a word that cannot be spelled may be any sound."""
    anything = np.repeat(likelihood[:, PARTS:].max(1, keepdims=True), PARTS, 1)
    return np.concatenate([likelihood, anything], 1)[:, graph.classes]


def _score(pupils: Sequence[_Pupil], mixtures: Mixtures, stay: NDArray[np.float32]) -> float:
    """Mean log-likelihood of a frame on the best paths."""
    stays, total = stays_of(stay), 0.0
    for pupil in pupils:
        total += best_path(_emitted(mixtures.log_likelihood(pupil.frames), pupil.graph), pupil.graph, stays)[1]
    return total / sum(len(p.frames) for p in pupils)


def _looks(mixtures: Mixtures) -> Callable[[_Pupil], NDArray[np.float32]]:
    """Mixtures alone."""
    return lambda pupil: mixtures.log_likelihood(pupil.frames)


def _both(head: Head, pupil: _Pupil) -> NDArray[np.float32]:
    """Mixtures with a small part of the classifier."""
    scaled = head.classifier.log_likelihoods(pupil.lesson.states.astype(np.float32))
    return head.mixtures.log_likelihood(pupil.frames) + MIXED * between(scaled, len(pupil.frames))


def _aligned(
    pupils: Sequence[_Pupil], likelihood: Callable[[_Pupil], NDArray[np.float32]], stay: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """Give every pupil the classes of its best path; how likely parts are to last, from all paths."""
    stays = stays_of(stay)
    seen, left = np.ones(count), np.ones(count)
    for pupil in pupils:
        path, _ = best_path(_emitted(likelihood(pupil), pupil.graph), pupil.graph, stays)
        classes = pupil.graph.classes[path]
        pupil.classes = np.where(classes < count, classes, 0)
        seen += np.bincount(pupil.classes, minlength=count)
        left += np.bincount(pupil.classes[:-1][np.diff(path) != 0], minlength=count)
    return np.clip(1 - left / seen, 0.05, 0.98).astype(np.float32)


def _classifier(pupils: Sequence[_Pupil], count: int) -> Classifier:
    states = np.concatenate([p.lesson.states[: (len(p.classes) + 1) // 2] for p in pupils])
    classes = np.concatenate([p.classes[::2][: len(p.lesson.states)] for p in pupils])
    return teach_classifier(states, classes, count)
