"""Languages by any of their names, and by the script of a text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aligner.errors import SettingError
from aligner.text.languages import LANGUAGES, allowed, code
from aligner.text.scripts import clusters

CASES = Path(__file__).parent / "data" / "cases"


def test_names_and_codes_are_those_of_openai_whisper() -> None:
    tokenizer = pytest.importorskip("whisper.tokenizer", reason="openai-whisper, a test-only peer, is not installed")
    assert list(tokenizer.LANGUAGES.items()) == list(LANGUAGES.items())
    for name, key in tokenizer.TO_LANGUAGE_CODE.items():
        assert code(name) == code(name.title()) == key
    for key in LANGUAGES:
        assert code(key) == code(key.upper()) == code(f"{key}-XX") == key


@pytest.mark.parametrize(
    ("given", "key"),
    [("German", "de"), ("EN", "en"), ("en-US", "en"), ("en_GB", "en"), ("zh-Hant-TW", "zh"), ("Burmese", "my"),
     ("haitian creole", "ht"), ("nb-NO", "no"), ("iw", "he"), (" Japanese ", "ja"), ("yue", "yue"), ("HAW", "haw")],
)  # fmt: skip
def test_any_spelling(given: str, key: str) -> None:
    assert code(given) == key


def test_unknown_languages_are_refused_with_a_hint() -> None:
    with pytest.raises(SettingError, match=r"'germann': did you mean german"):
        code("germann")
    with pytest.raises(SettingError, match=r"'': give a code"):
        code("")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ((CASES / "ja.txt").read_text(encoding="utf-8"), "ja"),
        ((CASES / "thai.txt").read_text(encoding="utf-8"), "th"),
        ("今日は東京都知事選挙", "ja"), ("今天天气很好。", "ja yue zh"), ("שלום, Bob!", "he yi"),
        ("مرحبا بكم", "ar fa kk ps sd ur"),
        ("Καλημέρα", "el"), ("नमस्ते", "hi mr ne sa sd"), ("안녕하세요 123", "ko"), ("ｶﾀｶﾅ", "ja"), ("မြန်မာ", "my"),
    ],
)  # fmt: skip
def test_a_script_leaves_few_languages(text: str, keys: str) -> None:
    found = allowed(text)
    assert set(keys.split()) <= found
    assert len(found) <= len(keys.split()) + 2


def test_latin_and_no_letters() -> None:
    assert allowed("12 % 🙂") == LANGUAGES.keys()
    assert {"en", "de", "sw", "sr", "vi"} <= allowed("Straße и")
    assert not {"ru", "ja", "th", "he", "zh"} & allowed("She said привет to the whole group, and went home")
    assert {"ru", "uk"} <= allowed("да, это Microsoft Windows")
    assert all(allowed(name) for name in LANGUAGES)


def test_clusters_keep_marks_and_vowels_with_their_letter() -> None:
    assert clusters("ไปน้ำ เก้า") == ["ไป", "น้ำ", " ", "เก้า"]
    assert clusters("ເຮົາ") == ["ເຮົາ"]
    assert clusters("သတ္တဝါ") == ["သ", "တ္တ", "ဝါ"]
    assert clusters("ខ្មែរ") == ["ខ្មែ", "រ"]
    assert clusters("e\u0301t👩\u200d👧") == ["e\u0301", "t", "👩\u200d👧"]


@given(st.text(st.sampled_from("กขคเแไะาำั้ ่ๆ a\u0301မြန်္ខ្រ") | st.characters(exclude_categories=["Cs"]), max_size=20))
def test_clusters_are_the_text_and_begin_with_no_mark(text: str) -> None:
    found = clusters(text)
    assert "".join(found) == text
    assert all(found)
    for before, after in pairwise(found):
        if not before.isspace() and before[-1] not in "\r\n":
            assert after[0] not in "ะาำั้่\u0301"
