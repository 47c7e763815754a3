"""What scripts say of writing: which characters are marks, which belong together, where spaces stand."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
LONG = 3.0  # clusters: more than a word has, where words are set apart
_UNSPACED = ("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "THAI", "LAO", "MYANMAR", "KHMER")

_BEFORE = "เแโใไເແໂໃໄ"  # Thai and Lao vowels that are written before the consonant they follow in speech
_AFTER = "ะาำๅๆฯะາຳຽໆຯ"  # and those, with signs for repetition and abbreviation, that stand after it
_STACKING = "\u1039\u17d2"  # Burmese and Khmer signs that put the next consonant under this one


@cache
def _cluster() -> Any:
    import regex  # takes a tenth of a second, and few languages ask for it

    return regex.compile(
        rf"(?:[{_BEFORE}](?=\p{{L}}))*\X(?:(?<=\S)[{_AFTER}\p{{M}}]|(?<=[{_STACKING}]\p{{M}}*)\p{{L}})*"
    )


def is_punctuation(text: str) -> bool:
    """Whether a text holds marks and spaces only (and at least one mark)."""
    stripped = text.strip()
    return bool(stripped) and all(unicodedata.category(c)[0] in "PS" and not _is_pictograph(c) for c in stripped)


def _is_pictograph(character: str) -> bool:
    """Emoji and the like are words of their own; currency and mathematical signs are read out."""
    return unicodedata.category(character) in ("So", "Sc", "Sm")


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
    return [found[0] for found in _cluster().finditer(text)]


def without_spaces(text: str, language: str | None) -> bool:
    """Whether the words of a text are not set apart by spaces: in some scripts they are not, unless somebody did so.

    Spaces stand between words where they are no more than `LONG` clusters apart in the mean; between sentences they
    are further apart.

    Examples
    --------
    >>> without_spaces("我们今天去 他们明天来", "zh"), without_spaces("我们 今天 去", "zh"), without_spaces("go", "en")
    (True, False, False)
    """
    if language not in UNSPACED_LANGUAGES:
        return False
    parts = [part for part in text.split() if any(map(str.isalnum, part))]
    return len(parts) < 2 or sum(len(clusters(part)) for part in parts) > LONG * len(parts)


def _decides(character: str) -> bool:
    """Whether a character tells about spaces: letters do, and the wide punctuation of CJK text."""
    wide = unicodedata.category(character)[0] == "P" and unicodedata.east_asian_width(character) in "WF"
    return wide or character.isalpha()


def unspaced(text: str) -> bool:
    """Whether a text begins in a script written without spaces between words."""
    first = next(filter(_decides, text), "")
    return bool(first) and (not first.isalpha() or unicodedata.name(first, "").startswith(_UNSPACED))


def separator(before: str, after: str) -> str:
    """What stands between two words by their scripts: a space, or nothing.

    Examples
    --------
    >>> separator("Hello,", "world"), separator("你好。", "世"), separator("你", "Bob")
    (' ', '', ' ')
    """
    return "" if unspaced(before[::-1]) and unspaced(after) else " "
