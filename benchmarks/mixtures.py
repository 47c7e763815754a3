"""What can stand around speech in a recording, made for any utterance: noise, music, other voices, silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 16_000  # Hz
Samples = NDArray[np.float32]


def level(samples: Samples) -> float:
    """Root mean square of the louder half of a recording's 10 ms frames."""
    power = np.square(samples[: len(samples) // 160 * 160].reshape(-1, 160)).mean(1)
    return float(np.sqrt(power[power >= np.median(power)].mean()))


def noise(count: int, rng: np.random.Generator) -> Samples:
    """White noise of unit power."""
    return rng.normal(size=count).astype(np.float32)


def pink(count: int, rng: np.random.Generator) -> Samples:
    """Noise of unit power whose power falls by 3 dB an octave from 20 Hz on."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20.0))
    spectrum[0] = 0
    found = np.fft.irfft(spectrum, count)
    return (found / np.sqrt(np.mean(found**2))).astype(np.float32)


def music(count: int, rng: np.random.Generator) -> Samples:
    """Chords with overtones and vibrato, a new one every two seconds, over a beat; unit power."""
    moment = np.arange(count) / RATE
    vibrato = 0.004 * np.sin(2 * np.pi * 5.5 * moment) / 5.5
    found = np.zeros(count)
    for begin in range(0, count, 2 * RATE):
        part = slice(begin, begin + 2 * RATE)
        root = 110 * 2 ** (rng.integers(0, 12) / 12)
        for step in (0, rng.choice([3, 4]), 7, 12):
            for overtone in range(1, 7):
                phase = 2 * np.pi * root * 2 ** (step / 12) * overtone * (moment[part] + vibrato[part])
                found[part] += np.sin(phase + rng.uniform(0, 6)) / overtone**1.5
    beat = np.exp(-((moment % 0.5) / 0.04)) * rng.normal(size=count)
    found += 3 * beat
    return (found / np.sqrt(np.mean(found**2))).astype(np.float32)


def babble(count: int, rng: np.random.Generator, others: Sequence[Samples]) -> Samples:
    """Five other utterances at a time, over and over; unit power."""
    found = np.zeros(count, np.float32)
    for _ in range(5):
        at = -int(rng.integers(0, RATE))
        while at < count:
            part = others[rng.integers(len(others))]
            part = (part / level(part))[max(0, -at) : count - at]
            found[max(0, at) : max(0, at) + len(part)] += part
            at = max(0, at) + len(part)
    return found / float(np.sqrt(np.mean(found**2)))


@dataclass(frozen=True, eq=False)
class Mixture:
    """A recording, and where its speech is.

    Attributes
    ----------
    name : str
    samples : float32 array, shape (n,)
        At 16 kHz.
    start, end : float
        Seconds in which the utterance lies; both 0 where there is none.
    """

    name: str
    samples: Samples
    start: float
    end: float

    @property
    def beside(self) -> float:
        """Seconds without the utterance."""
        return len(self.samples) / RATE - (self.end - self.start)


def mixtures(
    utterance: Samples, others: Sequence[Samples], rng: np.random.Generator, seconds: float = 10.0
) -> Iterator[Mixture]:
    """An utterance alone, with something before and after it, and that something alone.

    Parameters
    ----------
    utterance : float32 array, shape (n,)
        At 16 kHz.
    others : sequence of float32 arrays
        Utterances of other speakers, for babble; none is made where there are no others.
    rng : numpy.random.Generator
    seconds : float
        Of what stands before it, and again after it.
    """
    loud, count, length = level(utterance), round(seconds * RATE), len(utterance) / RATE
    kinds: dict[str, tuple[float, Callable[[int], Samples]]] = {
        "silence": (0.001, lambda n: noise(n, rng)),
        "white noise, -10 dB": (0.32, lambda n: noise(n, rng)),
        "pink noise, -10 dB": (0.32, lambda n: pink(n, rng)),
        "music, -6 dB": (0.5, lambda n: music(n, rng)),
    }
    if others:
        kinds["babble, -10 dB"] = (0.32, lambda n: babble(n, rng, others))
    yield Mixture("speech alone", utterance, 0.0, length)
    for name, (gain, make) in kinds.items():
        before, after = (np.float32(gain * loud) * make(count) for _ in range(2))
        yield Mixture(f"{name}, around", np.concatenate([before, utterance, after]), seconds, seconds + length)
    for name, (gain, make) in kinds.items():
        if not name.startswith("babble"):  # which is speech, after all
            yield Mixture(f"{name}, alone", np.float32(gain * loud) * make(2 * count), 0.0, 0.0)
