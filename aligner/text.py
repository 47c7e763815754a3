"""Spoken form of written words: what a recogniser with a plain vocabulary is asked to read.

Used to teacher-force checkpoints trained on bare lower-case words, and to score
recognition. Words in outputs are always the user's own spelling.
"""

from __future__ import annotations

import re
import unicodedata

_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u0060": "'", "\u00b4": "'"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SYMBOLS = {
    "%": " percent ",
    "&": " and ",
    "@": " at ",
    "+": " plus ",
    "=": " equals ",
    "€": " euros ",
    "£": " pounds ",
    "$": " dollars ",
}
_NOT_SPOKEN = re.compile(r"[^a-z' ]+")


def spoken_form(text: str) -> str:
    """Lower-case English words with apostrophes, numbers written out, nothing else.

    Parameters
    ----------
    text : str
        Text as people write it.

    Returns
    -------
    str
        Words of a-z and apostrophe separated by single spaces; empty when nothing is spoken.

    Examples
    --------
    >>> spoken_form("It\u2019s 3 o'clock, caf\u00e9!")
    "it's three o'clock cafe"
    """
    folded = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES)).lower()
    folded = "".join(c for c in folded if not unicodedata.combining(c))
    if _NUMBER.search(folded):
        folded = _NUMBER.sub(lambda m: f" {_number_words(m.group())} ", folded)
    for symbol, words in _SYMBOLS.items():
        folded = folded.replace(symbol, words)
    bare = (word.strip("'") for word in _NOT_SPOKEN.sub(" ", folded).split())
    return " ".join(word for word in bare if word)


def _number_words(digits: str) -> str:
    from num2words import num2words

    plain = digits.replace(",", "")
    if plain.count(".") > 1 or len(plain) > 15:
        return " ".join(num2words(int(d)) for d in digits if d.isdigit())
    return num2words(float(plain) if "." in plain else int(plain)).replace("-", " ")
