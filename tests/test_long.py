"""Long recordings: anchors, chunks, windows, text that does not match the audio."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aligner
from aligner.audio.read import read_audio
from aligner.core import Alignment, Audio, Tokens, Word, WordSpan
from aligner.memory import let_go
from aligner.models import SpeechModel, Transcription
from aligner.pipeline import Settings, align_audio
from aligner.segmentation.anchors import Anchor, by_recognition
from aligner.segmentation.chunks import fill
from aligner.segmentation.loops import is_loop, without_loop
from aligner.segmentation.script import script_of
from aligner.segmentation.tracker import Tracker
from aligner.textgrid import read_words
from aligner.timing.places import Place, extended, of_words
from benchmarks import longform
from benchmarks.mixtures import music

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
NAMES = ("carrots", "oranges", "twelve")
RATE = 16_000
SILENT = 0


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return aligner.load_model()


def spell(word: str) -> np.ndarray:
    return np.array([ord(letter) - ord("a") + 1 for letter in word])


def posteriors(frames: list[str], rng: np.random.Generator) -> np.ndarray:
    """Log-posteriors of a planted sound per frame ("" is silence), with noise."""
    scores = rng.normal(size=(len(frames), 27))
    for row, label in zip(scores, frames, strict=True):
        row[ord(label) - ord("a") + 1 if label else SILENT] += 8
    return (scores - np.log(np.exp(scores).sum(1, keepdims=True))).astype(np.float32)


def spoken(words: list[str], gap: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Frames that say the words, two for each letter and a gap after each word; first frame and that after the last."""
    frames: list[str] = [""] * 5
    times = []
    for word in words:
        start = len(frames)
        for letter in word:
            frames += [letter, letter]
        times.append((start, len(frames)))
        frames += [""] * gap
    return frames, times


def track(words: list[str], log_posteriors: np.ndarray) -> tuple[Anchor, ...]:
    tracker = Tracker([spell(word) for word in words])
    tracker.advance(log_posteriors)
    return tracker.anchors(1.0)


WORDS = ["quick", "brown", "foxes", "jump", "over", "lazy", "dogs", "while", "eager", "herons", "watch", "them"]


def test_tracker_finds_planted_words() -> None:
    frames, times = spoken(WORDS, 6)
    found = track(WORDS, posteriors(frames, np.random.default_rng(0)))
    assert [anchor.word for anchor in found] == list(range(len(WORDS)))
    for anchor, (start, end) in zip(found, times, strict=True):
        assert abs(anchor.start - start) <= 1
        assert abs(anchor.end - end) <= 2


def test_a_pause_belongs_to_no_word() -> None:
    """Neither the last character before it nor the first one after it lasts through a pause."""
    frames, times = spoken(WORDS, 150)
    for anchor, (start, end) in zip(track(WORDS, posteriors(frames, np.random.default_rng(6))), times, strict=True):
        assert abs(anchor.start - start) <= 1
        assert abs(anchor.end - end) <= 2


@pytest.mark.parametrize("side", ["first", "last"])
def test_a_word_alone_beside_a_pause_goes_with_its_own_sentence(side: str) -> None:
    """A short word half heard on both sides of a pause, a little better on the wrong one."""
    words = (
        ["quick", "brown", "a", "foxes", "jump"] if side == "first" else ["quick", "brown", "a", "foxes", "jump"][::-1]
    )
    left, right = (spoken(part, 2)[0] for part in (words[:2], words[3:]))
    half = posteriors([*left, "", "", "", *[""] * 75, "", "", "", *right], np.random.default_rng(0))
    near, far = len(left) + 1, len(left) + 79  # beside the left sentence, beside the right one
    wrong, own = (near, far) if side == "first" else (far, near)
    half[wrong, spell("a")], half[own, spell("a")] = -0.5, -2.0
    tracker = Tracker([spell(word) for word in words], ends=[1, 4] if side == "first" else [2, 4])
    tracker.advance(half)
    found = {anchor.word: anchor.start for anchor in tracker.anchors(1.0)}
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert found[2] == own


@pytest.mark.parametrize(("evidence", "kept"), [(-0.4, True), (-0.9, False)])
def test_a_sentence_that_is_hardly_heard_is_not_spoken(evidence: float, kept: bool) -> None:
    """Faint evidence for every letter: in single words more is forgiven than in a whole sentence."""
    left, faint, right = ([*spoken(part, 2)[0], "", ""] for part in (WORDS[:4], WORDS[4:8], WORDS[8:]))
    rows = posteriors([*left, *[""] * len(faint), *right], np.random.default_rng(0))
    for number, letter in enumerate(faint, len(left)):
        if letter.isalpha():
            rows[number, spell(letter)] = evidence
    for ends, whole in (([3, 7, 11], True), ([11], False)):
        tracker = Tracker([spell(word) for word in WORDS], ends=ends)
        tracker.advance(rows)
        found = [anchor.word for anchor in tracker.anchors(1.0)]
        assert found == (list(range(12)) if kept or not whole else [0, 1, 2, 3, 8, 9, 10, 11])


def test_words_that_were_not_heard_stay_beside_their_sentence() -> None:
    script = script_of("We went home. Nobody ever noticed anything. Then it rained.", "en")
    heard = [Anchor(0, 1.0, 1.3), Anchor(8, 19.0, 19.3)]  # we, it
    found, missing = fill(heard, script, np.ones(2000, bool), 20.0)
    times = {script.words[anchor.word]: anchor for anchor in found}
    assert list(times) == list(script.words)
    assert not missing
    assert times["home."].end < 2.5
    assert times["Then"].start > 18.0
    assert times["rained."].end <= 20.0


def test_a_sentence_without_room_is_missing_but_not_the_rest_of_one_that_was_heard() -> None:
    script = script_of("We went home. Nobody ever noticed anything. Then it rained.", "en")
    heard = [Anchor(0, 1.0, 1.3), Anchor(8, 2.0, 2.3), Anchor(9, 2.4, 2.8)]
    found, missing = fill(heard, script, np.ones(300, bool), 3.0)
    assert [script.words[i] for i in missing] == ["Nobody", "ever", "noticed", "anything."]
    assert [anchor.word for anchor in found] == [0, 1, 2, 7, 8, 9]
    assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(found))


def test_words_last_over_what_was_heard_but_not_over_their_neighbours() -> None:
    words = [Word("one", 1.0, 1.1), Word("two", 1.5, 1.6), Word("three", 1.7, 1.8)]
    heard = [Place(3, 0.9, 1.3, 0.2, True), Place(3, 1.4, 1.9, 0.2, True), Place(5, 1.0, 5.0, 2.0, False)]
    found = extended(words, heard, 2.0)
    assert [(word.start, word.end) for word in found] == [(0.9, 1.3), (1.4, 1.7), (1.7, 1.8)]
    (long_word,) = extended([Word("one", 0.0, 2.0)], heard[:1], 2.0)
    assert (long_word.start, long_word.end) == pytest.approx((0.8, 1.5))


def test_a_word_is_never_moved_out_of_existence() -> None:
    word = Word("one", 1.0, 1.3)
    (found,) = extended([word], [Place(3, 1.29999999999, 1.3, 0.0, True)], 2.0)
    assert found == word


def test_a_place_is_found_for_words_that_hold_several_marks() -> None:
    tokens = Tokens((1, 2), ("a", "b"), (WordSpan("yes ?", 0, 1), WordSpan("no", 1, 2)))
    parts = [Place(3, 0.0, 0.4, 0.2, True), Place(1, 0.4, 0.5, 0.5, False), Place(2, 0.6, 0.9, 0.2, True)]
    first, second = of_words(tokens, parts)
    assert (first.start, first.end, first.doubt, first.heard) == (0.0, 0.5, 0.5, False)
    assert (second.start, second.end, second.heard) == (0.6, 0.9, True)


def test_tracker_is_the_same_in_pieces_and_whole() -> None:
    frames, _ = spoken(WORDS * 12, 3)
    log_posteriors = posteriors(frames, np.random.default_rng(1))
    whole = Tracker([spell(word) for word in WORDS * 12])
    whole.advance(log_posteriors)
    parts = Tracker([spell(word) for word in WORDS * 12])
    for part in np.array_split(log_posteriors, 7):
        parts.advance(part)
    assert whole.anchors(0.02) == parts.anchors(0.02)


def test_words_that_are_not_spoken_are_skipped() -> None:
    frames, times = spoken(WORDS[:4] + WORDS[8:], 6)
    found = track(WORDS, posteriors(frames, np.random.default_rng(2)))
    assert [anchor.word for anchor in found] == [0, 1, 2, 3, 8, 9, 10, 11]
    assert abs(found[4].start - times[4][0]) <= 1


def test_speech_that_is_not_written_is_a_gap() -> None:
    frames, times = spoken(WORDS, 6)
    found = track(WORDS[:4] + WORDS[8:], posteriors(frames, np.random.default_rng(3)))
    assert [anchor.word for anchor in found] == list(range(8))
    assert abs(found[3].end - times[3][1]) <= 2
    assert abs(found[4].start - times[8][0]) <= 1


def test_history_and_band_stay_small() -> None:
    """An hour's worth of text in a band of minutes, what led there in a few bits."""
    words = WORDS * 150
    frames, times = spoken(words, 2)
    tracker = Tracker([spell(word) for word in words])
    tracker.advance(posteriors(frames, np.random.default_rng(4)))
    found = tracker.anchors(1.0)
    assert [anchor.word for anchor in found] == list(range(len(words)))
    assert max(abs(anchor.start - start) for anchor, (start, _) in zip(found, times, strict=True)) <= 1
    assert tracker.history.seek(0, os.SEEK_END) < 1000 * len(frames)  # bytes
    assert tracker.low > 0


@given(st.lists(st.sampled_from(WORDS), min_size=2, max_size=25), st.integers(0, 9), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_anchors_are_ordered_and_disjoint(words: list[str], gap: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames, _ = spoken([word for word in words if rng.random() < 0.7] or words[:1], gap)
    found = track(words, posteriors(frames, rng))
    for before, after in itertools.pairwise(found):
        assert before.word < after.word
        assert before.start < before.end <= after.start + 1e-9


def test_anchors_from_recognised_words() -> None:
    written = ["The", "quick", "brown", "fox,", "he", "said,", "jumps", "over", "2", "lazy", "dogs"]
    recognised = ["the", "quick", "brown", "box", "jumps", "over", "two", "lazy", "docks"]
    heard = [Word(text, i, i + 0.5) for i, text in enumerate(recognised)]
    found = {anchor.word: anchor.start for anchor in by_recognition(written, heard)}
    assert {0: 0, 1: 1, 2: 2, 6: 4, 7: 5, 8: 6, 9: 7}.items() == found.items()


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def tone(seconds: float, seed: int = 0, level: float = 0.002) -> np.ndarray:
    return (level * np.random.default_rng(seed).normal(size=round(seconds * RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def samples() -> tuple[Audio, tuple[Word, ...], tuple[str, ...]]:
    """The sample recordings one after another, three times over, with pauses; gold words; sentences."""
    parts, gold, texts = [tone(1.0)], [], []
    for name in NAMES * 3:
        offset = sum(map(len, parts)) / RATE
        audio = read_audio(SAMPLES / f"{name}.flac")
        gold += [Word(w.text, w.start + offset, w.end + offset) for w in read_words(SAMPLES / f"{name}.TextGrid")]
        texts.append((SAMPLES / f"{name}.txt").read_text(encoding="utf-8").strip())
        parts += [audio.samples, tone(1.5, len(parts))]
    return Audio(np.concatenate(parts), RATE), tuple(gold), tuple(texts)


def words_of(texts: tuple[str, ...] | list[str]) -> list[str]:
    return " ".join(texts).split()


def valid(alignment: Alignment) -> None:
    for before, after in itertools.pairwise(alignment.words):
        assert before.end <= after.start + 1e-9
    assert alignment.words[-1].end <= alignment.duration


def test_long_audio_with_its_transcript(model: SpeechModel, samples: tuple) -> None:
    audio, gold, texts = samples
    assert audio.duration > model.window
    found = align_audio(model, audio, "\n".join(texts), Settings())
    valid(found)
    assert [word.text for word in found.words] == words_of(texts)
    errors = [abs(a.start - b.start) for a, b in zip(found.words, gold, strict=True)]
    assert np.median(errors) < 0.15
    assert max(errors) < 4.0  # nothing drifts: an error stays in its sentence
    assert "missing" not in found.provenance
    assert found.provenance["windows"] > 1


def test_sentence_that_is_not_spoken_is_reported(model: SpeechModel, samples: tuple) -> None:
    audio, _, texts = samples
    extra = "Nobody ever pronounced these seventeen extraordinarily complicated syllables."
    found = align_audio(model, audio, "\n".join([*texts[:4], extra, *texts[4:]]), Settings())
    valid(found)
    assert extra in "\n".join(found.provenance["missing"])
    assert [word.text for word in found.words] == words_of(texts)


def test_speech_that_is_not_written_leaves_a_gap(model: SpeechModel, samples: tuple) -> None:
    audio, gold, texts = samples
    left_out = len(texts[4].split())
    before = len(words_of(texts[:4]))
    found = align_audio(model, audio, "\n".join(texts[:4] + texts[5:]), Settings())
    valid(found)
    assert [word.text for word in found.words] == words_of(texts[:4] + texts[5:])
    later = found.words[before + 3 :]
    errors = [abs(a.start - b.start) for a, b in zip(later, gold[before + left_out + 3 :], strict=True)]
    assert np.median(errors) < 0.15


def test_long_audio_without_a_transcript(model: SpeechModel, samples: tuple) -> None:
    """Windows are disjoint and cut in pauses, so recognised words come once and in order."""
    audio, _, texts = samples
    found = align_audio(model, audio, None, Settings())
    valid(found)
    assert 0.6 * len(words_of(texts)) < len(found.words) < 1.4 * len(words_of(texts))


@pytest.mark.parametrize(
    ("seconds", "lead"),
    [(60.0, lambda count: tone(count / RATE, level=1e-4)), (20.0, lambda count: 0.05 * music(count, rng()))],
    ids=["silence", "music"],
)
def test_what_stands_before_the_words_does_not_move_them(
    model: SpeechModel, seconds: float, lead: Callable[[int], np.ndarray]
) -> None:
    audio = read_audio(SAMPLES / "carrots.flac")
    text = (SAMPLES / "carrots.txt").read_text(encoding="utf-8")
    plain = align_audio(model, audio, text, Settings())
    padded = Audio(np.concatenate([lead(round(seconds * RATE)), audio.samples]), RATE)
    later = align_audio(model, padded, text, Settings())
    shifts = [abs(b.start - a.start - seconds) for a, b in zip(plain.words, later.words, strict=True)]
    assert np.median(shifts) < 0.1


def test_a_pause_of_seconds_between_two_words_moves_neither(model: SpeechModel) -> None:
    """The window is still short enough for its text; its words are parted by the silence nevertheless."""
    audio, gold = read_audio(SAMPLES / "carrots.flac"), read_words(SAMPLES / "carrots.TextGrid")
    text = (SAMPLES / "carrots.txt").read_text(encoding="utf-8")
    middle, pause = len(gold) // 2, 2.5
    cut = round((gold[middle - 1].end + gold[middle].start) / 2 * RATE)
    parted = np.concatenate([audio.samples[:cut], tone(pause, 3, 1e-4), audio.samples[cut:]])
    plain = align_audio(model, audio, text, Settings()).words
    found = align_audio(model, Audio(parted, RATE), text, Settings()).words
    shifts = [b.start - a.start - pause * (k >= middle) for k, (a, b) in enumerate(zip(plain, found, strict=True))]
    assert np.abs(shifts).max() < 0.15
    assert found[middle].start - found[middle - 1].end > pause - 0.2


def test_marks_and_emoji_are_never_missing(model: SpeechModel) -> None:
    words = (SAMPLES / "carrots.txt").read_text(encoding="utf-8").split()
    text = " ".join([*words[:4], *"😀😀😀😀", *words[4:], "🎉", "—", "🎉", "🎉"])
    found = align_audio(model, read_audio(SAMPLES / "carrots.flac"), text, Settings())
    assert " ".join(w.text for w in found.words) == text and "missing" not in found.provenance


def test_a_wrong_transcript_is_timed_nevertheless(model: SpeechModel) -> None:
    wrong = "Purple giraffes multiply underneath gigantic cathedrals, yodelling vigorously."
    found = align_audio(model, read_audio(SAMPLES / "carrots.flac"), wrong, Settings())
    assert [w.text for w in found.words] == wrong.split()
    assert np.mean([w.probability for w in found.words if w.probability is not None]) < 0.3  # which the command says
    valid(found)


@pytest.mark.parametrize("text", ["thank you " * 40, "no " * 40])
def test_loops_are_cut(text: str) -> None:
    assert is_loop(text)
    kept, reason = without_loop("we left early " + text)
    assert kept.startswith("we left early")
    assert len(kept.split()) <= 6
    assert "repetition" in reason


def test_ordinary_text_is_no_loop() -> None:
    assert not is_loop("It was the best of times, it was the worst of times, it was the age of wisdom.")


class _Talker:
    """A model whose decoder runs full on long windows, of which it takes several at a time, and loops on them."""

    together = 4

    def __init__(self, model: SpeechModel) -> None:
        self._model = model

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def transcribe(
        self, windows: list, language: str | None = None, task: str = "transcribe", timestamps: bool = False
    ) -> list[Transcription]:
        texts = ["and so on " * 60 if window.duration > 6 else "word" for window in windows]
        return [Transcription(text, (), 0.0, 0.0) for text in texts]


def test_repetition_is_reported(model: SpeechModel, samples: tuple) -> None:
    found = align_audio(_Talker(model), samples[0], None, Settings())  # type: ignore[arg-type]
    valid(found)
    assert any("repetition" in message for message in found.provenance["dropped"])
    assert found.text.count("and so on") <= found.provenance["windows"]


def test_longform_places_missing_words(tmp_path: Path) -> None:
    """The benchmark tells which words were reported missing, also where their neighbours are the same."""
    texts = ["no no yes", "the end", "no way"]
    utterances = [longform.Utterance(str(k), text, k, k + 0.9, k != 1, True, True) for k, text in enumerate(texts)]
    words = [{"word": f" {w}", "start": float(k), "end": k + 0.5} for k, w in enumerate(["no", "yes", "no", "way"])]
    output = tmp_path / "long.json"
    output.write_text(json.dumps({"segments": [{"words": words}], "provenance": {"missing": ["no", "the end"]}}))
    (first, second, third), _ = longform.word_times(utterances, output)
    assert sum(time is None for time in first) == 1
    assert first[2] == (1.0, 1.5)
    assert second == [None, None]
    assert third == [(2.0, 2.5), (3.0, 3.5)]


def test_longform_gold_is_where_sound_begins_and_clicks_are_refused() -> None:
    clip = tone(2.0, level=1e-4)
    clip[RATE // 2 : 3 * RATE // 2] += tone(1.0, 1, 0.1)
    start, end = longform.edges(clip)  # type: ignore[misc]
    assert abs(start - 0.5) < 0.03
    assert abs(end - 1.5) < 0.03
    clip[round(0.2 * RATE) : round(0.24 * RATE)] += tone(0.04, 2, 0.1)
    assert longform.edges(clip) is None


def test_a_mapped_array_that_was_let_go_is_what_was_written(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "array", np.float16, "w+", shape=(100_000, 3))
    mapped[:] = np.arange(3)
    let_go(mapped[10:])
    assert (np.asarray(mapped) == np.arange(3)).all()
    let_go(np.zeros(3))  # of memory alone: nothing happens
