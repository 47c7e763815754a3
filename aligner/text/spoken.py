"""Spoken form of written words: numbers and signs as they are read out.

Used to compare texts that are written differently: a transcript with what a
model recognised, a reference with a hypothesis. Words in outputs are always
the user's own spelling.

Each written word is read by itself, so the form of a text is that of its words.
English has rules for what people write in figures and signs; in every other
language numbers are written out as num2words has them and letters stay.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\u0060\u00b4", "'"))
# Letters and signs that Unicode does not take apart, or takes apart into something that is read otherwise.
_FOLDED = str.maketrans({
    "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i",
    "№": "#", "²": " squared ", "³": " cubed ", "−": "-",
})  # fmt: skip
_SYMBOLS = str.maketrans({
    "%": " percent ", "&": " and ", "@": " at ", "+": " plus ", "=": " equals ", "°": " degrees ",
    "€": " euros ", "£": " pounds ", "$": " dollars ", "¥": " yen ",
})  # fmt: skip
_ABBREVIATIONS = {
    "mr": "mister", "mrs": "missus", "dr": "doctor", "prof.": "professor", "st.": "saint", "mt.": "mount",
    "jr.": "junior", "sr.": "senior", "capt.": "captain", "col.": "colonel", "gen.": "general", "lt.": "lieutenant",
    "sgt.": "sergeant", "rev.": "reverend", "gov.": "governor", "sen.": "senator", "hon.": "honorable",
    "ave.": "avenue", "blvd.": "boulevard", "rd.": "road", "dept.": "department", "inc.": "incorporated",
    "ltd.": "limited", "corp.": "corporation", "co.": "company", "approx.": "approximately", "etc.": "et cetera",
    "vs": "versus", "jan.": "january", "feb.": "february", "mar.": "march", "apr.": "april", "aug.": "august",
    "sept.": "september", "sep.": "september", "oct.": "october", "nov.": "november", "dec.": "december",
}  # fmt: skip
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_UNITS = {
    "km": "kilometers", "cm": "centimeters", "mm": "millimeters", "kg": "kilograms", "mg": "milligrams", "lb": "pounds",
    "lbs": "pounds", "oz": "ounces", "ft": "feet", "mph": "miles per hour", "hz": "hertz", "khz": "kilohertz",
    "mb": "megabytes", "gb": "gigabytes", "ms": "milliseconds", "°c": "degrees celsius", "°f": "degrees fahrenheit",
}  # fmt: skip
_COINS = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "pence")}
_SCALES = {"k": " thousand", "m": " million", "bn": " billion", "b": " billion", "": ""}
_DOMAINS = "com|org|net|edu|gov|io|info|eu|uk|de|fr"
_ADDRESS_SIGNS = str.maketrans({".": " dot ", "/": " slash ", "-": " dash ", "_": " underscore ", ":": " colon "})
_LONGEST_NUMBER = 15  # digits; people read longer ones digit by digit

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_OPENING, _CLOSING = re.compile(r"^[^\w$€£¥#+%&@=°'-]+"), re.compile(r"[^\w%&@+=°$€£']+$")  # marks around a word


def spoken_form(text: str, language: str = "en") -> str:
    """Words as they are said: lower case, figures and signs written out, no punctuation.

    Parameters
    ----------
    text : str
        Text as people write it.
    language : str
        Code such as "en".

    Returns
    -------
    str
        Words separated by single spaces; empty when nothing is spoken. In
        English of a-z and apostrophe only; in other languages of any letters,
        and of figures where num2words does not know the language.

    Examples
    --------
    >>> spoken_form("It\u2019s 3 o'clock, caf\u00e9!")
    "it's three o'clock cafe"
    >>> spoken_form("Dr. Lee paid $5.20 on 3/1/1999.")
    'doctor lee paid five dollars and twenty cents on march first nineteen ninety nine'
    >>> spoken_form("um 7 Uhr", "de")
    'um sieben uhr'
    """
    say = _say_english if language == "en" else lambda word: _say_elsewhere(word, language)
    return " ".join(part for word in text.split() for part in say(word).split())


def _letters(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text).lower() if c.isalnum())


# --- English -------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _say_english(word: str) -> str:
    folded = _fold(word)
    if folded.isascii() and folded.isalpha() and folded not in _ABBREVIATIONS:
        return folded  # nearly every word
    said = " ".join(_say_token(token) for token in folded.split())
    bare = (part.strip("'") for part in re.sub(r"[^a-z' ]+", " ", said).split())
    return " ".join(part for part in bare if part)


def _fold(word: str) -> str:
    """Lower case, without accents; 2½ is 2-1/2."""
    word = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", "-", word.translate(_APOSTROPHES))
    folded = unicodedata.normalize("NFKD", word.lower().translate(_FOLDED)).lower().replace("\u2044", "/")
    return "".join(c for c in folded if not unicodedata.combining(c))


def _say_token(token: str) -> str:
    marked = _OPENING.sub("", token)
    token = _CLOSING.sub("", marked)
    stop = marked[len(token) : len(token) + 1]  # a full stop may belong to an abbreviation
    if said := _ABBREVIATIONS.get(token + stop) or _ABBREVIATIONS.get(token):
        return said
    for pattern, say in _RULES:
        if found := pattern.fullmatch(token):
            return say(*found.groups(default=""))
    # A dash between figures is "to"; a hyphen need not be: 555-1234.
    token = re.sub(r"(?<=\d)–(?=\d)", " to ", token)
    token = re.sub(r"#(?=\d)", " number ", token)
    token = re.sub(r"(?<!\d)(\d+(?:,\d{3})*)(?:st|nd|rd|th)(?![a-z])", lambda m: f" {_ordinal(m[1])} ", token)
    return _NUMBER.sub(lambda m: f" {_number(m.group())} ", token).translate(_SYMBOLS)


@lru_cache(maxsize=4096)
def _in_words(number: int | Decimal, form: str = "cardinal", language: str = "en") -> str:
    from num2words import num2words

    return str(num2words(number, to=form, lang=language)).lower().replace("-", " ").replace(",", "")


def _number(digits: str, year: bool = True) -> str:
    """A number as figures, perhaps with thousands commas and a decimal point."""
    plain = re.sub(r",(?=\d{3}(?!\d))", "", digits)
    whole, _, decimals = plain.partition(".")
    if "," in plain or "." in decimals:  # 1.2.3
        return " point ".join(_number(part, year=False) for part in re.split("[.,]", plain))
    if len(whole) > _LONGEST_NUMBER or (len(whole) > 1 and whole[0] == "0"):
        said = _digits(whole)
    elif year and digits.isdigit() and len(digits) == 4 and 1000 <= int(digits) <= 2099:
        said = _in_words(int(digits), "year")
    else:
        said = _in_words(int(whole))
    return f"{said} point {_digits(decimals)}" if decimals else said


def _digits(digits: str) -> str:
    return " ".join(_in_words(int(digit)) for digit in digits)


def _ordinal(digits: str) -> str:
    digits = digits.replace(",", "")
    return _in_words(int(digits), "ordinal") if len(digits) <= _LONGEST_NUMBER else _digits(digits)


def _money(sign: str, whole: str, cents: str, scale: str) -> str:
    unit, coin = _COINS[sign]
    if scale:
        return f"{_number(whole + ('.' + cents if cents else ''), year=False)}{_SCALES[scale]} {unit}s"
    said = f"{_number(whole, year=False)} {unit}{'s' * (whole != '1')}"
    if int(cents or 0):
        said += f" and {_in_words(int(cents))} {coin}{'s' * (coin != 'pence' and int(cents) != 1)}"
    return said


def _clock(hours: str, minutes: str, seconds: str, half: str) -> str:
    hour, minute = int(hours), int(minutes)
    said = [_in_words(hour)]
    if minute:
        said.append(("oh " if minute < 10 else "") + _in_words(minute))
    elif not half:
        said.append("o'clock" if 1 <= hour <= 12 else "hundred")
    if seconds:
        said.append(f"and {_in_words(int(seconds))} seconds")
    return " ".join([*said, *half.replace(".", "")])


def _date(first: str, second: str, year: str) -> str:
    """Month first as in America, unless that cannot be."""
    month, day = (int(second), int(first)) if int(first) > 12 else (int(first), int(second))
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return f"{_number(first)} {_number(second)} {_number(year)}"
    return f"{_MONTHS[month - 1]} {_in_words(day, 'ordinal')} {_number(year)}"


def _fraction(whole: str, above: str, below: str) -> str:
    number, parts = int(above), int(below)
    if number >= parts:  # 24/7
        return " ".join(_number(part) for part in (whole, above, below) if part)
    names = {2: ("half", "halves"), 4: ("quarter", "quarters")}
    one, many = names.get(parts) or (_in_words(parts, "ordinal"), _in_words(parts, "ordinal") + "s")
    said = f"{_in_words(number)} {one if number == 1 else many}"
    return f"{_number(whole)} and {said}" if whole else said


def _decade(digits: str) -> str:
    said = _number(digits) if len(digits) == 4 else _in_words(int(digits))
    return said[:-1] + "ies" if said.endswith("y") else said + "s"


def _address(text: str) -> str:
    text = re.sub(r"^[a-z]+://", "", text).rstrip("/")
    return re.sub(r"\d+", lambda m: f" {_number(m.group())} ", text.translate(_ADDRESS_SIGNS)).translate(_SYMBOLS)


_RULES: tuple[tuple[re.Pattern[str], Callable[..., str]], ...] = tuple(
    (re.compile(pattern), say)
    for pattern, say in (
        (r"([a-z]+://\S+|www\.\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)", _address),
        (rf"([a-z0-9][a-z0-9.-]*\.(?:{_DOMAINS})(?:/\S*)?)", _address),
        (r"([$€£])(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{1,2}))?(k|m|bn|b|)", _money),
        (r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{1,2}))?([$€£])", lambda whole, cents, sign: _money(sign, whole, cents, "")),
        (r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(am|pm|a\.m|p\.m|)", _clock),
        (r"(1[0-2]|[1-9])(am|pm|a\.m|p\.m)", lambda hour, half: _clock(hour, "0", "", half)),
        (r"(\d{1,2})/(\d{1,2})/(\d{4})", _date),
        (r"(\d{1,2})\.(\d{1,2})\.(\d{4})", lambda day, month, year: _date(month, day, year)),
        (r"(\d{4})-(\d\d)-(\d\d)", lambda year, month, day: _date(month, day, year)),
        (r"(?:(\d{1,3})-)?([1-9]\d?)/([2-9]|10)", _fraction),
        (r"'?(\d{2}|\d{3}0)'?s", _decade),
        (r"(\d+(?:[.,]\d+)*)(" + "|".join(_UNITS) + ")", lambda n, unit: f"{_number(n, year=False)} {_UNITS[unit]}"),
        (r"-(\d+(?:[.,]\d+)*)(%?)", lambda n, percent: f"minus {_number(n, year=False)}{' percent' * bool(percent)}"),
        (r"(\d+(?:[.,]\d+)*)%", lambda n: f"{_number(n, year=False)} percent"),
    )
)


# --- other languages -----------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _say_elsewhere(word: str, language: str) -> str:
    from num2words import CONVERTER_CLASSES

    said = unicodedata.normalize("NFC", word.translate(_APOSTROPHES)).lower()
    if language in CONVERTER_CLASSES:
        said = re.sub(r"[0-9]+(?:[.,][0-9]+)*", lambda m: f" {_number_elsewhere(m.group(), language)} ", said)
    kept = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in said)
    return " ".join(part for part in (part.strip("'") for part in kept.split()) if part)


def _number_elsewhere(digits: str, language: str) -> str:
    """Figures in words: a point or comma before exactly three figures groups thousands, else it is the decimal mark."""
    plain = re.sub(r"[.,](?=\d{3}(?!\d))", "", digits).replace(",", ".")
    if plain.count(".") > 1 or len(plain) > _LONGEST_NUMBER:
        return " ".join(_in_words(int(digit), language=language) for digit in digits if digit.isdigit())
    return _in_words(Decimal(plain) if "." in plain else int(plain), language=language)
