"""Checkpoints by the names that people type: in the caches of other tools, at a path, or fetched from a hub."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from aligner.command.cli import main
from aligner.errors import ModelError
from aligner.models import caches, find, load_model
from aligner.models.known import EMBEDDED
from aligner.models.load import open_checkpoint
from benchmarks.peers import openai_file

TALK = Path(__file__).parents[1] / "data" / "samples" / "carrots.flac"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without caches."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def put(cache: Path, repository: str, source: Path, commit: str = COMMIT, current: bool = True) -> Path:
    """A checkpoint as huggingface_hub lays it out: blobs, and links to them in a snapshot."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "blobs").mkdir(exist_ok=True)
    (folder / "refs").mkdir(exist_ok=True)
    for file in source.iterdir():
        if file.is_file():
            blob = folder / "blobs" / f"{abs(hash((repository, commit, file.name))):x}"
            blob.symlink_to(file)  # the real ones are files; these spare the disk
            (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    if current:
        (folder / "refs" / "main").write_text(commit)
    return snapshot


# --- caches --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("base", "openai/whisper-base"),
        ("base", "Systran/faster-whisper-base"),
        ("large", "openai/whisper-large-v3"),
        ("large-v1", "openai/whisper-large"),
        ("turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
        ("large-v3-turbo", "openai/whisper-large-v3-turbo"),
        ("distil-small.en", "distil-whisper/distil-small.en"),
        ("distil-large-v2", "Systran/faster-distil-whisper-large-v2"),
        ("someone/of-theirs", "someone/of-theirs"),
    ],
)
def test_a_name_finds_what_other_tools_have_fetched(home: Path, name: str, repository: str) -> None:
    folder = put(home / "huggingface" / "hub", repository, EMBEDDED)
    assert find.find(name) == folder


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_hubs_cache_is_where_its_variables_say(
    variable: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    cache = tmp_path / "elsewhere" / ("hub" if variable == "HF_HOME" else "")
    folder = put(cache, "openai/whisper-small", EMBEDDED)
    assert find.find("small") == folder


def test_files_of_openai_whisper_are_found_by_its_names(home: Path) -> None:
    (home / "whisper").mkdir(parents=True)
    for stem in ("medium", "large-v3-turbo"):
        (home / "whisper" / f"{stem}.pt").touch()
    assert find.find("medium") == home / "whisper" / "medium.pt"
    assert find.find("turbo") == home / "whisper" / "large-v3-turbo.pt"


def test_the_embedded_checkpoint_is_openais_tiny_en(home: Path) -> None:
    assert find.find("tiny.en") == find.find("embedded") == EMBEDDED


def test_the_commit_that_main_points_at_goes_before_others(home: Path) -> None:
    hub = home / "huggingface" / "hub"
    put(hub, "openai/whisper-base", EMBEDDED, commit="a" * 40, current=False)
    current = put(hub, "openai/whisper-base", EMBEDDED, commit="b" * 40)
    put(hub, "openai/whisper-base", EMBEDDED, commit="c" * 40, current=False)
    assert find.find("base") == current


@pytest.mark.parametrize("missing", ["model.bin", "blob"])
def test_a_copy_that_is_not_whole_is_no_copy(home: Path, missing: str) -> None:
    folder = put(home / "huggingface" / "hub", "openai/whisper-base", EMBEDDED)
    target = folder / "model.bin"
    (target if missing == "model.bin" else folder / target.readlink()).unlink()
    assert caches.snapshot("openai/whisper-base") is None
    with pytest.raises(ModelError, match="'base' is not on this machine"):
        find.find("base")


def test_weights_in_pieces_are_whole_with_every_piece(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "pieces"
    source.mkdir()
    (source / "config.json").write_text("{}")
    pieces = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    (source / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict(zip("ab", pieces, strict=True))})
    )
    for piece in pieces:
        (source / piece).touch()
    folder = put(home / "huggingface" / "hub", "openai/whisper-base", source)
    assert find.find("base") == folder
    (folder / pieces[1]).unlink()
    assert caches.snapshot("openai/whisper-base") is None


def test_a_path_is_what_lies_there(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "base").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "mine.pt").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("mine", "./base", "a/b", "mine.pt", str(tmp_path)):
        assert find.find(name) == Path(name)
    assert find.find("~/mine") == tmp_path / "mine"
    with pytest.raises(ModelError, match="'base' is not on this machine"):
        find.find("base")


def test_every_name_is_in_the_docs() -> None:
    docs = Path(__file__).parents[1] / "docs" / "models.md"
    paragraph = docs.read_text(encoding="utf-8").partition("## Names")[2].partition("A folder of such a name")[0]
    assert set(re.findall("`(.+?)`", paragraph)) == set(find.NAMES)


# --- what is not there ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("bsae", "base"), ("Large-V3", "large-v3"), ("tubro", "turbo"), ("small-en", "small.en"),
        ("distil-larg-v3", "distil-"), ("whisper-medium", "openai/whisper-medium"),
    ],
)  # fmt: skip
def test_a_name_that_does_not_exist_is_answered_with_those_that_look_like_it(
    home: Path, name: str, likely: str
) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        find.find(name)
    assert time.monotonic() - began < 3
    assert f"no model {name!r} (did you mean {likely}" in str(caught.value)
    assert "align models" in str(caught.value) and "\n" not in str(caught.value)


def test_names_in_the_cache_are_suggested_too(home: Path) -> None:
    put(home / "huggingface" / "hub", "someone/whisper-swiss-german", EMBEDDED)
    with pytest.raises(ModelError, match=r"did you mean someone/whisper-swiss-german\?"):
        find.find("whisper-swissgerman")


def test_offline_one_sentence_says_what_was_looked_for_and_what_to_do(home: Path) -> None:
    with pytest.raises(ModelError) as caught:
        find.find("turbo")
    said = str(caught.value)
    for part in (
        "openai/whisper-large-v3-turbo", str(home / "huggingface" / "hub"), "large-v3-turbo.pt",
        str(home / "whisper"), "HF_HUB_OFFLINE", "fetch it once with a connection", "--model",
    ):  # fmt: skip
        assert part in said
    assert "\n" not in said


def align(
    *arguments: object, home: Path, stderr: int = subprocess.PIPE, **variables: str
) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, with a hub of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"XDG_CACHE_HOME": str(home), **variables}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "aligner", *map(str, arguments)]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment, timeout=120, check=False
    )


def test_a_hub_that_cannot_be_reached_is_given_up_at_once(home: Path) -> None:
    began = time.monotonic()
    found = align(TALK, "-m", "small", "-o", "-", home=home, HF_ENDPOINT="http://127.0.0.1:9")
    assert time.monotonic() - began < 20  # tries and their patience would take longer
    assert found.returncode == 1 and found.stdout == "" and "Traceback" not in found.stderr
    (error,) = [line for line in found.stderr.splitlines() if line.startswith("Error: ")]
    assert "http://127.0.0.1:9 cannot be reached" in error and "openai/whisper-small" in error


# --- a hub ---------------------------------------------------------------------------------


class Hub(ThreadingHTTPServer):
    """As much of the hub's interface as a download needs, over folders by repository."""

    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories, self.sent = repositories, list[str]()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/models/"):
            name = path.removeprefix("api/models/").partition("/revision")[0]
            if name not in self.server.repositories:
                return self._say(401, b"", {"X-Error-Code": "RepoNotFound"})
            files = sorted(self.server.repositories[name].iterdir())
            siblings = [{"rfilename": file.name, "size": file.stat().st_size, "blobId": "1"} for file in files]
            said = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            return self._say(200, json.dumps(said).encode(), {"Content-Type": "application/json"})
        name, _, file = path.partition("/resolve/main/")
        name, _, file = (name, "", file) if file else path.partition(f"/resolve/{COMMIT}/")
        held = self.server.repositories.get(name, Path("nowhere")) / file
        if not held.is_file():
            return self._say(404, b"", {"X-Error-Code": "EntryNotFound"})
        if self.command == "GET":
            self.server.sent.append(file)
        return self._say(200, held.read_bytes(), {"X-Repo-Commit": COMMIT, "ETag": f'"{file}"'})

    do_HEAD = do_GET

    def _say(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture(scope="module")
def hub(multilingual_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    both = shutil.copytree(multilingual_checkpoint, folder / "small")
    for name in ("pytorch_model.bin", "tf_model.h5", "README.md"):  # nothing of which is needed
        (both / name).write_bytes(b"not to be fetched")
    bert = folder / "bert"
    bert.mkdir()
    (bert / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (bert / "model.safetensors").write_bytes(b"not to be fetched")
    nothing = folder / "ggml"
    nothing.mkdir()
    (nothing / "ggml-base.bin").touch()
    damaged = folder / "damaged"
    damaged.mkdir()
    shutil.copy(both / "config.json", damaged)
    (damaged / "model.safetensors").write_bytes(b"cut short")
    names = {"openai/whisper-small": both, "someone/bert": bert, "someone/ggml": nothing, "someone/damaged": damaged}
    server = Hub(names)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_checkpoint_is_fetched_once_with_its_size_said_and_only_what_is_needed(hub: Hub, home: Path) -> None:
    arguments = (TALK, "--text", "carrots", "-l", "en", "-m", "small", "-f", "json", "-o", "-")
    found = align(*arguments, home=home, HF_ENDPOINT=hub.address)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["provenance"]["model"] == "small"
    assert "fetching openai/whisper-small: " in found.stderr and " MB, to " in found.stderr
    assert {"config.json", "tokenizer.json", "generation_config.json", "model.safetensors"} <= set(hub.sent)
    assert not {"pytorch_model.bin", "tf_model.h5", "README.md"} & set(hub.sent)
    assert len(hub.sent) == len(set(hub.sent))
    assert load_model("small").fingerprint == json.loads(found.stdout)["provenance"]["fingerprint"]  # offline, here


def test_a_quiet_command_says_nothing_of_what_it_fetches(hub: Hub, home: Path) -> None:
    found = align(TALK, "-q", "-m", "someone/damaged", "-o", "-", home=home, HF_ENDPOINT=hub.address)
    (error,) = found.stderr.splitlines()
    assert error.startswith("Error: ") and "model.safetensors is damaged" in error


def test_a_terminal_shows_how_far_it_is(hub: Hub, home: Path) -> None:
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    found = align(TALK, "-m", "someone/damaged", "-o", "-", home=home, stderr=side, HF_ENDPOINT=hub.address)
    os.close(side)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert found.returncode == 1 and "model.safetensors" in shown and "100%" in shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("openai/whisper-smal", ["did you mean openai/whisper-small", "has no such repository"]),
        ("someone/bert", ["'bert'", "supported:", "whisper"]),
        ("someone/ggml", ["no weights that can be read", "model.safetensors"]),
    ],
)
def test_what_the_hub_cannot_give_is_one_sentence_and_no_weights(
    hub: Hub, home: Path, name: str, said: list[str]
) -> None:
    hub.sent.clear()
    began = time.monotonic()
    found = align(TALK, "-m", name, "-o", "-", home=home, HF_ENDPOINT=hub.address)
    assert time.monotonic() - began < 20  # tries and their patience would take longer
    assert found.returncode == 1 and "Traceback" not in found.stderr
    (error,) = [line for line in found.stderr.splitlines() if line.startswith("Error: ")]
    assert all(part in error for part in (name, *said))
    assert set(hub.sent) <= {"config.json"}


# --- align models --------------------------------------------------------------------------


def test_align_models_lists_what_is_here_by_names_that_load(home: Path, multilingual_checkpoint: Path) -> None:
    hub = home / "huggingface" / "hub"
    put(hub, "openai/whisper-base", multilingual_checkpoint)
    put(hub, "someone/theirs", EMBEDDED)
    (home / "whisper").mkdir(parents=True)
    openai_file(str(multilingual_checkpoint), home / "whisper" / "small.pt")
    (home / "whisper" / "medium.pt").write_bytes(b"cut short")
    other = put(hub, "someone/bert", EMBEDDED)
    (other / "model.bin").unlink()
    (other / "config.json").unlink()
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (other / "model.safetensors").touch()
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 0, result.output
    titles, *lines = [line.split() for line in result.stdout.splitlines()]
    assert titles[0] == "model" and "languages" in titles
    listed = {line[0]: line for line in lines}
    assert set(listed) == {"embedded", "base", "someone/theirs", "small"}
    assert listed["embedded"][1:6] == ["78", "MB", "whisper", "ctranslate2", "English"]
    assert listed["base"][3:6] == ["whisper", "transformers", "99"]
    assert listed["small"][3:6] == ["whisper", "openai", "99"]
    assert "medium.pt" in result.stderr and "damaged" in result.stderr
    fingerprints = {name: open_checkpoint(name).fingerprint for name in listed}
    assert fingerprints["base"] == fingerprints["small"] != fingerprints["embedded"] == fingerprints["someone/theirs"]
    assert load_model("small").fingerprint == fingerprints["small"]


def test_a_recording_called_models_is_still_a_recording(home: Path, tmp_path: Path) -> None:
    for name in ("models", "models.wav"):
        (tmp_path / name).write_text("no sound")
        result = CliRunner().invoke(main, [name])
        assert result.exit_code == 1 and f"{name} is not audio" in result.stderr
    (tmp_path / "models").unlink()
    assert CliRunner().invoke(main, ["models"]).stdout.startswith("model ")


def test_align_models_is_part_of_the_help() -> None:
    assert "align models lists" in " ".join(CliRunner().invoke(main, ["--help"]).stdout.split())
    assert "List the checkpoints" in CliRunner().invoke(main, ["models", "--help"]).stdout


def test_options_are_still_completed(home: Path) -> None:
    result = CliRunner().invoke(
        main,
        prog_name="align",
        env={"_ALIGN_COMPLETE": "bash_complete", "COMP_WORDS": "align --mod", "COMP_CWORD": "1"},
    )
    assert "--model" in result.output
