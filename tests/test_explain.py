"""align-eval explain: the page agrees with `align`, works offline, and runs in a browser without complaint."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from aligner.command.cli import main as align
from aligner.textgrid import read_words
from eval.cli import main

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
AUDIO, TEXT, GOLD = (SAMPLES / f"carrots{suffix}" for suffix in (".flac", ".txt", ".TextGrid"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def explain(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explain") / "explain.html"
    found = explain(AUDIO, "--text", TEXT, "--reference", GOLD, "--masks", 64, "-o", path)
    assert found.exit_code == 0, found.output
    assert "64 masks, split-half correlation" in found.stderr
    return path


def test_times_are_those_of_align_and_of_the_reference(page: Path) -> None:
    words = data_of(page.read_text(encoding="utf-8"))["words"]
    aligned = CliRunner().invoke(align, [str(AUDIO), "--text", str(TEXT), "-f", "json", "-o", "-", "-q"])
    assert aligned.exit_code == 0, aligned.output
    expected = [word for segment in json.loads(aligned.stdout)["segments"] for word in segment["words"]]
    assert [w["text"] for w in words] == [w["word"].strip() for w in expected]
    assert np.allclose([w["times"]["head"] for w in words], [[w["start"], w["end"]] for w in expected], atol=1e-3)
    by_attention = CliRunner().invoke(
        align, [str(AUDIO), "--text", str(TEXT), "--timing", "attention", "-f", "json", "-o", "-", "-q"]
    )
    expected = [word for segment in json.loads(by_attention.stdout)["segments"] for word in segment["words"]]
    assert np.allclose([w["times"]["attention"] for w in words], [[w["start"], w["end"]] for w in expected], atol=1e-3)
    gold = read_words(GOLD)
    assert np.allclose([w["times"]["gold"] for w in words], [[w.start, w.end] for w in gold], atol=1e-4)
    assert all(-1 <= w["agreement"] <= 1 for w in words)


def test_page_holds_the_recording_and_whole_maps(page: Path) -> None:
    data = data_of(page.read_text(encoding="utf-8"))
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data["audio"])))
    original, original_rate = soundfile.read(AUDIO)
    assert len(samples) / rate == pytest.approx(len(original) / original_rate, abs=1e-3)
    if rate == original_rate:
        assert np.allclose(samples, original, atol=1e-4)
    assert data["duration"] == pytest.approx(len(original) / original_rate, abs=1e-3)
    for name in ("attention", "saliency", "difference"):
        for rows, count in (("tokens", len(data["tokens"])), ("words", len(data["words"]))):
            packed = data["maps"][name][rows]
            assert packed["shape"][0] == count
            assert packed["shape"][1] * data["frame_duration"] == pytest.approx(data["duration"], abs=0.03)
            assert len(base64.b64decode(packed["bytes"])) == packed["shape"][0] * packed["shape"][1]
    assert len(data["heads"]) == 24 and sum(head["marked"] for head in data["heads"]) == 8
    assert all(head["tokens"]["shape"] == data["maps"]["attention"]["tokens"]["shape"] for head in data["heads"])


def test_page_loads_nothing_from_elsewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)  # base64 holds slashes
    assert not re.search(r"""[:"'(]//|@import|\bfetch\(|(?:src|href) ?= ?["'](?!data:)|url\(""", code)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")
def test_a_browser_shows_boundaries_and_cursor_where_the_data_has_them(page: Path, tmp_path: Path) -> None:
    found = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
            f"--user-data-dir={tmp_path}", "--virtual-time-budget=8000", f"{page.as_uri()}#t=1.5",
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in found.stderr, found.stderr  # any message or uncaught error of the page
    data = data_of(page.read_text(encoding="utf-8"))
    boxes = re.findall(
        r'class="word (\w+)" data-word="(\d+)"[^>]*style="left: ([\d.]+)%; width: ([\d.]+)%', found.stdout
    )
    assert len(boxes) == 4 * len(data["words"])
    for source, word, left, width in boxes:
        start, end = data["words"][int(word)]["times"][source]
        assert float(left) / 100 * data["duration"] == pytest.approx(start, abs=1e-3)
        assert float(width) / 100 * data["duration"] == pytest.approx(end - start, abs=1e-3)
    cursor = re.search(r'id="cursor" data-time="1.500" style="left: ([\d.]+)%', found.stdout)
    assert cursor and float(cursor[1]) / 100 * data["duration"] == pytest.approx(1.5, abs=1e-3)
    seconds = re.search(r'<body data-seconds="([\d.]+)"', found.stdout)  # set once the recording has been decoded
    assert seconds and float(seconds[1]) == pytest.approx(data["duration"], abs=2e-3)


def test_the_page_is_the_same_every_time(page: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    assert explain(AUDIO, "--text", TEXT, "--reference", GOLD, "--masks", 64, "-o", again).exit_code == 0
    assert again.read_bytes() == page.read_bytes()


def test_gradients_need_no_masks_and_no_reference(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    found = explain(AUDIO, "--text", "Please open", "--saliency", "gradient:output", "-o", path)
    assert found.exit_code == 0, found.output
    data = data_of(path.read_text(encoding="utf-8"))
    assert data["masks"] == 0 and data["convergence"] is None
    assert all(set(word["times"]) == {"head", "attention", "saliency"} for word in data["words"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("missing.wav",), "missing.wav"),
        ((AUDIO, "--text", TEXT, "--saliency", "magic"), "unknown saliency method 'magic'"),
        ((AUDIO, "--text", TEXT, "--masks", "many"), "--masks 'many' is neither a number nor auto"),
        ((AUDIO, "--text", TEXT, "--masks", "1"), "masks are too few"),
        ((AUDIO, "--text", TEXT, "--reference", "missing.TextGrid"), "missing.TextGrid"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_a_sentence(
    arguments: tuple[object, ...], sentence: str, tmp_path: Path
) -> None:
    found = explain(*arguments, "-o", tmp_path / "page.html")
    assert found.exit_code == 1
    assert sentence in found.stderr and "Traceback" not in found.output
    assert not (tmp_path / "page.html").exists()


def test_a_recording_longer_than_a_window_is_refused(tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    soundfile.write(long, np.zeros(16_000 * 31), 16_000)
    found = explain(long, "--text", "a", "-o", tmp_path / "page.html")
    assert found.exit_code == 1 and "31.0 s" in found.stderr and "cut it first" in found.stderr


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    copy = tmp_path / "carrots.txt"
    shutil.copy(TEXT, copy)
    before = copy.read_bytes()
    found = explain(AUDIO, "--text", copy, "--masks", 16, "-o", copy)
    assert found.exit_code == 1 and "is an input" in found.stderr
    assert copy.read_bytes() == before
