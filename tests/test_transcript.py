"""What stands in a transcript but is not spoken, and what is left of one."""

from __future__ import annotations

import pytest

from aligner.text.transcript import clean


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ANNA: Well, yes.", "Well, yes."),
        ("interviewer: Well, yes.", "Well, yes."),
        ("Speaker 1: Well, yes.\nSpeaker 22: No.", "Well, yes.\nNo."),
        ("Dr. Anna B. O’Neill: Well, yes.", "Well, yes."),
        (">> ANNA: Well, yes.", "Well, yes."),
        ("**Anna:** Well, yes.", "Well, yes."),
        ("Анна Иванова: да", "да"),
        ("李明：你好", "你好"),
        ("He said: no way.", "He said: no way."),
        ("Meet me at 10:30 and bring this: bread.", "Meet me at 10:30 and bring this: bread."),
    ],
)
def test_speakers(text: str, left: str) -> None:
    assert clean(text, ["speakers"]) == left


def test_headings() -> None:
    assert clean("# One\nhe came\n## Two\r\nTitle\n=====\nand went", ["headings"]) == "he came\nand went"


def test_brackets() -> None:
    assert clean("a [b c]\nd (e) <f> {g} （h） i", ["brackets"]) == "a\nd i"


def test_any_regular_expression() -> None:
    assert clean("00:01 he came\n00:02 and went", [r"\d\d:\d\d"]) == "he came\nand went"


def test_only_control_characters_and_blanks_are_lost() -> None:
    assert clean("a\x00b\x1b[0m\u2028c\ufffe\uffffd") == "a b [0m c d"
    assert clean("a\r\nb\rc\n\n d\u00a0e\u3000f ") == "a\nb\nc\nd e f"
    kept = "e\u0301 \u200bא\u200f 👩\u200d👧 \U000e0041 “q” ﬁ"
    assert clean(kept) == kept
