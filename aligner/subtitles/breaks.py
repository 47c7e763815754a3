"""Where text may be broken: after a mark, before a conjunction, never after a word that leans on the next.

Netflix, General Requirements, line treatment; BBC, Subtitle Guidelines, 3.4.
"""

from __future__ import annotations

import unicodedata
from functools import cache

SENTENCE, CLAUSE, PHRASE, WORD, CLOSE, LEANING = 0.0, 0.5, 1.0, 3.0, 5.0, 7.0
"""Costs of a break, from none to one that should not be."""

SENTENCE_ENDS = tuple(".!?。！？…")
CLOSERS = "\"'”’)]}»」』）"
_CLAUSE_ENDS = tuple(",;:，、；：–—-")

# A good place to break is before these.
_OPENING = {
    "en": "and but or nor so yet because that which who whose when where while if although though unless until "
    "since as than whether about above across after against along among around at before behind below beneath "
    "beside between beyond by despite during except for from in inside into like near of off on onto out over "
    "past through throughout to toward towards under up upon via with within without",
    "de": "und oder aber denn sondern weil dass wenn als ob obwohl während bis bevor nachdem damit der die das "
    "welche an auf aus bei durch für gegen hinter in mit nach neben ohne seit über um unter von vor wegen zu "
    "zum zur zwischen",
    "fr": "et mais ou donc car que qui dont où quand si comme parce puisque à au aux avec chez contre dans de des "
    "du en entre par pour sans sous sur vers",
    "es": "y e o u pero sino que quien cuando donde si como porque aunque a al ante bajo con contra de del desde en "
    "entre hacia hasta para por según sin sobre tras",
    "it": "e ed o ma che chi cui quando dove se come perché a al alla con contro da dal dalla di del della fra in "
    "nel nella per su sul sulla tra senza",
    "pt": "e ou mas que quem quando onde se como porque a ao à com contra de da do desde em no na entre para por "
    "pela pelo sem sobre",
    "nl": "en of maar want dat die omdat als toen wanneer terwijl aan achter bij door in met na naar op over sinds "
    "te tegen tot tussen uit van voor zonder",
}  # fmt: skip
# They lean on what follows, unless they may end a phrase as well: "come on".
_PARTICLES = {
    "en": "about above across after along around before behind below beneath beside between in inside like near off "
    "on out over past since so that though through throughout under up when where which while who whom yet",
    "de": "an auf aus bei durch mit nach um unter vor über zu",
    "nl": "aan achter bij door in mee na op over tegen uit van voor",
}  # fmt: skip
# And these lean on what follows: articles, possessives, subject pronouns, modal verbs, negations.
_LEANING = {
    "en": "a an the my your its our their every each i he she we they will would shall should can could may might "
    "i'm you're he's she's it's we're they're i've you've we've they've i'll you'll he'll she'll we'll "
    "they'll i'd you'd mr mrs ms dr prof st",
    "de": "ein eine einen einem einer eines den dem des mein meine dein seine ihre unser kein keine ich du er wir "
    "dr prof herr frau",
    "fr": "un une le la les l mon ma mes ton ta tes son sa ses leur leurs ce cet cette ces je tu ils ne m mme dr",
    "es": "un una unos unas el la los las lo mi mis tu tus su sus yo se me te sr sra dr",
    "it": "un uno una il lo la i gli le mio mia tuo tua suo sua si mi ti sig dott",
    "pt": "um uma o os as meu minha teu tua seu sua se me sr sra dr",
    "nl": "een de het mijn jouw zijn onze hun ik jij hij zij ze we wij dhr mevr dr",
}  # fmt: skip
# These often do: auxiliaries that may be the verb themselves, pronouns that may be objects.
_EITHER = {
    "en": "is are was were be been am has have had do does did his her this these those no some any you it must not "
    "very too",
    "de": "ist sind war hat habe haben wird werden ihr sie es nicht sehr",
    "fr": "est sont ont notre votre il elle on nous vous elles très",
    "es": "es son ha han este esta estos estas no muy",
    "it": "è sono ha hanno questo questa io non molto",
    "pt": "é são há este esta eu não muito",
    "nl": "is heeft hebben haar ons deze dit je niet zeer",
}  # fmt: skip
_TITLES = frozenset({"mr", "mrs", "ms", "dr", "prof", "st", "sr", "sra", "dott", "sig", "dhr", "mme"})


def cost(before: str, after: str, language: str, space: bool = True) -> float:
    """What it costs to break between two words.

    Parameters
    ----------
    before, after : str
    language : str
        Code; of other languages than those listed marks alone are known.
    space : bool
        Whether a space stands between them; where scripts have none, the writer's own is a place to break.

    Returns
    -------
    float
        `SENTENCE` to `LEANING`.

    Examples
    --------
    >>> cost("soup,", "because", "en"), cost("soup", "because", "en"), cost("the", "soup", "en")
    (0.5, 1.0, 7.0)
    """
    bare = before.rstrip(CLOSERS)
    title = _plain(bare).removesuffix(".") in _TITLES
    if ends_sentence(before) and not title:
        return SENTENCE
    if bare.endswith(_CLAUSE_ENDS):
        return CLAUSE
    if title or leans(before, language):
        return LEANING
    kinds = _kind(before[-1:]), _kind(after[:1])
    if "" not in kinds:
        return _unspaced(*kinds, space)
    if _plain(after) in _words(language)[0]:
        return PHRASE
    if _plain(before) in _EITHER.get(language, "").split():
        return CLOSE
    names = before[:1].isupper() and after[:1].isupper() and language != "de"  # German writes all nouns so
    return CLOSE if names else WORD


def ends_sentence(word: str) -> bool:
    """Whether a word carries the mark that ends a sentence."""
    return word.rstrip(CLOSERS).endswith(SENTENCE_ENDS)


def leans(word: str, language: str) -> bool:
    """Whether a word without a mark after it should not be the last before a break."""
    return _plain(word) in _words(language)[1]


@cache
def _words(language: str) -> tuple[frozenset[str], frozenset[str]]:
    """Words to break before, and words not to break after."""
    opening, particles, leaning = (
        frozenset(table.get(language, "").split()) for table in (_OPENING, _PARTICLES, _LEANING)
    )
    return opening, (opening - particles) | leaning


def _plain(word: str) -> str:
    return word.lower().replace("’", "'").strip("([\"'“‘«.¿¡")


def _unspaced(before: str, after: str, space: bool) -> float:
    """Between scripts without spaces: after a particle, so before what is not hiragana, rather than inside a word."""
    if space:
        return CLAUSE
    if before == "HIRAGANA" and after in ("CJK", "KATAKANA"):
        return PHRASE
    return LEANING if after == "HIRAGANA" else WORD


def _kind(character: str) -> str:
    """Script of a character that is written without spaces between words; empty for others."""
    name = unicodedata.name(character, "") if character else ""
    return next(
        (k for k in ("HIRAGANA", "KATAKANA", "CJK", "THAI", "LAO", "MYANMAR", "KHMER") if name.startswith(k)), ""
    )
