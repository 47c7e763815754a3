"""Transcripts as people keep them: files, folders or the text itself; paragraphs, speaker labels, notes.

Nothing here changes a word: the output's words are the user's own spellings.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aligner.errors import InputError, SettingError

SUFFIXES = (".txt", ".lab")
MOST_BYTES = 64 << 20  # far above a day of speech; a larger file is no transcript

_NAME = r"[^\W\d_a-zß-öø-ÿа-яё][\w.'’-]*"  # begins with a letter that is not small
SKIPS = {
    # One word, or up to four that are numbers or begin with a capital: "He said:" is spoken.
    "speakers": rf"(?m)^[ \t>*–—-]*(?:[^\W\d_][\w.'’-]*|{_NAME}(?: (?:\d+|{_NAME})){{1,3}})\**(?::\**(?=\s|$)|：)",
    "headings": r"(?m)^[ \t]*#.*$|^.+\n[ \t]*(?:={3,}|-{3,})[ \t]*$",
    "brackets": r"\[[^\[\]]*\]|\([^()]*\)|<[^<>]*>|\{[^{}]*\}|（[^（）]*）|【[^【】]*】",
}
"""Named patterns of what stands in a transcript but is not spoken."""

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_UNSPEAKABLE = ("Cc", "Cs", "Zl", "Zp")  # categories of Unicode
_NO_CHARACTERS = "\ufffe\uffff"  # by Unicode's own word; no XML file can hold them
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*$|[。！？]+[”’」』）]*$")
_ABBREVIATIONS = frozenset({"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "jr.", "sr.", "vs.", "e.g.", "i.e.", "no."})


@dataclass(frozen=True)
class Transcript:
    """Text for one recording.

    Attributes
    ----------
    text : str
        What is to be aligned, skipped parts removed.
    source : str
        Where it came from, for messages and provenance.
    """

    text: str
    source: str


def read_text(path: Path, encoding: str | None = None) -> str:
    """Text of a file, whichever Unicode encoding its byte order mark names.

    Parameters
    ----------
    path : Path
    encoding : str, optional
        For files without a byte order mark; UTF-8 by default.

    Raises
    ------
    InputError
        The file is missing, unreadable, no text, or not in that encoding.
    """
    try:
        with path.open("rb") as handle:
            raw = handle.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the transcript {path}: {error.strerror}") from None
    if len(raw) > MOST_BYTES:
        raise InputError(f"{path} holds more than {MOST_BYTES >> 20} MiB, too large for a transcript")
    return decoded(raw, str(path), encoding)


def decoded(raw: bytes, source: str, encoding: str | None = None) -> str:
    """Text of bytes from a file or a pipe; see `read_text`.

    Parameters
    ----------
    raw : bytes
    source : str
        Where they came from, for messages.
    encoding : str, optional

    Raises
    ------
    InputError
        No text, or not in that encoding.
    SettingError
        Unknown encoding.
    """
    for mark, name in _MARKS:
        if raw.startswith(mark):
            encoding = name
    try:
        text = raw.decode(encoding or "utf-8")
    except UnicodeError as error:
        where = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise InputError(
            f"{source} is not {encoding or 'utf-8'} text{where}: save it as UTF-8 or name its --encoding"
        ) from None
    except LookupError:
        raise SettingError(f"unknown text encoding {encoding!r}: try utf-8, cp1252 or utf-16") from None
    if "\0" in text:
        raise InputError(f"{source} holds binary data, not a transcript")
    return text


def clean(text: str, skips: Sequence[str] = ()) -> str:
    """A transcript without control characters and without what the patterns match.

    Line breaks stay: they separate paragraphs.

    Parameters
    ----------
    text : str
    skips : sequence of str
        Names from `SKIPS` or regular expressions of what is not spoken.

    Raises
    ------
    SettingError
        A pattern is not a regular expression.

    Examples
    --------
    >>> clean("ANNA: Well [laughs] yes.", ("speakers", "brackets"))
    'Well yes.'
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for skip in skips:
        try:
            text = re.sub(SKIPS.get(skip, skip), " ", text)
        except re.error as error:
            raise SettingError(
                f"--skip {skip!r} is neither a regular expression ({error}) nor one of {', '.join(SKIPS)}"
            ) from None
    # Format characters (Cf) stay: zero-width joiners and direction marks belong to words and emoji.
    lines = ("".join(" " if _is_unspeakable(c) else c for c in line) for line in text.split("\n"))
    return "\n".join(line for line in (" ".join(line.split()) for line in lines) if line)


def _is_unspeakable(character: str) -> bool:
    return unicodedata.category(character) in _UNSPEAKABLE or character in _NO_CHARACTERS


def find_transcript(source: str, audio: Path, skips: Sequence[str] = (), encoding: str | None = None) -> Transcript:
    """The transcript that `--text` means for a recording.

    Parameters
    ----------
    source : str
        A file, a folder (matched by file stem, .txt before .lab), or the text itself.
    audio : Path
        The recording.
    skips : sequence of str
        Passed to `clean`.
    encoding : str, optional
        Of files without a byte order mark.

    Raises
    ------
    InputError
        No such file, no transcript of that stem in the folder, unreadable or empty text.
    """
    path = _as_path(source)
    if path is None:
        found = Transcript(clean(source, skips), "the command line")
    else:
        if path.is_dir():
            candidates = [path / f"{audio.stem}{suffix}" for suffix in SUFFIXES]
            path = next((c for c in candidates if c.is_file()), None)
            if path is None:
                raise InputError(f"no transcript {audio.stem}.txt or {audio.stem}.lab in {source} for {audio}")
        found = Transcript(clean(read_text(path, encoding), skips), str(path))
    if not found.text:
        raise InputError(f"the transcript from {found.source} is empty: give the spoken words, or leave --text out")
    return found


def _as_path(source: str) -> Path | None:
    """The file or folder a `--text` value names; None when it is the text itself."""
    if "\n" in source or len(source) > 4096:
        return None
    path = Path(source)
    try:
        if source and path.exists():
            return path
    except (OSError, ValueError):  # too long for a name, or a null byte
        return None
    if path.suffix.lower() in SUFFIXES and not re.search(r"\s", source.strip()):
        raise InputError(f"there is no transcript {source}: check the path")
    return None


def sentences(text: str) -> tuple[str, ...]:
    """Sentences of a transcript; a line break ends one too.

    Examples
    --------
    >>> sentences('Mr. Fox ran. "Stop!" he said.')
    ('Mr. Fox ran.', '"Stop!"', 'he said.')
    """
    found: list[str] = []
    for line in text.split("\n"):
        words: list[str] = []
        for word in line.split():
            words.append(word)
            if _SENTENCE_END.search(word) and word.lower() not in _ABBREVIATIONS:
                found.append(" ".join(words))
                words = []
        if words:
            found.append(" ".join(words))
    return tuple(found)
