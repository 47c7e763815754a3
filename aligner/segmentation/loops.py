"""Text that repeats itself, as decoders write it when they are lost."""

from __future__ import annotations

import zlib

REPETITIVE = 2.4  # compression ratio above which text is a loop, openai-whisper's threshold


def is_loop(text: str) -> bool:
    """Whether a text repeats itself as decoders do when they are lost.

    Examples
    --------
    >>> is_loop("thank you " * 30)
    True
    """
    raw = text.encode()
    return len(raw) > 60 and len(raw) / len(zlib.compress(raw)) > REPETITIVE


def without_loop(text: str) -> tuple[str, str]:
    """A text cut after the first round of a loop, and what was cut off."""
    if not is_loop(text):
        return text, ""
    words = text.split()
    for size in range(1, len(words) // 3 + 1):
        for start in range(len(words) - 3 * size + 1):
            phrase = words[start : start + size]
            if words[start + size : start + 2 * size] == phrase == words[start + 2 * size : start + 3 * size]:
                return " ".join(words[: start + size]), f"a repetition of {' '.join(phrase)!r} was cut"
    return "", "repetitive text was dropped"
