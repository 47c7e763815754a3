"""Recipes and manifests: what is read, what is refused and how the sentence reads."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from aligner.core import Word
from aligner.errors import InputError
from eval.cli import main
from eval.corpora import recipes
from eval.corpora.base import LONGEST, pieces
from eval.manifest import Utterance, check, disjoint, load_audio, make_utterance, read_manifest, write_manifest

RATE = 16_000
SHARED = Path(__file__).parent.parent.parent / "shared" / "corpora"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the development corpora are not beside the checkout")


def speak(path: Path, words: list[tuple[str, float, float]], duration: float, rate: int = RATE, **form: str) -> None:
    """Noise that is loud where words are: enough speech for an energy check."""
    rng = np.random.default_rng(len(words))
    samples = 0.001 * rng.standard_normal(round(duration * rate))
    for _, start, end in words:
        samples[round(start * rate) : round(end * rate)] *= 200
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(samples, -1, 1), rate, **form)


WORDS = [("she", 0.3, 0.6), ("had", 0.7, 0.95), ("your", 0.95, 1.2), ("suit", 1.6, 2.1)]


def write_timit(folder: Path, shift: float = 0.0, count: int = 1, **audio) -> None:
    for k in range(count):
        for name in (f"sx{k + 1}", "sa1"):
            stem = folder / "train" / "dr1" / "fcjf0" / name
            speak(stem.with_suffix(".wav"), WORDS, 2.5, **audio)
            lines = [f"{round((a + shift) * RATE)} {round((b + shift) * RATE)} {w}" for w, a, b in WORDS]
            stem.with_suffix(".wrd").write_text("\n".join(lines) + "\n")


def prepared(name: str, folder: Path, **options) -> list[Utterance]:
    return list(recipes[name].prepare(folder, **options))


def test_timit_leaves_out_the_sentences_that_everybody_reads(tmp_path) -> None:
    write_timit(tmp_path)
    (found,) = prepared("timit", tmp_path)
    assert found.id == "train/dr1/fcjf0/sx1" and found.speaker == "fcjf0" and found.quality == "gold"
    assert [(w.text, w.start, w.end) for w in found.words] == WORDS
    assert [u.id[-3:] for u in prepared("timit", tmp_path, sa=True)] == ["sa1", "sx1"]


def test_timit_reads_nist_sphere(tmp_path) -> None:
    write_timit(tmp_path, format="NIST", subtype="PCM_16")
    assert (tmp_path / "train/dr1/fcjf0/sx1.wav").read_bytes().startswith(b"NIST_1A")
    found = prepared("timit", tmp_path)
    check(found)
    assert load_audio(found[0]).duration == pytest.approx(2.5)


def test_labels_in_timits_layout_may_be_in_any_script_as_utf_8(tmp_path) -> None:
    write_timit(tmp_path)
    (labels,) = tmp_path.rglob("sx1.wrd")
    labels.write_text("1000 9000 ティム\n9000 20000 私は\n", encoding="utf-8")
    (found,) = prepared("timit", tmp_path)
    assert [word.text for word in found.words] == ["ティム", "私は"]


def test_timit_at_another_rate_is_refused(tmp_path) -> None:
    write_timit(tmp_path, rate=8000)
    with pytest.raises(InputError, match=r"utterance train/dr1/fcjf0/sx1: .* 8000 Hz, but TIMIT's labels count"):
        prepared("timit", tmp_path)


def test_overlapping_labels_are_cut_in_the_middle() -> None:
    first, second = disjoint([("did", 0.0, 0.5), ("your", 0.4, 0.9)], "x")
    assert (first.end, second.start) == (pytest.approx(0.45), pytest.approx(0.45))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([("a", 0.5, 0.5)], "word 1 ('a') has impossible times"),
        ([("a", 1.0, 2.0), ("b", 0.5, 0.7)], "word 2 ('b') is out of order"),
        ([("a", 0.0, 2.0), ("b", 0.1, 0.3)], "inside its neighbour"),
    ],
)
def test_impossible_labels_are_refused_by_name(words, message) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        disjoint(words, "x")


def test_buckeye_starts_words_at_the_entry_before_and_cuts_at_the_interviewer(tmp_path) -> None:
    spoken = [("yes", 0.5, 0.9), ("well", 1.0, 1.4), ("so", 4.0, 4.5)]
    speak(tmp_path / "s01" / "s0101a.wav", spoken, 5.0)
    (tmp_path / "s01" / "s0101a.words").write_text(
        "header\n#\n"
        "  0.5 122 <SIL>; S; U; null\n  0.9 122 yes; y eh s; y eh s; UH\n  1.0 122 <SIL>\n"
        "  1.4 122 well; w eh l; w eh l; UH\n  3.9 122 <IVER>\n  4.0 122 <SIL>\n  4.5 122 so; s ow; s ow; RB\n"
        "  5.0 122 {E_TRANS}\n"
    )
    first, second = prepared("buckeye", tmp_path)
    assert first.text == "yes well" and second.text == "so" and first.speaker == "s01"
    assert first.offset == 0.25 and first.words[0].start == pytest.approx(0.25)
    assert second.offset + second.words[0].start == pytest.approx(4.0)
    check([first, second])
    (tmp_path / "s01" / "s0101a.words").write_text("no header end\n")
    with pytest.raises(InputError, match="no Buckeye label file"):
        prepared("buckeye", tmp_path)


def test_long_recordings_are_cut_at_their_longest_pauses() -> None:
    words, time = [], 0.5
    for k in range(60):
        words.append(Word(f"w{k}", time, time + 0.5))
        time += 0.5 + (0.4 if k % 20 == 19 else 0.1)
    recording = Utterance("r", "r.wav", tuple(words), RATE, time + 1)
    cut = list(pieces(recording))
    assert [len(u.words) for u in cut] == [20, 20, 20]
    assert all(u.duration <= LONGEST for u in cut) and len({u.id for u in cut}) == 3
    restored = [(w.text, round(w.start + u.offset, 5)) for u in cut for w in u.words]
    assert restored == [(w.text, round(w.start, 5)) for w in words]


def test_recordings_that_no_model_hears_at_once_are_refused_and_cut_when_asked(tmp_path) -> None:
    words = [(f"w{k}", 0.5 + 0.8 * k, 0.9 + 0.8 * k) for k in range(50)]
    speak(tmp_path / "long.wav", words, 41.0)
    write_grid(tmp_path / "long.TextGrid", words, 41.0)
    command = ["prepare", "textgrid", str(tmp_path), "-o", str(tmp_path / "long.jsonl")]
    assert CliRunner().invoke(main, command).exit_code == 0
    run = ["run", str(tmp_path / "long.jsonl"), "--grid", "small", "-o", str(tmp_path / "results")]
    refused = CliRunner().invoke(main, run)
    assert refused.exit_code == 1 and "utterance long: it lasts 41.00 s" in refused.stderr
    assert "prepare --cut" in refused.stderr
    assert CliRunner().invoke(main, [*command, "--cut"]).exit_code == 0
    found = read_manifest(tmp_path / "long.jsonl")
    assert [w.text for u in found for w in u.words] == [w for w, _, _ in words]
    assert len(found) > 1 and all(u.duration <= LONGEST + 1 for u in found)


GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
2.5
<exists>
1
"IntervalTier"
"words"
0
2.5
{count}
{intervals}
"""


def write_grid(path: Path, words: list[tuple[str, float, float]], duration: float = 2.5) -> None:
    edges, time = [], 0.0
    for text, start, end in words:
        edges += [(time, start, "")] if start > time else []
        edges.append((start, end, text))
        time = end
    edges.append((time, duration, ""))
    lines = "\n".join(f'{a}\n{b}\n"{t}"' for a, b, t in edges)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(GRID.format(count=len(edges), intervals=lines))


def test_textgrid_folder_takes_speakers_from_subfolders_and_drops_labels(tmp_path) -> None:
    for name in ("anna/one", "ben/two", "three"):
        speak(tmp_path / f"{name}.flac", WORDS, 2.5, rate=20_000)
        write_grid(tmp_path / f"{name}.TextGrid", [*WORDS, ("*", 2.2, 2.3)])
    found = prepared("textgrid", tmp_path, tier="words", quality="silver")
    assert [(u.id, u.speaker, u.quality, u.sample_rate) for u in found] == [
        ("anna/one", "anna", "silver", 20_000), ("ben/two", "ben", "silver", 20_000), ("three", None, "silver", 20_000),
    ]  # fmt: skip
    assert all(u.text == "she had your suit" for u in found)
    (tmp_path / "three.flac").unlink()
    with pytest.raises(InputError, match="utterance three: no audio file beside"):
        prepared("textgrid", tmp_path)


def test_librispeech_pairs_audio_and_alignments_of_two_folders(tmp_path) -> None:
    name = "1272-128104-0000"
    speak(tmp_path / "audio" / "1272" / f"{name}.flac", WORDS, 2.5)
    write_grid(tmp_path / "mfa" / f"{name}.TextGrid", WORDS)
    (found,) = prepared("librispeech", tmp_path / "audio", alignments=tmp_path / "mfa")
    assert (found.id, found.speaker, found.quality) == (name, "1272", "silver")
    write_grid(tmp_path / "mfa" / "1272-128104-0001.TextGrid", WORDS)
    with pytest.raises(InputError, match=r"utterance 1272-128104-0001: .* has no audio file"):
        prepared("librispeech", tmp_path / "audio", alignments=tmp_path / "mfa")


def test_ami_reads_words_of_a_speaker_from_that_speakers_headset(tmp_path) -> None:
    speak(tmp_path / "audio" / "ES2002a.Headset-1.wav", WORDS, 6.0)
    words = "".join(f'<w nite:id="{k}" starttime="{a}" endtime="{b}">{w}</w>' for k, (w, a, b) in enumerate(WORDS))
    late = '<w nite:id="9">lost</w><w nite:id="10" starttime="2.5" endtime="2.8">end</w>'
    (tmp_path / "ES2002a.B.words.xml").write_text(
        '<nite:root xmlns:nite="http://nite.sourceforge.net/">'
        f'{words}<w nite:id="8" starttime="2.1" endtime="2.1" punc="true">.</w>{late}</nite:root>'
    )
    found = prepared("ami", tmp_path, audio=tmp_path / "audio")
    assert [u.text for u in found] == ["she had your suit", "end"]
    assert {(u.speaker, u.quality) for u in found} == {("ES2002.B", "silver")}


def test_ctm_finds_recordings_by_name(tmp_path) -> None:
    speak(tmp_path / "wav" / "call7.wav", WORDS, 2.5)
    rows = [f"call7 A {a} {b - a:.3f} {w} 0.9" for w, a, b in reversed(WORDS)]
    (tmp_path / "ref.ctm").write_text(";; comment\n" + "\n".join(rows) + "\n")
    (found,) = prepared("ctm", tmp_path, audio=tmp_path / "wav")
    assert [(w.text, w.start, pytest.approx(w.end)) for w in found.words] == WORDS
    (tmp_path / "ref.ctm").write_text("other A 0.1 0.2 hello\n")
    with pytest.raises(InputError, match=r"utterance other: .* no audio file"):
        prepared("ctm", tmp_path)


def test_a_list_of_recordings_is_read_by_split_and_folder(tmp_path) -> None:
    for name in ("a/one.wav", "a/two.wav", "b/three.wav"):
        speak(tmp_path / name, WORDS, 2.5)
    lines = [
        {"audio": "a/one.wav", "words": WORDS, "split": "test"},
        {"audio": "a/two.wav", "words": WORDS, "split": "train"},
        {"audio": "b/three.wav", "words": WORDS, "split": "test", "speaker": "s", "language": "de"},
    ]
    listed = tmp_path / "words.jsonl"
    listed.write_text("\n".join(map(json.dumps, lines)) + "\n")
    found = prepared("lines", listed, split="test")
    assert [(u.id, u.speaker, u.language, u.source) for u in found] == [
        ("a/one.wav", "a", "en", "words"),
        ("b/three.wav", "s", "de", "words"),
    ]
    assert [(w.text, w.start, w.end) for w in found[0].words] == WORDS
    assert [u.id for u in prepared("lines", listed, under="a/")] == ["a/one.wav", "a/two.wav"]
    listed.write_text(json.dumps(lines[0]) + '\n{"audio": "a/two.wav"}\n')
    with pytest.raises(InputError, match=r"words\.jsonl, line 2 has no audio and words with times"):
        prepared("lines", listed)
    with pytest.raises(InputError, match="is not a file: give the list"):
        prepared("lines", tmp_path)


def test_synthetic_corpus_is_made_and_checked(tmp_path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over lazy dogs\nmany hands make light work for everyone here\n")
    try:
        found = prepared("synthetic", tmp_path / "made", make=6, text=text)
    except InputError as error:
        pytest.skip(str(error))
    assert len(found) == 6 and all(u.speaker for u in found)
    check(found)
    with pytest.raises(InputError, match="--make needs --text"):
        prepared("synthetic", tmp_path / "made", make=1)


@pytest.fixture
def manifest(tmp_path) -> tuple[Path, list[Utterance]]:
    """Six utterances of one source and their manifest."""
    utterances = []
    for k in range(6):
        moved = [(w, a + 0.07 * k, b + 0.07 * k) for w, a, b in WORDS]
        speak(tmp_path / f"u{k}.wav", moved, 3.0)
        utterances.append(make_utterance(f"u{k}", tmp_path / f"u{k}.wav", moved, source="toy"))
    write_manifest(utterances, tmp_path / "toy.jsonl")
    return tmp_path / "toy.jsonl", utterances


def test_manifest_round_trip_with_paths_that_move_along(manifest, tmp_path) -> None:
    path, utterances = manifest
    assert json.loads(path.read_text().splitlines()[0])["audio"] == "u0.wav"
    assert [u.to_json() for u in read_manifest(path)] == [u.to_json() for u in utterances]
    moved = tmp_path / "elsewhere"
    path.parent.joinpath("x").mkdir()
    moved.mkdir()
    for file in [path, *path.parent.glob("u*.wav")]:
        file.rename(moved / file.name)
    check(read_manifest(moved / path.name))


def shifted(utterance: Utterance, seconds: float) -> Utterance:
    words = tuple(replace(w, start=w.start + seconds, end=w.end + seconds) for w in utterance.words)
    return replace(utterance, words=words)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda u: replace(u, sample_rate=8000), r"utterance u2: the manifest says 8000 Hz, but .* has 16000 Hz"),
        (lambda u: shifted(u, 0.8), r"utterance u2: its last word 'suit' ends at 3\.040 s, but the audio lasts only"),
        (lambda u: replace(u, audio="gone.wav"), r"utterance u2: its audio file .*gone\.wav does not exist"),
        (lambda u: replace(u, duration=9.0), r"utterance u2: it should last until 9\.000 s"),
        (lambda u: shifted(u, 0.3), r"utterance u2: its sound fits its words 0\.30 s earlier than labelled"),
        (lambda u: shifted(u, -0.25), r"utterance u2: its sound fits its words 0\.2\d s later than labelled"),
        (lambda u: replace(u, words=()), r"utterance u2 has no words"),
    ],
    ids=["rate", "past the end", "missing", "too long", "late labels", "early labels", "no words"],
)
def test_run_refuses_what_would_make_scores_meaningless(manifest, tmp_path, change, message) -> None:
    path, utterances = manifest
    write_manifest([change(u) if u.id == "u2" else u for u in utterances], path)
    result = CliRunner().invoke(main, ["run", str(path), "-o", str(tmp_path / "results")])
    assert result.exit_code == 1
    assert re.search(message, result.stderr) and "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_small_common_shift_is_found_over_the_corpus(manifest) -> None:
    _, utterances = manifest
    check(utterances)
    with pytest.raises(InputError, match=r"utterance u\d and the other 5 of toy: .* 0\.06 s earlier than labelled"):
        check([shifted(u, 0.06) for u in utterances])


def test_undecodable_audio_is_refused(manifest, tmp_path) -> None:
    _, utterances = manifest
    (tmp_path / "u1.wav").write_bytes(b"not audio at all")
    with pytest.raises(InputError, match=r"utterance u1: .*u1\.wav cannot be decoded"):
        check(utterances)


LINE = '{"id": "a", "audio": "a", "words": [["x", 0, 1]], "sample_rate": 1, "duration": 1, "quality": "gold"}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no utterance"),
        ("{}", "line 1 is not an utterance"),
        ("hello", "line 1 is not an utterance"),
        (LINE.replace("gold", "best"), "quality 'best'"),
        (LINE.replace("1]]", '1], ["y", 0.5, 2]]'), "utterance a: its words overlap"),
        (f"{LINE}\n{LINE}", "names utterance a twice"),
    ],
)
def test_broken_manifests_are_refused(tmp_path, content, message) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=re.escape(message)):
        read_manifest(path)


def test_every_recipe_is_a_command_with_help() -> None:
    listing = CliRunner().invoke(main, ["prepare", "--help"]).output
    for name in recipes:
        assert name in listing
        result = CliRunner().invoke(main, ["prepare", name, "--help"])
        assert result.exit_code == 0 and "-o, --output" in result.output


def test_prepare_command_writes_a_manifest_and_says_what_is_in_it(tmp_path) -> None:
    write_timit(tmp_path / "timit")
    arguments = ["prepare", "timit", str(tmp_path / "timit"), "-o", str(tmp_path / "t.jsonl")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout == "" and "1 utterances, 4 words, 1 speakers" in result.stderr
    assert read_manifest(tmp_path / "t.jsonl")[0].text == "she had your suit"


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_prepare_refuses_a_folder_without_the_corpus(tmp_path, folder) -> None:
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(main, ["prepare", "timit", str(tmp_path / folder), "-o", str(tmp_path / "t.jsonl")])
    assert result.exit_code == 1 and folder in result.stderr and not (tmp_path / "t.jsonl").exists()


@pytest.mark.parametrize(
    ("recipe", "file", "before"),
    [
        ("timit", "train/dr1/fcjf0/sx1.wrd", b"1000 9000 she\n9000 20000 "),
        ("ctm", "ref.ctm", b"call7 A 0.3 0.3 she\ncall7 A 0.7 0.2 "),
        ("lines", "words.jsonl", b'{"audio": "call7.wav", "words": []}\n{"audio": "'),
        ("synthetic", "synthetic.jsonl", b'{"id": "call7", "speaker": "en", "words": [["she", 0.3, 0.6]]}\n{"id": "'),
    ],
)
def test_prepare_names_the_line_that_is_not_utf_8(tmp_path, recipe, file, before) -> None:
    write_timit(tmp_path)
    speak(tmp_path / "call7.wav", WORDS, 2.5)
    (tmp_path / file).write_bytes(before + "für\n".encode("latin-1"))
    given = tmp_path / file if recipe == "lines" else tmp_path
    result = CliRunner().invoke(main, ["prepare", recipe, str(given), "-o", str(tmp_path / "out.jsonl")])
    where = f"(line 2, byte {len(before) + 1})"
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert result.stderr == f"Error: {tmp_path / file} is not utf-8 text {where}: save it as UTF-8\n"
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("recipe", "file", "content", "message"),
    [
        ("textgrid", "one.TextGrid", GRID.format(count=1, intervals='0\n2.5\n"für"').encode("latin-1"), "nor UTF-16"),
        ("ami", "ES2002a.A.words.xml", "<r><w starttime='0' endtime='1'>für</w></r>".encode("latin-1"), "readable XML"),
        ("ami", "ES2002a.A.words.xml", b"<?xml version='1.0' encoding='x'?><r/>", "readable XML"),
        ("ami", "ES2002a.A.words.xml", b"<r><w starttime='soon' endtime='1'>a</w></r>", "'a' are not in seconds"),
        ("synthetic", "synthetic.jsonl", b'{"id": "one"}\n', "line 1 has no id, speaker and words"),
        ("ctm", "ref.ctm", b"one A 0.3 0.3 she\0\n", "holds binary data, not text"),
    ],
)
def test_prepare_refuses_annotations_that_cannot_be_read(tmp_path, recipe, file, content, message) -> None:
    speak(tmp_path / "one.wav", WORDS, 2.5)
    (tmp_path / file).write_bytes(content)
    result = CliRunner().invoke(main, ["prepare", recipe, str(tmp_path), "-o", str(tmp_path / "out.jsonl")])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert result.stderr.startswith(f"Error: {tmp_path / file}") and message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_manifest_in_another_encoding_is_refused_by_line(manifest) -> None:
    path, _ = manifest
    path.write_bytes(path.read_bytes() + b'{"id": "\xfc"}\n')
    with pytest.raises(InputError, match=r"toy\.jsonl is not utf-8 text \(line 7, byte \d+\): save it as UTF-8"):
        read_manifest(path)


def test_a_line_separator_inside_a_word_does_not_end_a_line_of_a_manifest(manifest) -> None:
    path, utterances = manifest
    odd = replace(utterances[0], words=(Word("a\u2028b\x85", 0.3, 0.6),))
    write_manifest([odd], path)
    assert read_manifest(path)[0].words == odd.words


@needs_shared
def test_real_corpora_pass_the_checks() -> None:
    timit = prepared("timit", SHARED / "timit-sample-dev")
    assert len(timit) == 64 and len({u.speaker for u in timit}) == 8
    check(timit[::8])
    check(prepared("textgrid", SHARED / "ae", tier="Text"))


@needs_shared
@pytest.mark.parametrize("seconds", [0.1, -0.1])
def test_another_version_of_a_real_corpus_is_caught(seconds) -> None:
    with pytest.raises(InputError, match="than labelled"):
        check([shifted(u, seconds) for u in prepared("timit", SHARED / "timit-sample-dev")[:8]])
