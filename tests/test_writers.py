"""Every format reads back to the same words and times."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pysubs2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aligner.core import Alignment, Word
from aligner.text.spacing import as_written, running
from aligner.textgrid import read_words
from aligner.writers import WriterOptions, formats, render

CHARACTERS = st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="\u2060\ufeff")
NASTY = st.sampled_from(
    ["a,b", '"q"', "-->", "<b>", "{x}", "a\\b", "&amp;", "naïve", "e\u0301", "é", "日本", "🙂", "שלום", "'s", "#"]
)


@st.composite
def alignments(draw: st.DrawFn) -> Alignment:
    texts = draw(st.lists(NASTY | st.text(CHARACTERS, min_size=1, max_size=8).filter(str.strip), max_size=8))
    words, at = [], 0.0
    for text in texts:
        start = at + draw(st.floats(0, 2))
        at = start + draw(st.floats(0.02, 1))
        probability = draw(st.none() | st.floats(0, 1).map(lambda p: round(p, 4)))
        words.append(Word(text, round(start, 4), round(at, 4), probability))
        at = round(at, 4)
    return Alignment(tuple(words), at + 1)


@pytest.mark.parametrize("name", list(formats))
@settings(max_examples=60, deadline=None)
@given(alignment=alignments())
def test_words_and_times_survive(name: str, alignment: Alignment) -> None:
    part = formats[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{part.suffix}"
        part.write(alignment, path, WriterOptions(cues="word", stem="x"))
        found = part.read(path)
    assert [w.text for w in found] == [w.text for w in alignment.words]
    for word, other in zip(alignment.words, found, strict=True):
        assert abs(word.start - other.start) <= part.precision / 2 + 6e-4
        assert abs(word.end - other.end) <= part.precision / 2 + 6e-4


TEXT = "She had your dark suit. In greasy wash water all year, every year!"
WORDS = tuple(
    Word(text, i * 0.4 + 0.1, i * 0.4 + 0.4, 0.5, flags=("long",) if i == 2 else ())
    for i, text in enumerate(TEXT.split())
)
ALIGNMENT = Alignment(WORDS, 6.0, "en", {"model": "test"}, tokens=WORDS[:2])


@pytest.mark.parametrize("name", list(formats))
def test_golden_file(name: str, update_golden: bool) -> None:
    golden = Path(__file__).parent / "golden" / f"alignment{formats[name].suffix}"
    found = render(name, ALIGNMENT, WriterOptions(stem="talk"))
    if update_golden:
        golden.write_bytes(found)
    assert found == golden.read_bytes()


@pytest.mark.parametrize("name", list(formats))
def test_no_words_is_still_a_valid_file(name: str, tmp_path: Path) -> None:
    part = formats[name]
    path = tmp_path / f"x{part.suffix}"
    part.write(Alignment((), 1.0), path, WriterOptions(tiers=("tokens", "flags", "margins")))
    assert part.read(path) == ()


def test_sentence_cues_respect_their_limits() -> None:
    options = WriterOptions(max_chars=20, max_lines=2, max_duration=2.0)
    subtitles = pysubs2.SSAFile.from_string(render("srt", ALIGNMENT, options).decode())
    assert subtitles[0].plaintext == "She had\nyour dark suit."
    for event in subtitles:
        assert event.end - event.start <= 2000
        assert all(len(line) <= 20 for line in event.plaintext.split("\n"))
    assert " ".join(e.plaintext.replace("\n", " ") for e in subtitles) == ALIGNMENT.text
    assert all(a.end <= b.start for a, b in pairwise(subtitles))


@pytest.mark.parametrize(("name", "mark"), [("srt", "<u>had</u>"), ("vtt", "<00:00:00.500>had"), ("ass", "{\\k40}had")])
def test_highlighting_marks_the_spoken_word(name: str, mark: str) -> None:
    assert mark in render(name, ALIGNMENT, WriterOptions(highlight=True)).decode()
    assert len(pysubs2.SSAFile.from_string(render(name, ALIGNMENT, WriterOptions(highlight=True)).decode())) > 1


def test_optional_tiers(tmp_path: Path) -> None:
    formats["textgrid"].write(ALIGNMENT, tmp_path / "x.TextGrid", WriterOptions(tiers=("tokens", "flags", "margins")))
    assert [w.text for w in read_words(tmp_path / "x.TextGrid", "tokens")] == ["She", "had"]
    assert [(w.text, w.start) for w in read_words(tmp_path / "x.TextGrid", "flags")] == [("long", pytest.approx(0.9))]


def timed(*texts: str) -> tuple[Word, ...]:
    return tuple(Word(text, i * 0.5, i * 0.5 + 0.4) for i, text in enumerate(texts))


def test_the_spaces_of_the_transcript_stay() -> None:
    words = timed("สวัสดี", "ครับ", "วันนี้", "ดี", "你", "Bob", "he", "came")
    text = "สวัสดีครับ วันนี้ดี\n你Bob he (so) came"
    found = as_written(words, text, ["(so)"])
    assert running(found) == "สวัสดีครับ วันนี้ดี你Bob he came"
    assert [word.spaced for word in found] == [None, None, True, None, None, False, None, None]
    assert as_written(words, "other words", []) == words


def test_scripts_without_spaces_are_joined_without_spaces() -> None:
    assert running(timed("你", "好", "Bob", "said")) == "你好 Bob said"
    assert running(timed("你好。", "世", "界", "，", "안녕", "하세요")) == "你好。世界， 안녕 하세요"
    words = tuple(Word(text, i * 0.5, i * 0.5 + 0.4) for i, text in enumerate("你好吗"))
    marked = render("vtt", Alignment(words, 2.0), WriterOptions(highlight=True)).decode()
    assert "你<00:00:00.500>好<00:00:01.000>吗" in marked
