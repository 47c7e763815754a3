"""Speech with exact word and phone times from espeak-ng and flite, through their libraries.

Conventions: samples are mono float32 at 16 kHz, times are seconds from the first sample.
One engine instance per process. The engines are used at build time only.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.signal import resample_poly

from data.variants import NAME, VariantFolder

SAMPLE_RATE = 16_000

ESPEAK_ACCENTS = (
    "en", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc",
)  # fmt: skip
ESPEAK_VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Adam", "Alex", "Alicia",
    "Andrea", "Andy", "Annie", "aunty", "boris", "belinda", "benjamin", "caleb", "david", "Denis", "Diogo", "ed",
    "edward", "edward2", "Gene", "Gene2", "grandma", "grandpa", "Henrique", "Hugo", "iven", "iven2", "iven3",
    "iven4", "Jacky", "john", "kaukovalta", "Lee", "linda", "Marco", "Mario", "max", "Michael", "miguel", "Mike",
    "Nguyen", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph",
    "steph2", "steph3", "travis", "victor", "Zac",
)  # fmt: skip
HELD_OUT_VARIANTS = frozenset({"m6", "f5", "Annie", "david", "Gene", "linda", "paul", "steph", "Zac"})
FLITE_VOICES = ("slt", "rms", "awb", "kal16")
STOPS = frozenset({"p", "b", "t", "d", "k", "g", "ch", "jh"})
HELD_OUT_FLITE = frozenset({"kal16"})


@dataclass(frozen=True)
class TimedWord:
    """A word with its onset, offset and character boundaries, in seconds."""

    text: str
    start: float
    end: float
    boundaries: tuple[float, ...]  # len(text) + 1 ascending times, first start, last end

    def mapped(self, scale: float, shift: float = 0.0) -> TimedWord:
        """The same word after time t becomes t * scale + shift."""
        return replace(
            self,
            start=self.start * scale + shift,
            end=self.end * scale + shift,
            boundaries=tuple(t * scale + shift for t in self.boundaries),
        )


@dataclass(frozen=True)
class Speech:
    """Synthetic speech: float32 samples at 16 kHz and its words."""

    samples: np.ndarray
    words: tuple[TimedWord, ...]
    voice: str


def character_boundaries(text: str, phone_edges: Sequence[float]) -> tuple[float, ...]:
    """Spread the characters of a word over its phones, in order and evenly.

    Parameters
    ----------
    text : str
        The word, n characters.
    phone_edges : sequence of float
        Ascending edges of its m phones, m + 1 values in seconds.

    Returns
    -------
    tuple of float
        n + 1 ascending times in seconds.
    """
    position = np.linspace(0, len(phone_edges) - 1, len(text) + 1)
    return tuple(float(t) for t in np.interp(position, np.arange(len(phone_edges)), phone_edges))


# --- espeak-ng -----------------------------------------------------------------------------


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_WORD, _END, _PHONEME = 1, 5, 7
_RATE, _PITCH, _RANGE, _WORDGAP = 1, 3, 4, 7
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """espeak-ng, driven synchronously; its events carry sample-exact times."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("espeak-ng")
        if name is None:
            raise OSError("libespeak-ng is not installed: install the packages espeak-ng and libespeak-ng1")
        self._library = ctypes.CDLL(name)
        self._audio: list[np.ndarray] = []
        self._events: list[tuple[int, int, int, str]] = []
        self._callback = _CALLBACK(self._receive)  # kept alive for the library
        self._variants: VariantFolder | None = None
        self._start(None)

    def _start(self, data: Path | None) -> None:
        self.rate = self._library.espeak_Initialize(2, 0, data and str(data).encode(), 1)
        self._library.espeak_SetSynthCallback(self._callback)

    def set_variant(self, text: str) -> str:
        """Make the text of a variant file a variant: its name, to stand behind a voice and a plus."""
        if self._variants is None:
            data = ctypes.c_char_p()
            self._library.espeak_Info.restype = ctypes.c_char_p
            self._library.espeak_Info(ctypes.byref(data))
            self._variants = VariantFolder(Path((data.value or b"").decode()))
            self._start(self._variants.path)
        self._variants.write(text)
        return NAME

    def close(self) -> None:
        """Remove the files of `set_variant`: a worker of a pool ends without cleaning up, and the callback holds itself."""
        if self._variants is not None:
            self._variants.close()

    def _receive(self, wav, count, events) -> int:  # type: ignore[no-untyped-def]
        if count > 0 and wav:
            self._audio.append(np.ctypeslib.as_array(wav, (count,)).copy())
        i = 0
        while events and events[i].type != 0:
            event = events[i]
            name = event.id.string.decode("utf-8", "replace") if event.type == _PHONEME else ""
            self._events.append((event.type, event.sample, event.text_position, name))
            i += 1
        return 0

    def speak(
        self,
        words: Sequence[str],
        voice: str,
        *,
        breaks: frozenset[int] = frozenset(),
        rate: int = 175,
        pitch: int = 50,
        pitch_range: int = 50,
        word_gap: int = 0,
    ) -> Speech | None:
        """Speak words, with a comma after each word index in `breaks`.

        Returns
        -------
        Speech or None
            None where the engine's events do not tell every word apart.
        """
        text, positions = "", []
        for i, word in enumerate(words):
            positions.append(len(text) + 1)
            text += word + (", " if i in breaks else " ")
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise OSError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range), (_WORDGAP, word_gap)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._audio.clear()
        self._events.clear()
        encoded = text.encode() + b"\0"
        self._library.espeak_Synth(encoded, len(encoded), 0, 1, 0, 1, None, None)
        if not self._audio:
            return None
        samples = np.concatenate(self._audio).astype(np.float32) / 32768
        timed = _espeak_words(words, positions, self._events, self.rate, len(samples))
        if timed is None:
            return None
        resampled = resample_poly(samples, SAMPLE_RATE // 50, self.rate // 50).astype(np.float32)
        return Speech(resampled, timed, f"espeak:{voice}")


def _espeak_words(
    words: Sequence[str],
    positions: Sequence[int],
    events: Sequence[tuple[int, int, int, str]],
    rate: int,
    n_samples: int,
) -> tuple[TimedWord, ...] | None:
    """Turn an event stream into words; pauses end words, merged "X the" is split at its last D."""
    index_of = {position: i for i, position in enumerate(positions)}
    phones: list[list[tuple[int, str]]] = [[] for _ in words]
    ends = [0] * len(words)
    current = -1
    for kind, sample, position, name in events:
        if kind == _WORD:
            if position in index_of:
                if current >= 0 and not ends[current]:
                    ends[current] = sample
                current = index_of[position]
        elif kind == _PHONEME and current >= 0:
            if name.startswith("_") or not name:
                if phones[current] and not ends[current]:
                    ends[current] = sample
            else:
                if ends[current]:  # a pause inside a word: it goes on
                    ends[current] = 0
                phones[current].append((sample, name))
        elif kind == _END and current >= 0 and not ends[current]:
            ends[current] = sample
    for i, word in enumerate(words):
        if phones[i]:
            continue
        before = phones[i - 1] if i else []
        cut = max((k for k, (_, name) in enumerate(before) if name.startswith("D")), default=0)
        if word != "the" or cut == 0:
            return None
        phones[i], phones[i - 1] = before[cut:], before[:cut]
        ends[i], ends[i - 1] = ends[i - 1], phones[i][0][0]
    timed = []
    for i, word in enumerate(words):
        end = min(ends[i] or n_samples, phones[i + 1][0][0] if i + 1 < len(words) else n_samples)
        edges = [sample / rate for sample, _ in phones[i]] + [end / rate]
        if np.any(np.diff(edges) < 0) or edges[-1] - edges[0] < 0.02:
            return None
        timed.append(TimedWord(word, edges[0], edges[-1], character_boundaries(word, edges)))
    return tuple(timed)


# --- flite, and what it shares with festival -------------------------------------------------


class _Wave(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


def _energy_onset(samples: np.ndarray, rate: int, start: float, end: float, stop: bool) -> float:
    """First 5 ms of a phone with audible energy: flite's own edge after a pause is a model's guess.

    A stop without any is all closure: nothing of it is heard before its end.
    """
    hop = rate // 200
    level = 0.25 * np.sqrt(np.mean(samples**2))
    for k in range(int(start * rate), int(end * rate), hop):
        if np.sqrt(np.mean(samples[k : k + hop] ** 2)) > level:
            return min(max(start, k / rate), end - 0.01)
    return end - 0.01 if stop else start


class Segment(NamedTuple):
    """A phone: its name, edges in seconds, and the word it stands in: an identity, empty for a pause, and a spelling."""

    phone: str
    start: float
    end: float
    item: str
    word: str


def speech_of(
    words: Sequence[str], segments: Sequence[Segment], samples: np.ndarray, rate: int, voice: str
) -> Speech | None:
    """The words as they were asked for, from the engine's phones: it takes *it's* for two. None where they differ."""
    spoken = [list(phones) for item, phones in groupby(segments, key=lambda segment: segment.item) if item]
    timed: list[TimedWord] = []
    k = 0
    for target in words:
        plain, heard = target.replace("'", ""), ""
        phones: list[Segment] = []
        while k < len(spoken) and len(heard) < len(plain):
            heard += spoken[k][0].word.replace("'", "")
            phones += spoken[k]
            k += 1
        if heard != plain or not phones:
            return None
        edges = [phones[0].start, *(phone.end for phone in phones)]
        if not timed or edges[0] - timed[-1].end > 0.02:
            edges[0] = _energy_onset(samples, rate, edges[0], edges[1], phones[0].phone in STOPS)
        timed.append(TimedWord(target, edges[0], edges[-1], character_boundaries(target, edges)))
    if k != len(spoken):
        return None
    if rate != SAMPLE_RATE:
        samples = resample_poly(samples, SAMPLE_RATE, rate).astype(np.float32)
    return Speech(samples, tuple(timed), voice)


class Flite:
    """flite 2.2: Segment ends joined to words through SylStructure."""

    def __init__(self) -> None:
        def load(name: str) -> ctypes.CDLL:
            path = ctypes.util.find_library(name)
            if path is None:
                raise OSError(f"lib{name} is not installed: install the packages flite and libflite1")
            return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)

        self._library = flite = load("flite")
        load("flite_usenglish")
        load("flite_cmulex")
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        for name, result, arguments in (
            ("flite_synth_text", pointer, [text, pointer]),
            ("utt_relation", pointer, [pointer, text]),
            ("relation_head", pointer, [pointer]),
            ("item_next", pointer, [pointer]),
            ("item_feat_float", ctypes.c_float, [pointer, text]),
            ("ffeature_string", text, [pointer, text]),
            ("item_feat_string", text, [pointer, text]),
            ("item_parent", pointer, [pointer]),
            ("item_as", pointer, [pointer, text]),
            ("utt_wave", ctypes.POINTER(_Wave), [pointer]),
            ("delete_utterance", None, [pointer]),
            ("get_param_float", ctypes.c_float, [pointer, text, ctypes.c_float]),
        ):
            function = getattr(flite, name)
            function.restype, function.argtypes = result, arguments
        flite.feat_set_float.argtypes = [pointer, text, ctypes.c_float]
        flite.flite_init()
        self._voices: dict[str, int] = {}
        for voice in FLITE_VOICES:
            register = getattr(
                load(f"flite_cmu_{'us_' if voice != 'time_awb' else ''}{voice}"), f"register_cmu_us_{voice}"
            )
            register.restype, register.argtypes = pointer, [text]
            self._voices[voice] = register(None)

    def speak(
        self, words: Sequence[str], voice: str, *, breaks: frozenset[int] = frozenset(), stretch: float = 1.0
    ) -> Speech | None:
        """Speak words; `stretch` above 1 is slower. None where words cannot be told apart."""
        flite = self._library
        pointer = self._voices[voice]
        # cst_voice: name, features, ... ; features is the second pointer.
        features = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_void_p))[1]
        flite.feat_set_float(features, b"duration_stretch", stretch)
        text = " ".join(word + ("," if i in breaks else "") for i, word in enumerate(words))
        utterance = flite.flite_synth_text(text.encode(), pointer)
        segments: list[Segment] = []
        previous_end = 0.0
        segment = flite.relation_head(flite.utt_relation(utterance, b"Segment"))
        while segment:
            end = flite.item_feat_float(segment, b"end")
            node = flite.item_as(segment, b"SylStructure")
            syllable = flite.item_parent(node) if node else None
            word = flite.item_parent(syllable) if syllable else None
            name = flite.item_feat_string(word, b"name").decode().lower() if word else ""
            phone = flite.item_feat_string(segment, b"name").decode()
            segments.append(Segment(phone, previous_end, end, str(word or ""), name))
            previous_end = end
            segment = flite.item_next(segment)
        wave = flite.utt_wave(utterance).contents
        samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.float32) / 32768
        rate = wave.sample_rate
        flite.delete_utterance(utterance)
        return speech_of(words, segments, samples, rate, f"flite:{voice}")
