"""Files of weights: the same numbers from each, and one sentence about those that are none."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from aligner.audio.read import read_audio
from aligner.errors import AlignerError, ModelError
from aligner.models import SpeechModel, load_model
from aligner.models.known import EMBEDDED, alignment_heads
from aligner.models.load import open_checkpoint
from aligner.models.whisper import WhisperModel
from aligner.timing.settings import Settings
from aligner.timing.window import align_window
from benchmarks.peers import ct2_folder, openai_file, random_checkpoint

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
TEXT = "Carrots are a good source of vitamins."


@pytest.fixture(scope="module")
def exact() -> WhisperModel:
    loaded = load_model("embedded")
    assert isinstance(loaded, WhisperModel)
    return loaded


# --- the same weights from every file --------------------------------------------------------


def _transformers(folder: Path, of: Path) -> Path:
    return of


def _float32(folder: Path, of: Path) -> Path:
    """transformers, in twice the precision."""
    shutil.copytree(of, folder)
    weights = load_file(of / "model.safetensors")
    save_file({name: tensor.float() for name, tensor in weights.items()}, folder / "model.safetensors")
    return folder


def _shards(folder: Path, of: Path) -> Path:
    """transformers, in two files."""
    shutil.copytree(of, folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    pieces = {f"model-{k}.safetensors": dict(list(weights.items())[k::2]) for k in range(2)}
    for name, piece in pieces.items():
        save_file(piece, folder / name)
    index = {"weight_map": {name: file for file, piece in pieces.items() for name in piece}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def _bin(folder: Path, of: Path) -> Path:
    """transformers, pickled."""
    shutil.copytree(of, folder)
    torch.save(load_file(of / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def _old_bin(folder: Path, of: Path) -> Path:
    """transformers, pickled as torch did before 1.6, settings of generation in the config."""
    shutil.copytree(of, folder)
    torch.save(load_file(of / "model.safetensors"), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()
    generation = json.loads((folder / "generation_config.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**generation, **config}))
    (folder / "generation_config.json").unlink()
    return folder


def _pt(folder: Path, of: Path) -> Path:
    folder.mkdir()
    return openai_file(str(of), folder / "tiny.en.pt")


def _ct2(quantization: str) -> Callable[[Path, Path], Path]:
    return lambda folder, of: ct2_folder(of, folder, quantization)


WRITERS = {
    "transformers": _transformers,
    "transformers float32": _float32,
    "transformers in shards": _shards,
    "transformers pickled": _bin,
    "transformers pickled of old": _old_bin,
    "openai": _pt,
    "ctranslate2 float32": _ct2("float32"),
    "ctranslate2 float16": _ct2("float16"),
    "ctranslate2 int8_float16": _ct2("int8_float16"),
    "ctranslate2 int8": _ct2("int8"),
    "ctranslate2 int16": _ct2("int16"),
}


@pytest.mark.parametrize("form", WRITERS)
def test_every_file_gives_the_same_network(
    form: str, exact: WhisperModel, embedded_checkpoint: Path, tmp_path: Path
) -> None:
    model = load_model(str(WRITERS[form](tmp_path / "made", embedded_checkpoint)))
    assert isinstance(model, WhisperModel)
    assert model.checkpoint.format == form.split()[0]
    assert model.fingerprint == exact.fingerprint
    assert model.alignment_heads == exact.alignment_heads and model.languages == exact.languages
    assert model.special == exact.special or model.checkpoint.format == "openai"  # which has a newer name for one
    for name in ("never", "not_first"):
        assert torch.equal(getattr(model.rules, name), getattr(exact.rules, name))
    audio = read_audio(SAMPLES / "carrots.flac")
    states, expected = model.encode(audio).states, exact.encode(audio).states
    scores, expected_scores = (
        m.token_log_probs(exact.encode(audio).states[None], exact.tokenize(TEXT)) for m in (model, exact)
    )
    if "int" in form:
        assert (states - expected).abs().max() > 0 and 0 < (scores - expected_scores).abs().max() < 2
        assert torch.nn.functional.cosine_similarity(states, expected).min() > 0.99
    else:
        np.testing.assert_allclose(states, expected, atol=1e-3)
        np.testing.assert_allclose(scores, expected_scores, atol=1e-3)
    times, expected_times = (words(m, audio) for m in (model, exact))
    np.testing.assert_allclose(times, expected_times, atol=0.1 if "int" in form else 1e-9)


def words(model: SpeechModel, audio: object) -> list[tuple[float, float]]:
    found = align_window(model, model.encode(audio), TEXT, Settings(confidence=False), "en")  # type: ignore[arg-type]
    return [(word.start, word.end) for word in found.words]


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    first, second = (random_checkpoint(tmp_path / str(seed), seed=seed) for seed in (0, 1))
    weights = load_file(second / "model.safetensors")
    weights["model.encoder.layers.1.final_layer_norm.bias"] += 0.01
    save_file(weights, second / "model.safetensors")
    prints = {open_checkpoint(str(folder)).fingerprint for folder in (first, second, EMBEDDED)}
    assert len(prints) == 3


def test_alignment_heads_of_openai_are_known() -> None:
    import base64
    import gzip

    whisper = pytest.importorskip("whisper", reason="openai-whisper, a test-only peer, is not installed")
    layers = {"tiny": 4, "base": 6, "small": 12, "medium": 24, "large": 32, "turbo": 4}
    width = {"tiny": 384, "base": 512, "small": 768, "medium": 1024, "large": 1280, "turbo": 1280}
    for name, packed in whisper._ALIGNMENT_HEADS.items():
        size = "turbo" if "turbo" in name else name.partition("-")[0].partition(".")[0]
        newest = name in ("large", "large-v3", "large-v3-turbo", "turbo")
        tokens = 51864 if name.endswith(".en") else 51866 if newest else 51865
        encoder = 32 if size == "turbo" else layers[size]
        config = {
            "encoder_layers": encoder,
            "decoder_layers": layers[size],
            "d_model": width[size],
            "vocab_size": tokens,
        }
        mask = np.frombuffer(gzip.decompress(base64.b85decode(packed)), bool).reshape(layers[size], width[size] // 64)
        assert alignment_heads(config, name) == tuple((int(a), int(b)) for a, b in np.argwhere(mask))


def test_what_the_files_say_of_heads_comes_first(embedded_checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(embedded_checkpoint, tmp_path / "own")
    path = tmp_path / "own" / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "alignment_heads": [[3, 1]]}))
    assert open_checkpoint(str(tmp_path / "own")).alignment_heads == ((3, 1),)
    path.write_text(json.dumps({**json.loads(path.read_text()), "suppress_tokens": ["many"]}))
    with pytest.raises(ModelError, match="no list of numbers"):
        _ = open_checkpoint(str(tmp_path / "own")).suppressed
    path.write_text(json.dumps({**json.loads(path.read_text()), "alignment_heads": [3, 1]}))
    with pytest.raises(ModelError, match="no \\[layer, head\\] pairs"):
        _ = open_checkpoint(str(tmp_path / "own")).alignment_heads


# --- what is no checkpoint -------------------------------------------------------------------


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (str(self.path),)  # type: ignore[return-value]


def refused(path: Path, *said: str) -> str:
    """Load what must be refused: soon, in one sentence."""
    began = time.process_time()
    with pytest.raises(AlignerError) as caught:
        load_model(str(path))
    assert time.process_time() - began < 3
    message = str(caught.value)
    assert "\n" not in message and all(part in message for part in said), message
    return message


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["model.pt", "pytorch_model.bin"])
def test_a_pickle_that_would_run_code_does_not(name: str, zipped: bool, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    content = {"dims": {}, "model_state_dict": {"x": torch.zeros(2)}, "more": _Evil(trap)}
    torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
    if name.endswith("bin"):
        (tmp_path / "config.json").write_text(_config(tmp_path))
    refused(tmp_path / name if name.endswith("pt") else tmp_path, name, "could run any program")
    (tmp_path / name).write_bytes(pickle.dumps(content))
    refused(tmp_path / name if name.endswith("pt") else tmp_path, name)
    assert not trap.exists()


def _config(folder: Path) -> str:
    random_checkpoint(folder / "micro")
    return (folder / "micro" / "config.json").read_text()


@pytest.mark.parametrize("keep", [0, 3, 11, 40, 3000, 10_000_000, 75_537_000])
def test_a_file_of_ctranslate2_that_is_cut_short_is_refused(keep: int, tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED, tmp_path / "cut")
    with (tmp_path / "cut" / "model.bin").open("r+b") as file:
        file.truncate(keep)
    refused(tmp_path / "cut", "model.bin")


def header(*, spec: bytes = b"WhisperSpec\0", count: int = 1, body: bytes = b"") -> bytes:
    return struct.pack("<IH", 6, len(spec)) + spec + struct.pack("<II", 3, count) + body


def variable(name: bytes, shape: tuple[int, ...], kind: int, n_bytes: int) -> bytes:
    return (
        struct.pack("<H", len(name) + 1) + name + b"\0" + struct.pack("<B", len(shape))
        + struct.pack(f"<{len(shape)}I", *shape) + struct.pack("<BI", kind, n_bytes)
    )  # fmt: skip


HOSTILE = {
    "four thousand million variables": (header(count=2**32 - 1), "damaged"),
    "a variable larger than the file": (header(body=variable(b"a", (2**16, 2**15), 1, 2**31)), "ends within a"),
    "a size that its shape belies": (header(body=variable(b"a", (2**31, 2**31, 9), 0, 8)), "has 8 bytes"),
    "255 dimensions": (header(body=variable(b"a", (2**32 - 1,) * 255, 0, 8)), "has 8 bytes"),
    "an unknown type": (header(body=variable(b"a", (1,), 77, 8)), "type 77"),
    "another specification": (header(spec=b"TransformerSpec\0"), "TransformerSpec"),
    "a name that is no text": (header(body=variable(b"\xff\xfe", (1,), 0, 4) + b"1234"), "damaged"),
    "nothing in it": (header(count=0) + struct.pack("<I", 0), "decoder/embeddings/weight"),
    "an alias of nothing": (header(count=0) + struct.pack("<IHsxHsx", 1, 2, b"a", 2, b"b"), "has no b"),
    "another version": (struct.pack("<I", 99) + header()[4:], "version 99"),
    "text": (b"this is no model " * 99, "damaged"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_header_that_lies_is_refused(kind: str, tmp_path: Path) -> None:
    content, said = HOSTILE[kind]
    (tmp_path / "model.bin").write_bytes(content)
    tracemalloc.start()
    try:
        refused(tmp_path, "model.bin", said)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("magic", [b"lmgg", b"GGUF"])
def test_files_of_whisper_cpp_are_named(magic: bytes, tmp_path: Path) -> None:
    (tmp_path / "ggml-tiny.bin").write_bytes(magic + bytes(1000))
    refused(tmp_path / "ggml-tiny.bin", "ggml", ".pt", "faster-whisper")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no checkpoint"),
        ({"config.json": '{"model_type": "whisper"}'}, "holds no checkpoint"),
        ({"config.json": "{oops", "model.safetensors": ""}, "cannot read"),
        ({"config.json": "[1]", "model.safetensors": ""}, "no JSON object"),
        ({"config.json": '{"model_type": "bert"}', "model.safetensors": ""}, "family 'bert'; supported:"),
        ({"config.json": '{"model_type": "whisper"}', "model.safetensors": ""}, "config has no d_model"),
        ({"config.json": "{}", "model.safetensors.index.json": "{}"}, "family None"),
    ],
)
def test_folders_that_hold_no_whisper_are_refused(files: dict[str, str], said: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    refused(tmp_path, said)


@pytest.mark.parametrize("keep", [0, 7, 5000])
def test_safetensors_that_are_cut_short_are_refused(keep: int, tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path / "micro")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:keep])
    refused(folder, "model.safetensors is damaged or cut short")


@pytest.mark.parametrize("keep", [0, 100, 30_000])
def test_a_pt_file_that_is_cut_short_is_refused(keep: int, tmp_path: Path) -> None:
    path = openai_file(str(random_checkpoint(tmp_path / "micro")), tmp_path / "micro.pt")
    path.write_bytes(path.read_bytes()[:keep])
    refused(path, "micro.pt")


@pytest.mark.parametrize("content", [[1, 2], {"dims": 1, "model_state_dict": {}}, {"state_dict": {}}])
def test_pt_files_of_something_else_are_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    refused(tmp_path / "other.pt", "not a checkpoint of openai-whisper")


CHANGES = [
    ({"d_model": 128}, "as its config says"),
    ({"vocab_size": 10**12}, "as its config says"),
    ({"encoder_layers": 10**9}, "it has 2 encoder layers, its config says 1000000000"),
    ({"encoder_layers": 0}, "encoder_layers = '0'"),
    ({"decoder_attention_heads": 7}, "a width of 64 among 7 heads"),
    ({"num_mel_bins": "many"}, "num_mel_bins = 'many'"),
    ({"max_source_positions": -5}, "max_source_positions = '-5'"),
    ({"activation_function": "sigh"}, "unknown activation 'sigh'"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=lambda x: str(x)[:40])
def test_a_config_that_does_not_fit_the_weights_is_refused(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    folder = random_checkpoint(tmp_path / "micro")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    refused(folder, "not a complete checkpoint", said)


def test_a_vocabulary_of_another_checkpoint_is_refused(embedded_checkpoint: Path, tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path / "micro")
    shutil.copy(embedded_checkpoint / "tokenizer.json", folder)
    refused(folder, "are the files of one checkpoint?")


def test_weights_that_are_no_numbers_are_one_sentence(tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path / "micro")
    weights = load_file(folder / "model.safetensors")
    weights["model.encoder.layer_norm.bias"][3] = float("nan")
    save_file(weights, folder / "model.safetensors")
    model = load_model(str(folder))
    with pytest.raises(ModelError, match="no finite numbers"):
        model.encode(read_audio(SAMPLES / "carrots.flac"))


def test_a_shard_outside_the_folder_is_refused(tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path / "micro")
    (folder / "model.safetensors").rename(tmp_path / "stray.safetensors")
    index = {"weight_map": {"model.encoder.conv1.weight": "../stray.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "does not say which files hold the weights")
