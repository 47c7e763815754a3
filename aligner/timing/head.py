"""The timing head: what sounds at every 10 ms, by what the encoder knows and by how the sound looks.

Two sources as a product. A small classifier on the frozen encoder's states tells what is said and never loses the
place; mixtures of Gaussians on cepstra tell when exactly. A head belongs to one checkpoint and is one file of less than
1 MB; the checkpoint's weights are never changed.

Conventions
-----------
Frame j of the evidence is centred 10 j ms after the start of its stretch; encoder state i, 20 i ms. So a sound that
begins with frame j begins at (j - 1/2) 10 ms.

References
----------
Bourlard and Morgan, "Connectionist Speech Recognition", 1994 (posteriors over priors as likelihoods); Hinton, "Products
of Experts", 1999.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aligner.errors import ModelError
from aligner.text.pronunciation import Speller, spellers
from aligner.timing import habits
from aligner.timing.cepstra import bands, cepstra
from aligner.timing.graph import PARTS, SILENT, Graph, Stays, build, class_count, sounds_of_classes
from aligner.timing.mixtures import Mixtures

if TYPE_CHECKING:
    from aligner.models import Encoded, SpeechModel

STEP = 0.01  # seconds to a frame of evidence
HALVES = 2  # frames of evidence to an encoder state
# Of the log-likelihoods of mixtures and classifier. Windows of cepstra overlap, and Gaussians take a difference
# in microphones for one in sounds, so they count less than transitions and encoder states (docs/head.md).
LOOKS_WEIGHT, STATES_WEIGHT = 0.25, 1.0
PRIOR_WEIGHT = 0.5  # of the classifier's prior that is divided out
# Cost of a frame of sound that nobody wrote, by the part of silence that it takes the place of. A pause ends dearly in
# sound, lest it take a word's first or last one; what goes on for longer is cheap, or else words spread over it.
ANYTHING = np.array([12, 5, 5, 5, 12], np.float32)
MOST_BYTES = 4 << 20  # no head is that large
HEADS = Path(__file__).parent.parent / "heads"


@dataclass(frozen=True, eq=False)
class Classifier:
    """Which parts of sounds the two halves of an encoder state belong to: one hidden layer.

    Attributes
    ----------
    mean, scale : float32 arrays, shape (width,)
        What a state is centred and divided by.
    hidden, hidden_bias : float32 arrays, shapes (units, width), (units,)
    output, output_bias : float32 arrays, shapes (HALVES * classes, units), (HALVES * classes,)
    log_prior : float32 array, shape (classes,)
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    output: NDArray[np.float32]
    output_bias: NDArray[np.float32]
    log_prior: NDArray[np.float32]

    def log_posteriors(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-probability of every class at every 10 ms, shape (2 frames of the encoder, classes)."""
        units = np.maximum(((states - self.mean) / self.scale) @ self.hidden.T + self.hidden_bias, 0)
        scores = (units @ self.output.T + self.output_bias).reshape(HALVES * len(states), -1)
        scores -= scores.max(1, keepdims=True)
        found: NDArray[np.float32] = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        return found

    def log_likelihoods(self, states: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Log-posteriors with a part of the prior divided out, shape (count, classes); the last may be repeated."""
        return self.scaled(self.log_posteriors(states), count)

    def scaled(self, log_posteriors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Log-likelihoods of log-posteriors that are known already."""
        scaled = log_posteriors[:count] - PRIOR_WEIGHT * self.log_prior
        found: NDArray[np.float32] = np.concatenate([scaled, np.repeat(scaled[-1:], count - len(scaled), 0)])
        return found


@dataclass(frozen=True)
class Card:
    """What a head is and where it comes from.

    Attributes
    ----------
    checkpoint : str
        Name of the checkpoint that it was taught on.
    fingerprint : str
        Of that checkpoint's encoder; the head serves no other.
    language : str
        Code.
    speller : str
        How words become sounds; a name in `aligner.text.pronunciation.spellers`.
    sounds : tuple of str
        Without silence, which comes first among the classes.
    data : tuple of str
        What it was taught from.
    hours : float
        Of speech.
    start : str
        "attention" or "even": where the first times came from.
    """

    checkpoint: str
    fingerprint: str
    language: str
    speller: str
    sounds: tuple[str, ...]
    data: tuple[str, ...] = ()
    hours: float = 0.0
    start: str = "attention"


@dataclass(frozen=True, eq=False)
class Head:
    """A timing head.

    Attributes
    ----------
    card : Card
    mixtures : Mixtures
        Of the parts of all sounds, on cepstra.
    classifier : Classifier
        Of the same parts, on encoder states.
    stay : float32 array, shape (classes,)
        Probability that a part lasts another frame.
    """

    card: Card
    mixtures: Mixtures
    classifier: Classifier
    stay: NDArray[np.float32]
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {sound: i + 1 for i, sound in enumerate(self.card.sounds)})

    @property
    def classes(self) -> int:
        """Columns of the evidence: parts of all sounds, and of anything that sounds."""
        return class_count(len(self.card.sounds) + 1)

    @cached_property
    def stays(self) -> Stays:
        """For the path; the last classes are those of anything that sounds."""
        return stays_of(self.stay)

    @cached_property
    def lateness(self) -> NDArray[np.float64]:
        """Seconds by which a path is late, by the sounds before and after an edge; see `habits.table`."""
        return habits.table(self._phones)

    @cached_property
    def doubt(self) -> NDArray[np.float64]:
        """How much less sure an edge is than competing paths say, by the same sounds; see `habits.doubt`."""
        return habits.doubt(self._phones)

    @property
    def _phones(self) -> tuple[str, ...]:
        """Sounds whose manner is known; letters that look like them are not."""
        return self.card.sounds if self.card.speller == "cmudict" else ("",) * len(self.card.sounds)

    @cached_property
    def _speller(self) -> Speller:
        return spellers[self.card.speller](self.card.language)

    def spell(self, word: str) -> tuple[tuple[int, ...], ...]:
        """Ways to say a written word as numbers of sounds.

        Sounds that the head has not learned are left out; a word of none is one sound that may be anything.
        """
        known = (tuple(self._index[s] for s in way if s in self._index) for way in self._speller(word))
        return tuple(dict.fromkeys(way for way in known if way)) or ((len(self.card.sounds) + 1,),)

    def spells(self, word: str) -> bool:
        """Whether a word has a sound that the head knows."""
        return any(sound in self._index for way in self._speller(word) for sound in way)

    def ends_in_voice(self, word: str) -> bool:
        """Whether the last sound of a word is known to be neither a stop nor a hiss."""
        last = self.spell(word)[0][-1]
        return last <= len(self.card.sounds) and self.card.sounds[last - 1] in habits.SONORANTS

    def graph(self, words: Sequence[str]) -> Graph:
        """The ways that a text can be spoken."""
        return build([self.spell(word) for word in words])

    def sound_posteriors(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-probability of every sound at every encoder state, silence first, shape (frames, sounds + 1)."""
        return self._of_sounds(self.classifier.log_posteriors(states))

    def _of_sounds(self, log_posteriors: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = np.exp(log_posteriors)
        bounds = np.searchsorted(sounds_of_classes(np.arange(parts.shape[1])), np.arange(len(self.card.sounds) + 1))
        halves = np.add.reduceat(parts, bounds, axis=1).reshape(len(parts) // HALVES, HALVES, -1)
        found: NDArray[np.float32] = np.log(halves.mean(1) + 1e-12)
        return found

    def evidence(
        self, energies: NDArray[np.float32], states: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Log-likelihood of every part of every sound at every 10 ms, and what `sound_posteriors` gives.

        Parameters
        ----------
        energies : float32 array, shape (frames, bands)
            From `cepstra.bands`, one frame each 10 ms.
        states : float32 array, shape (encoder frames, width)

        Returns
        -------
        (float32 array, float32 array), shapes (frames, classes), (encoder frames, sounds + 1)
            The last columns of the first are of anything that sounds. In silence, too, anything may sound, at a cost.
        """
        log_posteriors = self.classifier.log_posteriors(states)
        looks = self.mixtures.log_likelihood(cepstra(energies))
        found = LOOKS_WEIGHT * looks + STATES_WEIGHT * self.classifier.scaled(log_posteriors, len(looks))
        found = with_anything(found)
        found[:, :SILENT] = np.maximum(found[:, :SILENT], found[:, -1:] - ANYTHING)
        return found, self._of_sounds(log_posteriors)

    def check(self, model: SpeechModel) -> None:
        """Refuse a checkpoint that the head was not taught on.

        Raises
        ------
        ModelError
        """
        if model.fingerprint != self.card.fingerprint:
            raise ModelError(
                f"the timing head was taught on {self.card.checkpoint} ({self.card.fingerprint}), model {model.name} "
                f"is another checkpoint ({model.fingerprint}): teach one with align-eval adapt"
            )


def stays_of(stay: NDArray[np.float32]) -> Stays:
    """How likely parts are to last, those of anything that sounds added; `stay` has shape (classes,)."""
    return Stays.of(np.append(stay, np.full(PARTS, 0.8, np.float32)))


def with_anything(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-likelihoods of classes, and behind them those of a sound that may be any of them but silence."""
    return np.concatenate([found, np.repeat(found[:, SILENT:].max(1, keepdims=True), PARTS, 1)], 1)


def arrays_of(encoded: Encoded) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Energies in bands and encoder states of real audio, as a head takes them."""
    assert encoded.samples is not None  # every model that can have a head keeps them
    energies = bands(encoded.samples)
    states = encoded.states[: max(1, -(-len(energies) // 2))]
    return energies, states.float().cpu().numpy()


# --- files ---------------------------------------------------------------------------------

_TENSORS = ("means", "log_variances", "log_weights", "stay")
_CLASSIFIER = ("mean", "scale", "hidden", "hidden_bias", "output", "output_bias", "log_prior")


def save(head: Head, path: Path) -> None:
    """Write a head as one safetensors file, numbers in float16.

    Raises
    ------
    OutputError
    """
    from safetensors.numpy import save_file

    from aligner.files import atomic_write

    tensors = {
        "means": head.mixtures.means,
        "log_variances": np.log(head.mixtures.variances),
        "log_weights": head.mixtures.log_weights,
        "stay": head.stay,
        **{f"classifier.{name}": getattr(head.classifier, name) for name in _CLASSIFIER},
    }
    halves = {name: np.ascontiguousarray(np.clip(t, -65000, 65000), dtype=np.float16) for name, t in tensors.items()}
    with atomic_write(path) as temporary:
        save_file(halves, temporary, {"format": "aligner timing head 2", "card": json.dumps(asdict(head.card))})


@lru_cache(maxsize=4)
def load(path: Path) -> Head:
    """Read a head.

    Raises
    ------
    ModelError
        The file is missing or no head.
    """
    from safetensors import SafetensorError, safe_open

    card = read_card(path)
    try:
        with safe_open(path, "numpy") as file:
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
        parts = {name: tensors[name] for name in _TENSORS}
        classifier = Classifier(**{name: tensors[f"classifier.{name}"] for name in _CLASSIFIER})
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{path} is no complete timing head ({_first_line(error)}): teach it again") from None
    classes = class_count(len(card.sounds))
    if not len(parts["means"]) == len(parts["stay"]) == len(classifier.output) / HALVES == classes:
        raise ModelError(f"{path} is no complete timing head (its sounds and its numbers differ): teach it again")
    mixtures = Mixtures(parts["means"], np.exp(parts["log_variances"]), parts["log_weights"])
    return Head(card, mixtures, classifier, np.clip(parts["stay"], 0.05, 0.99))


def read_card(path: Path) -> Card:
    """What a head's file says of itself, without its numbers.

    Raises
    ------
    ModelError
    """
    from safetensors import SafetensorError, safe_open

    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise ValueError("too large")
        with safe_open(path, "numpy") as file:
            said = json.loads((file.metadata() or {})["card"])
        lists = {name: tuple(said[name]) for name in ("sounds", "data")}
        return Card(**{name: value for name, value in {**said, **lists}.items() if name in Card.__dataclass_fields__})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is no timing head ({_first_line(error)}): make one with align-eval adapt") from None


def _first_line(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return said[0][:100] if said else type(error).__name__


def known(fingerprint: str, language: str | None = None) -> Path | None:
    """The file of the head that is shipped for a checkpoint, if there is one.

    Parameters
    ----------
    fingerprint : str
    language : str, optional
        Of the speech; heads for another are passed over.
    """
    for path in sorted(HEADS.glob("*.safetensors")):
        card = read_card(path)
        if card.fingerprint == fingerprint and language in (None, card.language):
            return path
    return None


def file_name(checkpoint: str) -> str:
    """Name of the file of a checkpoint's head."""
    return re.sub(r"[^\w.-]+", "-", checkpoint) + ".safetensors"


def describe(head: Head) -> dict[str, Any]:
    """For provenance."""
    card = head.card
    return {"checkpoint": card.checkpoint, "language": card.language, "hours": card.hours, "data": list(card.data)}
