"""Transcripts in files that know times are read as what they are, whatever their name."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from aligner.core import Alignment, Word
from aligner.errors import InputError
from aligner.text.readers import read
from aligner.text.transcript import clean, find_transcript, read_transcript
from aligner.writers import WriterOptions, render

CASES = Path(__file__).parent / "data" / "cases"
PLAIN = clean((CASES / "en.txt").read_text(encoding="utf-8"))
FIRST, SECOND = "Please open the kitchen window.", "Tomorrow we'll take the train."


def spoken(name: str, *skips: str) -> str:
    return find_transcript(str(CASES / name), Path("en.wav"), skips).text


@pytest.mark.parametrize("name", ["en.srt", "en.vtt"])
def test_cue_texts_are_the_transcript(name: str) -> None:
    assert spoken(name).split() == PLAIN.split()
    found = find_transcript(str(CASES / name), Path("en.wav"))
    assert [(cue.start, cue.end) for cue in found.cues] == [(0.0, 3.0), (3.0, 6.0)]
    assert found.text.count("\n") == 1


def test_entities_are_characters() -> None:
    assert spoken("en_entities.txt") == PLAIN.replace("kitchen", '"kitchen"')
    assert len(spoken("en_entities.txt").split()) == 20
    assert clean("R&amp;D &amp;#39;tis &unknown; & &lt;b&gt;") == "R&D 'tis &unknown; & <b>"


@pytest.mark.parametrize("skips", [("brackets", "speakers"), ("speakers", "brackets"), ("speakers",)])
def test_speaker_names_go_whatever_the_order_of_what_is_skipped(skips: tuple[str, ...]) -> None:
    assert spoken("en_labels.txt", *skips).split() == PLAIN.split()
    assert clean((CASES / "en_labels.txt").read_text(), skips).split() == PLAIN.split()


TEXTGRID_LONG = f'''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 6
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "Anna"
        xmin = 0
        xmax = 6
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 2
            text = "{FIRST}"
        intervals [2]:
            xmin = 2
            xmax = 3
            text = "<sil>"
        intervals [3]:
            xmin = 3
            xmax = 6
            text = "{SECOND}"
'''
TEXTGRID_SHORT = f'''"ooTextFile"
"TextGrid"

0
6
<exists>
1
"IntervalTier"
"sentences"
0
6
2
0
2
"{FIRST}"
3
6
"{SECOND}"
'''
TWO_TIERS = (
    TEXTGRID_SHORT.replace("sentences", "phones").replace("\n1\n", "\n2\n", 1)
    + """"IntervalTier"
"x"
0
6
1
0
6
"y"
"""
)
EAF = f"""<?xml version="1.0" encoding="UTF-16"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2020-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2000"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="3000"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="6000"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Bob"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
<ANNOTATION_VALUE>{SECOND}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Anna"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>{FIRST}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="gloss" PARENT_REF="Anna" TIER_ID="gloss"><ANNOTATION>
<REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1"><ANNOTATION_VALUE>bitte</ANNOTATION_VALUE></REF_ANNOTATION>
</ANNOTATION></TIER></ANNOTATION_DOCUMENT>"""
CTM = """;; a comment
rec 1 0.0 0.4 Please 0.9
rec 1 0.4 0.4 open
rec 1 0.8 0.2 the
rec 1 1.0 0.4 kitchen
rec 1 1.5 0.5 window.
rec 1 3.0 1.0 Tomorrow
rec 1 4.0 0.4 we'll
rec 1 4.4 0.4 take
rec 1 4.8 0.2 the
rec 1 5.0 1.0 train.
"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,made by hand
Dialogue: 0,0:00:03.00,0:00:06.00,Default,Bob,0,0,0,,{\\k20}Tomorrow we'll {\\k30}take the train.
Dialogue: 0,0:00:00.00,0:00:02.00,Default,,0,0,0,,{\\an8\\i1}Please open\\Nthe kitchen{\\i0} window.
Dialogue: 0,0:00:00.00,0:00:02.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0{\\p0}
"""
LRC = "[ti:A song]\n[offset:+500]\n[00:00.50]Please open the <00:01.50>kitchen window.\n[00:03.50] " + SECOND
PIECES = ((0.0, 2.0, FIRST), (3.0, 6.0, SECOND))
WHISPER = json.dumps({"text": "x", "segments": [{"start": s, "end": e, "text": f" {t}"} for s, e, t in PIECES]})
CPP = json.dumps({"transcription": [{"offsets": {"from": s * 1000, "to": e * 1000}, "text": t} for s, e, t in PIECES]})
CHUNKS = json.dumps({"text": "x", "chunks": [{"timestamp": [s, None], "text": t} for s, _, t in PIECES]})
VTT = """WEBVTT - a title
Kind: captions

STYLE
::cue { color: red }

NOTE
a note

first
00:00.000 --> 00:02.000 align:start
<v Anna>- Please <i>open</i></v>
the kitchen window.

NOTE between cues

01:00:03.000 --> 01:00:06.000
&gt;&gt; Tomorrow<00:00:04.000><c> we'll</c> take the train.
"""
SRT = """1
00:00:00,000 --> 00:00:02,000 X1:40 X2:600
{\\an8}<font color="#fff">Please open</font>
the kitchen window.

2
0:00:03.000 --> 00:00:06,000
- Tomorrow we'll take

- the train.
"""
KINDS = {
    "textgrid-long": TEXTGRID_LONG, "textgrid-short": TEXTGRID_SHORT, "eaf": EAF, "ctm": CTM, "ass": ASS, "lrc": LRC,
    "whisper": WHISPER, "whisper.cpp": CPP, "transformers": CHUNKS, "vtt": VTT, "srt": SRT,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_kinds_are_known_by_their_content(kind: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_bytes(KINDS[kind].replace("\n", ending).encode("utf-16" if kind.startswith("textgrid") else "utf-8"))
    found = find_transcript(str(path), Path("talk.wav"))
    assert found.text == f"{FIRST}\n{SECOND}"
    starts = [cue.start % 3600 for cue in found.cues]
    assert starts == [0.0, 3.0]
    assert found.path == path


@pytest.mark.parametrize("kind", ["srt", "vtt", "ass", "json", "textgrid", "eaf", "ctm"])
def test_what_is_written_is_read(kind: str) -> None:
    words = tuple(Word(text, i / 2, i / 2 + 0.4) for i, text in enumerate(f"{FIRST} {SECOND}".split()))
    written = render(kind, Alignment(words, 9.0, segments=((0, 5), (5, 10))), WriterOptions())
    assert read_transcript(written.decode(), "x").text.split() == f"{FIRST} {SECOND}".split()


@pytest.mark.parametrize(
    "text",
    [
        "She left at 10:30 and came back.", "10:30 was the time.\nThen we went home.", "I have 3.5 4.5 apples left",
        "{he came} and went", "{", "<b>bold</b> words", "a --> b", "12\n13\n14", "[laughs] well", "WEBVTTX",
    ],
)  # fmt: skip
def test_plain_text_is_taken_for_nothing_else(text: str) -> None:
    assert read(text) == text


def test_lines_that_roll_up_are_read_once() -> None:
    """As live captions come: each line is shown twice, and a flash of one line stands between two cues."""
    lines = [f"this is line {k}" for k in range(6)]
    stamp = "00:00:{:02}.000 --> 00:00:{:02}.000 align:start"
    blocks = ["WEBVTT", f"{stamp.format(0, 2)}\n{lines[0]}"]
    for k in range(1, 6):
        blocks += [
            f"{stamp.format(2 * k, 2 * k)}\n{lines[k - 1]}",
            f"{stamp.format(2 * k, 2 * k + 2)}\n{lines[k - 1]}\n{lines[k]}",
        ]
    assert read_transcript("\n\n".join(blocks), "x").text.split("\n") == lines
    chant = [f"{k}\n00:00:0{k},000 --> 00:00:0{k + 1},000\nNo.\n" for k in range(6)]
    assert read_transcript("\n".join(chant), "x").text.split() == ["No."] * 6


@pytest.mark.parametrize("mark", ["<u>{}</u>", '<font color="#00ff00">{}</font>'])
def test_a_mark_that_moves_from_word_to_word_is_one_subtitle(mark: str) -> None:
    words = SECOND.split()
    texts = [" ".join(mark.format(w) if k == i else w for i, w in enumerate(words)) for k in range(len(words))]
    blocks = [f"{k}\n00:00:0{k},000 --> 00:00:0{k + 1},000\n{text}\n" for k, text in enumerate(texts)]
    found = read_transcript("\n".join(blocks), "x")
    assert [(cue.text, cue.start, cue.end, cue.shown) for cue in found.cues] == [(SECOND, 0.0, 5.0, SECOND)]


def test_times_that_stand_alone_or_before_a_name() -> None:
    assert read_transcript("0:00\nhe came\n0:07\nand went\nhome", "x").text == "he came\nand went home"
    assert read_transcript("0:00 Anna: he came\n0:07 Bob: and went", "x", ["speakers"]).text == "he came\nand went"
    assert read_transcript("[1:02:03] Q. Who?\n[1:02:05] A. Me.", "x", ["speakers"]).text == "Who?\nMe."


def test_damage_of_any_kind_is_read_or_named(capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(0)
    parts = [
        "-->",
        "\n\n",
        "{\\",
        "}",
        "<",
        "&#",
        "999999999:99",
        "[",
        '"',
        "1e999",
        "NaN",
        "-1",
        "Dialogue: ",
        "[Events]",
    ]
    refused = 0
    for _ in range(600):
        text = rng.choice(list(KINDS.values()))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + (rng.choice(parts) if rng.random() < 0.5 else "") + text[at + rng.randrange(20) :]
        try:
            assert read_transcript(text, "x", ["speakers"]).text
        except InputError:
            refused += 1
    assert 0 < refused < 600
    assert capfd.readouterr().out == ""


def test_questions_and_answers() -> None:
    assert clean("Q. Who came?\nA. I did.", ["speakers"]) == "Who came?\nI did."
    assert clean("A. Lincoln came.", ["speakers"]) == "A. Lincoln came."
    assert clean(">> We're live.\n>>> Next topic", ["speakers"]) == "We're live.\nNext topic"


def test_text_of_json_alone() -> None:
    found = read_transcript('{"text": "he came"}', "x")
    assert (found.text, found.cues) == ("he came", ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"segments": [{"text": "no times"}]}', "x: the transcript is JSON"), ('{"words": []}', "no \"text\""),
        (EAF.replace("</TIER>", "", 1), "ELAN"), (TEXTGRID_LONG.replace("xmin = 0", "xmin = none"), "TextGrid"),
        ("1\n00:00:00,000 --> 00:00:02,000\n \n", "is empty"),
        (WHISPER.replace("6.0", "1e999"), "no number of seconds"),
        (WHISPER.replace("3.0", "NaN"), "no number of seconds"),
        (TWO_TIERS, "which tier .* phones, x"),
    ],
)  # fmt: skip
def test_damage_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_transcript(text, "x")
