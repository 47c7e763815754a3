"""Where there is speech is known: none is lost, quiet or in noise, and what holds no word is found."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import aligner
from aligner.audio.file import of_file
from aligner.audio.level import STEP, active, longest_pause, loudness
from aligner.audio.read import read_audio
from aligner.audio.recording import Recording, of_audio
from aligner.audio.silero import FRAME, SECONDS, SpeechProbability
from aligner.audio.sound import Sound, listen, speech_probabilities
from aligner.audio.speech import Region, hysteresis, regions, speech_regions, uncovered, windows
from aligner.core import Audio, Word
from aligner.errors import SettingError
from aligner.metrics.words import normalise
from benchmarks import mixtures

RATE = 16_000


def noise(seconds: float, seed: int = 0, level: float = 0.002) -> np.ndarray:
    return (level * np.random.default_rng(seed).normal(size=round(seconds * RATE))).astype(np.float32)


def sound_of(samples: np.ndarray) -> Sound:
    return listen(of_audio(Audio(samples, RATE)))


def lost(found: tuple[Region, ...], words: list[tuple[float, float]]) -> float:
    """Seconds of the words outside the regions."""
    inside = sum(max(0.0, min(r.end, high) - max(r.start, low)) for low, high in words for r in found)
    return sum(high - low for low, high in words) - inside


@pytest.fixture(scope="session")
def talk(corpora: Path) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Hand-aligned English: samples and words."""
    path = corpora / "gold-small" / "alice12" / "alice12.wav"
    lines = path.with_suffix(".wrd").read_text().splitlines()
    words = [(int(line.split()[0]) / RATE, int(line.split()[1]) / RATE) for line in lines if line.strip()]
    return read_audio(path).samples, words


def test_probabilities_are_those_of_the_silero_package(talk: tuple) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    package = importlib.util.find_spec("silero_vad")
    if package is None or package.origin is None:
        pytest.skip("the silero-vad package is not installed")
    samples = talk[0][: 100 * FRAME]
    session = onnxruntime.InferenceSession(Path(package.origin).parent / "data" / "silero_vad.onnx")
    state, context, expected = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
    for start in range(0, len(samples), FRAME):
        frame = np.concatenate([context, samples[start : start + FRAME]])
        context = frame[-64:]
        found, state = session.run(None, {"input": frame[None], "state": state, "sr": np.array(RATE)})
        expected.append(found.item())
    found = SpeechProbability(gains=(1.0,)).feed(samples)
    assert 0.2 < np.mean(found) < 0.95
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("piece", [1, 100, 511, 512, 7000, 48_000])
def test_the_size_of_the_blocks_does_not_matter(talk: tuple, piece: int) -> None:
    samples = talk[0][: min(80_000, 300 * piece) + 17]
    whole, parts = SpeechProbability(), SpeechProbability()
    expected = np.concatenate([whole.feed(samples), whole.finish()])
    found = [parts.feed(samples[start : start + piece]) for start in range(0, len(samples), piece)]
    found = np.concatenate([*found, parts.finish()])
    assert len(expected) == -(-len(samples) // FRAME)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@given(
    arrays(np.float32, st.integers(0, 60), elements=st.floats(0, 1, width=32)),
    st.floats(0.3, 0.9),
    st.floats(0, 0.3),
)
def test_hysteresis_equals_a_walk_through_the_values(values: np.ndarray, begins: float, lasts: float) -> None:
    expected, inside = [], False
    for value in values:
        inside = value >= begins or (inside and value >= lasts)
        expected.append(inside)
    assert hysteresis(values, begins, lasts).tolist() == expected


@given(arrays(bool, st.integers(0, 80)), st.floats(0, 0.5), st.floats(0, 0.2), st.floats(0, 0.4))
def test_regions_are_ordered_and_hold_what_was_found(
    found: np.ndarray, join: float, shortest: float, margin: float
) -> None:
    duration = len(found) * SECONDS
    result = regions(found, SECONDS, duration, join, shortest, margin)
    flat = [0.0, *(t for region in result for t in (region.start, region.end)), duration]
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(flat))
    if shortest == 0:
        times = (np.flatnonzero(found) + 0.5) * SECONDS
        assert all(any(r.start <= t <= r.end for r in result) for t in times)


def test_regions_join_drop_and_widen_as_told() -> None:
    found = np.zeros(400, bool)
    found[50:60] = found[80:120] = found[200:203] = found[300:400] = True
    assert regions(found, 0.01, 4.0, join=0.3, shortest=0.05, margin=0.1) == (Region(0.4, 1.3), Region(2.9, 4.0))


@pytest.mark.parametrize(
    "change",
    [
        lambda x, rng: x,
        lambda x, rng: 0.01 * x,
        lambda x, rng: np.concatenate([x[: len(x) // 2], 0.03 * x[len(x) // 2 :]]),
        lambda x, rng: x + 0.3 * np.std(x) * rng.normal(size=len(x)),
    ],
    ids=["as it is", "at -40 dB", "a second half at -30 dB", "in noise at 10 dB"],
)
def test_no_speech_is_lost(talk: tuple, change) -> None:  # type: ignore[no-untyped-def]
    samples, words = talk
    heard = sound_of(change(samples, np.random.default_rng(0)).astype(np.float32))
    assert lost(speech_regions(heard), words) < 0.05


def test_speech_after_a_bump_is_not_lost(cases: Path) -> None:
    """The energy gate, set by a loud bump, loses seconds of plain speech here."""
    heard = listen(of_file(cases / "bump_cut.flac", RATE))
    speaking = np.flatnonzero(heard.speech > 0.5) * SECONDS
    outside = [t for t in speaking if not any(r.start <= t < r.end for r in speech_regions(heard, "energy"))]
    assert len(outside) * SECONDS > 2
    assert all(any(r.start <= t < r.end for r in speech_regions(heard)) for t in speaking)


def test_words_after_a_bump_are_recognised(cases: Path) -> None:
    found = aligner.align(cases / "bump_cut.flac", language="en")
    words = " ".join(normalise(word.text) for word in found.words)
    assert words.endswith("saying a bunch of different words that i did not say in the original one")


def test_noise_before_the_first_word_is_no_speech(cases: Path) -> None:
    heard = listen(of_file(cases / "room7s.flac", RATE))
    assert speech_regions(heard)[0].start == pytest.approx(7.3, abs=0.4)


@pytest.mark.parametrize("level", [1e-4, 0.01, 0.3])
@pytest.mark.parametrize("kind", [mixtures.noise, mixtures.pink, mixtures.music])
def test_noise_and_music_are_no_speech(kind: Callable[..., np.ndarray], level: float) -> None:
    samples = level * kind(30 * RATE, np.random.default_rng(0))
    assert sum(region.duration for region in speech_regions(sound_of(samples.astype(np.float32)))) < 2.0


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(SettingError, match="energy, silero"):
        speech_regions(sound_of(noise(1.0)), "ear")


def test_a_recording_is_read_once_and_in_order() -> None:
    audio = Audio(noise(150.3), RATE)
    whole = of_audio(audio)
    asked = []

    def read(start: float, end: float) -> Audio:
        asked.append((start, end))
        return whole.read(start, end)

    heard = listen(Recording("noise", audio.duration, read))
    assert asked == [(0.0, 60.0), (60.0, 120.0), (120.0, audio.duration)]
    assert len(heard.levels) == np.ceil(150.3 / STEP) and len(heard.speech) == np.ceil(150.3 / SECONDS)
    np.testing.assert_array_equal(heard.levels, loudness(whole))
    np.testing.assert_array_equal(heard.speech, speech_probabilities(whole))


def test_recordings_of_other_rates_are_heard_alike(talk: tuple) -> None:
    samples, words = talk
    halved = Audio(samples[::2], RATE // 2)
    heard = listen(of_audio(halved))
    assert len(heard.speech) == np.ceil(halved.duration / SECONDS)
    assert lost(speech_regions(heard), words) < 0.1


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    script = (
        "import json, resource, sys; from pathlib import Path; from aligner.audio.file import of_file; "
        "from aligner.audio.sound import listen; heard = listen(of_file(Path(sys.argv[1]), 16000)); "
        "print(json.dumps([heard.duration, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))"
    )
    peak = {}
    for minutes in (2, 10):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as handle:
            for k in range(minutes):
                handle.write(noise(60.0, k))
        done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
        seconds, kilobytes = json.loads(done.stdout)
        assert seconds == 60 * minutes
        peak[minutes] = kilobytes / 1024
    assert peak[10] < peak[2] + 20  # MiB; the samples of 8 minutes alone are 29


def words_at(*times: tuple[float, float]) -> list[Word]:
    return [Word("word", start, end) for start, end in times]


def test_speech_without_words_is_named() -> None:
    speech = (Region(0.0, 5.0), Region(8.0, 12.0), Region(20.0, 20.9))
    assert uncovered([], speech) == speech[:2]
    found = uncovered(words_at((0.2, 1.0), (1.2, 2.0), (4.0, 4.5), (10.0, 13.0)), speech)
    assert found == (Region(2.0, 4.0), Region(8.0, 10.0))
    assert uncovered(words_at((0.0, 12.0)), speech) == ()
    assert uncovered(words_at((6.0, 7.0)), speech, longest=4.5) == (Region(0.0, 5.0),)
    assert uncovered([], speech, longest=0.5) == speech


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=8),
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 40)), max_size=6),
)
def test_uncovered_speech_equals_a_look_at_every_moment(gaps: list, parts: list) -> None:
    def spans(steps: list) -> list[tuple[int, int]]:
        found, at = [], 0
        for gap, length in steps:
            found.append((at + gap, at + gap + length))
            at += gap + length
        return found

    words, speech = spans(gaps), spans(parts)
    expected = []
    for low, high in speech:
        free = [not any(a <= t < b for a, b in words) for t in range(low, high)]
        for value, group in itertools.groupby(range(low, high), key=lambda t: free[t - low]):
            run = list(group)
            if value and len(run) > 10:
                expected.append((run[0], run[-1] + 1))
    found = uncovered(words_at(*((a / 10, b / 10) for a, b in words)), [Region(a / 10, b / 10) for a, b in speech])
    assert [(round(10 * r.start), round(10 * r.end)) for r in found if r.duration > 1.05] == expected


def test_windows_cover_the_speech_and_cut_in_pauses() -> None:
    bursts = [noise(2.5, k, 0.2) for k in range(12)]
    samples = np.concatenate([part for burst in bursts for part in (burst, noise(0.8, 99, 1e-4))])
    heard = sound_of(samples)
    found = windows(speech_regions(heard, "energy"), heard.levels, 8.0)
    assert all(0 < window.end - window.start <= 8.0 for window in found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    for k in range(12):
        assert any(w.start <= k * 3.3 and k * 3.3 + 2.5 <= w.end + 0.02 for w in found), k


@pytest.mark.parametrize(("level", "gap", "count"), [(0.05, 5.0, 2), (0.05, 1.0, 1), (1e-4, 5.0, 1)])
def test_a_window_reaches_over_silence_but_not_over_noise(level: float, gap: float, count: int) -> None:
    samples = np.concatenate([noise(2.0, 0, 0.2), noise(gap, 1, level), noise(2.0, 2, 0.2)])
    spoken = (Region(0.0, 2.0), Region(2.0 + gap, 4.0 + gap))
    found = windows(spoken, loudness(of_audio(Audio(samples, RATE))), 20.0)
    assert len(found) == count and (found[0].start, found[-1].end) == (0.0, 4.0 + gap)


def test_speech_longer_than_a_window_is_cut_where_it_is_quietest() -> None:
    samples = noise(20.0, 0, 0.2)
    samples[round(6.9 * RATE) : round(7.1 * RATE)] *= 0.01
    found = windows((Region(0.0, 20.0),), loudness(of_audio(Audio(samples, RATE))), 10.0)
    assert abs(found[0].end - 7.0) < 0.1
    assert found[-1].end == 20.0


def test_longest_pause_is_between_sounds() -> None:
    levels = np.full(1000, -80.0, np.float32)

    def longest(levels: np.ndarray) -> float:
        return longest_pause(active(levels))

    assert longest(levels[:0]) == longest(levels) == 0
    levels[200:300] = levels[450:600] = -20.0  # silence before and after is no pause
    assert longest(levels) == pytest.approx(1.5, abs=0.03)
    levels[520:590] = -80.0
    assert longest(levels) == pytest.approx(1.5, abs=0.03)
