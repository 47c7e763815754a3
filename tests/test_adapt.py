"""Teaching a head from recordings and transcripts: what is learned from, what is left out, resuming, the command."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from aligner import load_model
from aligner.command import journal
from aligner.command.cli import main as align_main
from aligner.command.plan import plan
from aligner.core import Audio, Word
from aligner.errors import InputError
from aligner.models.base import Encoded, SpeechModel
from aligner.text.pronunciation import spellers
from aligner.timing.cepstra import BANDS
from aligner.timing.head import HEADS, known, load
from aligner.training.corpus import SHORT, Item, chosen, cut, doubt, pieces, read_corpus, timed
from aligner.training.gain import Gain, gain
from aligner.training.lessons import encoded, packed
from aligner.training.teach import Lesson
from benchmarks.languages import speak
from eval.cli import main

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
RATE = 16_000


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["adapt", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return load_model()


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A folder of recordings with their transcripts beside them, one of a second speaker, one without a transcript."""
    folder = tmp_path / "talks"
    (folder / "anna").mkdir(parents=True)
    for name, place in (("carrots", folder), ("oranges", folder), ("twelve", folder / "anna")):
        shutil.copy(SAMPLES / f"{name}.flac", place)
        shutil.copy(SAMPLES / f"{name}.txt", place / f"{name}.lab")
    shutil.copy(SAMPLES / "twelve.flac", folder / "silent.flac")
    return folder


def items(durations: Sequence[float], speakers: str) -> list[Item]:
    return [
        Item(Path(f"{k}.wav"), "a word", speaker, "made", 0.0, seconds)
        for k, (seconds, speaker) in enumerate(zip(durations, speakers, strict=True))
    ]


# --- corpora -------------------------------------------------------------------------------


def test_a_folder_gives_recordings_with_a_transcript(talks: Path) -> None:
    found = read_corpus(talks)
    assert [(item.audio.stem, item.speaker) for item in found] == [
        ("twelve", "anna"), ("carrots", "."), ("oranges", "."),
    ]  # fmt: skip
    assert all(item.text for item in found)
    assert len(read_corpus(talks, own=True)) == 4, "a model that writes its own texts needs none"


def test_a_manifest_gives_recordings_beside_it(talks: Path) -> None:
    manifest = talks / "some.jsonl"
    manifest.write_text(json.dumps({"audio": "anna/twelve.flac", "text": "twelve", "speaker": "anna"}) + "\n\n")
    (item,) = map(timed, read_corpus(manifest))
    assert (item.audio, item.text, item.speaker, item.source) == (talks / "anna/twelve.flac", "twelve", "anna", "some")
    assert item.duration == pytest.approx(soundfile.info(SAMPLES / "twelve.flac").duration, abs=1e-3)


@pytest.mark.parametrize("line", ["{", '{"text": "no audio"}', '{"audio": "a.wav"}', '{"audio": "a.wav", "text": 3}'])
def test_a_line_that_is_no_recording_is_named(line: str, tmp_path: Path) -> None:
    manifest = tmp_path / "bad.jsonl"
    manifest.write_text(line + "\n")
    with pytest.raises(InputError, match=r"bad\.jsonl, line 1"):
        read_corpus(manifest)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no recording with a transcript beside it"):
        read_corpus(tmp_path)


def test_hours_are_taken_evenly_over_speakers() -> None:
    found = chosen(items([10.0] * 40, "a" * 30 + "b" * 10), 120 / 3600, seed=1)
    assert sum(item.duration for item in found) == 120
    assert sorted(item.speaker for item in found) == ["a"] * 6 + ["b"] * 6
    assert found == chosen(items([10.0] * 40, "a" * 30 + "b" * 10), 120 / 3600, seed=1)
    assert found != chosen(items([10.0] * 40, "a" * 30 + "b" * 10), 120 / 3600, seed=2)


def test_transcripts_of_other_recordings_are_doubted() -> None:
    say = spellers["letters"]("de")

    def of(text: str, seconds: float) -> str | None:
        return doubt(Item(Path("a.wav"), text, "", "", 0.0, seconds), say)

    assert of("ein Satz von üblicher Länge", 2.0) is None
    assert "far too long" in (of("ein Satz von üblicher Länge", 0.5) or "")
    assert "far too short" in (of("ja", 10.0) or "")
    assert "lasts only" in (of("ja", 0.2) or "")
    assert of("— 12 日本 —", 2.0) is None, "what cannot be spelled is a sound, and marks are none"


def test_long_recordings_are_cut_in_pauses() -> None:
    words, at = [], 0.0
    for k in range(200):
        words.append(Word(f"w{k}", at, at + 0.3))
        at += 0.3 + (0.5 if k % 10 == 9 else 0.02)
    groups = cut(words)
    assert [word for group in groups for word in group] == words
    assert all(group[-1].end - group[0].start <= SHORT for group in groups)
    assert all(int(group[-1].text[1:]) % 10 == 9 for group in groups)
    steady = [Word("w", k * 0.3, k * 0.3 + 0.3) for k in range(200)]
    assert all(group[-1].end - group[0].start <= SHORT for group in cut(steady)), "without pauses, between words"


def test_a_long_recording_becomes_pieces_with_their_words(model: SpeechModel, tmp_path: Path) -> None:
    texts, sound = [], []
    for name in ("carrots", "oranges", "twelve") * 3:
        samples, rate = soundfile.read(SAMPLES / f"{name}.flac", dtype="float32")
        sound += [samples, np.zeros(rate // 2, np.float32)]
        texts.append((SAMPLES / f"{name}.txt").read_text().strip())
    audio = tmp_path / "long.wav"
    soundfile.write(audio, np.concatenate(sound), rate)
    item = timed(Item(audio, " ".join(texts), "", ""))
    assert item.duration > SHORT
    found = pieces(model, item, "en")
    assert len(found) > 1
    assert all(piece.duration <= SHORT for piece in found)
    assert all(a.end <= b.start + 0.3 for a, b in itertools.pairwise(found))
    kept = " ".join(piece.text or "" for piece in found).split()
    assert len(kept) >= 0.9 * len(" ".join(texts).split())


def test_a_model_writes_the_texts_that_are_not_given(model: SpeechModel) -> None:
    (piece,) = pieces(model, timed(Item(SAMPLES / "carrots.flac", None, "", "")), "en")
    written = (piece.text or "").casefold()
    assert "carrots" in written
    assert 0 <= piece.start < piece.end <= soundfile.info(SAMPLES / "carrots.flac").duration


# --- lessons -------------------------------------------------------------------------------


def test_pieces_share_windows_and_keep_their_words(model: SpeechModel, talks: Path, tmp_path: Path) -> None:
    own = [timed(item) for item in read_corpus(talks)]
    windows = packed(model, own, "en")
    assert len(windows) == 1 and len(packed(model, own, "en", apart=True)) == 3
    together = list(encoded(model, windows, "en", tmp_path / "a"))
    apart = list(encoded(model, packed(model, own, "en", apart=True), "en", tmp_path / "b"))
    head = load(HEADS / "tiny.en.safetensors")
    for item, one, other in zip(own, together, apart, strict=True):
        assert one.words == other.words == tuple(w for w in (item.text or "").split() if w.isalnum() or w[:-1])
        assert one.energies.shape == other.energies.shape
        assert one.starts is not None and other.starts is not None
        assert one.starts[0] >= 0 and one.starts[-1] < item.duration
        apart_by = np.abs(np.array(one.starts) - np.array(other.starts))
        assert np.median(apart_by) < 0.1, "words are where they are in a window of their own"
        heard, heard_apart = (
            head.sound_posteriors(lesson.states.astype(np.float32)).argmax(1) for lesson in (one, other)
        )
        assert (heard == heard_apart).mean() > 0.75


class _Stopping:
    """A model that is stopped after some windows."""

    together = 1

    def __init__(self, model: SpeechModel, most: int) -> None:
        self._model, self.left = model, most

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def encode_all(self, audio: Sequence[Audio], thin: bool = False) -> list[Encoded]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return self._model.encode_all(audio)


def test_what_was_encoded_before_a_stop_is_not_encoded_again(model: SpeechModel, talks: Path, tmp_path: Path) -> None:
    own = [timed(item) for item in read_corpus(talks)]
    windows = packed(model, own, "en", apart=True)
    whole = list(encoded(model, windows, "en", tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        list(encoded(_Stopping(model, 2), windows, "en", tmp_path / "work"))  # type: ignore[arg-type]
    again = list(encoded(_Stopping(model, 1), windows, "en", tmp_path / "work"))  # type: ignore[arg-type]
    for one, other in zip(whole, again, strict=True):
        assert one.words == other.words and one.starts == other.starts
        np.testing.assert_array_equal(one.states, other.states)
    # A file that was being written, or is damaged, is made again.
    next((tmp_path / "work").glob("*.npz")).write_bytes(b"PK half a file")
    assert len(list(encoded(_Stopping(model, 1), windows, "en", tmp_path / "work"))) == 3  # type: ignore[arg-type]


# --- the command ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, object]]]:
    """Three minutes of synthetic German with texts, and some sentences with exact times."""
    folder = tmp_path_factory.mktemp("german")
    try:
        return folder, speak("de", folder, 3.0, 4)
    except OSError as error:
        pytest.skip(str(error))


def test_another_language_is_taught_and_used(
    german: tuple[Path, list[dict[str, object]]], multilingual_checkpoint: Path, tmp_path: Path
) -> None:
    """From recordings to words, with a checkpoint of random weights: cepstra alone must find the words then."""
    folder, judged = german
    shutil.copytree(folder / "learn", tmp_path / "learn")
    first, second = sorted((tmp_path / "learn").glob("*.txt"))[:2]
    first.write_text("Wort " * 400)
    second.write_text("ja")
    head = tmp_path / "german.head"
    said = run(tmp_path / "learn", "-m", multilingual_checkpoint, "-l", "German", "-o", head).output
    scores = {start: float(score) for score, start in re.findall(r"(-\d+\.\d+) from (attention|even)", said)}
    assert len(scores) == 2
    assert "far too long" in said and "far too short" in said and "left out 2, kept" in said
    assert "held-out recordings" in said.splitlines()[-1]
    assert not list(tmp_path.glob("*.work"))
    card = load(head).card
    assert (card.language, card.speller, card.data) == ("de", "letters", ("learn",))
    assert scores[card.start] == max(scores.values()), "of two starts the likelier is kept"
    assert set("aeinrst") <= set(card.sounds)
    errors, spoken = [], 0
    for one in judged:
        out = tmp_path / "out.json"
        gold = one["words"]
        text = " ".join(word for word, _, _ in gold)  # type: ignore[attr-defined]
        result = CliRunner().invoke(
            align_main,
            [str(one["audio"]), "-t", text, "-m", str(multilingual_checkpoint), "-l", "de", "--head", str(head), "-o",
             str(out)],
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        written = json.loads(out.read_text())
        provenance = written["provenance"]
        words = [word for segment in written["segments"] for word in segment["words"]]
        assert provenance["timing"] == "head" and provenance["head"]["language"] == "de"
        assert provenance["head"]["file"] == str(head)
        spoken += len(gold)  # type: ignore[arg-type]
        same = SequenceMatcher(None, [w["word"].strip() for w in words], text.split(), False).get_matching_blocks()
        pairs = [(words[m.a + k], gold[m.b + k]) for m in same for k in range(m.size)]  # type: ignore[index]
        errors += [abs(word["start"] - true[1]) for word, true in pairs]  # type: ignore[call-overload]
    assert len(errors) > 0.7 * spoken  # words that are not heard are named, not timed
    assert np.median(errors) < 0.1, "from even spacing and cepstra alone"
    # The same head for the embedded checkpoint is refused, at once and in a sentence.
    refused = CliRunner().invoke(align_main, [str(judged[0]["audio"]), "-t", text, "--head", str(head)])
    assert refused.exit_code == 1 and "is another checkpoint" in refused.output


def test_an_output_is_made_again_when_the_head_has_changed(tmp_path: Path) -> None:
    talk = Path(__file__).parents[1] / "data" / "samples" / "carrots.flac"
    file = tmp_path / "a.head"

    def key(content: bytes) -> str:
        file.write_bytes(content)
        options = align_main.make_context("align", [str(talk), "--head", str(file)]).params
        todo = plan(options.pop("audio"), options.pop("manifest"), options)
        return journal.key(todo, todo.jobs[0], None)

    shipped, other = ((HEADS / f"{name}.safetensors").read_bytes() for name in ("tiny.en", "base"))
    assert key(shipped) != key(other) and key(shipped) == key(shipped)


def test_too_little_speech_is_refused(talks: Path, tmp_path: Path) -> None:
    said = run(talks, "-o", tmp_path / "a.head", code=1).output
    assert "too little speech to learn from" in said
    assert not (tmp_path / "a.head").exists()
    assert (tmp_path / "a.head.work").is_dir(), "what was encoded serves the next try"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--speller", "nonsense"), "unknown speller 'nonsense'"),
        (("-l", "de"), "English"),
    ],
)
def test_choices_that_do_not_fit_are_named(arguments: Sequence[str], said: str, talks: Path, tmp_path: Path) -> None:
    result = run(talks, "-o", tmp_path / "a.head", *arguments, code=1)
    assert said in result.output and "Traceback" not in result.output


def test_the_language_of_a_multilingual_checkpoint_must_be_named(
    talks: Path, tmp_path: Path, multilingual_checkpoint: Path
) -> None:
    assert "--language" in run(talks, "-m", multilingual_checkpoint, "-o", tmp_path / "a.head", code=1).output


def test_a_file_that_is_no_head_is_told_before_any_work(talks: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.head"
    bad.write_text("nothing")
    result = CliRunner().invoke(align_main, [str(talks / "oranges.flac"), "--head", str(bad), "-o", str(tmp_path)])
    assert result.exit_code == 1 and "bad.head is no timing head" in result.output


# --- whether it gains ----------------------------------------------------------------------


def test_a_head_gains_where_its_halves_agree_better_than_attention_does() -> None:
    assert Gain(3, 20, 0.02, 0.05).gained and "it gains" in str(Gain(3, 20, 0.02, 0.05))
    worse = Gain(3, 20, 0.06, 0.05)
    assert not worse.gained and "it does not gain" in str(worse)
    assert not Gain(0, 0, 0.0, 0.0).gained


def test_the_shipped_head_gains_on_samples(model: SpeechModel, talks: Path, tmp_path: Path) -> None:
    path = known(model.fingerprint, "en")
    assert path is not None
    own = [timed(item) for item in read_corpus(talks)]
    found = gain(load(path), list(encoded(model, packed(model, own, "en"), "en", tmp_path / "w")))
    assert found.recordings == 3 and found.words > 10
    assert found.gained, str(found)


def test_nothing_held_out_is_said() -> None:
    lesson = Lesson(("a",), np.zeros((10, BANDS), np.float32), np.zeros((5, 4), np.float16))
    assert "nothing was held out" in str(gain(load(next(HEADS.glob("*.safetensors"))), [lesson]))
