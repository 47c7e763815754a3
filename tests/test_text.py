"""What is said for what is written: the same words whether read one by one or together, always sayable."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aligner
from aligner.audio.read import stream
from aligner.models import SpeechModel
from aligner.text.spoken import spoken_form

SAMPLES = Path(__file__).parents[1] / "data" / "samples"

ENGLISH = {
    "1st": "first", "3rd,": "third", "11th-century": "eleventh century", "1999": "nineteen ninety nine",
    "2005.": "two thousand and five", "1,999": "one thousand nine hundred and ninety nine",
    "3.10": "three point one zero", "007": "zero zero seven", "1.2.3": "one point two point three",
    "-5": "minus five", "1990–1995": "nineteen ninety to nineteen ninety five",
    "$5.20": "five dollars and twenty cents", "$1.01": "one dollar and one cent",
    "€1,234": "one thousand two hundred and thirty four euros", "5€": "five euros",
    "£3.05": "three pounds and five pence", "$1.5bn": "one point five billion dollars", "(5%),": "five percent",
    "20°C": "twenty degrees celsius", "5km": "five kilometers", "10:30": "ten thirty", "10:00": "ten o'clock",
    "10:05": "ten oh five", "3:45pm.": "three forty five p m", "9am": "nine a m",
    "12/31/2024": "december thirty first twenty twenty four",
    "31.12.2024": "december thirty first twenty twenty four",
    "2024-12-31": "december thirty first twenty twenty four", "½": "one half", "2½": "two and one half",
    "3/4": "three quarters", "24/7": "twenty four seven", "1990s": "nineteen nineties", "’80s": "eighties",
    "Dr.": "doctor", "(Mr": "mister", "St.": "saint", "etc.).": "et cetera", "No.": "no", "U.S.": "u s",
    "e-mail": "e mail", "me@example.org,": "me at example dot org", "https://a.org/b?": "a dot org slash b",
    "example.com.": "example dot com", "AT&T": "at and t", "#5": "number five", "m²": "m squared", "don’t": "don't",
    "“Quoted”": "quoted", "’tis": "tis", "cafe\u0301": "cafe", "caf\u00e9": "cafe", "Straße": "strasse",
    "ﬁne": "fine", "٣٤": "thirty four", "日本": "", "🙂": "", "…": "", "": "",
}  # fmt: skip


@pytest.mark.parametrize("written", ENGLISH)
def test_english(written: str) -> None:
    assert spoken_form(written) == ENGLISH[written]


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("de", "Um 3,5 Uhr, „schön“: 1.000 Straßen!", "um drei komma fünf uhr schön eintausend straßen"),
        ("fr", "L’été, 21 fois", "l'été vingt et un fois"),
        ("ru", "в 5 раз", "в пять раз"),
        ("ar", "هذا 12", "هذا اثنا عشر"),
        ("hi", "नमस्ते, 5", "नमस्ते 5"),  # num2words has no Hindi: figures stay
    ],
)
def test_other_languages_have_their_own_numbers_and_keep_their_letters(language: str, written: str, said: str) -> None:
    assert spoken_form(written, language) == said


TEXTS = st.lists(st.sampled_from(list(ENGLISH)) | st.text(max_size=12), max_size=6).map(" ".join)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_text_is_said_as_its_words_are_and_can_be_spelled(text: str) -> None:
    said = spoken_form(text)
    assert re.fullmatch(r"([a-z]([a-z']*[a-z])?( [a-z]([a-z']*[a-z])?)*)?", said)
    assert said == " ".join(filter(None, map(spoken_form, text.split())))
    assert spoken_form(said) == said


@pytest.mark.parametrize("unit", ["1", "a", "1,", "a.", "9:", "1st", "$", "½", "a@", "-1", "1/", "'"])
def test_endless_words_are_read_in_linear_time(unit: str) -> None:
    began = time.process_time()
    spoken_form(unit * (20_000 // len(unit)))
    assert time.process_time() - began < 5


WRITTEN = {
    "numbers": "At 10:30 on 12/31/1999, the 3rd of 1,234.",
    "money": "It costs $5.20 – or 5€, 50% off!",
    "abbreviations": "Dr. Lee, e.g. Mr. Fox vs. St. John, etc.",
    "addresses": "Mail me@example.org or see https://example.org/a?b=c.",
    "hyphens and quotes": "“Well-known,” she said — ‘mother-in-law’ …",
    "apostrophes": "Don’t rock'n'roll ’cause it’s o’clock",
    "case": "THE Soup iPhone McDonald",
    "emoji": "soup 😀 is 👩\u200d👩\u200d👧 hot 🇨🇭",
    "composed": "caf\u00e9 na\u00efve",
    "decomposed": "cafe\u0301 nai\u0308ve",
    "right to left": "הוא אמר 12, שלום.",
    "Arabic": "مرحبا بالعالم، 5 مرات",
    "Cyrillic": "Пожалуйста, откройте окно",
    "Chinese": "请打开 厨房窗户。",
    "mixed": "open окно 窗户 2nd فتح",
}


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return aligner.load_model()


@pytest.mark.parametrize("kind", WRITTEN)
def test_words_come_out_as_written_in_order_with_times(kind: str, model: SpeechModel) -> None:
    found = aligner.align(stream(SAMPLES / "alice.flac", 16_000, 0.0, 12.0), WRITTEN[kind], model)
    assert found.text == WRITTEN[kind]
    times = [time for word in found.words for time in (word.start, word.end)]
    assert times == sorted(times) and all(word.start < word.end for word in found.words)
