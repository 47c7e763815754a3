"""TextGrid and ELAN files as Praat and ELAN's reader open them: segments, words, notes on words, the recording."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pympi.Elan import Eaf

from aligner.command.cli import main
from aligner.core import Alignment, Word
from aligner.text.transcript import read_transcript
from aligner.writers import WriterOptions, formats
from aligner.writers.tiers import bare, tiers

CASES = Path(__file__).parent / "data" / "cases"
TEXT = "She had your dark suit. In greasy wash water all year, every year!"
WORDS = tuple(
    Word(text, i * 0.4 + 0.1, i * 0.4 + 0.4, flags=("long",) if i == 2 else (), margin=0.02 if i else None)
    for i, text in enumerate(TEXT.split())
)
ALIGNMENT = Alignment(WORDS, 6.0, "en", segments=((0, 5), (5, len(WORDS))), tokens=WORDS[:2])
ALL = ("tokens", "flags", "margins")


def test_praat_opens_the_tiers(tmp_path: Path) -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="praat-parselmouth, a test-only peer, is not installed")
    from parselmouth.praat import call

    path = tmp_path / "a.TextGrid"
    formats["textgrid"].write(ALIGNMENT, path, WriterOptions(tiers=ALL, labels="bare"))
    grid = parselmouth.Data.read(str(path))
    names = [call(grid, "Get tier name", k + 1) for k in range(call(grid, "Get number of tiers"))]
    assert names == ["segments", "words", "tokens", "flags", "margins"]
    labels = {
        name: [
            (call(grid, "Get label of interval", tier, k + 1), call(grid, "Get start time of interval", tier, k + 1))
            for k in range(call(grid, "Get number of intervals", tier))
        ]
        for tier, name in enumerate(names, 1)
    }
    spoken = {name: [(label, start) for label, start in found if label] for name, found in labels.items()}
    assert [label for label, _ in spoken["segments"]] == TEXT.replace(". ", ".\n").split("\n")
    assert [label for label, _ in spoken["words"]] == TEXT.replace(".", "").replace(",", "").replace("!", "").split()
    assert [start for _, start in spoken["words"]] == pytest.approx([word.start for word in WORDS])
    assert [label for label, _ in spoken["flags"]] == ["long"]
    assert [label for label, _ in spoken["margins"]] == ["0.020"] * (len(WORDS) - 1)
    assert call(grid, "Get end time") == 6.0


def test_elan_finds_words_in_segments_and_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.eaf"
    media = ("/talks/a talk.wav", "../talks/a talk.wav")
    formats["eaf"].write(ALIGNMENT, path, WriterOptions(tiers=ALL, media=media))
    document = Eaf(str(path))
    parents = {name: document.get_parameters_for_tier(name).get("PARENT_REF") for name in document.get_tier_names()}
    assert parents == {"segments": None, "words": "segments", "tokens": None, "flags": "words", "margins": "words"}
    for name, parent in parents.items():
        if parent:
            kind = document.get_parameters_for_tier(name)["LINGUISTIC_TYPE_REF"]
            assert document.linguistic_types[kind]["CONSTRAINTS"] == "Included_In"
            assert document.linguistic_types[kind]["TIME_ALIGNABLE"] == "true"
            around = document.get_annotation_data_for_tier(parent)
            for start, end, *_ in document.get_annotation_data_for_tier(name):
                assert any(first <= start < end <= last for first, last, *_ in around)
    linked = document.get_linked_files()
    assert linked[0]["MEDIA_URL"] == "file:///talks/a talk.wav"
    assert linked[0]["RELATIVE_MEDIA_URL"] == "../talks/a talk.wav"
    assert linked[0]["MIME_TYPE"] == "audio/x-wav"
    ElementTree.parse(path)
    assert read_transcript(path.read_text(), "x").text.split() == TEXT.split()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 0.003), st.floats(0.0001, 0.003)), min_size=1, max_size=12), st.data())
def test_segments_hold_their_words_however_short(gaps: list[tuple[float, float]], data: st.DataObject) -> None:
    import tempfile

    words, at = [], 0.0
    for wait, length in gaps:
        words.append(Word("a", at + wait, at + wait + length))
        at += wait + length
    cuts = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=4)))
    segments = tuple(zip([0, *cuts], [*cuts, data.draw(st.integers(cuts[-1] if cuts else 0, len(words)))], strict=True))
    found = Alignment(tuple(words), at + 1, segments=segments)
    by_name = {tier.name: tier for tier in tiers(found, WriterOptions())}
    assert " ".join(part.text for part in by_name["segments"].intervals).split() == ["a"] * len(words)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.eaf"
        formats["eaf"].write(found, path, WriterOptions())
        document = Eaf(str(path))
    around = document.get_annotation_data_for_tier("segments")
    for start, end, *_ in document.get_annotation_data_for_tier("words"):
        assert sum(first <= start < end <= last for first, last, *_ in around) == 1


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("Soup,", "Soup"), ("“Soup,”", "Soup"), ("'tis", "'tis"), ("'soup'", "soup"), ("dogs'", "dogs"), ("5%.", "5%"),
        ("$5", "$5"), ("(so)", "so"), ("well-known", "well-known"), ("we'll", "we'll"), ("…", "…"), ("- soup", "soup"),
        ("天气。", "天气"), ("¿Qué?", "Qué"), ("’em!", "’em"), ("C++", "C++"), ("@anna", "@anna"),
    ],
)  # fmt: skip
def test_bare_words(written: str, label: str) -> None:
    assert bare(written) == label


def test_the_recording_is_linked_from_where_the_file_lies(tmp_path: Path) -> None:
    talk = tmp_path / "in" / "talk [1].wav"
    talk.parent.mkdir()
    shutil.copy(CASES / "en.wav", talk)
    command = [str(talk), "--text", str(CASES / "en.txt"), "-o", str(tmp_path / "out" / "more" / "x.eaf"), "-q"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    linked = Eaf(str(tmp_path / "out" / "more" / "x.eaf")).get_linked_files()[0]
    assert linked["RELATIVE_MEDIA_URL"] == "../../in/talk [1].wav"
    assert os.path.samefile(linked["MEDIA_URL"].removeprefix("file://"), talk)


def test_margins_are_in_json_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    formats["json"].write(ALIGNMENT, path, WriterOptions())
    assert formats["json"].read(path) == tuple(
        replace(word, start=round(word.start, 6), end=round(word.end, 6)) for word in WORDS
    )
