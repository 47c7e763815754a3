"""Peers on identical weights: `python -m benchmarks.accuracy MANIFEST... --results RESULTS`.

Every peer gets the same checkpoint, the same audio and the same words as the
run in RESULTS (of `align-eval run` on the same manifests), and is scored with
the same metrics. Peers are called as their users call them where that takes a
given transcript, else through their own alignment function on a teacher-forced
pass. Their times are written to RESULTS/systems, so `align-eval compare` and
`align-eval report` know them too; the table goes to stdout. Peers that cannot
run are listed with the reason.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from aligner.core import Word
from aligner.errors import AlignerError, InputError
from aligner.guard import import_torchaudio
from aligner.metrics import Interval
from aligner.models.checkpoint import open_checkpoint
from aligner.registry import Registry
from benchmarks import peers as formats
from eval.crossvalidation import NAME as CROSS_VALIDATED
from eval.manifest import load_audio, read_manifest
from eval.scoring import SystemScores, ranked, score
from eval.systems import System, aligned_utterance, read_system, write_system

SAMPLE_RATE = 16_000
FRAME = 0.02  # seconds
SHORTEST = 0.001  # seconds; peers give words without length, which no interval can be
OURS = ("default", CROSS_VALIDATED, "uniform")

Times = list[tuple[str, float, float]]
Align = Callable[[NDArray[np.float32], str], Times]
peers: Registry[Callable[[Path], Align]] = Registry("peer")


class CannotRun(AlignerError):
    """A peer that cannot take this checkpoint or a given transcript."""


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        raise CannotRun(f"{name} is not installed") from None


def _mel(samples: NDArray[np.float32]) -> Any:
    from whisper.audio import N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim

    return pad_or_trim(log_mel_spectrogram(samples, padding=N_SAMPLES), N_FRAMES)


@peers.register("openai-whisper")
def openai_whisper(folder: Path) -> Align:
    """`whisper.timing.find_alignment`."""
    _package("openai-whisper")
    from whisper.timing import find_alignment

    model, tokenizer = formats.openai_model(folder), formats.openai_tokenizer(folder)

    def align(samples: NDArray[np.float32], text: str) -> Times:
        found = find_alignment(model, tokenizer, tokenizer.encode(" " + text), _mel(samples), len(samples) // 160)
        return [(w.word.strip(), w.start, w.end) for w in found if not w.word.startswith("<|")]

    return align


@peers.register("transformers")
def transformers(folder: Path) -> Align:
    """`WhisperForConditionalGeneration._extract_token_timestamps`, on the cross-attention of a teacher-forced pass."""
    import_torchaudio()
    import torch
    from transformers import WhisperForConditionalGeneration
    from transformers.generation.utils import GenerateEncoderDecoderOutput

    network = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    network.eval()
    tokenizer, settings = formats.openai_tokenizer(folder), network.generation_config
    prompt = [*tokenizer.sot_sequence, settings.no_timestamps_token_id]

    def align(samples: NDArray[np.float32], text: str) -> Times:
        ids = tokenizer.encode(" " + text)
        sequence = torch.tensor([[*prompt, *ids]])
        with torch.no_grad():
            output = network(_mel(samples)[None], decoder_input_ids=sequence, output_attentions=True)
        generated = GenerateEncoderDecoderOutput(
            sequences=torch.cat([sequence, torch.tensor([[settings.eos_token_id]])], 1),
            cross_attentions=(output.cross_attentions,),
        )
        times = network._extract_token_timestamps(
            generated, settings.alignment_heads, num_frames=len(samples) // 160, num_input_ids=len(prompt)
        )[0]
        # As its tokenizer groups them: a token lasts from the time before its own to its own.
        words: Times = []
        for k, token in enumerate(ids, start=len(prompt)):
            spelled = tokenizer.decode([token])
            if not words or spelled.startswith(" "):
                words.append((spelled.strip(), float(times[k - 1]), float(times[k])))
            else:
                words[-1] = (words[-1][0] + spelled, words[-1][1], float(times[k]))
        return words

    return align


@peers.register("whisper-timestamped")
def whisper_timestamped(folder: Path) -> Align:
    """`perform_word_alignment` with the settings of `transcribe`.

    <|notimestamps|> takes the place of the segment's first timestamp, which
    this checkpoint was not trained to read.
    """
    _package("whisper-timestamped")
    import_torchaudio()
    import torch
    from whisper.model import disable_sdpa

    # The package's attribute of this name is a function.
    package = importlib.import_module("whisper_timestamped.transcribe")
    package.num_alignment_for_plot = 0  # its own entry point sets this global first
    model, tokenizer = formats.openai_model(folder), formats.openai_tokenizer(folder)

    def align(samples: NDArray[np.float32], text: str) -> Times:
        ids, mel = tokenizer.encode(" " + text), _mel(samples)[None]
        scores: list[Any] = []
        hooks = [
            block.cross_attn.register_forward_hook(lambda _, inputs, outputs: scores.append(outputs[-1]))
            for block in model.decoder.blocks
        ]
        try:
            with torch.no_grad(), disable_sdpa():
                model(mel, torch.tensor([[*tokenizer.sot_sequence, tokenizer.no_timestamps, *ids]]))
        finally:
            for hook in hooks:
                hook.remove()
        first = tokenizer.timestamp_begin
        found = package.perform_word_alignment(
            [first, *ids, first + len(samples) // 320], scores, tokenizer, mfcc=mel,
            alignment_heads=model.alignment_heads, refine_whisper_precision_nframes=25, detect_disfluencies=False,
        )  # fmt: skip
        return [(w["text"].strip(), w["start"], w["end"]) for w in found]

    return align


def _stable_ts(folder: Path, **options: Any) -> Align:
    _package("stable-ts")
    import_torchaudio()
    import stable_whisper

    model, tokenizer = formats.openai_model(folder), formats.openai_tokenizer(folder)
    stable_whisper.modify_model(model)

    def align(samples: NDArray[np.float32], text: str) -> Times:
        found = model.align(samples, text, language="en", tokenizer=tokenizer, verbose=None, **options)
        return [] if found is None else [(w.word.strip(), w.start, w.end) for w in found.all_words()]

    return align


@peers.register("stable-ts-legacy")
def stable_ts_legacy(folder: Path) -> Align:
    """`stable_whisper.align`, its default."""
    return _stable_ts(folder)


@peers.register("stable-ts-dynamic-heads")
def stable_ts_dynamic(folder: Path) -> Align:
    """`stable_whisper.align(dynamic_heads=True)`."""
    return _stable_ts(folder, dynamic_heads=True)


@peers.register("stable-ts-new")
def stable_ts_new(folder: Path) -> Align:
    """`stable_whisper.align(aligner="new")`, where the installed release has it."""
    release = _package("stable-ts")
    import_torchaudio()
    from stable_whisper.options import AllOptions

    options = AllOptions({}, vanilla_align=True)
    if not any("aligner" in vars(part) for part in vars(options).values() if hasattr(part, "__dict__")):
        raise CannotRun(f'the installed release, stable-ts {release}, has no aligner="new"; only its repository has')
    return _stable_ts(folder, aligner="new")


@peers.register("faster-whisper")
def faster_whisper(folder: Path) -> Align:
    """`WhisperModel.find_alignment` on the CTranslate2 conversion."""
    _package("faster-whisper")
    from faster_whisper import WhisperModel
    from faster_whisper.tokenizer import Tokenizer

    with tempfile.TemporaryDirectory() as converted:
        formats.ct2_folder(folder, Path(converted))
        model = WhisperModel(converted, device="cpu", compute_type="float32", cpu_threads=1, local_files_only=True)
    tokenizer = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language="en")
    tokens = formats.openai_tokenizer(folder)

    def align(samples: NDArray[np.float32], text: str) -> Times:
        # Its own front end pads only what a window lacks.
        features = model.feature_extractor(np.pad(samples, (0, 30 * SAMPLE_RATE - len(samples))))[:, :3000]
        encoded = model.encode(features)
        found = model.find_alignment(tokenizer, [tokens.encode(" " + text)], encoded, len(samples) // 160)[0]
        return [(w["word"].strip(), w["start"], w["end"]) for w in found if not w["word"].startswith("<|")]

    return align


def words_of(times: Times, duration: float) -> tuple[Word, ...]:
    """Peer times as words: order kept, inside the audio, at least `SHORTEST` long; nothing else is touched."""
    found = []
    for text, start, end in times:
        if text:
            start = min(max(0.0, float(start)), duration - SHORTEST)
            found.append(Word(text, start, max(min(float(end), duration), start + SHORTEST)))
    return tuple(found)


def run_peer(name: str, folder: Path, manifests: tuple[Path, ...], provenance: dict[str, Any]) -> System:
    """A peer on every utterance.

    Parameters
    ----------
    name : str
    folder : Path
        Checkpoint.
    manifests : tuple of Path
    provenance : dict
        Kept in the system.

    Raises
    ------
    CannotRun
        With the reason.
    """
    align = peers[name](folder)
    recordings = []
    for utterance in (u for manifest in manifests for u in read_manifest(manifest)):
        audio = load_audio(utterance, SAMPLE_RATE)
        words = words_of(align(audio.samples.copy(), utterance.text), audio.duration)
        recordings.append(aligned_utterance(utterance, words))
    description = " ".join((peers[name].__doc__ or "").split())
    return System(name, "peer", tuple(recordings), {"call": description}, provenance)


def markdown(rows: list[SystemScores], refused: dict[str, str], notes: dict[str, str]) -> str:
    """The table of the docs: errors with intervals beside counts and matched share."""

    def ms(found: Interval) -> str:
        return f"{1000 * found.value:.1f} [{1000 * found.low:.1f}, {1000 * found.high:.1f}]"

    def percent(found: Interval) -> str:
        return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"

    lines = [
        "| system | onset mean, ms | onset median | offset mean, ms | offset median | within 50 ms, % "
        "| words matched | speakers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {notes.get(row.name, row.name)} | {ms(row.onset_mean)} | {1000 * row.onset_median.value:.1f} "
            f"| {ms(row.offset_mean)} | {1000 * row.offset_median.value:.1f} | {percent(row.within)} "
            f"| {row.scores.n_matched} of {row.scores.n_reference} | {row.n_speakers or 'unknown'} |"
        )
    lines += [f"| {name} | cannot run: {reason} | | | | | | |" for name, reason in refused.items()]
    lines += [
        "",
        "Absolute errors of matched words, micro averages; in brackets 95 % bootstrap intervals, resampled by "
        f"{rows[0].resampled}. The same weights, audio and words for all.",
    ]
    return "\n".join(lines)


def _ours(results: Path) -> Iterator[System]:
    for name in OURS:
        path = results / "systems" / f"{name}.json"
        if path.is_file():
            yield read_system(path)
    if not (results / "systems" / "default.json").is_file():
        raise InputError(f"{results} holds no finished run: run align-eval run on the same manifests first")


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--results",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of align-eval run on MANIFESTS.",
)
@click.option(
    "--model", default="embedded", show_default=True, help="Checkpoint folder, or embedded; the one of the run."
)
@click.option("--peer", "names", multiple=True, help="Only these peers.")
def main(manifests: tuple[Path, ...], results: Path, model: str, names: tuple[str, ...]) -> None:
    """Table of our settings and every peer on the same weights."""
    import torch

    os.environ["TQDM_DISABLE"] = "1"
    torch.set_num_threads(1)
    folder = results / "transformers"  # every peer reads it, or what is converted from it
    if not folder.is_dir():
        formats.transformers_folder(model, folder)
    systems, refused = [], {}
    try:
        systems += list(_ours(results))
        weights = json.loads((results / "run.json").read_text(encoding="utf-8"))["model"]["fingerprint"]
        if weights != open_checkpoint(model).fingerprint:
            raise InputError(
                f"{results} was run with other weights of {model}: run align-eval run again, with another -o"
            )
        provenance = {"fingerprint": weights}
        for name in names or tuple(peers):
            done = results / "systems" / f"{name}.json"
            if done.is_file() and read_system(done).provenance == provenance:
                systems.append(read_system(done))
                continue
            click.echo(f"{name} ...", err=True)
            try:
                system = run_peer(name, folder, manifests, provenance)
            except CannotRun as error:
                refused[name] = str(error)
                continue
            write_system(system, results / "systems")
            systems.append(system)
    except AlignerError as error:
        raise click.ClickException(str(error)) from error
    picks = next((s.setting["picks"] for s in systems if s.name == CROSS_VALIDATED), {})
    notes = {
        "default": "ours: default, attention alone",
        CROSS_VALIDATED: f"ours: cross-validated (mostly {next(iter(picks), '?')})",
        "uniform": "words spread evenly",
    }
    click.echo(markdown(ranked([score(s) for s in systems]), refused, notes))


if __name__ == "__main__":
    main()
