"""Words beside a pause end and begin with their sound."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aligner.core import Word
from aligner.timing.edges import snapped


def levels(*sounds: tuple[float, float], seconds: float = 4.0, floor: float = -60.0) -> np.ndarray:
    found = np.full(round(100 * seconds), floor, np.float32)
    for start, end in sounds:
        found[round(100 * start) : round(100 * end)] = -20.0
    return found


def edges(words: tuple[Word, ...]) -> list[tuple[float, float]]:
    return [(round(w.start, 2), round(w.end, 2)) for w in words]


def test_words_at_pauses_are_drawn_to_their_sound() -> None:
    words = [Word("one", 0.55, 0.8), Word("two", 0.8, 1.2), Word("three", 1.9, 2.6)]
    found = snapped(words, levels((0.5, 1.4), (2.0, 2.4)), 4.0)
    assert edges(found) == [(0.5, 0.8), (0.8, 1.4), (2.0, 2.4)]


def test_the_ends_of_a_recording_are_pauses() -> None:
    words = [Word("one", 0.0, 2.0), Word("two", 2.0, 4.0)]
    assert edges(snapped(words, levels((0.3, 3.6)), 4.0)) == [(0.3, 2.0), (2.0, 3.6)]
    assert edges(snapped(words, levels((0.0, 4.0)), 4.0)) == [(0.0, 2.0), (2.0, 4.0)]  # nothing but sound


def test_the_closure_of_a_stop_does_not_end_a_word() -> None:
    assert edges(snapped([Word("stop", 0.5, 1.0)], levels((0.5, 0.9), (0.97, 1.05)), 4.0)) == [(0.5, 1.05)]


def test_of_words_that_a_head_has_timed_only_starts_and_voiced_ends_move() -> None:
    words = [Word("one", 0.55, 0.8), Word("two", 0.8, 1.2), Word("three", 1.9, 2.6), Word("four", 2.6, 3.0)]
    heard = levels((0.5, 1.4), (2.0, 2.3), (2.7, 2.9))
    stops, voiced = [False] * 4, [True] * 4
    assert edges(snapped(words, heard, 4.0, stops)) == [(0.5, 0.8), (0.8, 1.2), (2.0, 2.6), (2.6, 3.0)]
    assert edges(snapped(words, heard, 4.0, voiced)) == [(0.5, 0.8), (0.8, 1.4), (2.0, 2.6), (2.6, 2.9)]


def test_a_faint_last_sound_belongs_to_the_word() -> None:
    heard = levels((0.5, 1.0))
    heard[100:120] = -45.0
    assert edges(snapped([Word("less", 0.5, 1.0)], heard, 4.0)) == [(0.5, 1.2)]
    heard[120:200] = -58.0  # what the room does is not
    assert edges(snapped([Word("less", 0.5, 1.0)], heard, 4.0)) == [(0.5, 1.2)]


def test_sound_that_goes_on_is_not_the_words() -> None:
    """Music, another speaker: no edge within reach."""
    words = [Word("one", 1.0, 1.4)]
    assert snapped(words, levels((0.1, 3.9)), 4.0) == tuple(words)
    assert snapped(words, levels(seconds=4.0), 4.0) == tuple(words)
    assert snapped(words, levels((3.0, 3.5)), 4.0) == tuple(words)
    assert snapped(words, levels(floor=-100.0), 4.0) == tuple(words)  # nothing is heard


def test_louder_music_before_the_first_word_hides_no_end() -> None:
    heard = levels((2.0, 2.5))
    heard[250:260] = -45.0  # a last sound that fades
    plain = snapped([Word("one", 2.05, 2.55)], heard, 4.0)
    heard[:180] = -10.0
    assert edges(snapped([Word("one", 2.05, 2.55)], heard, 4.0)) == edges(plain) == [(2.0, 2.6)]


def test_a_swallowed_pause_is_put_between_the_words() -> None:
    heard = levels((0.5, 1.2), (1.6, 2.4))
    for meeting in (1.15, 1.4, 1.65):  # in the silence, or just beside it
        words = [Word("one", 0.5, meeting), Word("two", meeting, 2.4)]
        assert edges(snapped(words, heard, 4.0)) == [(0.5, 1.2), (1.6, 2.4)]
    words = [Word("one", 0.5, 0.9), Word("two", 0.9, 2.4)]  # within a word: perhaps a stop, perhaps a stammer
    assert edges(snapped(words, heard, 4.0)) == [(0.5, 0.9), (0.9, 2.4)]


def test_words_that_meet_stay() -> None:
    words = [Word("one", 0.5, 0.8), Word("two", 0.9, 1.4)]
    assert edges(snapped(words, levels((0.5, 1.4)), 4.0)) == [(0.5, 0.8), (0.9, 1.4)]


@given(
    st.lists(st.tuples(st.floats(0.0, 0.6), st.floats(0.04, 0.8)), min_size=1, max_size=8),
    st.lists(st.sampled_from([-60.0, -45.0, -30.0, -20.0]), min_size=12, max_size=12),
)
def test_times_stay_valid(steps: list[tuple[float, float]], loud: list[float]) -> None:
    words, at = [], 0.0
    for gap, length in steps:
        words.append(Word("x", at + gap, at + gap + length))
        at += gap + length
    duration = at + 0.5
    found = snapped(words, np.repeat(np.array(loud, np.float32), round(100 * duration / 12) + 1), duration)
    flat = [0.0] + [t for w in found for t in (w.start, w.end)] + [duration]
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(flat))
    assert all(w.end - w.start >= 0.04 - 1e-9 for w in found)
