"""Gold words from TextGrids as people and programs make them."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from praatio import textgrid

from aligner.core import Word
from aligner.errors import InputError
from aligner.textgrid import read_words, write_tiers

WORDS = (Word("she", 0.1, 0.4), Word("had", 0.4, 0.7), Word("suit", 1.0, 1.5))


def grid(path: Path, *names: str, layout: str = "long_textgrid") -> Path:
    """A TextGrid with the same words in every tier, and a silence."""
    made = textgrid.Textgrid()
    entries = [(w.start, w.end, w.text) for w in WORDS] + [(1.5, 1.8, "sil")]
    for name in names:
        made.addTier(textgrid.IntervalTier(name, entries, 0, 2))
    made.addTier(textgrid.PointTier("events", [(0.5, "click")], 0, 2))
    made.save(str(path), format=layout, includeBlankSpaces=True)
    return path


@pytest.mark.parametrize("layout", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_layouts_and_encodings(tmp_path: Path, layout: str, encoding: str) -> None:
    path = grid(tmp_path / "a.TextGrid", "words", layout=layout)
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    assert read_words(path) == WORDS


@pytest.mark.parametrize(
    "names", [("words", "phones"), ("phones", "Word"), ("MAU", "ORT"), ("spk1 - words", "x"), ("x",)]
)
def test_the_tier_of_the_words_is_found(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert read_words(grid(tmp_path / "a.TextGrid", *names)) == WORDS


def test_an_unclear_or_missing_tier_is_asked_for_with_a_list(tmp_path: Path) -> None:
    path = grid(tmp_path / "a.TextGrid", "one", "two")
    with pytest.raises(InputError, match=r"which tier .* one, two"):
        read_words(path)
    with pytest.raises(InputError, match="no interval tier 'three': it has one, two"):
        read_words(path, "three")
    assert read_words(path, "two") == WORDS


def test_silences_are_kept_on_request(tmp_path: Path) -> None:
    found = read_words(grid(tmp_path / "a.TextGrid", "words"), silences=frozenset())
    assert found[-1].text == "sil"


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe\x00", b'File type = "ooTextFile"\n'])
def test_no_textgrid(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.TextGrid").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.TextGrid"):
        read_words(tmp_path / "a.TextGrid")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_words(tmp_path / "a.TextGrid")


def test_damaged_textgrids_are_read_or_refused(tmp_path: Path) -> None:
    rng = random.Random(0)
    layouts = ("long_textgrid", "short_textgrid")
    whole = [grid(tmp_path / "a.TextGrid", "words", layout=k).read_bytes() for k in layouts]
    refused = 0
    for _ in range(150):
        content = bytearray(rng.choice(whole))
        if rng.random() < 0.3:
            del content[rng.randrange(len(content)) :]
        for _ in range(rng.randrange(1, 8)):
            if content:
                content[rng.randrange(len(content))] = rng.randrange(256)
        (tmp_path / "b.TextGrid").write_bytes(content)
        try:
            read_words(tmp_path / "b.TextGrid")
        except InputError:
            refused += 1
    assert 0 < refused < 150


def test_written_tiers_cover_the_recording_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    last = Word("last", 1.6, 2.0 + 5e-7)  # rounding past the end, as an alignment may
    write_tiers(path, [("words", (*WORDS, last)), ("empty", ())], 2.0)
    made = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    for tier in made.tiers:
        assert tier.entries[0].start == 0 and tier.entries[-1].end == 2.0
        assert all(a.end == b.start for a, b in pairwise(tier.entries))
    assert read_words(path, "words") == (*WORDS, Word("last", 1.6, 2.0))
    assert read_words(path, "empty") == ()


def test_development_corpora(corpora: Path) -> None:
    folders = [("ae", "Text", 7), ("read-speech-silver", None, 3)]
    for folder, tier, count in folders:
        grids = sorted((corpora / folder).glob("*.TextGrid"))
        assert len(grids) == count
        for path in grids:
            words = read_words(path, tier)
            assert len(words) > 3
            assert all(a.end <= b.start + 1e-9 for a, b in pairwise(words))
