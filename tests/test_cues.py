"""Words find back to the cues they came from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aligner.core import Cue
from aligner.text.cues import ranges

WORDS = st.lists(st.sampled_from(["a", "ab", "b", "the", "them", "é"]), max_size=5)


@given(st.lists(WORDS, max_size=5), st.data())
def test_every_choice_of_missing_words_gives_ranges_of_the_same_words(
    cues: list[list[str]], data: st.DataObject
) -> None:
    texts = [" ".join(words) for words in cues]
    everything = [(number, word) for number, words in enumerate(cues) for word in words]
    keep = data.draw(st.lists(st.booleans(), min_size=len(everything), max_size=len(everything)))
    words = [word for (_, word), kept in zip(everything, keep, strict=True) if kept]
    missing = [word for (_, word), kept in zip(everything, keep, strict=True) if not kept]
    found = ranges([Cue(text, 0, 1) for text in texts], words, missing)
    assert found is not None
    assert [first for first, _ in found] == [0, *(stop for _, stop in found)][: len(cues)]
    assert (found[-1][1] if found else 0) == len(words)
    if all(keep):
        assert [stop - first for first, stop in found] == [len(words) for words in cues]


def test_words_are_tried_again_where_the_first_choice_leads_nowhere() -> None:
    cues = [Cue("the cat", 0, 1), Cue("♪", 1, 2), Cue("the dog", 2, 3)]
    assert ranges(cues, ["the", "dog"], ["the cat ♪"]) == ((0, 0), (0, 0), (0, 2))
    assert ranges(cues, ["the", "cat ♪"], ["the dog"]) == ((0, 2), (2, 2), (2, 2))


def test_other_words_are_refused() -> None:
    assert ranges([Cue("the cat", 0, 1)], ["the", "dog"], ["cat"]) is None
    assert ranges([Cue("the cat", 0, 1)], ["the"], []) is None
