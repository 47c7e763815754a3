"""Languages by name and code, and which of them a text's script leaves."""

from __future__ import annotations

import unicodedata
from collections import Counter
from difflib import get_close_matches
from functools import lru_cache

from aligner.errors import SettingError

LANGUAGES = {
    "en": "english", "zh": "chinese", "de": "german", "es": "spanish", "ru": "russian", "ko": "korean", "fr": "french",
    "ja": "japanese", "pt": "portuguese", "tr": "turkish", "pl": "polish", "ca": "catalan", "nl": "dutch",
    "ar": "arabic", "sv": "swedish", "it": "italian", "id": "indonesian", "hi": "hindi", "fi": "finnish",
    "vi": "vietnamese", "he": "hebrew", "uk": "ukrainian", "el": "greek", "ms": "malay", "cs": "czech",
    "ro": "romanian", "da": "danish", "hu": "hungarian", "ta": "tamil", "no": "norwegian", "th": "thai", "ur": "urdu",
    "hr": "croatian", "bg": "bulgarian", "lt": "lithuanian", "la": "latin", "mi": "maori", "ml": "malayalam",
    "cy": "welsh", "sk": "slovak", "te": "telugu", "fa": "persian", "lv": "latvian", "bn": "bengali", "sr": "serbian",
    "az": "azerbaijani", "sl": "slovenian", "kn": "kannada", "et": "estonian", "mk": "macedonian", "br": "breton",
    "eu": "basque", "is": "icelandic", "hy": "armenian", "ne": "nepali", "mn": "mongolian", "bs": "bosnian",
    "kk": "kazakh", "sq": "albanian", "sw": "swahili", "gl": "galician", "mr": "marathi", "pa": "punjabi",
    "si": "sinhala", "km": "khmer", "sn": "shona", "yo": "yoruba", "so": "somali", "af": "afrikaans", "oc": "occitan",
    "ka": "georgian", "be": "belarusian", "tg": "tajik", "sd": "sindhi", "gu": "gujarati", "am": "amharic",
    "yi": "yiddish", "lo": "lao", "uz": "uzbek", "fo": "faroese", "ht": "haitian creole", "ps": "pashto",
    "tk": "turkmen", "nn": "nynorsk", "mt": "maltese", "sa": "sanskrit", "lb": "luxembourgish", "my": "myanmar",
    "bo": "tibetan", "tl": "tagalog", "mg": "malagasy", "as": "assamese", "tt": "tatar", "haw": "hawaiian",
    "ln": "lingala", "ha": "hausa", "ba": "bashkir", "jw": "javanese", "su": "sundanese", "yue": "cantonese",
}  # fmt: skip
"""The languages of Whisper, code and English name, in the order of their tokens."""

_ALIASES = {
    "burmese": "my", "valencian": "ca", "flemish": "nl", "haitian": "ht", "letzeburgesch": "lb", "pushto": "ps",
    "panjabi": "pa", "moldavian": "ro", "moldovan": "ro", "sinhalese": "si", "castilian": "es", "mandarin": "zh",
    "farsi": "fa", "filipino": "tl", "norwegian bokmål": "no", "norwegian nynorsk": "nn",
    # ISO 639 codes that Whisper has by another name
    "nb": "no", "iw": "he", "in": "id", "ji": "yi", "jv": "jw", "fil": "tl", "cmn": "zh", "arb": "ar", "pes": "fa",
}  # fmt: skip

_SCRIPTS = {
    "CYRILLIC": "ru uk bg be mk sr kk tg mn tt ba uz az tk bs", "ARABIC": "ar fa ur ps sd az kk", "HEBREW": "he yi",
    "DEVANAGARI": "hi mr ne sa sd", "BENGALI": "bn as", "GREEK": "el", "THAI": "th", "LAO": "lo", "KHMER": "km",
    "MYANMAR": "my", "TIBETAN": "bo", "GEORGIAN": "ka", "ARMENIAN": "hy", "ETHIOPIC": "am", "TAMIL": "ta",
    "TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml", "GUJARATI": "gu", "GURMUKHI": "pa", "SINHALA": "si",
    "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh yue ja", "BOPOMOFO": "zh",
}  # fmt: skip
_KANA = ("HIRAGANA", "KATAKANA")
FOREIGN = 0.2  # share of letters in other scripts that a text may quote and still be of its own script


def code(given: str) -> str:
    """Code of a language by code, name or tag.

    Parameters
    ----------
    given : str
        Such as "de", "German", "DE" or "de-AT"; the region and script of a tag are left out.

    Raises
    ------
    SettingError
        Not one of `LANGUAGES`.

    Examples
    --------
    >>> code("German"), code("EN"), code("en-US"), code("zh_Hant"), code("Burmese")
    ('de', 'en', 'en', 'zh', 'my')
    """
    names = {name: key for key, name in LANGUAGES.items()} | _ALIASES
    wanted = " ".join(given.lower().split())
    for candidate in (wanted, wanted.replace("_", "-").partition("-")[0]):
        if candidate in LANGUAGES:
            return candidate
        if candidate in names:
            return names[candidate]
    close = get_close_matches(wanted, names, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "give a code such as en, or a name such as german"
    raise SettingError(f"unknown language {given!r}: {hint}")


def name_and_code(key: str) -> str:
    """As in "Japanese (ja)"."""
    return f"{LANGUAGES[key].title()} ({key})" if key in LANGUAGES else key


def allowed(text: str) -> frozenset[str]:
    """Languages that are written in the script of a text.

    Parameters
    ----------
    text : str

    Returns
    -------
    frozenset of str
        All of `LANGUAGES` for a text without letters.

    Examples
    --------
    >>> sorted(allowed("きょうはいい天気")), sorted(allowed("今天天气")), sorted(allowed("שלום Bob"))
    (['ja'], ['ja', 'yue', 'zh'], ['he', 'yi'])
    """
    scripts = Counter(script for character in text if (script := _script(character)))
    total = sum(scripts.values())
    if not total:
        return frozenset(LANGUAGES)
    if sum(scripts[kana] for kana in _KANA) > FOREIGN * total:
        return frozenset({"ja"})  # Japanese has Chinese characters too, often more of them
    # What is not Latin is chosen on purpose: names and quotations in Latin letters stand in every script.
    own = [script for script, count in scripts.most_common() if script != "LATIN" and count > FOREIGN * total]
    if own:
        return frozenset(_SCRIPTS.get(own[0], "").split()) & LANGUAGES.keys() or frozenset(LANGUAGES)
    return frozenset(LANGUAGES) - _ELSEWHERE


# Hindi and others are seldom written in Latin letters, Serbian and Uzbek often.
_BOTH = frozenset({"sr", "bs", "uz", "az", "tk"})
_ELSEWHERE = frozenset(key for keys in _SCRIPTS.values() for key in keys.split()) - _BOTH


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    """First word of a letter's Unicode name, which is its script for nearly all; empty for no letter."""
    if not character.isalpha():
        return ""
    name = unicodedata.name(character, "").replace("HALFWIDTH ", "").replace("FULLWIDTH ", "")
    return name.split(" ")[0].partition("-")[0]
