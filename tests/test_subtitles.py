"""Subtitles keep the limits of public style guides, and a check that sees every kind of slip."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pysubs2
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from aligner.core import Alignment, Cue, Word
from aligner.subtitles.breaks import CLAUSE, LEANING, PHRASE, SENTENCE, WORD, cost
from aligner.subtitles.check import KINDS, violations
from aligner.subtitles.layout import Layout, retimed
from aligner.subtitles.style import Style, style
from aligner.text.readers import read
from aligner.writers import WriterOptions, render
from eval.cli import main

CASES = Path(__file__).parent / "data" / "cases"
STYLE = Style()
TEXT = (
    "Please open the kitchen window, because the soup is far too hot. Tomorrow we'll take the train to the city. "
    "No. The train leaves at nine, and the man who sells the tickets is never there before a quarter to ten."
)


def spoken(text: str, pace: float = 0.065, pause: float = 0.4) -> tuple[Word, ...]:
    """Words that take `pace` seconds a character, with a pause after each sentence."""
    words, at = [], 0.5
    for word in text.split():
        end = at + pace * (len(word) + 1)
        words.append(Word(word, round(at, 3), round(end, 3)))
        at = end + (pause if word[-1] in ".!?" else 0.0)
    return tuple(words)


def cues(alignment: Alignment, **options: object) -> list[Cue]:
    found = read(render("srt", alignment, WriterOptions(**options)).decode())  # type: ignore[arg-type]
    assert not isinstance(found, str)
    return list(found)


def alignment(words: tuple[Word, ...], language: str = "en") -> Alignment:
    return Alignment(words, words[-1].end + 3, language)


def test_lines_break_at_phrases_and_are_balanced() -> None:
    found = [cue.shown for cue in cues(alignment(spoken(TEXT)))]
    assert found[0] == "Please open the kitchen window,\nbecause the soup is far too hot."
    assert found[1] == "Tomorrow we'll take the train to the city."
    assert " ".join(text.replace("\n", " ") for text in found) == TEXT
    assert not list(violations(cues(alignment(spoken(TEXT))), STYLE))


@pytest.mark.parametrize(
    ("before", "after", "language", "price"),
    [
        ("hot.", "Tomorrow", "en", SENTENCE), ('hot."', "He", "en", SENTENCE), ("window,", "which", "en", CLAUSE),
        ("soup", "because", "en", PHRASE), ("soup", "tastes", "en", WORD), ("the", "soup", "en", LEANING),
        ("Mr.", "Fox", "en", LEANING), ("of", "soup", "en", LEANING), ("come", "on", "en", PHRASE),
        ("on", "Monday", "en", WORD), ("die", "Suppe", "de", LEANING), ("天气", "很好", "zh", WORD),
        ("は", "今日", "ja", PHRASE), ("食", "べ", "ja", LEANING), ("the", "soup", "xx", WORD),
    ],
)  # fmt: skip
def test_places_to_break(before: str, after: str, language: str, price: float) -> None:
    assert cost(before, after, language, space=language not in ("zh", "ja")) == price
    assert cost("ครับ", "วันนี้", "th", space=True) == CLAUSE


TEXTS = st.lists(
    st.sampled_from(["a", "the", "soup", "window,", "hot.", "because", "of", "kitchen", "extraordinarily", "No."]),
    min_size=1,
    max_size=40,
).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.floats(0.03, 0.3), st.floats(0.0, 4.0), st.sampled_from([24.0, 25.0, 60.0]))
def test_limits_hold_wherever_speech_allows(text: str, pace: float, pause: float, fps: float) -> None:
    words = spoken(text, pace, pause)
    limits = style("en", fps=fps)
    found = cues(alignment(words), fps=fps)
    kinds = {violation.kind for violation in violations(found, limits)}
    assert not kinds & {"long", "wide", "tall"}
    assert " ".join(cue.shown.replace("\n", " ") for cue in found) == text
    layout = Layout(words, limits, frozenset(), words[-1].end + 3)
    for cue, block in zip(found, layout.blocks(), strict=True):
        first, last = words[block.words.start], words[block.words.stop - 1]
        assert abs(cue.start - first.start) < 1e-3
        assert cue.end <= last.end + limits.linger + limits.chain + 2e-3
        assert cue.end >= min(last.end, last.end - limits.gap) - 2e-3 or cue.end - cue.start < 2 * limits.gap
    for before, after in pairwise(found):
        assert after.start - before.end >= limits.gap - 2e-3 or before.end - before.start < 2 * limits.gap


def brute_force(layout: Layout) -> float:
    """Least cost of any division into subtitles."""
    count = len(layout.words)
    best = [0.0] + [float("inf")] * count
    for stop in range(1, count + 1):
        best[stop] = min(best[start] + layout.price(start, stop) for start in range(stop))
    return best[count]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["a", "the", "soup", "window,", "hot.", "because"]), min_size=1, max_size=14))
def test_no_division_into_subtitles_costs_less(texts: list[str]) -> None:
    words = spoken(" ".join(texts))
    layout = Layout(words, style("en", max_chars=12), frozenset(), words[-1].end + 3)
    chosen = sum(layout.price(block.words.start, block.words.stop) for block in layout.blocks())
    assert chosen == pytest.approx(brute_force(layout))


def test_a_subtitle_stays_to_be_read_but_no_longer_than_a_second_and_a_half() -> None:
    quick = tuple(
        Word(text, 1 + 0.1 * k, 1.1 + 0.1 * k) for k, text in enumerate(("Nobody", "expects", "anything", "now."))
    )
    assert cues(Alignment(quick, 9.0))[0].end == pytest.approx(1 + 28 / 20, abs=2e-3)
    assert cues(Alignment(quick, 9.0), max_cps=5)[0].end == pytest.approx(1.4 + 1.5, abs=2e-3)
    assert cues(Alignment((Word("No.", 1.0, 1.1),), 9.0))[0].end == pytest.approx(1 + 5 / 6, abs=2e-3)
    assert cues(Alignment((Word("No.", 1.0, 1.1),), 1.3))[0].end == pytest.approx(1.3, abs=2e-3)


def test_small_gaps_are_closed_to_two_frames_and_pauses_are_not() -> None:
    words = (Word("First sentence here.", 0.0, 2.0), Word("Second sentence here.", 2.3, 4.5), Word("Third.", 6.0, 7.0))
    found = cues(Alignment(words, 9.0))
    assert [(cue.start, cue.end) for cue in found] == [(0.0, 2.22), (2.3, 4.5), (6.0, 7.0)]
    assert cues(Alignment(words, 9.0), fps=50)[0].end == 2.0  # half of the time is no flash at twice the frames


def test_a_speaker_who_stops_is_followed_but_not_inside_a_phrase() -> None:
    def shown(text: str, pause: float) -> list[str]:
        first, second = text.split("|")
        words = spoken(first)
        late = tuple(
            Word(w.text, w.start + words[-1].end + pause, w.end + words[-1].end + pause) for w in spoken(second)
        )
        return [cue.shown for cue in cues(alignment((*words, *late)))]

    assert shown("And so my fellow Americans|ask not what", 0.0) == ["And so my fellow Americans ask not what"]
    assert shown("And so my fellow Americans|ask not what", 0.7) == ["And so my fellow Americans", "ask not what"]
    assert shown("This is about the|acoustic corpus.", 0.7) == ["This is about the acoustic corpus."]
    assert shown("This is about the|acoustic corpus.", 1.5) == ["This is about the", "acoustic corpus."]


def test_languages_have_their_own_limits() -> None:
    text = "今日はとてもいい天気ですね。私は毎日学校へ行きます。"
    words = tuple(Word(c, 0.5 + 0.2 * k, 0.7 + 0.2 * k) for k, c in enumerate(text))
    found = cues(alignment(words, "ja"))
    assert all(len(line) <= 13 for cue in found for line in cue.shown.split("\n"))
    assert "".join(cue.shown.replace("\n", "") for cue in found) == text
    assert (style("ja").width("日本 NHK"), style("th").width("น้ำ")) == (4.0, 2.0)


SRT = """1
00:00:00,100 --> 00:00:02,900
{\\an8}Please open the kitchen window,
because <i>the soup</i> is far too hot.

2
00:00:03,000 --> 00:00:03,500
[a door]

3
00:00:03,600 --> 00:00:06,000
ANNA: Tomorrow we'll take the train
to the city.
"""


def test_a_file_of_subtitles_keeps_its_cues_with_new_times() -> None:
    from aligner.text import readers
    from aligner.text.cues import ranges
    from aligner.text.transcript import read_transcript

    given_cues = read_transcript(SRT, "x.srt", ["brackets", "speakers"]).cues
    words = tuple(
        Word(w.text, w.start + 10, w.end + 10) for w in spoken(" ".join(c.text for c in given_cues if c.text))
    )
    found = Alignment(
        words, 40.0, "en", segments=ranges(given_cues, [w.text for w in words], ()) or (), cues=given_cues
    )
    new = cues(found)
    assert [cue.shown for cue in new] == [cue.shown for cue in given_cues]
    assert new[0].start == words[0].start and new[2].start == words[12].start
    assert new[0].start < new[1].start < new[1].end <= new[2].start
    ass = pysubs2.SSAFile.from_string(render("ass", found, WriterOptions()).decode())
    assert ass[0].text == "{\\an8}Please open the kitchen window,\\Nbecause {\\i1}the soup{\\i0} is far too hot."
    assert "<i>the soup</i>" in render("vtt", found, WriterOptions()).decode()
    vtt = render("vtt", found, WriterOptions()).decode()
    assert " line:0\nPlease open" in vtt
    assert [cue.shown for cue in readers.read(vtt)] == [cue.shown for cue in given_cues]  # type: ignore[union-attr]
    assert "<u>soup</u>" in render("srt", found, WriterOptions(highlight=True)).decode()
    assert len(cues(found, cues="word")) == len(words)


def test_cues_that_are_not_spoken_move_with_their_neighbours() -> None:
    three = [Cue("", 1, 2, "♪"), Cue("a", 5, 6, "a"), Cue("", 8, 9, "♪"), Cue("b", 10, 11, "b"), Cue("", 30, 31, "♪")]
    found = retimed(three, [None, (6.0, 7.0), None, (15.0, 16.0), None], STYLE, 60.0)
    assert [start for start, _ in found] == pytest.approx([2.0, 6.0, 8 + 1 + 4 * 3 / 5, 15.0, 35.0])
    assert retimed(three[:1], [None], STYLE, 60.0) == [(1, 2)]
    # What is spoken begins earlier than thought: the note before it makes room.
    assert retimed(three[:2], [None, (0.05, 1.0)], STYLE, 60.0)[0] == (0.0, 0.05)


def cue(start: float, end: float, text: str) -> Cue:
    return Cue(text, start, end, text)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("fast", [cue(0, 1, "far too much text for a second")]), ("brief", [cue(0, 0.5, "No.")]),
        ("long", [cue(0, 8, "No.")]), ("wide", [cue(0, 5, "one line that is a little longer than a line may be")]),
        ("tall", [cue(0, 5, "one line\ntwo lines\nthree lines")]),
        ("close", [cue(0, 2, "One here."), cue(2.02, 4, "Two here.")]),
        ("flicker", [cue(0, 2, "One here."), cue(2.2, 4, "Two here.")]),
        ("torn", [cue(0, 3, "She opened the\nkitchen window.")]),
        ("torn", [cue(0, 3, "She opened the"), cue(3.08, 5, "kitchen window.")]),
        ("widow", [cue(0, 3, "She opened a window\nthere.")]),
        ("widow", [cue(0, 3, "She opened a window"), cue(3.08, 5, "there.")]),
    ],
)  # fmt: skip
def test_every_kind_of_slip_is_seen_alone(kind: str, bad: list[Cue]) -> None:
    assert [violation.kind for violation in violations(bad, STYLE)] == [kind]
    assert kind in KINDS


def test_what_is_right_is_left_alone() -> None:
    fine = [cue(0, 2, "She opened\nthe kitchen window."), cue(2.08, 4, "No. She opened the door."), cue(6, 7, "Stop.")]
    assert not list(violations(fine, STYLE))


def test_the_check_prints_rates(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:00,500\nNo.\n\n2\n00:00:03,000 --> 00:00:04,500\nYes.\n")
    result = CliRunner().invoke(main, ["subtitles", str(tmp_path / "a.srt"), "--list", "-l", "English"])
    assert result.exit_code == 0, result.output
    assert "a.srt, 1: brief, 0.50 s" in result.output
    assert "| all | 50.0 |" in result.output
    (tmp_path / "a.txt").write_text("No subtitles.")
    refused = CliRunner().invoke(main, ["subtitles", str(tmp_path / "a.txt")])
    assert refused.exit_code == 1 and "holds no subtitles" in refused.output
