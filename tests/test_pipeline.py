"""The Python API: what comes out, what is recorded, what is computed only when asked for."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import aligner
from aligner.audio.read import read_audio, stream
from aligner.core import Alignment, Audio, Word
from aligner.errors import AlignerError, InputError, SettingError
from aligner.models import SpeechModel
from aligner.pipeline import align_audio, choose
from aligner.text.transcript import clean, find_transcript, read_text, sentences
from aligner.textgrid import read_words
from aligner.timing.case import Case
from aligner.timing.flags import flagged

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
TALK = SAMPLES / "carrots.flac"
TEXT = (SAMPLES / "carrots.txt").read_text(encoding="utf-8").strip()


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return aligner.load_model()


@pytest.fixture(scope="module")
def audio() -> Audio:
    return read_audio(TALK)


def test_file_array_and_name_give_the_same(model: SpeechModel, audio: Audio) -> None:
    by_file = aligner.align(TALK, TEXT, model)
    by_array = aligner.align(audio, TEXT, model)
    by_name = aligner.align(str(TALK), TEXT, model="embedded")
    assert by_file.words == by_array.words == by_name.words


@pytest.mark.parametrize("name", ["carrots", "oranges", "twelve"])
def test_samples_are_near_their_gold(model: SpeechModel, name: str) -> None:
    gold = read_words(SAMPLES / f"{name}.TextGrid")
    found = aligner.align(SAMPLES / f"{name}.flac", (SAMPLES / f"{name}.txt").read_text(encoding="utf-8"), model)
    assert len(found.words) == len(gold)
    assert np.median([abs(a.start - b.start) for a, b in zip(found.words, gold, strict=True)]) < 0.1


def test_every_transcript_word_once_in_order_inside(model: SpeechModel, corpora: Path) -> None:
    """On every utterance of the development corpora."""
    count = 0
    for wrd in sorted((corpora / "timit-sample-dev").glob("*/*.wrd")):
        words = [line.split()[2] for line in wrd.read_text().splitlines()]
        found = aligner.align(wrd.with_suffix(".wav"), " ".join(words), model, confidence=False)
        assert [word.text for word in found.words] == words
        count += 1
    for grid in sorted((corpora / "ae").glob("*.TextGrid")):
        words = [word.text for word in read_words(grid, "Text") if word.text != "*"]
        found = aligner.align(grid.with_suffix(".wav"), " ".join(words), model, confidence=False)
        assert [word.text for word in found.words] == " ".join(words).split()
        count += 1
    assert count == 87


def test_provenance_is_complete_and_serialisable(model: SpeechModel) -> None:
    found = aligner.align(TALK, TEXT, model, preset="char-alignment")
    provenance = json.loads(json.dumps(found.provenance))
    assert provenance["units"] == "character"
    assert provenance["pauses"] == "keep"
    assert provenance["aggregation"]["steps"] == list(choose("char-alignment").aggregation.steps)
    assert provenance["text"] == "given"
    assert provenance["fingerprint"] == aligner.load_model().fingerprint


class _Counting:
    """A model that counts what is asked of it."""

    def __init__(self, model: SpeechModel) -> None:
        self._model = model
        self.calls: list[str] = []
        self.fingerprint = model.fingerprint

    def __getattr__(self, name: str) -> object:
        if name in ("encode", "encode_all", "force", "attend", "transcribe"):
            self.calls.append(name)
        return getattr(self._model, name)


def test_encoder_and_forced_decoder_run_once_with_and_without_confidence(model: SpeechModel, audio: Audio) -> None:
    counting = _Counting(model)
    align_audio(counting, audio, TEXT, choose(confidence=False))  # type: ignore[arg-type]
    assert counting.calls == ["encode"]  # whose timing head does without the decoder
    counting.calls.clear()
    align_audio(counting, audio, TEXT, choose("openai", confidence=False))  # type: ignore[arg-type]
    assert counting.calls == ["encode", "attend"]
    counting.calls.clear()
    align_audio(counting, audio, None, choose())  # type: ignore[arg-type]
    assert counting.calls == ["encode_all", "transcribe", "force"]


@pytest.mark.parametrize("text", [TEXT, None])
def test_attention_is_read_from_whole_windows(model: SpeechModel, audio: Audio, text: str | None) -> None:
    """Silence is thinned for a timing head alone: presets are to be those of other tools to the frame."""
    found = align_audio(model, audio, text, choose("openai"))
    whole = Case(model, model.encode(audio), " ".join(word.text for word in found.words), "en")
    thin = Case(model, model.encode(audio, thin=True), whole.text, "en")
    expected = whole.words(choose("openai")).words
    assert [(word.start, word.end) for word in found.words] == [(word.start, word.end) for word in expected]
    assert thin.words(choose("openai")).words == expected
    assert thin.encoded.counts is None


def test_a_head_for_another_language_costs_no_second_encoding(
    model: SpeechModel, audio: Audio, multilingual_checkpoint: Path
) -> None:
    counting = _Counting(aligner.load_model(str(multilingual_checkpoint)))
    counting.fingerprint = model.fingerprint  # for which a head of English is known
    silence = np.zeros(2 * audio.sample_rate, np.float32)
    padded = Audio(np.concatenate([silence, audio.samples, silence]), audio.sample_rate)
    align_audio(counting, padded, TEXT, choose(language="de", confidence=False))  # type: ignore[arg-type]
    assert counting.calls == ["encode", "attend"]


def test_probabilities_are_means_of_token_probabilities(model: SpeechModel, audio: Audio) -> None:
    found = align_audio(model, audio, TEXT, choose(timing="attention"))
    tokens = model.tokenize(TEXT)
    expected = model.force(model.encode(audio), tokens).probabilities()
    for word, span in zip(found.words, tokens.words, strict=True):
        assert word.probability == pytest.approx(expected[span.start : span.stop].mean())


def test_token_times_lie_in_their_words(model: SpeechModel, audio: Audio) -> None:
    found = align_audio(model, audio, TEXT, choose(tokens=True, pauses="keep"))
    assert "".join(token.text for token in found.tokens) == "".join(TEXT.split())
    assert all(a.end <= b.start + 1e-9 for a, b in zip(found.tokens, found.tokens[1:], strict=False))


def test_segments_are_sentences(model: SpeechModel) -> None:
    texts = [(SAMPLES / f"{name}.txt").read_text(encoding="utf-8").strip() for name in ("carrots", "oranges")]
    parts = [read_audio(SAMPLES / f"{name}.flac").samples for name in ("carrots", "oranges")]
    found = aligner.align(Audio(np.concatenate(parts), 16_000), " ".join(texts), model)
    spelled = [" ".join(word.text for word in found.words[start:stop]) for start, stop in found.segments]
    assert spelled == [sentence for text in texts for sentence in sentences(text)]


def test_saliency_scores_every_word(model: SpeechModel, audio: Audio) -> None:
    found = align_audio(model, audio, TEXT, choose(saliency="encoder", masks=32, confidence=False))
    assert all(word.agreement is not None and -1 <= word.agreement <= 1 for word in found.words)


@pytest.mark.parametrize(
    "text",
    [
        "We paid $3.50, i.e. €1,234 on 12/31/1999",
        "mail me@example.org or see https://a.b/c",
        "a well-known “quoted” don’t",
        "hello 😀 world — really",
        "café cafe\u0301 naïve",
        "هذا اختبار صغير",
        "Smith's 2nd 100% rock'n'roll",
    ],
)
def test_words_are_the_users_own_spellings(model: SpeechModel, text: str) -> None:
    audio = stream(SAMPLES / "alice.flac", 16_000, 0.0, 12.0)
    found = align_audio(model, audio, text, choose(confidence=False))
    assert " ".join(word.text for word in found.words) == text


@given(st.text(min_size=1, max_size=60))
@example("2 0 0 0\r0")  # a sentence of four words of which nothing is heard
@settings(max_examples=60, deadline=None)
def test_any_text_is_aligned_or_refused(model: SpeechModel, audio: Audio, text: str) -> None:
    try:
        found = aligner.align(audio, text, model, confidence=False)
    except AlignerError:
        return
    written, spoken = ("".join(part.split()) for part in (clean(text), found.text))
    missing = "".join("".join(found.provenance.get("missing", ())).split())
    # Every word has a time or is named as missing, and what has a time is in order.
    assert sorted(spoken + missing) == sorted(written)
    letters = iter(written)
    assert all(letter in letters for letter in spoken)


def test_flags() -> None:
    levels = np.full(1000, -20.0, np.float32)
    levels[300:400] = -90.0
    words = (
        Word("sure", 0.0, 0.3, probability=0.9),
        Word("doubtful", 0.5, 0.9, probability=0.05),
        Word("squeezed", 1.0, 1.04, probability=0.9),
        Word("is", 1.5, 2.9, probability=0.9),
        Word("quiet", 3.2, 3.6, probability=0.9),
        Word("anywhere", 5.0, 5.4, probability=0.9, margin=0.12),
    )
    assert [word.flags for word in flagged(words, levels)] == [
        (), ("low-confidence",), ("squeezed",), ("long",), ("near-silence",), ("uncertain",),
    ]  # fmt: skip


def test_unknown_settings_are_refused(model: SpeechModel, audio: Audio) -> None:
    with pytest.raises(SettingError, match="colour"):
        aligner.align(audio, TEXT, model, colour="red")
    with pytest.raises(SettingError, match="loaded already"):
        aligner.align(audio, TEXT, model, device="cpu")
    with pytest.raises(SettingError, match="pause rule"):
        aligner.align(audio, TEXT, model, pauses="never")


def test_a_wrong_path_is_answered_before_a_model_is_loaded() -> None:
    with pytest.raises(InputError, match="does not exist"):
        aligner.align("nowhere.wav", model="no/such-model")


def test_transcript_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_bytes("naïve café".encode(encoding))
        assert read_text(path) == "naïve café"
    path.write_bytes("naïve café".encode("latin-1"))
    assert read_text(path, "latin-1") == "naïve café"
    with pytest.raises(InputError, match="UTF-8"):
        read_text(path)


def test_transcript_of_a_folder_prefers_txt(tmp_path: Path) -> None:
    (tmp_path / "talk.lab").write_text("from lab")
    assert find_transcript(str(tmp_path), Path("x/talk.wav")).text == "from lab"
    (tmp_path / "talk.txt").write_text("from txt")
    assert find_transcript(str(tmp_path), Path("x/talk.wav")).text == "from txt"


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_cleaning_keeps_every_printable_character(text: str) -> None:
    kept = clean(text)
    printable = [c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp")]
    assert [c for c in kept if not c.isspace()] == printable
    assert clean(kept) == kept


@given(st.text(max_size=200))
def test_sentences_hold_every_word(text: str) -> None:
    assert " ".join(sentences(text)).split() == text.split()


def test_result_is_an_alignment(model: SpeechModel) -> None:
    assert isinstance(aligner.align(TALK, None, model), Alignment)
