"""Teaching a timing head from recordings and transcripts, by turns: train, align again, until nothing is gained.

No times are given. The first ones come from attention, which says roughly where words are, or from even spacing. From
either only the place of every few words is kept, and sounds are spread evenly between: attention is early by a
constant, and a start that is exact but wrong is never forgotten. The mixtures alone then find the edges, as they settle
where the sound changes: few Gaussians at first, some more after every pass. The classifier is taught last, from their
path.

References
----------
Juang and Rabiner, "The segmental K-means algorithm for estimating parameters of hidden Markov models", 1990;
McAuliffe et al., "Montreal Forced Aligner", 2017 (monophones from a flat start, and their schedule).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from aligner.errors import InputError
from aligner.timing.cepstra import cepstra
from aligner.timing.graph import SILENCE, Graph, best_paths, class_count, classes_of
from aligner.timing.head import HALVES, STEP, Card, Classifier, Head, stays_of, with_anything
from aligner.timing.mixtures import Mixtures, fit, one_for_all, sizes
from aligner.training.classifier import teach as teach_classifier

GAUSSIANS, MOST = 1000, 16  # of all classes, and of one
FRAMES_EACH = 100  # frames of speech to a Gaussian: fewer Gaussians are learned from little speech
GROWTH = 30  # passes in which the Gaussians grow in number
MOST_PASSES = 40
SURE = 10  # passes after which paths are found anew every second time only, as they change little
ENOUGH = 0.02  # nats a frame of held-out speech that two passes must gain once all Gaussians are there
APART = 4  # words between the places that are kept of the first times
TOGETHER = 16  # recordings whose paths are found at once
_STAY_FIRST = 0.7  # probability that a part lasts another frame, before any path
FEWEST_FRAMES = 3000  # half a minute of speech: with less nothing can be learned


@dataclass(frozen=True, eq=False)
class Lesson:
    """A recording to learn from.

    Attributes
    ----------
    words : tuple of str
    energies : float32 array, shape (frames, bands)
        From `cepstra.bands`, one frame each 10 ms.
    states : float16 array, shape (encoder frames, width)
    starts : tuple of float or None
        Rough start of every word in seconds; None where nothing is known.
    """

    words: tuple[str, ...]
    energies: NDArray[np.float32]
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
    count = class_count(len(card.sounds))
    most = min(GAUSSIANS, len(frames) // FRAMES_EACH)
    mixtures, stay, last = one_for_all(frames, count), np.full(count, _STAY_FIRST, np.float32), -np.inf
    for turn in range(MOST_PASSES):
        classes = np.concatenate([p.classes for p in pupils])
        wanted = count + (most - count) * turn // GROWTH
        heard = np.bincount(classes, minlength=count)
        mixtures = fit(frames, classes, mixtures, sizes(heard, wanted if turn < GROWTH else most, MOST))
        if turn >= SURE and turn % 2:
            continue
        stay = _aligned(pupils, mixtures, stay)
        score = _score(judges or pupils[:20], mixtures, stay)
        report(f"pass {turn + 1}: {score:.3f} nats a frame on held-out speech", (turn + 1) / (MOST_PASSES + 2))
        if turn >= GROWTH and score - last < ENOUGH:
            break
        last = score
    report("classifier", MOST_PASSES / (MOST_PASSES + 2))
    hours = round(len(frames) * STEP / 3600, 2)
    return Head(replace(card, hours=hours), mixtures, _classifier(pupils, count), stay)


def likelihood(head: Head, lessons: Sequence[Lesson]) -> float:
    """Mean log-likelihood of a frame of speech: compares heads of the same sounds without any gold."""
    pupils = [_pupil(head, lesson) for lesson in lessons]
    return _score([p for p in pupils if len(p.frames) > _least_frames(p.graph)], head.mixtures, head.stay)


def _blank(card: Card) -> Head:
    """A head that can spell and nothing else."""
    none = np.zeros((0, 0), np.float32)
    empty = Mixtures(none[None], none[None], none)
    return Head(card, empty, Classifier(none, none, none, none, none, none, none), np.zeros(0, np.float32))


def _pupil(head: Head, lesson: Lesson) -> _Pupil:
    return _Pupil(lesson, cepstra(lesson.energies), head.graph(lesson.words))


def _least_frames(graph: Graph) -> int:
    """Frames that every way through a graph has: three to a sound is not enough to learn from."""
    return int((graph.words >= 0).sum())


def _first_classes(head: Head, lesson: Lesson, count: int) -> NDArray[np.intp]:
    """A class for every frame: sounds spread evenly between the places that are known."""
    ways = [head.spell(word)[0] for word in lesson.words]
    pause = list(classes_of(SILENCE))
    sounds = [[emitted for sound in way for emitted in classes_of(sound)] for way in ways]
    # A pause behind every word, which the first path shortens: what it keeps of them is where silence is learned from.
    said = [[*word, *pause] for word in sounds]
    if lesson.starts is None:
        cuts, groups = [0, count], [[*pause, *itertools.chain.from_iterable(said)]]
    else:
        kept = range(0, len(ways), APART)
        cuts = [0, *(min(count, max(0, round(lesson.starts[k] / STEP))) for k in kept), count]
        cuts = np.maximum.accumulate(cuts).tolist()
        groups = [pause, *([*itertools.chain.from_iterable(said[k : k + APART])] for k in kept)]
    found = np.zeros(count, np.intp)
    for (low, high), group in zip(itertools.pairwise(cuts), groups, strict=True):
        width = high - low
        found[low:high] = np.array(group)[np.arange(width) * len(group) // max(1, width)]
    # What may be anything teaches nothing: it counts as silence at first.
    found[found >= class_count(len(head.card.sounds))] = 0
    return found


def _paths(
    pupils: Sequence[_Pupil], mixtures: Mixtures, stay: NDArray[np.float32]
) -> Iterator[tuple[_Pupil, NDArray[np.intp], float]]:
    """The best path of every pupil, and its score; those of equal length together."""
    stays, by_length = stays_of(stay), sorted(pupils, key=lambda pupil: len(pupil.frames))
    for low in range(0, len(by_length), TOGETHER):
        some = by_length[low : low + TOGETHER]
        likelihoods = (with_anything(mixtures.log_likelihood(pupil.frames)) for pupil in some)
        emitted = [found[:, pupil.graph.classes] for found, pupil in zip(likelihoods, some, strict=True)]
        yield from zip(some, *best_paths(emitted, [pupil.graph for pupil in some], stays), strict=True)


def _score(pupils: Sequence[_Pupil], mixtures: Mixtures, stay: NDArray[np.float32]) -> float:
    """Mean log-likelihood of a frame on the best paths."""
    return sum(total for _, _, total in _paths(pupils, mixtures, stay)) / sum(len(p.frames) for p in pupils)


def _aligned(pupils: Sequence[_Pupil], mixtures: Mixtures, stay: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give every pupil the classes of its best path; how likely parts are to last, from all paths."""
    count = len(stay)
    seen, left = np.ones(count), np.ones(count)
    for pupil, path, _ in _paths(pupils, mixtures, stay):
        classes = pupil.graph.classes[path]
        pupil.classes = np.where(classes < count, classes, 0)
        seen += np.bincount(pupil.classes, minlength=count)
        left += np.bincount(pupil.classes[:-1][np.diff(path) != 0], minlength=count)
    return np.clip(1 - left / seen, 0.05, 0.98).astype(np.float32)


def _classifier(pupils: Sequence[_Pupil], count: int) -> Classifier:
    states, classes = [], []
    for pupil in pupils:
        whole = min(len(pupil.lesson.states), len(pupil.classes) // HALVES)
        states.append(pupil.lesson.states[:whole])
        classes.append(pupil.classes[: HALVES * whole].reshape(whole, HALVES))
    return teach_classifier(np.concatenate(states), np.concatenate(classes), count)
