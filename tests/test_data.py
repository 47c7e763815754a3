"""The training recipe: exact times, augmentation that carries them, guidance, resumable runs."""

from __future__ import annotations

import ctypes.util
import json
import shutil

import numpy as np
import pytest

from data.augment import augment, pad, speed
from data.festival import Festival
from data.pronounce import PHONES, phone_edges, pronounce, pronunciations
from data.synthesize import SAMPLE_RATE, Espeak, Flite, TimedWord, _espeak_words, character_boundaries
from data.variants import random_variant
from data.vocabulary import CTC_LABELS, END, NO_TIMESTAMPS, START, TOKENS, encode

needs_engines = pytest.mark.skipif(
    ctypes.util.find_library("espeak-ng") is None or ctypes.util.find_library("flite") is None,
    reason="libespeak-ng and libflite are not installed (make engines)",
)

needs_festival = pytest.mark.skipif(shutil.which("festival") is None, reason="festival is not installed (make engines)")

SENTENCES = (
    "people can take boats to town today",
    "maybe ten good dogs bite big cats",
    "go back and put the paper down please",
    "two cold days came before good times",
)


def onset_errors(samples: np.ndarray, words: tuple[TimedWord, ...]) -> list[float]:
    """Gold onset minus energy onset, in seconds, for words after a clear pause."""
    hop = SAMPLE_RATE // 500
    level = np.array([np.sqrt(np.mean(samples[i : i + 2 * hop] ** 2)) for i in range(0, len(samples) - 2 * hop, hop)])
    found = []
    for before, word in zip((None, *words[:-1]), words, strict=True):
        gap_start = before.end if before else 0.0
        if word.start - gap_start < 0.1 or len(level) < word.end * 500:
            continue
        pause = level[int((gap_start + word.start) / 2 * 500) : int((word.start - 0.02) * 500)]
        peak = level[int(word.start * 500) : int(min(word.end, word.start + 0.2) * 500)].max()
        if not len(pause) or peak < 30 * pause.max():
            continue  # noise or reverberation fills the pause: no edge to compare with
        threshold = max(2.5 * pause.max(), 0.04 * peak)
        window = level[int((word.start - 0.1) * 500) : int((word.start + 0.15) * 500)]
        above = np.flatnonzero(window > threshold)
        if len(above):
            found.append(word.start - (int((word.start - 0.1) * 500) + above[0] + 1) / 500)
    return found


def pitch_of(samples: np.ndarray) -> float:
    """Median fundamental frequency in Hz, by autocorrelation of voiced frames."""
    found = []
    for i in range(0, len(samples) - 1024, 512):
        frame = samples[i : i + 1024] * np.hanning(1024)
        correlation = np.correlate(frame, frame, "full")[1023:]
        lag = 40 + int(np.argmax(correlation[40:260]))
        if correlation[lag] > 0.4 * correlation[0] > 0:
            found.append(SAMPLE_RATE / lag)
    return float(np.median(found))


@needs_engines
def test_gold_agrees_with_energy_after_the_whole_chain() -> None:
    rng = np.random.default_rng(3)
    espeak, flite = Espeak(), Flite()
    errors: list[float] = []
    for i in range(240):
        words = SENTENCES[i % len(SENTENCES)].split()
        breaks = frozenset({1, 4})
        if i % 3 == 0:
            speech = flite.speak(words, ("slt", "rms", "awb", "kal16")[i // 3 % 4], breaks=breaks)
        else:
            speech = espeak.speak(words, f"en-us+{('m1', 'f2', 'm3', 'f4')[i % 4]}", breaks=breaks, rate=130 + i % 80)
        if speech is not None:
            errors += onset_errors(*augment(speech.samples, speech.words, rng))
    assert len(errors) > 150
    assert abs(np.median(errors)) <= 0.005
    assert np.percentile(np.abs(errors), 95) <= 0.040


@needs_festival
def test_festival_tells_exact_times_and_heeds_tempo_and_pitch() -> None:
    festival = Festival()
    words = SENTENCES[0].split()
    errors: list[float] = []
    for stretch, pitch in ((0.8, 0.8), (1.0, 1.0), (1.2, 1.6)):
        for sentence in SENTENCES:
            speech = festival.speak(sentence.split(), breaks=frozenset({1, 4}), stretch=stretch, pitch=pitch)
            assert speech is not None and [w.text for w in speech.words] == sentence.split()
            errors += onset_errors(speech.samples, speech.words)
    slow, fast = (festival.speak(words, stretch=stretch) for stretch in (1.2, 0.8))
    low, high = (festival.speak(words, pitch=pitch) for pitch in (0.8, 1.6))
    assert slow and fast and low and high
    assert len(slow.samples) > 1.4 * len(fast.samples)
    assert pitch_of(high.samples) > 1.4 * pitch_of(low.samples)
    assert len(errors) > 20
    assert abs(np.median(errors)) <= 0.005 and np.percentile(np.abs(errors), 95) <= 0.040
    # It takes "it's" for one word and "who's" for two, of which one has no phones of its own.
    assert festival.speak(["it's", "who"]) is not None
    assert festival.speak(["who's", "it"]) is None
    festival.close()
    assert not festival._wave.parent.exists()


@needs_festival
def test_a_voice_that_festival_lacks_is_no_other_voice(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("data.festival._DEFINITIONS", "(if (symbol-bound? 'voice_nobody) (voice_nobody) (quit))")
    with pytest.raises(OSError, match="festvox-kdlpc16k"):
        Festival()


@needs_engines
def test_random_variants_are_voices_of_their_own_with_exact_times() -> None:
    rng = np.random.default_rng(4)
    espeak = Espeak()
    words = SENTENCES[0].split()
    centroids, errors = [], []
    for _ in range(12):
        name = espeak.set_variant(random_variant(rng))
        speech = espeak.speak(words, f"en-us+{name}", breaks=frozenset({1, 4}))
        assert speech is not None and speech.voice == "espeak:en-us+random"
        power = np.abs(np.fft.rfft(speech.samples)) ** 2
        centroids.append(np.average(np.fft.rfftfreq(len(speech.samples), 1 / SAMPLE_RATE), weights=power))
        errors += onset_errors(speech.samples, speech.words)
    assert max(centroids) > 1.5 * min(centroids)
    assert len(errors) > 20
    assert abs(np.median(errors)) <= 0.005
    assert espeak.speak(words, "en-us+f2") is not None  # espeak-ng's own are still there
    assert espeak._variants is not None and espeak._variants.path.is_dir()
    espeak.close()
    assert not espeak._variants.path.exists()


def test_random_variants_are_seeded() -> None:
    assert random_variant(np.random.default_rng(1)) == random_variant(np.random.default_rng(1))


def test_another_voice_moves_formants_and_keeps_time() -> None:
    from data.train import other_voice

    mel = np.full((50, 80), -1.0, np.float32)
    mel[20:30, 40] = 1.0  # one band, for a while
    moved = [other_voice(mel, np.random.default_rng(seed)) for seed in range(20)]
    assert all(m.shape == mel.shape and m.dtype == np.float32 for m in moved)
    peaks = {int(np.argmax(m[25] - m[0])) for m in moved}
    assert len(peaks) > 5 and all(33 <= peak <= 47 for peak in peaks)
    for m in moved:
        loud = np.abs(m - m[0]).max(1) > 0.5
        assert np.array_equal(np.flatnonzero(loud), np.arange(20, 30))


def test_speed_and_padding_move_times_with_the_sound() -> None:
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[8000] = 1.0  # at 0.5 s
    word = (TimedWord("a", 0.5, 0.6, (0.5, 0.6)),)
    for factor in (0.9, 1.1):
        samples, words = speed(click, word, factor)
        assert words[0].start == pytest.approx(np.argmax(np.abs(samples)) / SAMPLE_RATE, abs=2e-4)
        assert words[0].boundaries == pytest.approx((words[0].start, words[0].end))
    samples, words = pad(click, word, 0.25, 0.1)
    assert np.argmax(samples) / SAMPLE_RATE == pytest.approx(0.75) == words[0].start


def test_augmentation_is_seeded() -> None:
    samples = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32)
    first, second = (augment(samples, (), np.random.default_rng(5))[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_character_boundaries_follow_the_phones() -> None:
    assert character_boundaries("abcd", (0.0, 0.1, 0.4)) == pytest.approx((0.0, 0.05, 0.1, 0.25, 0.4))


def test_merged_espeak_words_are_split_at_the_last_d_phone() -> None:
    events = [(1, 0, 1, ""), (7, 0, 1, "I"), (7, 100, 1, "n"), (7, 300, 1, "D"), (7, 400, 1, "@"), (5, 600, 0, "")]
    words = _espeak_words(["in", "the"], [1, 4], events, 1000, 700)
    assert words is not None
    assert [(w.start, w.end) for w in words] == [(0.0, 0.3), (0.3, 0.6)]
    assert _espeak_words(["in", "a"], [1, 4], events, 1000, 700) is None


def test_vocabulary_spells_any_utf8() -> None:
    from data.vocabulary import byte_order

    text = "she's naïve 日本 🙂"
    order = byte_order()
    assert bytes(order[i] for i in encode(text)).decode() == text
    assert sorted(order) == list(range(256))
    assert len(set(TOKENS)) == len(TOKENS) == 256 + 9 + 1501
    assert TOKENS[END] == "<|endoftext|>" and TOKENS[START] == "<|startoftranscript|>"
    assert TOKENS[NO_TIMESTAMPS + 1] == "<|0.00|>"


@needs_engines
def test_guidance_sends_spaces_to_pauses_and_characters_to_themselves() -> None:
    from data.train import Item, Word, guidance

    words = [Word("ab", [0.1, 0.2, 0.3], [8, 4]), Word("c", [0.6, 0.8], [5])]
    item = Item(np.zeros((100, 80), np.float16), "ab c", words)
    rows, labels, phones = guidance(item, 50)
    assert rows.shape == (5, 50)
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-5)
    assert [int(row.argmax()) for row in rows[[0, 1]]] == pytest.approx([7, 12], abs=3)
    assert rows[2, 15:30].sum() > 0.95  # the space owns the pause
    assert rows[4, 40:].sum() > 0.85  # the end owns what follows
    assert CTC_LABELS[labels[12]] == "b" and labels[20] == 0
    assert phones[20] == phones[45] == 0 and phones[7] > 0 and phones[35] > 0


def test_phones_undo_the_spreading_of_characters() -> None:
    edges = (0.0, 0.1, 0.15, 0.4)
    np.testing.assert_allclose(phone_edges(np.array(character_boundaries("abcdefghi", edges)), 3), edges, atol=0.05)
    np.testing.assert_allclose(phone_edges(np.array([0.0, 0.1, 0.4]), 2), [0.0, 0.1, 0.4])


@needs_engines
def test_pronunciations_are_sounds() -> None:
    assert [PHONES[i] for i in pronounce("hello")] == ["h", "@", "l", "oU"]
    assert PHONES[pronounce("fire")[0]] == "f"
    assert all(0 < i < len(PHONES) for word in ("don't", "xyz", "'") for i in pronounce(word))
    assert pronunciations("hello") == (pronounce("hello"),)
    assert [[PHONES[i] for i in way] for way in pronunciations("a")] == [["eI"], ["@"]]
    assert all(len(set(ways)) == len(ways) > 1 for ways in map(pronunciations, ("and", "the", "to", "was")))


def test_long_utterances_are_cut_in_their_pauses_and_nothing_is_lost() -> None:
    from data.train import Item, Word, pieces

    words = [Word("a", [0.5 * k, 0.5 * k + (0.1 if k % 4 == 3 else 0.48)], [20]) for k in range(40)]
    mel = np.arange(2000 * 80, dtype=np.float32).reshape(2000, 80)
    item = Item(mel, " ".join(["a"] * 40), words, False)
    found = pieces(item, 600, np.random.default_rng(0))
    assert len(found) > 3 and all(len(part.mel) <= 600 for part in found)
    np.testing.assert_array_equal(np.concatenate([part.mel for part in found]), mel)
    assert " ".join(part.text for part in found) == item.text
    shift = 0.0
    for part in found:
        assert not part.exact
        assert [t + shift for word in part.words for t in word.bounds] == pytest.approx(
            [t for word in words for t in word.bounds if shift <= t < shift + len(part.mel) / 100]
        )
        assert np.ptp(part.words[-1].bounds) < 0.2 or part is found[-1]  # cut where a word is short
        shift += len(part.mel) / 100
    assert pieces(Item(mel, item.text, None), 600, np.random.default_rng(0)) == [Item(mel, item.text, None)]


def test_estimated_times_follow_the_best_path() -> None:
    from data.align import word_boundaries

    posteriors = np.full((40, 4), -9.0)
    for label, first, last in ((0, 0, 10), (1, 10, 15), (2, 15, 20), (0, 20, 30), (3, 30, 40)):
        posteriors[first:last, label] = 0.0
    found = word_boundaries(posteriors, ["ab", "c"], [[1, 2], [3]])
    assert found[0] == ("ab", pytest.approx((0.2, 0.3, 0.4)))
    assert found[1] == ("c", pytest.approx((0.6, 0.8)))


@needs_engines
def test_the_pronunciation_that_is_heard_is_found() -> None:
    from data.align import align_utterance

    silence, weak, strong = 0, PHONES.index("@"), PHONES.index("eI")
    posteriors = np.full((30, len(PHONES)), -9.0)
    for label, first, last in ((silence, 0, 10), (weak, 10, 20), (silence, 20, 25), (strong, 25, 30)):
        posteriors[first:last, label] = 0.0
    line = align_utterance(posteriors, {"id": "u", "text": "a a", "words": None}, True)
    assert line == {"id": "u", "words": [["a", [0.2, 0.4]], ["a", [0.5, 0.6]]], "sounds": [(weak,), (strong,)]}
    exact = {"id": "u", "text": "a", "words": [["a", [0.21, 0.39]]]}
    found = align_utterance(posteriors, exact, True)
    assert found["words"] == exact["words"] and found["sounds"] == [(weak,)]


@pytest.fixture
def feature_set(tmp_path):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    lines, mels = [], []
    for i in range(24):
        words = [["ab", [0.1, 0.2, 0.3]], ["c", [0.4, 0.5]]]
        mels.append(rng.standard_normal((80, 80)).astype(np.float16))
        split = "test" if i % 8 == 0 else "train"
        entry = {"id": str(i), "set": "s", "speaker": "x", "split": split, "text": "ab c", "words": words}
        lines.append(json.dumps({**entry, "offset": 80 * i, "frames": 80}))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mel.f16").write_bytes(np.concatenate(mels).tobytes())
    (tmp_path / "set" / "index.jsonl").write_text("\n".join(lines))
    return tmp_path / "set"


@needs_engines
def test_an_interrupted_run_continues_as_if_it_had_not_been(feature_set, tmp_path) -> None:  # type: ignore[no-untyped-def]
    import torch
    from click.testing import CliRunner

    from data.train import main

    def train(folder: str, *steps_at: int) -> dict[str, torch.Tensor]:
        for stop in steps_at:
            arguments = [
                str(feature_set),
                "-o",
                str(tmp_path / folder),
                "--steps",
                "6",
                "--float32",
                "--stop-at",
                str(stop),
            ]
            result = CliRunner().invoke(main, arguments, catch_exceptions=False)
            assert result.exit_code == 0
        return torch.load(tmp_path / folder / "last.pt")["model"]

    whole, resumed = train("whole", 6), train("resumed", 2, 6)
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, rtol=1e-4, atol=1e-5)


@needs_engines
@needs_festival
def test_a_short_text_is_split_too(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from click.testing import CliRunner

    from data.prepare import main

    text = tmp_path / "text.txt"
    text.write_text("\n".join(SENTENCES))
    options = ["--hours", "0.002", "--held-out-hours", "0.001", "--processes", "1"]
    done = CliRunner().invoke(main, ["synthetic", str(text), "-o", str(tmp_path / "out"), *options])
    assert done.exit_code == 0, done.output
    texts = {}
    for part in ("part0", "held-out"):
        lines = (tmp_path / "out" / part / "index.jsonl").read_text().splitlines()
        entries = list(map(json.loads, lines))
        texts[part] = {entry["text"] for entry in entries}
        # Held-out speech stands there as the engine spoke it, and augmented.
        assert {e["set"] for e in entries} == {"synthetic"} | ({"synthetic-clean"} if part == "held-out" else set())
    assert texts["held-out"]
    spoken = {
        part: {s for s in SENTENCES for t in found if len(t.split()) > 2 and t in s} for part, found in texts.items()
    }
    assert spoken["part0"] and spoken["part0"].isdisjoint(spoken["held-out"])
    text.write_text(SENTENCES[0])
    done = CliRunner().invoke(main, ["synthetic", str(text), "-o", str(tmp_path / "one"), *options])
    assert done.exit_code != 0 and "two different sentences" in done.output
    text.write_text("\n".join(SENTENCES))
    monkeypatch.setenv("PATH", "")
    done = CliRunner().invoke(main, ["synthetic", str(text), "-o", str(tmp_path / "none"), *options])
    assert done.exit_code == 1 and done.output.startswith("festival is not installed: install the packages")
