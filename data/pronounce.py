"""How a word is said: the phones that espeak-ng's letter-to-sound rules give it, in a small inventory.

Used in training only: an encoder learns sounds sooner than spelling, so it is
asked for the phone of every frame as well (`data.train`).
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

import numpy as np

from data.synthesize import Espeak

# espeak-ng's own names; position in this list is the label.
PHONES = (
    "<silence>", "n", "t", "I", "d", "s", "D", "l", "a", "V", "m", "z", "k", "r", "E", "w", "h", "eI", "i:", "u:", "@",
    "aI", "v", "f", "b", "p", "3", "oU", "N", "g", "j", "S", "0", "aU", "U", "O:", "T", "tS", "dZ", "A@", "e@", "OI",
    "Z", "O@",
)  # fmt: skip
_SAME = {
    "I#": "I", "I2": "I", "i": "i:", "i::": "i:", "a#": "@", "@2": "@", "@-": "@", "O2": "O:", "aa": "a", "A:": "0",
    "o@": "O@", "3:": "3", "t#": "t", "t2": "t", "?": "t", "r-": "r", "n-": "n", "i@": "i:",
}  # fmt: skip
_SPLIT = {"@L": ("@", "l"), "i@3": ("i:", "3"), "U@": ("U", "3"), "aI3": ("aI", "3"), "aI@": ("aI", "@")}
_LABEL = {phone: i for i, phone in enumerate(PHONES)}


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    library: ctypes.CDLL = Espeak()._library
    library.espeak_SetVoiceByName(b"en-us")
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    return library


@lru_cache(maxsize=200_000)
def pronounce(word: str) -> tuple[int, ...]:
    """Phones of a word as indices into `PHONES`; never empty.

    Parameters
    ----------
    word : str
        In spoken form (`aligner.text.spoken_form`).
    """
    text, found = ctypes.c_char_p(word.encode()), []
    while text.value:
        named = _library().espeak_TextToPhonemes(ctypes.byref(text), 1, ord("_") << 8).decode()
        for name in named.replace(" ", "_").split("_"):
            bare = name.lstrip("',%=;|")
            found += _SPLIT.get(bare, (_SAME.get(bare, bare),))
    return tuple(_LABEL[name] for name in found if name in _LABEL) or (_LABEL["@"],)


def phone_edges(boundaries: np.ndarray, n_phones: int) -> np.ndarray:
    """Edges of the phones of a word from the edges of its characters: both are spread evenly over each other.

    Parameters
    ----------
    boundaries : float array, shape (characters + 1,)
        Seconds.
    n_phones : int

    Returns
    -------
    float array, shape (n_phones + 1,)
        Undoes `data.synthesize.character_boundaries` where the number of phones is the engine's.
    """
    position = np.linspace(0, len(boundaries) - 1, n_phones + 1)
    return np.interp(position, np.arange(len(boundaries)), boundaries)
