"""What no word may be cut inside of: a letter with the marks and vowels that are written around it."""

from __future__ import annotations

import regex

_BEFORE = "เแโใไເແໂໃໄ"  # Thai and Lao vowels that are written before the consonant they follow in speech
_AFTER = "ะาำๅๆฯะາຳຽໆຯ"  # and those, with signs for repetition and abbreviation, that stand after it
_STACKING = "\u1039\u17d2"  # Burmese and Khmer signs that put the next consonant under this one
_CLUSTER = regex.compile(
    rf"(?:[{_BEFORE}](?=\p{{L}}))*\X(?:(?<=\S)[{_AFTER}\p{{M}}]|(?<=[{_STACKING}]\p{{M}}*)\p{{L}})*"
)


def clusters(text: str) -> list[str]:
    """Extended grapheme clusters (UAX #29), vowels written before or after their consonant with it.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        Together they are the text.

    Examples
    --------
    >>> clusters("ไปน้ำ")
    ['ไป', 'น้ำ']
    """
    return [found[0] for found in _CLUSTER.finditer(text)]
