"""What the benchmarks measure: clips, sums over turns, joined utterances, rivals on our weights, margins that hold."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from aligner.core import Audio, Word
from aligner.models import load_model
from aligner.timing import habits
from aligner.timing.head import HEADS, load
from benchmarks.accuracy import measure, rival, table
from benchmarks.calibration import Judged, across, area, report
from benchmarks.contenders import ENCODER, RATE, Turn, clip, pieces, take_turns
from benchmarks.habits import Timed, fitted
from benchmarks.invented import Counts, count, ratio
from benchmarks.joined import joined
from benchmarks.layers import HEARD, NOTHING, OUTPUT, representations
from benchmarks.marks import sentence
from benchmarks.mixtures import Mixture, level, mixtures, noise
from benchmarks.monophones import in_turns
from benchmarks.recognition import main as recognition
from benchmarks.recognition import rate, word_errors
from benchmarks.rivals import CannotRun
from benchmarks.speed import table as speed_table
from benchmarks.throughput import cut
from benchmarks.translation import told
from benchmarks.windows import main as windows
from eval.baselines import uniform_times
from eval.corpora import textgrid
from eval.manifest import load_audio, make_utterance, read_manifest, write_manifest
from eval.systems import AlignedUtterance, System

SAMPLES = Path(__file__).parent.parent / "data" / "samples"


@pytest.mark.parametrize("seconds", [2.5, 7.0, 40.0])
def test_clips_have_the_length_and_the_words_that_are_whole_in_them(seconds: float) -> None:
    audio, text = clip(seconds)
    parts = list(pieces(seconds))
    assert len(audio.samples) == round(seconds * RATE) == sum(len(samples) for samples, _ in parts)
    np.testing.assert_array_equal(audio.samples, np.concatenate([samples for samples, _ in parts]))
    assert text.split() == [word for _, words in parts for word in words]
    shorter = clip(seconds / 2)[1].split()
    assert text.split()[: len(shorter)] == shorter
    assert len(shorter) < len(text.split()) < 5 * seconds


def test_short_files_are_cut_one_after_another(tmp_path: Path) -> None:
    made = cut(tmp_path, 9, 1.5)
    assert len(set(made)) == 9
    heard = [soundfile.read(path)[0] for path in made]
    assert {len(samples) for samples in heard} == {round(1.5 * RATE)}
    first = next(pieces(60.0))[0]
    np.testing.assert_allclose(np.concatenate(heard[:2]), first[: 3 * RATE], atol=1e-4)


def test_ratios_are_medians_over_the_rounds() -> None:
    """One slow round moves neither the median nor the ratio."""
    ours = [Turn(1.0, 2.0, 10.0), Turn(4.0, 8.0, 11.0), Turn(1.2, 2.4, 12.0)]
    found = {"ours": ours, "theirs": [Turn(2.0, 2.0, 9.0), Turn(8.0, 8.0, 9.0), Turn(2.0, 2.0, 9.0)]}
    assert speed_table("base", found, ["theirs"]).splitlines()[2:] == [
        "| ours | 1.20 | 2.40 | 0.50 | 12 |",
        "| theirs | 2.00 | 2.00 | 1.00 | 9 |",
    ]


def test_a_contender_answers_once_a_round(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", clip(2.0)[0].samples, RATE)
    embedded = str(SAMPLES.parents[1] / "aligner" / "embedded")
    (turns,) = take_turns([ENCODER], embedded, [str(tmp_path / "short.wav")] * 2, None, 2).values()
    assert len(turns) == 2 and all(turn.cpu > 0 and turn.peak > 50 for turn in turns)


def test_joined_utterances_keep_their_words_times_and_speakers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = []
    for number, speaker in enumerate("aaab"):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * rng.normal(size=2 * RATE), RATE)
        words = [("one", 0.1, 0.5), ("two", 0.5, 1.9)]
        made.append(make_utterance(str(number), tmp_path / f"{number}.wav", words, speaker=speaker, source="s"))
    assert [round(j.audio.duration) for j in joined(made, 5.0, RATE)] == [4, 2, 2]
    assert [round(j.audio.duration) for j in joined(made, 5.0, RATE, mixed=True)] == [4, 4]
    first = next(joined(made, 5.0, RATE))
    assert [(w.text, round(w.start, 3)) for w in first.words] == [
        ("one", 0.1),
        ("two", 0.5),
        ("one", 2.1),
        ("two", 2.5),
    ]
    assert first.texts == ("one two", "one two") and first.speaker == "a"
    np.testing.assert_allclose(first.audio.samples[2 * RATE :], soundfile.read(tmp_path / "1.wav")[0], atol=1e-4)


def test_windows_are_cut_in_the_longest_rest_and_joined_up_to_a_length(tmp_path: Path) -> None:
    """Gold words keep their sound: wherever a word is, in whatever file, its samples are those of the recording."""
    rng, rate = np.random.default_rng(0), RATE
    samples = (0.1 * rng.normal(size=10 * rate)).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", samples, rate, subtype="FLOAT")
    soundfile.write(tmp_path / "short.wav", samples[: 2 * rate], rate, subtype="FLOAT")
    starts = [0.5, 1.5, 2.5, 4.5, 5.5, 6.5, 7.5, 8.5]  # the longest rest is that before 4.5
    long = make_utterance("long", tmp_path / "long.wav", [(f"w{a}", a, a + 0.9) for a in starts], speaker="a")
    short = make_utterance("short", tmp_path / "short.wav", [("w0.5", 0.5, 1.4)], speaker="a")
    write_manifest([long, short], tmp_path / "m.jsonl")
    done = CliRunner().invoke(windows, [str(tmp_path / "m.jsonl"), "-o", str(tmp_path / "made"), "--seconds", "8.5"])
    assert done.exit_code == 0, done.output
    made = read_manifest(tmp_path / "made" / "windows.jsonl")
    assert [[w.text for w in one.words] for one in made] == [
        ["w0.5", "w1.5", "w2.5"],
        ["w4.5", "w5.5", "w6.5", "w7.5", "w8.5", "w0.5"],
    ]
    for one in made:
        heard = load_audio(one, rate).samples
        for word in one.words:
            at, here = round(float(word.text[1:]) * rate), round(word.start * rate)
            np.testing.assert_allclose(heard[here : here + rate // 2], samples[at : at + rate // 2], atol=1e-4)


def test_a_bare_text_becomes_a_sentence_of_the_same_words() -> None:
    assert sentence("so i said i'm in it") == "So I said I'm in it."


def test_what_a_layer_knows_is_what_the_model_passes_on() -> None:
    """Keys scored with the model's own queries are the attention that it shows."""
    model = load_model("embedded", threads=1)
    encoded = model.encode(Audio(0.1 * np.random.default_rng(0).normal(size=RATE).astype(np.float32), RATE))
    known = representations(model, encoded)
    assert {len(states) for states in known.values()} == {50} and not known[NOTHING].any()
    layers, heads = len(model.encoder_layers), model.network.shape.decoder_attention_heads
    assert len(known) == 3 + layers + 2 * len(model.network.decoder.layers)
    np.testing.assert_array_equal(known[OUTPUT], encoded.states[:50])
    last = torch.from_numpy(known[f"layer {layers} of the encoder"])
    with torch.inference_mode():
        first = model.network.encoder.layers[0](model.network.encoder.heard(encoded.features[None]))[0]
        keys = model.network.decoder.layers[1].encoder_attn.k_proj(encoded.states[:50])
        normed = model.network.encoder.layer_norm(last)
    # Those at the end hear the end of the sound, not that of its features.
    assert torch.nn.functional.cosine_similarity(normed[:40], encoded.states[:40]).min() > 0.99
    assert first.shape == known[HEARD].shape == (50, model.network.shape.d_model) and heads > 1
    np.testing.assert_allclose(known["keys of decoder layer 1"], keys, atol=1e-3)


def test_a_model_that_is_told_to_translate_is_asked_so_in_every_pass_and_the_other_is_not(
    multilingual_checkpoint: Path,
) -> None:
    model = load_model(str(multilingual_checkpoint), threads=1)
    other = told(model, "translate")
    assert other.prompt("de") == model.prompt("de", "translate") != model.prompt("de")
    encoded = model.encode(Audio(np.zeros(RATE, np.float32), RATE))
    tokens = model.tokenize("hello", language="de")
    first, second = (m.attend(encoded, tokens, "de").logits for m in (model, other))
    assert not np.allclose(first, second)


def test_mixtures_hold_the_utterance_where_they_say() -> None:
    rng = np.random.default_rng(0)
    utterance, others = noise(30_000, rng), [noise(40_000, rng), noise(20_000, rng)]
    found = {mixture.name: mixture for mixture in mixtures(utterance, others, rng, seconds=2.0)}
    assert len(found) == 10 and found["speech alone"].beside == 0
    for mixture in found.values():
        inside = mixture.samples[round(mixture.start * 16_000) : round(mixture.end * 16_000)]
        assert len(inside) == 0 or np.array_equal(inside, utterance)
        if mixture.name != "speech alone":
            assert mixture.beside == pytest.approx(4.0)
            before = float(np.sqrt(np.mean(mixture.samples[:32_000] ** 2)))
            expected = {"silence": 0.001, "music, -6 dB": 0.5}.get(mixture.name.rpartition(", ")[0], 0.32)
            assert before == pytest.approx(expected * level(utterance), rel=0.1)


def test_invented_words_are_told_from_word_errors() -> None:
    mixture = Mixture("around", np.zeros(24 * 16_000, np.float32), 10.0, 14.0)

    def said(*words: tuple[str, float]) -> list[Word]:
        return [Word(text, at, at + 0.2) for text, at in words]

    right = said(("One,", 10.1), ("two", 11.0), ("three.", 12.0))
    assert count("one two three", right, mixture) == Counts(0, 3, 0, 20 / 60)
    thanks = said(("Thank", 2.0), ("you.", 3.0))
    assert count("one two three", thanks + right, mixture) == Counts(0, 3, 2, 20 / 60)
    assert count("one two three", said(("one", 10.1), ("to", 11.0), ("or", 11.5), ("three", 12.0)), mixture).errors == 2
    assert count("one two three", [], mixture) == Counts(3, 3, 0, 20 / 60)
    alone = Mixture("alone", np.zeros(20 * 16_000, np.float32), 0.0, 0.0)
    assert count("one two three", thanks, alone) == Counts(0, 0, 2, 20 / 60)


def test_words_are_wrong_when_they_are_spoken_otherwise() -> None:
    assert word_errors("Twenty-one cats, Mr. Smith", "21 cats mister smith") == (0, 5)
    assert word_errors("one two three four", "one too three") == (2, 4)
    assert word_errors("one two", "") == (2, 2) and word_errors("", "Thank you.") == (2, 0)
    found = rate([0, 1, 5], [10, 10, 20], ["a", "b", "c"])
    assert found.value == 15 and found.low == 0 and found.high == 25


def test_recognition_is_compared_on_the_same_utterances(tmp_path) -> None:
    pytest.importorskip("faster_whisper", reason="faster-whisper, a test-only peer, is not installed")
    chosen = [u for u in textgrid.prepare(SAMPLES) if u.id in ("oranges", "alice")]
    write_manifest([replace(u, speaker=u.id) for u in chosen], tmp_path / "samples.jsonl")
    done = CliRunner().invoke(recognition, [str(tmp_path / "samples.jsonl")], catch_exceptions=False)
    *_, row = done.stdout.splitlines()
    _, corpus, utterances, words, ours, _, _, theirs, more, *_ = [cell.strip() for cell in row.split("|")]
    assert (corpus, utterances) == ("samples", "2") and int(words) == sum(len(u.words) for u in chosen)
    assert float(ours.split()[0]) < 15 and float(theirs.split()[0]) < 25
    assert float(more.split()[0]) == pytest.approx(float(theirs.split()[0]) - float(ours.split()[0]), abs=0.11)


def test_a_ratio_is_of_sums_and_its_interval_holds_it() -> None:
    found = ratio([0, 1, 5], [10, 10, 20], ["a", "b", "c"], 100)
    assert found.value == 15 and found.low == 0 and found.high == 25
    assert np.isnan(ratio([1], [0], ["a"]).value)


@pytest.mark.parametrize(
    "name", ["openai-whisper", "transformers", "faster-whisper", "whisper-timestamped", "stable-ts", "pocketsphinx"]
)
def test_rivals_time_every_word_of_human_speech_on_our_weights(name: str, embedded_checkpoint: Path) -> None:
    alice = next(u for u in textgrid.prepare(SAMPLES) if u.id == "alice")
    first = tuple(replace(word, text=re.sub(r"[^\w']", "", word.text).lower()) for word in alice.words[:20])
    spoken = replace(alice, words=first, duration=first[-1].end + 0.05)
    try:
        words = rival(name, embedded_checkpoint)
    except CannotRun as error:
        pytest.skip(str(error))
    row = measure(name, words, [spoken], {})
    found = row.recordings[0].estimated
    assert [w.text for w in found] == [w.text for w in spoken.words]
    assert all(a.start <= b.start for a, b in itertools.pairwise(found)) and found[-1].end <= spoken.duration
    even = [start for start, _ in uniform_times([w.text for w in spoken.words], spoken.duration)]
    gold, theirs = (np.array([w.start for w in ws]) for ws in (spoken.words, found))
    assert np.median(np.abs(theirs - gold)) < 0.13 < np.median(np.abs(even - gold))


def test_a_table_has_best_first_and_says_who_cannot_run() -> None:
    gold = tuple(Word(text, k + 0.2, k + 0.6) for k, text in enumerate(("one", "two", "three", "four")))

    def late(name: str, by: float) -> System:
        words = tuple(Word(w.text, w.start + by, w.end + by) for w in gold)
        made = (AlignedUtterance(name, "toy", "gold", name, 5.0, gold, words) for name in ("a", "b"))
        return System(name, "", tuple(made), {"cpu": 1.5})

    near, far = late("near", 0.03), late("far", 0.06)
    lines = table([far, near], {"absent": "it is not installed"}).splitlines()
    assert lines[2] == "| near | 30.0 [30.0, 30.0] | 30.0 | 0.0 | 100.0 | 100.0 | +30.0 | +30.0 | 8 of 8 | 1.5 |"
    assert lines[3].startswith("| far | 60.0 [60.0, 60.0] | 60.0 | 0.0 | 0.0 | 100.0 |")
    assert lines[4].startswith("| absent | cannot run: it is not installed |")


def test_speech_to_learn_from_is_taken_from_speakers_in_turns() -> None:
    lines = [{"speaker": s, "duration": 10.0, "id": f"{s}{k}"} for s in "abc" for k in range(3)]
    assert [line["id"] for line in in_turns(lines, 50 / 3600)] == ["a0", "b0", "c0", "a1", "b1"]
    assert len(list(in_turns(lines, 1.0))) == 9


def test_margins_are_judged_by_the_edges_that_they_hold() -> None:
    """Errors are planted: uniform up to a width that the margin knows in half of the words only."""
    rng = np.random.default_rng(0)
    width = rng.uniform(0.01, 0.1, 4000)
    errors = rng.uniform(0, 1, (4000, 2)) * width[:, None]
    groups = np.array(["a", "b", "c", "d"] * 1000)
    fitted = across(errors, width / 3, groups)
    np.testing.assert_allclose(fitted, 0.9 * width, rtol=0.05)
    wrong = errors.max(1) > 0.05
    assert area(width, wrong) > 0.8 > 0.55 > area(rng.uniform(size=4000), wrong) > 0.45
    assert area(np.where(wrong, 1.0, 0.0), wrong) == 1.0 and np.isnan(area(width, wrong & False))
    judged = [
        Judged(g, (float(e[0]), float(e[1])), 0.9 * w, 0.5, 0.1, bool(w > 0.08))
        for g, e, w in zip(groups, errors, width, strict=True)
    ]
    text = report(judged)
    assert "| as shipped | 90." in text or "| as shipped | 89." in text
    assert "| token probability | 0.500 |" in text


def test_planted_habits_are_found_and_taken_off() -> None:
    rng = np.random.default_rng(0)
    head = load(HEADS / "tiny.en.safetensors")
    late = rng.integers(-9, 9, (4, 5))
    of_sounds = habits.table(head.card.sounds, late)
    some = []
    for speaker in "abc":
        beside = rng.integers(0, len(head.card.sounds) + 1, (2000, 2, 2))
        gold = np.sort(rng.uniform(0, 4000, (2000, 2)), 0)
        away = rng.laplace(0, 0.004, gold.shape)
        found = gold + of_sounds[beside[..., 0], beside[..., 1]] + away
        voiced, levels = (False,) * len(gold), np.zeros(0, np.float32)
        some.append(Timed("planted", speaker, gold, found, beside, voiced, levels, 4000.0))
    found_again = 1000 * fitted(head, some)
    # What is common to all sounds before an edge may as well be common to all sounds after it.
    for row, wanted in zip(found_again, late, strict=True):
        np.testing.assert_allclose(row - row.mean(), wanted - wanted.mean(), atol=1.0)
