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
# What a word in the flow of speech often becomes (Jurafsky et al., "The effect of language model probability on
# pronunciation reduction", 2001, measure ten of them), beside how espeak-ng says it on its own.
_WEAK = {
    "a": "@|eI", "an": "@ n|a n", "and": "@ n|@ n d|a n d", "any": "E n i:", "are": "3|A@", "as": "@ z|a z",
    "at": "@ t|a t", "be": "b I", "because": "b I k @ z|b I k O: z|k @ z", "been": "b I n|b E n", "but": "b @ t|b V t",
    "can": "k @ n|k a n", "could": "k @ d|k U d", "do": "d @|d u:", "does": "d @ z|d V z", "for": "f 3|f O@",
    "from": "f r @ m|f r V m", "had": "h @ d|@ d|h a d", "has": "h @ z|@ z|h a z", "have": "h @ v|@ v|h a v",
    "he": "i:|h i:", "her": "3|h 3", "him": "I m|h I m", "his": "I z|h I z", "i": "a|aI", "in": "@ n|I n",
    "into": "I n t @|I n t u:", "is": "@ z|I z", "it": "@ t|I t", "just": "dZ @ s t|dZ V s t|dZ @ s|dZ V s",
    "must": "m @ s t|m V s t|m V s", "not": "n @ t|n 0 t", "of": "@ v|V v", "on": "0 n|O: n|@ n", "one": "w @ n|w V n",
    "or": "3|O@", "our": "A@|aU 3", "should": "S @ d|S U d", "so": "s @|s oU", "some": "s @ m|s V m",
    "than": "D @ n|D a n", "that": "D @ t|D a t|D a", "the": "D @|D i:|D I", "their": "D 3|D e@",
    "them": "@ m|D @ m|D E m", "then": "D @ n|D E n", "there": "D 3|D e@", "they": "D e@|D eI", "this": "D @ s|D I s",
    "to": "t @|t u:|t I|d @", "up": "@ p|V p", "us": "@ s|V s", "was": "w @ z|w V z|w 0 z", "we": "w I|w i:",
    "were": "w 3", "what": "w V t|w 0 t|w @ t", "when": "w I n|w E n", "will": "@ l|w @ l|w I l", "with": "w I T|w I D",
    "would": "w @ d|w U d|@ d", "you": "j @|j u:|j I", "your": "j 3|j O@|j U 3",
}  # fmt: skip


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
        In spoken form (`aligner.text.spoken.spoken_form`).
    """
    text, found = ctypes.c_char_p(word.encode()), []
    while text.value:
        named = _library().espeak_TextToPhonemes(ctypes.byref(text), 1, ord("_") << 8).decode()
        for name in named.replace(" ", "_").split("_"):
            bare = name.lstrip("',%=;|")
            found += _SPLIT.get(bare, (_SAME.get(bare, bare),))
    return tuple(_LABEL[name] for name in found if name in _LABEL) or (_LABEL["@"],)


def pronunciations(word: str) -> tuple[tuple[int, ...], ...]:
    """Every way to say a word, each once: that of `pronounce`, then its weak forms."""
    weak = [tuple(_LABEL[name] for name in form.split()) for form in _WEAK.get(word, "").split("|") if form]
    return tuple(dict.fromkeys([pronounce(word), *weak]))


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
