"""Transcripts as people keep them: plain text, subtitles, annotations; paragraphs, speaker labels, notes.

Nothing here changes a word: the output's words are the user's own spellings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aligner.core import Cue
from aligner.errors import InputError, SettingError
from aligner.text import readers
from aligner.text.encodings import decoded

SUFFIXES = (".txt", ".lab")
"""Of plain text."""
NAMES = (*SUFFIXES, *readers.SUFFIXES)
"""Suffixes of all kinds of transcripts, in the order in which a folder is searched."""
MOST_BYTES = 64 << 20  # far above a day of speech; a larger file is no transcript
REMEDY = "save it as UTF-8, or give align its --encoding"  # for a transcript in another encoding

_STAMP = r"(?:[\[(]?\d{1,3}:\d\d(?::\d\d)?(?:[.,]\d{1,3})?[\])]?[ \t]*)?"
_NAME = r"[^\W\d_a-zß-öø-ÿа-яё][\w.'’-]*"  # begins with a letter that is not small
SKIPS = {
    # The title is underlined: before anything else makes lines of other lengths.
    "headings": r"(?m)^[ \t]*#.*$|^.+\n[ \t]*(?:={3,}|-{3,})[ \t]*$",
    "brackets": r"\[[^\[\]]*\]|\([^()]*\)|<[^<>]*>|\{[^{}]*\}|（[^（）]*）|【[^【】]*】",
    # One word, or up to four that are numbers or begin with a capital: "He said:" is spoken. Chevrons alone change
    # the speaker in captions.
    "speakers": rf"(?m)^[ \t>*–—-]*{_STAMP}[ \t>*–—-]*"
    rf"(?:[^\W\d_][\w.'’-]*|{_NAME}(?: (?:\d+|{_NAME})){{1,3}})\**(?::\**(?=\s|$)|：)"
    r"|^[ \t]*>{2,}",
}
"""Named patterns of what stands in a transcript but is not spoken, in the order in which they are applied."""
_TURNS = rf"(?m)^[ \t>*–—-]*{_STAMP}[ \t>*–—-]*[QA]\.(?=\s)"

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
    cues : tuple of Cue
        Of a file that knows times, in order; the text has a line for each that is spoken.
    path : Path or None
        The file it was read from.
    """

    text: str
    source: str
    cues: tuple[Cue, ...] = ()
    path: Path | None = None


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
    SettingError
        Unknown encoding.
    """
    try:
        with path.open("rb") as handle:
            raw = handle.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the transcript {path}: {error.strerror}") from None
    if len(raw) > MOST_BYTES:
        raise InputError(f"{path} holds more than {MOST_BYTES >> 20} MiB, too large for a transcript")
    return decoded(raw, str(path), encoding, REMEDY)


def clean(text: str, skips: Sequence[str] = ()) -> str:
    """A transcript without control characters, HTML, and what the patterns match.

    Line breaks stay: they separate paragraphs.

    Parameters
    ----------
    text : str
    skips : sequence of str
        Names from `SKIPS` or regular expressions of what is not spoken. Their
        order does not matter: headings go first, then regular expressions,
        brackets, speakers.

    Raises
    ------
    SettingError
        A pattern is not a regular expression.

    Examples
    --------
    >>> clean("ANNA: Well [laughs] yes, we&#39;ll.", ("speakers", "brackets"))
    "Well yes, we'll."
    """
    text = readers.unmarked(text.replace("\r\n", "\n").replace("\r", "\n")).replace("\xa0", " ")
    skips = _with_turns(skips, text)
    own = [skip for skip in skips if skip not in SKIPS]
    for skip in ("headings", *own, "brackets", "speakers"):
        if skip in skips:
            try:
                text = re.sub(SKIPS.get(skip, skip), " ", text)
            except re.error as error:
                raise SettingError(
                    f"--skip {skip!r} is neither a regular expression ({error}) nor one of {', '.join(SKIPS)}"
                ) from None
    # Format characters (Cf) stay: zero-width joiners and direction marks belong to words and emoji.
    lines = ("".join(" " if _is_unspeakable(c) else c for c in line) for line in text.split("\n"))
    return "\n".join(line for line in (" ".join(line.split()) for line in lines) if line)


def _with_turns(skips: Sequence[str], text: str) -> Sequence[str]:
    """Also "Q." and "A." are speakers, where a text has both; one alone may be an initial."""
    both = "speakers" in skips and len({turn[-2:] for turn in re.findall(_TURNS, text)}) == 2
    return (*skips, _TURNS) if both else skips


def _is_unspeakable(character: str) -> bool:
    return unicodedata.category(character) in _UNSPEAKABLE or character in _NO_CHARACTERS


def read_transcript(text: str, source: str, skips: Sequence[str] = ()) -> Transcript:
    """A transcript from the content of a file of any kind that `readers` knows, else from plain text.

    Parameters
    ----------
    text : str
    source : str
        Where it came from, for messages.
    skips : sequence of str
        Passed to `clean`.

    Raises
    ------
    InputError
        No words, or a damaged file of a known kind.

    Examples
    --------
    >>> read_transcript("1\\n00:00:01,000 --> 00:00:02,500\\n- Come\\n<i>in!</i>\\n", "x.srt").text
    'Come in!'
    """
    try:
        content = readers.read(text)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    if isinstance(content, str):
        found = Transcript(clean(content, skips), source)
    else:
        skips = _with_turns(skips, "\n".join(cue.text for cue in content))
        cues = tuple(replace(cue, text=_spoken(cue.text, skips)) for cue in content)
        found = Transcript("\n".join(cue.text for cue in cues if cue.text), source, cues)
    if not found.text:
        raise InputError(f"the transcript from {source} is empty: give the spoken words, or leave --text out")
    return found


def _spoken(text: str, skips: Sequence[str]) -> str:
    """Words of a cue in one line; a dash or chevrons at the start of a line are a change of speaker."""
    lines = clean(text, skips).split("\n")
    return " ".join(line for line in (re.sub(r"^(?:[-–—]|>{2,})\s*(?=\S)", "", line) for line in lines) if line)


def find_transcript(source: str, audio: Path, skips: Sequence[str] = (), encoding: str | None = None) -> Transcript:
    """The transcript that `--text` means for a recording.

    Parameters
    ----------
    source : str
        A file, a folder (matched by file stem, in the order of `NAMES`), or the text itself.
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
        return read_transcript(source, "the command line", skips)
    if path.is_dir():
        candidates = [path / f"{audio.stem}{suffix}" for suffix in NAMES]
        path = next((c for c in candidates if c.is_file()), None)
        if path is None:
            kinds = ", ".join(suffix.removeprefix(".") for suffix in readers.SUFFIXES)
            raise InputError(
                f"no transcript {audio.stem}.txt or {audio.stem}.lab in {source} for {audio}, nor one as {kinds}"
            )
    return replace(read_transcript(read_text(path, encoding), str(path), skips), path=path)


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
    if path.suffix.lower() in map(str.lower, NAMES) and not re.search(r"\s", source.strip()):
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
