"""Times of words from paths: exact on planted maps, valid on any; words from tokens as openai-whisper has them."""

from __future__ import annotations

import itertools
import unicodedata
from pathlib import Path as Folder
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aligner.core import Path, TokenFrameMap, Tokens, Word, WordSpan
from aligner.errors import SettingError
from aligner.models.tokens import split_on_unicode
from aligner.segmentation.script import script_of
from aligner.text.matching import letters
from aligner.text.scripts import clusters, is_punctuation
from aligner.text.spacing import as_written, running
from aligner.timing.path import warp
from aligner.timing.words import TRIM_SHARE, own_frames, repair, time_words, word_frames

STEP = 0.02


def tokens_of(texts: tuple[str, ...], *spans: tuple[int, int]) -> Tokens:
    words = tuple(WordSpan("".join(texts[a:b]).strip(), a, b) for a, b in spans)
    return Tokens(tuple(range(len(texts))), texts, words)


def planted(stretches: list[tuple[int, int]], frames: int, noise: float = 0.002) -> TokenFrameMap:
    """Rows that are bright on their own stretch of frames only."""
    values = np.random.default_rng(0).random((len(stretches), frames)) * noise - 1.0  # below zero, or detours pay
    for row, (start, stop) in enumerate(stretches):
        values[row, start:stop] += 1.0
    return TokenFrameMap(values, STEP)


def frames_of(words: Any) -> list[tuple[int, int]]:
    return [(round(word.start / STEP), round(word.end / STEP)) for word in words]


# --- times ---------------------------------------------------------------------------------


def test_trim_gives_a_pause_to_no_word_and_keep_to_the_word_before() -> None:
    evidence = planted([(5, 15), (15, 25), (60, 80), (95, 100)], 100)  # two tokens, a pause, a token, a pause, the end
    tokens = tokens_of((" he", "llo", " you"), (0, 2), (2, 3))
    path = warp(evidence)
    trimmed = time_words(path, evidence, tokens, 2.0, "trim")
    assert [word.text for word in trimmed.words] == ["hello", "you"]
    assert frames_of(trimmed.words) == [(5, 25), (60, 80)]
    kept = time_words(path, evidence, tokens, 2.0, "keep")
    (start, end), (following, last) = frames_of(kept.words)
    assert start == 0 and end == following and 25 <= following <= 60 and 80 <= last <= 95
    assert trimmed.repairs == kept.repairs == 0


def test_marks_and_spaces_are_in_the_text_but_not_in_the_times() -> None:
    texts = ("a", ",", " ", "b", ".")
    evidence = planted([(0, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 55)], 55)
    tokens = Tokens(tuple(range(5)), texts, (WordSpan("a,", 0, 1), WordSpan("b.", 3, 4)))
    for pauses in ("trim", "keep"):
        found = time_words(warp(evidence), evidence, tokens, 55 * STEP, pauses)
        assert [word.text for word in found.words] == ["a,", "b."]
        assert frames_of(found.words) == [(0, 10), (30, 40)]
    without_mark = Tokens(tuple(range(5)), ("a", " ", " ", "b", " "), tokens.words)
    kept = time_words(warp(evidence), evidence, without_mark, 55 * STEP, "keep")
    assert frames_of(kept.words) == [(0, 30), (30, 50)]  # spaces are pauses, so the word lasts until the next


def test_close_words_share_a_boundary_when_trimmed() -> None:
    evidence = planted([(5, 20), (24, 40), (70, 75)], 80)
    found = time_words(warp(evidence), evidence, tokens_of((" a", " b"), (0, 1), (1, 2)), 1.6, "trim")
    assert frames_of(found.words) == [(5, 22), (22, 40)]  # 80 ms: no pause


def test_own_frames_cut_what_is_far_below_the_peak_on_both_sides_only() -> None:
    row = np.zeros((1, 40))
    row[0, 10:12], row[0, 15:20] = 1.0, 0.8  # the gap inside stays
    row[0, 25:30] = TRIM_SHARE / 2
    assert own_frames(row, 5, 35) == (10, 20)
    assert own_frames(np.ones((1, 40)), 5, 35) == (5, 35)  # a flat row says nothing: the path decides
    two = np.zeros((2, 40))
    two[0, 8:10], two[1, 20:22] = 5.0, 0.1  # each token by its own peak
    assert own_frames(two, 0, 40) == (8, 22)


def test_no_words_no_times_and_unknown_rules_are_refused() -> None:
    evidence = planted([(0, 10)], 10)
    assert time_words(warp(evidence), evidence, Tokens((), (), ()), 0.2).words == ()
    with pytest.raises(SettingError, match="keep"):
        time_words(warp(evidence), evidence, Tokens((), (), ()), 0.2, "drop")


@st.composite
def cases(draw: st.DrawFn) -> tuple[Path, TokenFrameMap, Tokens, float]:
    """Any path through any map, any words on its rows, any duration that rounds to its frames."""
    n_tokens, frames = draw(st.integers(1, 25)), draw(st.integers(1, 60))
    rows = n_tokens + draw(st.sampled_from([0, 1]))  # some methods have no row for the end
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    walk = [(0, 0)]
    while walk[-1] != (rows - 1, frames - 1):
        token, frame = walk[-1]
        down, right = token < rows - 1, frame < frames - 1
        move = [m for m, fits in (((1, 0), down), ((0, 1), right), ((1, 1), down and right)) if fits]
        a, b = move[rng.integers(len(move))]
        walk.append((token + a, frame + b))
    path = Path(*np.array(walk).T)
    values = rng.normal(0, 1, (rows, frames)) if draw(st.booleans()) else np.zeros((rows, frames))
    edges = sorted(draw(st.sets(st.integers(0, n_tokens), min_size=2)))
    words = tuple(WordSpan(f"w{a}", a, b) for a, b in itertools.pairwise(edges) if draw(st.booleans()))
    onsets = {word.start for word in words}  # no word starts with a space
    texts = tuple("a" if i in onsets else draw(st.sampled_from(["a", " ", ","])) for i in range(n_tokens))
    duration = (frames + draw(st.floats(0, 0.99))) * STEP
    return path, TokenFrameMap(values, STEP), Tokens(tuple(range(n_tokens)), texts, words), duration


@given(cases(), st.sampled_from(["trim", "keep"]))
@settings(max_examples=300, deadline=None)
def test_no_impossible_word_ever_leaves(case: tuple[Path, TokenFrameMap, Tokens, float], pauses: str) -> None:
    path, evidence, tokens, duration = case
    found = time_words(path, evidence, tokens, duration, pauses)
    assert [word.text for word in found.words] == [span.text for span in tokens.words]
    shortest = min(STEP, duration / max(1, len(tokens.words)))
    previous = 0.0
    for word in found.words:
        assert previous <= word.start and word.end <= duration
        assert word.end - word.start >= shortest - 1e-9
        previous = word.end
    starts, ends = word_frames(path, evidence, tokens, pauses)
    if len(starts) and pauses == "keep" and np.all(ends > starts):
        assert found.repairs == 0 and frames_of(found.words) == list(zip(starts, ends, strict=True))
    assert 0 <= found.repairs <= len(found.words)


def test_more_words_than_frames_share_the_audio_evenly() -> None:
    start, end, repairs = repair(np.zeros(10), np.zeros(10), 0.1, STEP)
    np.testing.assert_allclose(start, np.arange(10) * 0.01, atol=1e-12)
    np.testing.assert_allclose(end - start, 0.01)
    assert repairs == 10


def test_an_empty_word_takes_a_frame_from_its_longer_neighbour() -> None:
    start, end, repairs = repair(np.array([0.0, 0.4, 0.4]), np.array([0.4, 0.4, 0.44]), 1.0, STEP)
    np.testing.assert_allclose(start, [0.0, 0.38, 0.4])
    np.testing.assert_allclose(end, [0.38, 0.4, 0.44])
    assert repairs == 2  # the empty one and the one that gave
    valid = np.array([0.1, 0.5]), np.array([0.3, 0.9])
    start, end, repairs = repair(*valid, 1.0, STEP)
    assert (start.tolist(), end.tolist(), repairs) == ([0.1, 0.5], [0.3, 0.9], 0)


# --- words ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [",", " .", "«", "...", "—", "?!", "。", "「", "¿", "'", "(", " -"])
def test_marks_are_punctuation(text: str) -> None:
    assert is_punctuation(text)


@pytest.mark.parametrize(
    "text", ["a", "it's", "5", "$", "€", "+", "=", "🙂", "👍🏽", "❤️", "♪", "©", "", " ", "é,", "न"]
)
def test_letters_digits_and_what_is_read_out_are_not(text: str) -> None:
    assert not is_punctuation(text)


SENTENCES = {
    "en": "She'd said: \"It's 5 o'clock (already)\" — well-known, isn't it? 12,345.67 naïve cafés…",
    "de": "Die Straße war größer, als er dachte; „schön“, sagte sie. Zwölf Äpfel!",
    "fr": "L'été dernier, qu'est-ce qu'il a mangé ? Un « croque-monsieur » à l'œuf.",
    "es": "¿Dónde está el niño? ¡Aquí, señor! El pingüino comió mañana.",
    "pl": "Zażółć gęślą jaźń; łódź płynie, źdźbło trawy śpi.",
    "ru": "Съешь ещё этих мягких французских булок, да выпей чаю.",
    "ar": "مرحبا بالعالم، كيف حالك اليوم؟ هذا كتابٌ جميل.",
    "hi": "नमस्ते दुनिया, आप कैसे हैं? यह एक अच्छी किताब है।",
    "ko": "안녕하세요, 오늘 날씨가 정말 좋네요! 뷁",
    "zh": "今天天气很好,我们去公园吧。龘靐齉 OpenAI 2024年!",
    "ja": "「今日は」と彼は言った。ひらがな、カタカナ、漢字。鬱 iPhone で…",
    "th": "สวัสดีครับ ผมชื่อสมชาย วันนี้อากาศดีมาก",
    "my": "မင်္ဂလာပါ ခင်ဗျာ",
    "el": "Γειά σου Κόσμε· τι κάνεις;",
    "emoji": "good 👍🏽 job 🙂🙂 ❤️! 👨‍👩‍👧 end",
}
UNSPACED = ("zh", "ja", "th", "my")


@pytest.fixture(scope="module")
def model(multilingual_checkpoint: Folder) -> Any:
    from aligner.models import load_model

    return load_model(str(multilingual_checkpoint))


@pytest.mark.parametrize("language", SENTENCES)
def test_splitting_equals_openai_whisper_with_the_real_vocabulary(
    language: str, model: Any, multilingual_checkpoint: Folder
) -> None:
    from benchmarks.peers import openai_tokenizer

    peer = openai_tokenizer(multilingual_checkpoint, language if language != "emoji" else "en")
    ids = peer.encode(" " + SENTENCES[language])
    assert model.vocabulary.encode(" " + SENTENCES[language]) == ids
    words, tokens = peer.split_tokens_on_unicode(list(ids))
    found = split_on_unicode(ids, model.vocabulary.decode)
    assert [text for text, _, _ in found] == words
    assert [ids[start:stop] for _, start, stop in found] == tokens


@pytest.mark.parametrize("units", ["subword", "character"])
@pytest.mark.parametrize("language", SENTENCES)
def test_every_word_is_there_once_in_order_in_its_own_spelling(language: str, units: str, model: Any) -> None:
    text = SENTENCES[language]
    tokens = model.tokenize(text, units, None if language == "emoji" else language)
    assert "".join(word.text for word in tokens.words).replace(" ", "") == "".join(text.split())
    if language not in UNSPACED:
        assert " ".join(word.text for word in tokens.words) == " ".join(text.split())
        letters = [word for word in text.split() if not is_punctuation(word)]
        assert len(tokens.words) == len(letters)  # marks on their own belong to the word before
    assert model.vocabulary.decode(tokens.ids).strip() == " ".join(text.split())
    previous = 0
    for word in tokens.words:
        assert previous <= word.start < word.stop <= len(tokens)
        spoken = model.vocabulary.decode(tokens.ids[word.start : word.stop])
        assert spoken.strip() in word.text and "\ufffd" not in spoken  # whole characters
        assert not is_punctuation(spoken)
        previous = word.stop
    assert not any(is_punctuation(word.text) for word in tokens.words)


@pytest.mark.parametrize("language", ["th", "my", "lo", "ja"])
def test_no_word_ends_inside_a_cluster_and_the_spaces_of_the_transcript_stay(language: str, model: Any) -> None:
    text = {**SENTENCES, "lo": "ສະບາຍດີ ເຈົ້າຊື່ຫຍັງ ຂ້ອຍບໍ່ເຂົ້າໃຈ"}[language]
    if language == "th":
        text = (Folder(__file__).parent / "data" / "cases" / "thai.txt").read_text(encoding="utf-8").strip()
    spans = model.tokenize(text, language=language).words
    words = [Word(span.text, k, k + 1) for k, span in enumerate(spans)]
    assert len(words) > len(text.split())
    ends = set(itertools.accumulate(len(part) for part in clusters(letters(text))))
    assert set(itertools.accumulate(len(letters(word.text)) for word in words)) <= ends
    assert not any(unicodedata.category(word.text[0])[0] == "M" for word in words)
    assert running(as_written(words, text, ())) == text


def test_a_script_without_spaces_keeps_its_clusters_and_the_spaces_of_the_transcript() -> None:
    text = "สวัสดีครับ วันนี้ดี\nแล้ว"
    script = script_of(text, "th")
    assert [word.strip() for word in script.words] == [part for part in clusters(text) if part.strip()]
    assert script.text(range(len(script.words))) == text
    assert script_of("so it is. Yes", "en").words == ("so", "it", "is.", "Yes")


def test_marks_stay_outside_the_rows_of_their_word(model: Any) -> None:
    tokens = model.tokenize('"Hello," (she) said ... - ok!')
    assert [word.text for word in tokens.words] == ['"Hello,"', "(she)", "said ... -", "ok!"]
    rows = [model.vocabulary.decode(tokens.ids[word.start : word.stop]).strip() for word in tokens.words]
    assert rows == ["Hello", "she", "said", "ok"]
    assert [word.text for word in model.tokenize("- yes").words] == ["- yes"]
    quoted = model.tokenize("彼は「猫」と(犬)。", language="ja")
    assert [word.text for word in quoted.words] == ["彼", "は", "「猫」", "と", "(犬)。"]
    rows = [model.vocabulary.decode(quoted.ids[word.start : word.stop]) for word in quoted.words]
    assert rows == ["彼", "は", "猫", "と", "犬"]
    assert [word.text for word in model.tokenize("「猫「", language="ja").words] == ["「猫「"]
    assert model.tokenize("。「」", language="ja").words == ()
    assert model.tokenize("... !").words == () and model.tokenize("  \n ").words == ()
