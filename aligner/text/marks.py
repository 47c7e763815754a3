"""Characters that are no part of a word's sound, and languages that put no spaces between words."""

from __future__ import annotations

import unicodedata

UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})


def is_punctuation(text: str) -> bool:
    """Whether a text holds marks and spaces only (and at least one mark)."""
    stripped = text.strip()
    return bool(stripped) and all(unicodedata.category(c)[0] in "PS" and not _is_pictograph(c) for c in stripped)


def _is_pictograph(character: str) -> bool:
    """Emoji and the like are words of their own; currency and mathematical signs are read out."""
    return unicodedata.category(character) in ("So", "Sc", "Sm")
