"""Bytes of text files as text.

In the encoding of Unicode that a byte order mark names, else in UTF-8 or what the user says.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from aligner.errors import InputError, SettingError

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def decoded(raw: bytes, source: str, encoding: str | None = None, remedy: str = "save it as UTF-8") -> str:
    """Text of bytes from a file or a pipe.

    Parameters
    ----------
    raw : bytes
    source : str
        Where they came from, for messages.
    encoding : str, optional
        Of bytes without a byte order mark; UTF-8 by default.
    remedy : str
        What to do about another encoding, for the message.

    Raises
    ------
    InputError
        No text, or not in that encoding.
    SettingError
        Unknown encoding.
    """
    encoding, skipped = encoding or "utf-8", 0
    for mark, name in _MARKS:
        if raw.startswith(mark):
            encoding, skipped = name, len(mark)
    raw = raw[skipped:]
    try:
        text = raw.decode(encoding)
    except UnicodeError as error:
        where = ""
        if isinstance(error, UnicodeDecodeError):
            # Some codecs bear with no bytes of another; lines end with the same one in all but those of Unicode.
            lines = encoding if encoding.lower().startswith("utf") else "latin-1"
            line = 1 + raw[: error.start].decode(lines, "replace").count("\n")
            where = f" (line {line}, byte {skipped + error.start})"
        raise InputError(f"{source} is not {encoding} text{where}: {remedy}") from None
    except LookupError:
        raise SettingError(f"unknown text encoding {encoding!r}: try utf-8, cp1252 or utf-16") from None
    if "\0" in text:
        raise InputError(f"{source} holds binary data, not text")
    return text


def numbered(text: str) -> list[tuple[int, str]]:
    """Lines of a text that are not blank, with their numbers from 1.

    Unlike `str.splitlines`, this leaves rarer line separators, which JSON may hold, inside their line.

    Examples
    --------
    >>> numbered("a\\r\\n\\nb\\u2028c")
    [(1, 'a'), (3, 'b\\u2028c')]
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """Lines of a text file of any size that are not blank, with their numbers from 1.

    Raises
    ------
    InputError
        The file is missing, unreadable, no text, or neither UTF-8 nor marked as another encoding of Unicode.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    return numbered(decoded(raw, str(path)))
