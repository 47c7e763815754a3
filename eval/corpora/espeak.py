"""Speech whose word times are exact: espeak-ng, through its library, says when each phone begins.

Conventions: samples are mono float32 at 16 kHz, times are seconds from the first sample. Texts are spoken in
any language that the engine has a voice for.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

SAMPLE_RATE = 16_000
SHORTEST = 0.02  # seconds; a word with less was merged with its neighbour


@dataclass(frozen=True)
class TimedWord:
    """A word with its onset and offset in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Speech:
    """Synthetic speech.

    Attributes
    ----------
    samples : float32 array, shape (n_samples,)
        At 16 kHz.
    words : tuple of TimedWord
    """

    samples: NDArray[np.float32]
    words: tuple[TimedWord, ...]


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_WORD, _END, _PHONEME = 1, 5, 7
_RATE, _PITCH = 1, 3
_UTF8, _SYNCHRONOUS, _PHONEME_EVENTS = 1, 2, 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """espeak-ng, driven synchronously; one in a process.

    Raises
    ------
    OSError
        The library is not installed.
    """

    def __init__(self) -> None:
        name = ctypes.util.find_library("espeak-ng")
        if name is None:
            raise OSError("libespeak-ng is not installed: install the packages espeak-ng and libespeak-ng1")
        self._library = ctypes.CDLL(name)
        self._audio: list[NDArray[np.int16]] = []
        self._events: list[tuple[int, int, int, str]] = []  # type, sample, position in the text, phone
        self._callback = _CALLBACK(self._receive)  # kept alive for the library
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if count > 0 and wave:
            self._audio.append(np.ctypeslib.as_array(wave, (count,)).copy())
        i = 0
        while events and events[i].type != 0:
            event = events[i]
            phone = event.id.string.decode("utf-8", "replace") if event.type == _PHONEME else ""
            self._events.append((event.type, event.sample, event.text_position, phone))
            i += 1
        return 0

    def speak(
        self,
        words: Sequence[str],
        voice: str = "en",
        *,
        breaks: frozenset[int] = frozenset(),
        rate: int = 175,
        pitch: int = 50,
    ) -> Speech | None:
        """Speak words.

        Parameters
        ----------
        words : sequence of str
        voice : str
            Such as "en-us+f2", "de" or "ru".
        breaks : set of int
            Words by index that a comma follows.
        rate : int
            Words in a minute.
        pitch : int
            0 to 100.

        Returns
        -------
        Speech or None
            None where the engine's events do not tell every word apart.

        Raises
        ------
        OSError
            No such voice.
        """
        text, positions = "", []
        for i, word in enumerate(words):
            positions.append(len(text) + 1)
            text += word + (", " if i in breaks else " ")
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise OSError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._audio.clear()
        self._events.clear()
        encoded = text.encode() + b"\0"
        self._library.espeak_Synth(encoded, len(encoded), 0, 1, 0, _UTF8, None, None)
        if not self._audio:
            return None
        samples = np.concatenate(self._audio).astype(np.float32) / 32768
        timed = _words(words, positions, self._events, self.rate, len(samples))
        if timed is None:
            return None
        return Speech(resample_poly(samples, SAMPLE_RATE // 50, self.rate // 50).astype(np.float32), timed)


def _words(
    words: Sequence[str],
    positions: Sequence[int],
    events: Sequence[tuple[int, int, int, str]],
    rate: int,
    n_samples: int,
) -> tuple[TimedWord, ...] | None:
    """Words from events: the first phone begins one, a pause or the next word ends it; None where one has no phones."""
    index = {position: i for i, position in enumerate(positions)}
    starts: list[int | None] = [None] * len(words)
    ends = [0] * len(words)
    current = -1
    for kind, sample, position, phone in events:
        pausing = kind == _END or (kind == _PHONEME and (not phone or phone.startswith("_")))
        if kind == _WORD and position in index:
            if current >= 0:
                ends[current] = ends[current] or sample
            current = index[position]
        elif current < 0:
            continue
        elif pausing:
            if starts[current] is not None:
                ends[current] = ends[current] or sample
        elif kind == _PHONEME:
            if starts[current] is None:
                starts[current] = sample
            ends[current] = 0  # after a pause inside it, the word goes on
    timed = []
    following = [*starts[1:], n_samples]
    for word, start, end, after in zip(words, starts, ends, following, strict=True):
        if start is None or after is None:
            return None
        stop = min(end or n_samples, after)
        if stop - start < SHORTEST * rate:
            return None
        timed.append(TimedWord(word, start / rate, stop / rate))
    return tuple(timed)
