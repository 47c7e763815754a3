"""Text to tokens and back, and which tokens are which word.

Whisper's vocabulary is OpenAI's byte-level BPE. The multilingual
`tokenizer.json` that circulates lacks the merge that makes " t" one token, so
" the" becomes two tokens that the decoder never saw together; missing merges
are put back, in the order of the vocabulary, as openai-whisper has them.
"""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aligner.core import Tokens, WordSpan
from aligner.errors import ModelError, SettingError
from aligner.models import known
from aligner.text.scripts import UNSPACED_LANGUAGES, clusters, is_punctuation, separator, without_spaces

if TYPE_CHECKING:
    import tokenizers

MULTILINGUAL = Path(__file__).parent / "multilingual.merges.txt"  # of openai-whisper, MIT licence
UNITS = ("subword", "character")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Text to ids and back.

    Attributes
    ----------
    tokenizer : tokenizers.Tokenizer
        Of text alone: it knows no special tokens.
    special : dict
        Ids of special tokens, such as "<|endoftext|>".
    """

    tokenizer: tokenizers.Tokenizer
    special: dict[str, int]

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special tokens."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, broken byte sequences as U+FFFD."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))


def read_vocabulary(folder: Path | None, vocab_size: int) -> Vocabulary:
    """The vocabulary in a checkpoint's folder, or OpenAI's.

    Parameters
    ----------
    folder : Path or None
        With `tokenizer.json`, or `vocab.json` and `merges.txt`; OpenAI's vocabulary without them.
    vocab_size : int
        Rows of the checkpoint's embedding: tells OpenAI's vocabularies apart.

    Raises
    ------
    ModelError
        Damaged files, or none for a vocabulary of this size.
    """
    there = folder is not None and any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json"))
    if folder == known.EMBEDDED or (not there and vocab_size == known.ENGLISH_VOCABULARY):
        return _embedded()
    if folder is None or not there:
        return _made(_of_openai(vocab_size))
    try:
        if (folder / "tokenizer.json").is_file():
            written = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        else:
            written = _from_parts(folder)
        if written["model"]["type"] == "BPE" and written["model"]["vocab"].keys() >= set(_byte_symbols()):
            _put_back(written)
        return _made(written)
    except Exception as error:  # tokenizers raises nothing narrower
        raise ModelError(f"the vocabulary in {folder} is damaged: {_first_line(error)}") from None


def _made(written: dict[str, Any]) -> Vocabulary:
    """The vocabulary of a `tokenizer.json`, whose special tokens are left out of it.

    Whoever writes "<|en|>" in a transcript means these characters.
    """
    import tokenizers

    special = {token["content"]: int(token["id"]) for token in written["added_tokens"]}
    return Vocabulary(tokenizers.Tokenizer.from_str(json.dumps({**written, "added_tokens": []})), special)


def _embedded() -> Vocabulary:
    """OpenAI's English vocabulary; it lacks no merge, so its 100 000 entries are parsed once, by the library."""
    import tokenizers

    text = (known.EMBEDDED / "tokenizer.json").read_text(encoding="utf-8")
    start = text.index("[", text.index('"added_tokens"'))
    added, stop = json.JSONDecoder().raw_decode(text, start)
    special = {token["content"]: int(token["id"]) for token in added}
    return Vocabulary(tokenizers.Tokenizer.from_str(f"{text[:start]}[]{text[stop:]}"), special)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:160] or type(error).__name__


def _put_back(written: dict[str, Any]) -> None:
    """Add the merges that a vocabulary of bytes has tokens for and lacks."""
    vocabulary, merges = written["model"]["vocab"], written["model"]["merges"]
    pairs = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in merges]
    special = {token["content"] for token in written["added_tokens"]}
    missing = {t for t in vocabulary.keys() - {"".join(pair) for pair in pairs} - special if len(t) > 1}
    if missing:
        pairs += [_halves(token, vocabulary) for token in missing]
        pairs.sort(key=lambda pair: vocabulary["".join(pair)])
    written["model"]["merges"] = pairs


def _halves(token: str, ranks: dict[str, int]) -> tuple[str, ...]:
    """The last merge that makes a token, when earlier tokens are merged first."""
    parts = list(token)
    while len(parts) > 2:
        joined = [ranks.get(a + b, len(ranks)) for a, b in itertools.pairwise(parts)]
        best = min(range(len(joined)), key=joined.__getitem__)
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return tuple(parts)


def _from_parts(folder: Path) -> dict[str, Any]:
    """`tokenizer.json` of a folder that has `vocab.json`, `merges.txt` and perhaps `added_tokens.json`."""
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    added = folder / "added_tokens.json"
    special = json.loads(added.read_text(encoding="utf-8")) if added.is_file() else {}
    special |= {token: index for token, index in vocabulary.items() if token.startswith("<|")}
    return _written(vocabulary, [line for line in lines if line and not line.startswith("#version")], special)


def _of_openai(vocab_size: int) -> dict[str, Any]:
    """`tokenizer.json` of OpenAI's multilingual vocabulary with so many tokens."""
    n_languages = vocab_size - 51865 + 99
    if vocab_size not in known.VOCABULARIES:
        raise ModelError(f"the checkpoint has no tokenizer.json, and nothing is known of {vocab_size} tokens")
    merges = MULTILINGUAL.read_text(encoding="utf-8").splitlines()
    tokens = [*_byte_symbols(), *(merge.replace(" ", "") for merge in merges), ""]
    names = ["endoftext", "startoftranscript", *known.LANGUAGES[:n_languages], "translate", "transcribe"]
    names += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    special = {f"<|{name}|>": len(tokens) + i for i, name in enumerate(names)}
    return _written({token: i for i, token in enumerate(tokens)}, merges, special)


def _written(vocabulary: dict[str, int], merges: list[str], special: dict[str, int]) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [{"id": i, "content": token, "special": True, **flags} for token, i in special.items()]
    return {
        "version": "1.0",
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "pre_tokenizer": level,
        "decoder": level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }


def _byte_symbols() -> list[str]:
    """GPT-2's printable stand-ins for bytes, in the order of their ids: printable bytes first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(256 - len(printable))]


# --- words -------------------------------------------------------------------------------

Encode = Callable[[str], list[int]]
Decode = Callable[[Sequence[int]], str]


def split_on_unicode(ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> list[tuple[str, int, int]]:
    """Smallest groups of tokens that spell whole characters.

    Parameters
    ----------
    ids : sequence of int
        Text tokens.
    decode : callable
        Token ids to text, broken byte sequences as U+FFFD.

    Returns
    -------
    list of (text, start, stop)
        Half-open token ranges; as openai-whisper's `split_tokens_on_unicode`.
    """
    whole = decode(ids)
    groups: list[tuple[str, int, int]] = []
    start, offset = 0, 0
    for stop in range(1, len(ids) + 1):
        text = decode(ids[start:stop])
        broken = text.find("\ufffd")
        if broken < 0 or (offset + broken < len(whole) and whole[offset + broken] == "\ufffd"):
            groups.append((text, start, stop))
            offset += len(text)
            start = stop
    return groups


def tokenize(text: str, encode: Encode, decode: Decode, units: str = "subword", language: str | None = None) -> Tokens:
    """Tokens of a transcript and the rows of each of its words.

    Parameters
    ----------
    text : str
    encode, decode : callable
        Of the model's vocabulary.
    units : str
        "subword" or "character".
    language : str, optional
        Some are written without spaces: words are set apart as the user did, else by tokens.

    Raises
    ------
    SettingError
        Unknown units.
    """
    if units not in UNITS:
        raise SettingError(f"unknown units {units!r}: choose {' or '.join(UNITS)}")
    if units == "character":
        whole = encode

        def encode(text: str) -> list[int]:
            return [token for character in text for token in whole(character)]

    if without_spaces(text, language):
        ids, words = _unspaced(text, encode, decode)
    else:
        # A text starts with a space in subwords, with its first character in characters (arXiv 2509.09987).
        before = " " if units == "subword" and language not in UNSPACED_LANGUAGES else ""
        ids, words = _spaced(text, encode, decode, before, language in UNSPACED_LANGUAGES)
    return Tokens(tuple(ids), tuple(decode([token]) for token in ids), tuple(words))


def _spaced(
    text: str, encode: Encode, decode: Decode, before: str, by_script: bool
) -> tuple[list[int], list[WordSpan]]:
    """Words between spaces; a decoder sees those spaces only that the scripts at both sides of them have."""
    ids: list[int] = []
    words: list[WordSpan] = []
    waiting = ""  # marks in front of the first word
    previous = ""
    for written in text.split():
        if previous:
            before = separator(previous, written) if by_script else " "
        pieces = encode(before + written)
        if not is_punctuation(written):
            words.append(WordSpan(waiting + written, *_inner(pieces, len(ids), decode)))
            waiting = ""
        elif words:
            last = words[-1]
            words[-1] = WordSpan(f"{last.text} {written}", last.start, last.stop)
        else:
            waiting += written + " "
        ids += pieces
        previous = written
    return ids, words


def _inner(pieces: list[int], offset: int, decode: Decode) -> tuple[int, int]:
    """Rows of a word without its leading space and outer punctuation."""
    groups = split_on_unicode(pieces, decode)
    spoken = [(start, stop) for text, start, stop in groups if text.strip() and not is_punctuation(text)]
    if not spoken:
        return offset, offset + len(pieces)
    return offset + spoken[0][0], offset + spoken[-1][1]


def _unspaced(text: str, encode: Encode, decode: Decode) -> tuple[list[int], list[WordSpan]]:
    """Scripts written without spaces: a word per group of tokens that spells whole clusters of characters."""
    ids = encode(text.strip())
    words: list[WordSpan] = []
    waiting = ""  # marks that belong to the next word
    glue = False
    for piece, start, stop in _whole(split_on_unicode(ids, decode)):
        spelled = piece.strip()
        latin = spelled.isascii() and spelled.isalnum()
        if not spelled:
            glue = False
        elif is_punctuation(spelled) and (not words or unicodedata.category(spelled[0]) in ("Ps", "Pi")):
            waiting += spelled
        elif words and (is_punctuation(spelled) or (latin and glue and not piece.startswith(" "))):
            last = words[-1]
            words[-1] = WordSpan(last.text + spelled, last.start, stop if latin else last.stop)
        else:
            words.append(WordSpan(waiting + spelled, start, stop))
            waiting = ""
        if spelled:
            glue = latin
    if words and waiting:
        words[-1] = WordSpan(words[-1].text + waiting, words[-1].start, words[-1].stop)
    return ids, words


def _whole(groups: Sequence[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    """Groups of tokens, joined where one ends inside a cluster: a vowel sign is no word."""
    ends = set(itertools.accumulate(map(len, clusters("".join(text for text, _, _ in groups)))))
    spelled, first, place = "", 0, 0
    for text, start, stop in groups:
        first = first if spelled else start
        spelled += text
        place += len(text)
        if place in ends:
            yield spelled, first, stop
            spelled = ""
