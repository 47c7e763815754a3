"""Manifests: the neutral form every corpus is brought into, one utterance a line.

Word times are seconds from the start of the utterance, which is `offset`
seconds into its audio file. Audio paths in a manifest are relative to its
folder where the audio lies beneath it, absolute otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.core import Audio, Word
from aligner.errors import InputError
from aligner.text.encodings import numbered_lines

QUALITIES = ("gold", "silver")
SLACK = 0.02  # seconds a last label may pass the end: TIMIT's own labels round up
HOP = 0.01  # seconds per energy frame
REACH = 1.0  # seconds of shift that are tried either way
STEP = 2  # energy frames between tried shifts
KEPT = 0.75  # of the words' time that a shift must leave inside the audio: less of it fits anything
# On TIMIT and Australian English, as published, no utterance gains more than .13 in correlation from any shift.
# Times shifted by 100 ms gain more than .15 on four utterances of five, by 200 ms on nearly all.
UTTERANCE_SHIFT, UTTERANCE_GAIN, UTTERANCE_FIT = 0.08, 0.15, 0.4
CORPUS_SHIFT, CORPUS_FIT, CORPUS_SIZE = 0.05, 0.4, 5  # the pooled curve of five and more peaks within one step


@dataclass(frozen=True)
class Utterance:
    """A stretch of recorded speech with reference words.

    Attributes
    ----------
    id : str
        Unique in its manifest.
    audio : str
        Path of the audio file.
    words : tuple of Word
        Ordered and disjoint, seconds from the start of the utterance.
    sample_rate : int
        Hz of the audio file, as the corpus promises it.
    duration : float
        Seconds of the utterance.
    offset : float
        Seconds into the audio file at which it starts.
    speaker : str or None
        None where unknown.
    language : str
    quality : str
        "gold" for hand-made times, "silver" for those another aligner made.
    source : str
        Name of the corpus.
    """

    id: str
    audio: str
    words: tuple[Word, ...]
    sample_rate: int
    duration: float
    offset: float = 0.0
    speaker: str | None = None
    language: str = "en"
    quality: str = "gold"
    source: str = ""

    @property
    def text(self) -> str:
        """The reference words joined by spaces."""
        return " ".join(word.text for word in self.words)

    def to_json(self) -> dict[str, Any]:
        """For one line of a manifest."""
        return {**asdict(self), "words": [[w.text, round(w.start, 6), round(w.end, 6)] for w in self.words]}


def make_utterance(id_: str, audio: Path, words: Sequence[tuple[str, float, float]], **fields: Any) -> Utterance:
    """An utterance that is a whole audio file, its rate and duration read from the file's header.

    Parameters
    ----------
    id_ : str
    audio : Path
    words : sequence of (str, float, float)
        Text, start and end in seconds.
    **fields
        Further fields of `Utterance`, such as speaker, quality, source.

    Raises
    ------
    InputError
        The audio cannot be opened, or the words are unordered, empty or overlap by more than half.
    """
    sample_rate, duration = header(audio, id_)
    return Utterance(id_, str(audio), disjoint(words, id_), sample_rate, round(duration, 6), **fields)


def header(audio: Path, id_: str) -> tuple[int, float]:
    """Sampling rate in Hz and duration in seconds of an audio file.

    Raises
    ------
    InputError
        Missing or undecodable file; the sentence names the utterance.
    """
    import soundfile

    if not audio.is_file():
        raise InputError(f"utterance {id_}: its audio file {audio} does not exist")
    try:
        info = soundfile.info(str(audio))
    except soundfile.LibsndfileError as error:
        raise InputError(f"utterance {id_}: {audio} cannot be decoded ({error.error_string})") from error
    return info.samplerate, info.frames / info.samplerate


def disjoint(words: Sequence[tuple[str, float, float]], id_: str) -> tuple[Word, ...]:
    """Words in order, two overlapping neighbours cut at the middle of their overlap.

    Corpora such as TIMIT let labels overlap where two words share a sound.

    Raises
    ------
    InputError
        A word without length, out of order, or inside its neighbour.
    """
    starts, ends = [w[1] for w in words], [w[2] for w in words]
    for i, (text, start, end) in enumerate(words):
        if not 0 <= start < end:
            raise InputError(
                f"utterance {id_}: word {i + 1} ({text!r}) has impossible times {start:.3f} to {end:.3f} s"
            )
        if i and start < words[i - 1][2]:
            ends[i - 1] = starts[i] = (start + words[i - 1][2]) / 2
    for i, (text, *_) in enumerate(words):
        if starts[i] >= ends[i] or (i and words[i][1] < words[i - 1][1]):
            raise InputError(f"utterance {id_}: word {i + 1} ({text!r}) is out of order or inside its neighbour")
    return tuple(Word(w[0], s, e) for w, s, e in zip(words, starts, ends, strict=True))


def write_manifest(utterances: Iterable[Utterance], path: Path) -> int:
    """Write a manifest; returns the number of utterances.

    Raises
    ------
    InputError
        No utterance.
    OutputError
        The file cannot be written.
    """
    from aligner.files import atomic_write

    folder = path.resolve().parent
    lines = []
    for utterance in utterances:
        audio = Path(utterance.audio).resolve()
        shown = audio.relative_to(folder) if audio.is_relative_to(folder) else audio
        lines.append(json.dumps({**utterance.to_json(), "audio": shown.as_posix()}, ensure_ascii=False))
    if not lines:
        raise InputError(f"no utterance to write to {path}: is the folder the one the recipe expects?")
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def read_manifest(path: Path) -> tuple[Utterance, ...]:
    """Read a manifest.

    Raises
    ------
    InputError
        Not a manifest, or two utterances of one name.
    """
    utterances = [_parse(line, f"{path}, line {number}", path.parent) for number, line in numbered_lines(path)]
    if not utterances:
        raise InputError(f"manifest {path} holds no utterance")
    seen: set[str] = set()
    for utterance in utterances:
        if utterance.id in seen:
            raise InputError(f"manifest {path} names utterance {utterance.id} twice")
        seen.add(utterance.id)
    return tuple(utterances)


def _parse(line: str, where: str, folder: Path) -> Utterance:
    try:
        entry = json.loads(line)
        words = [(str(text), float(start), float(end)) for text, start, end in entry.pop("words")]
        entry["audio"] = str(folder / entry["audio"])
        utterance = Utterance(words=(), **entry)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{where} is not an utterance ({error}): make manifests with align-eval prepare") from error
    if utterance.quality not in QUALITIES:
        raise InputError(f"{where}: quality {utterance.quality!r} is not one of {', '.join(QUALITIES)}")
    ordered = disjoint(words, utterance.id)
    if any(w.start != start or w.end != end for w, (_, start, end) in zip(ordered, words, strict=True)):
        raise InputError(f"utterance {utterance.id}: its words overlap; make manifests with align-eval prepare")
    return Utterance(**{**entry, "words": ordered})


def load_audio(utterance: Utterance, sample_rate: int = 16_000) -> Audio:
    """Audio of an utterance at a sampling rate.

    Raises
    ------
    InputError
        The file is missing or cannot be decoded.
    """
    from aligner.audio.read import stream

    return stream(Path(utterance.audio), sample_rate, utterance.offset, utterance.offset + utterance.duration)


def check(utterances: Sequence[Utterance]) -> None:
    """Refuse utterances that would make a score meaningless.

    The audio must decode at the promised rate and length, the words must lie
    inside it, and the energy must follow the words: the sound of the utterance
    is correlated with its words moved by up to a second, and has to fit best
    where they are. One utterance is refused on a clear gain, a corpus already
    on the small, common shift that another version of it shows.

    Raises
    ------
    InputError
        One sentence that names the utterance.
    """
    curves: dict[str, list[tuple[Utterance, NDArray[np.float64]]]] = {}
    for utterance in utterances:
        _check_header(utterance)
        if not utterance.words:
            raise InputError(f"utterance {utterance.id} has no words")
        last = utterance.words[-1]
        if last.end > utterance.duration + SLACK:
            raise InputError(
                f"utterance {utterance.id}: its last word {last.text!r} ends at {last.end:.3f} s, "
                f"but the audio lasts only {utterance.duration:.3f} s"
            )
        curve = fit_curve(load_audio(utterance), utterance.words)
        at = int(curve.argmax())
        shift = (at - len(curve) // 2) * STEP * HOP
        gain = curve[at] - curve[len(curve) // 2]
        if abs(shift) >= UTTERANCE_SHIFT and gain > UTTERANCE_GAIN and curve[at] > UTTERANCE_FIT:
            raise InputError(
                f"utterance {utterance.id}: its sound fits its words {abs(shift):.2f} s "
                f"{'later' if shift > 0 else 'earlier'} than labelled (correlation {curve[at]:.2f} instead of "
                f"{curve[len(curve) // 2]:.2f}): times and audio are of different versions, or one is corrupt"
            )
        curves.setdefault(utterance.source, []).append((utterance, curve))
    for source, found in curves.items():
        _check_corpus(source, found)


def _check_header(utterance: Utterance) -> None:
    sample_rate, length = header(Path(utterance.audio), utterance.id)
    if sample_rate != utterance.sample_rate:
        raise InputError(
            f"utterance {utterance.id}: the manifest says {utterance.sample_rate} Hz, "
            f"but {utterance.audio} has {sample_rate} Hz"
        )
    if utterance.offset + utterance.duration > length + SLACK:
        raise InputError(
            f"utterance {utterance.id}: it should last until {utterance.offset + utterance.duration:.3f} s, "
            f"but {utterance.audio} ends at {length:.3f} s"
        )


def _check_corpus(source: str, found: list[tuple[Utterance, NDArray[np.float64]]]) -> None:
    pooled = np.mean([curve for _, curve in found], axis=0)
    shift = (int(pooled.argmax()) - len(pooled) // 2) * STEP * HOP
    if len(found) >= CORPUS_SIZE and abs(shift) >= CORPUS_SHIFT and pooled.max() > CORPUS_FIT:
        worst, _ = max(found, key=lambda item: item[1][pooled.argmax()] - item[1][len(pooled) // 2])
        raise InputError(
            f"utterance {worst.id} and the other {len(found) - 1} of {source or 'this manifest'}: their sound fits "
            f"their words {abs(shift):.2f} s {'later' if shift > 0 else 'earlier'} than labelled: "
            "times and audio are of different versions"
        )


def fit_curve(audio: Audio, words: Sequence[Word]) -> NDArray[np.float64]:
    """Correlation of the energy with the words moved by -REACH to +REACH.

    Parameters
    ----------
    audio : Audio
    words : sequence of Word

    Returns
    -------
    float64 array, shape (2 * REACH / (STEP * HOP) + 1,)
        The middle is the correlation at no shift; -1 to 1, 0 where it is undefined
        or a quarter of the words would lie outside the audio.
    """
    hop = round(audio.sample_rate * HOP)
    n = len(audio.samples) // hop
    power = (audio.samples[: n * hop].astype(np.float64).reshape(n, hop) ** 2).mean(1)
    level = 10 * np.log10(power + 1e-10)
    level = np.maximum(level, level.max(initial=-100) - 60)
    reach = round(REACH / HOP)
    spoken = np.zeros(n + 2 * reach)
    centres = (np.arange(-reach, n + reach) + 0.5) * HOP
    for word in words:
        spoken[(centres >= word.start) & (centres < word.end)] = 1
    moved = np.stack([spoken[reach - k : reach - k + n] for k in range(-reach, reach + 1, STEP)])
    inside = moved.sum(1) > KEPT * spoken.sum()
    moved -= moved.mean(1, keepdims=True) if n else 0
    level = level - level.mean() if n else level
    scale = np.sqrt((moved**2).sum(1) * (level**2).sum())
    return np.asarray(inside * (moved @ level) / np.where(scale > 0, scale, 1))
