"""Whether a head is better than attention, without any gold: on speech that it was not taught from.

A head has two sources that see different things: states of the encoder, and cepstra. Where each alone puts a word in
the same place, that place is likely right; attention is a third witness. The head gains where its two halves agree
with each other better than attention agrees with the head. A constant by which attention is early is not held against
it, so the verdict errs towards attention.

References
----------
Gray and Allan, "A Method for Estimating the Frequency Stability of an Individual Oscillator", 1974 (three clocks and no
reference).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aligner.errors import InputError
from aligner.timing.cepstra import cepstra
from aligner.timing.head import LOOKS_WEIGHT, STATES_WEIGHT, Head, with_anything
from aligner.timing.sounds import edges
from aligner.training.teach import Lesson


@dataclass(frozen=True)
class Gain:
    """What held-out recordings say.

    Attributes
    ----------
    recordings, words : int
    halves : float
        Mean distance in seconds between the starts of words by the two halves of the head.
    attention : float
        And between attention and the head, a constant taken off.
    """

    recordings: int
    words: int
    halves: float
    attention: float

    @property
    def gained(self) -> bool:
        """Whether the head is to be preferred."""
        return self.words > 0 and self.halves < self.attention

    def __str__(self) -> str:
        if not self.words:
            return "nothing was held out that could tell whether it gains"
        said = (
            f"on {self.recordings} held-out recordings ({self.words} words) its two sources begin words "
            f"{1000 * self.halves:.0f} ms apart, attention {1000 * self.attention:.0f} ms from them: "
        )
        return said + ("it gains" if self.gained else "it does not gain; give it more speech, or use attention")


def gain(head: Head, held_out: Sequence[Lesson]) -> Gain:
    """Compare a head's halves with each other, and attention with the head.

    Parameters
    ----------
    head : Head
    held_out : sequence of Lesson
        Not taught from, with starts from attention.
    """
    halves: list[NDArray[np.float64]] = []
    attention: list[NDArray[np.float64]] = []
    for lesson in held_out:
        if lesson.starts is None:
            continue
        states = lesson.states.astype(np.float32)
        looks = LOOKS_WEIGHT * head.mixtures.log_likelihood(cepstra(lesson.energies))
        knows = STATES_WEIGHT * head.classifier.log_likelihoods(states, len(looks))
        posteriors = head.sound_posteriors(states)
        try:
            by_looks, by_states, both = (
                edges(head, with_anything(one), posteriors, lesson.words).start for one in (looks, knows, looks + knows)
            )
        except InputError:
            continue  # more sounds than time: teaching left it out, too
        halves.append(by_looks - by_states)
        attention.append(np.array(lesson.starts) - both)
    if not halves:
        return Gain(0, 0, 0.0, 0.0)
    apart, away = np.concatenate(halves), np.concatenate(attention)
    away -= np.median(away)
    return Gain(len(halves), len(apart), float(np.abs(apart).mean()), float(np.abs(away).mean()))
