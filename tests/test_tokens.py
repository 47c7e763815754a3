"""Token ids are those of openai-whisper, whatever file the vocabulary comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aligner.errors import ModelError
from aligner.models.known import EMBEDDED
from aligner.models.tokens import Vocabulary, read_vocabulary, tokenize
from benchmarks.peers import with_special_tokens

tokenizers = pytest.importorskip("whisper.tokenizer", reason="openai-whisper, a test-only peer, is not installed")

BASE = Path(__file__).parents[1] / "build" / "real" / "base"
SENTENCES = {
    "en": "The two cats sat there, thinking that they'd better go to town at 7:30.",
    "de": "Die Straße war größer, als er dachte; „toll“, sagte die Tante.",
    "fr": "L'été dernier, qu'est-ce que tu as trouvé ? Un « croque-monsieur » très tendre.",
    "es": "¿Tienes tiempo? ¡Todos tomamos té en la terraza, señor!",
    "it": "Tutti e tre trovarono il treno; perché non è tornato?",
    "pt": "Também tenho três irmãos: não têm tempo às terças.",
    "pl": "Zażółć gęślą jaźń; tak, to ta łódź.",
    "tr": "Tamam, teşekkür ederim; İstanbul'da tanıştık.",
    "ru": "Съешь ещё этих мягких французских булок, да выпей чаю.",
    "ar": "مرحبا بالعالم، كيف حالك اليوم؟ هذا كتابٌ جميل.",
    "hi": "नमस्ते दुनिया, आप कैसे हैं? यह एक अच्छी किताब है।",
    "ko": "안녕하세요, 오늘 날씨가 정말 좋네요!",
    "zh": "今天天气很好,我们去公园吧。OpenAI 2024年!",
    "ja": "「今日は」と彼は言った。カタカナ、漢字。",
    "th": "สวัสดีครับ วันนี้อากาศดีมาก",
}


def without_its_first_merge(folder: Path) -> Path:
    """The multilingual file as it circulates: whoever wrote it took the first merge for a comment."""
    written = json.loads(with_special_tokens(read_vocabulary(None, 51865)))
    assert "".join(written["model"]["merges"].pop(0)) == "Ġt"
    (folder / "tokenizer.json").write_text(json.dumps(written), encoding="utf-8")
    return folder


def in_parts(folder: Path) -> Path:
    """The older form, of three files."""
    written = json.loads(with_special_tokens(read_vocabulary(None, 51865)))
    merges = [" ".join(pair) for pair in written["model"]["merges"]]
    (folder / "vocab.json").write_text(json.dumps(written["model"]["vocab"]), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    added = {token["content"]: token["id"] for token in written["added_tokens"]}
    (folder / "added_tokens.json").write_text(json.dumps(added), encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=["known", "circulating", "parts", "base"])
def vocabulary(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    if request.param == "base" and not BASE.is_dir():
        pytest.skip("base is not there: run make real")
    made = {"circulating": without_its_first_merge, "parts": in_parts}
    folder = BASE if request.param == "base" else None
    if request.param in made:
        folder = made[request.param](tmp_path_factory.mktemp(request.param))
    return read_vocabulary(folder, 51865)


@pytest.mark.parametrize("language", SENTENCES)
def test_ids_of_the_multilingual_vocabulary(language: str, vocabulary: Vocabulary) -> None:
    peer = tokenizers.get_tokenizer(True, language=language)
    for text in (SENTENCES[language], " " + SENTENCES[language]):
        ids = vocabulary.encode(text)
        assert ids == peer.encode(text)
        assert vocabulary.decode(ids) == text


def test_special_tokens_of_the_multilingual_vocabulary(vocabulary: Vocabulary) -> None:
    peer = tokenizers.get_tokenizer(True)
    for name, index in peer.special_tokens.items():
        if not name.startswith("<|0.") and not name[2].isdigit():
            # The files in circulation have the older name.
            name = name if name in vocabulary.special else name.replace("nospeech", "nocaptions")
            assert vocabulary.special[name] == index


def test_the_hundredth_language_of_large_v3_moves_what_follows_it() -> None:
    peer = tokenizers.get_tokenizer(True, num_languages=100)
    found = read_vocabulary(None, 51866).special
    assert found["<|yue|>"] == peer.special_tokens["<|yue|>"]
    assert found["<|notimestamps|>"] == peer.no_timestamps == 50364


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_ids_of_the_english_vocabulary(language: str) -> None:
    peer = tokenizers.get_tokenizer(False)
    for folder in (EMBEDDED, None):
        found = read_vocabulary(folder, 51864)
        assert found.encode(" " + SENTENCES[language]) == peer.encode(" " + SENTENCES[language])
        assert found.special["<|notimestamps|>"] == peer.no_timestamps
        assert found.decode(found.encode("<|en|>")) == "<|en|>"
        assert max(found.encode("<|en|>")) < found.special["<|endoftext|>"]


def test_special_tokens_in_a_text_are_plain_characters(vocabulary: Vocabulary) -> None:
    text = " say <|en|> and <|endoftext|> or <|0.00|>"
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert max(ids) < vocabulary.special["<|endoftext|>"]


def test_a_vocabulary_of_another_size_needs_its_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing is known of 40000 tokens"):
        read_vocabulary(tmp_path, 40_000)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model": {"type": "BPE", "vocab": 1, "merges": []}}'])
def test_a_damaged_vocabulary_is_one_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=r"vocabulary in .* is damaged") as caught:
        read_vocabulary(tmp_path, 51865)
    assert "\n" not in str(caught.value)


def test_words_that_a_user_sets_apart_are_words_in_chinese_too() -> None:
    vocabulary = read_vocabulary(None, 51865)

    def words(text: str) -> tuple[str, list[str]]:
        found = tokenize(text, vocabulary.encode, vocabulary.decode, language="zh")
        return vocabulary.decode(found.ids), [span.text for span in found.words]

    apart, together = "我们 今天下午 去 看 OK 吗 ？", "我们今天下午去看OK吗？"
    # The decoder has not seen spaces between Chinese words: only Latin ones keep theirs.
    assert words(apart) == ("我们今天下午去看 OK 吗？", ["我们", "今天下午", "去", "看", "OK", "吗 ？"])
    # Spaces between sentences tell nothing of words.
    said, found = words(f"{together} {together}")
    assert said == f"{together} {together}"
    assert "今天下午" not in found
