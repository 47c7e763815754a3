"""Tools that time the words of a given text with a Whisper checkpoint, each on the same weights.

They are called as their users call them where that takes a given text, else through their own alignment function on a
teacher-forced pass. What is not installed is imported by nobody.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aligner.errors import AlignerError
from aligner.guard import import_torchaudio
from aligner.registry import Registry
from benchmarks import peers as formats

SAMPLE_RATE = 16_000

Times = list[tuple[str, float, float]]
Align = Callable[[NDArray[np.float32], str], Times]
rivals: Registry[Callable[[Path], Align]] = Registry("rival")


class CannotRun(AlignerError):
    """A rival that is not installed, or cannot take this checkpoint."""


def needed(name: str) -> str:
    """Version of a package.

    Raises
    ------
    CannotRun
    """
    try:
        return version(name)
    except PackageNotFoundError:
        raise CannotRun(f"{name} is not installed") from None


def _mel(samples: NDArray[np.float32]) -> Any:
    from whisper.audio import N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim

    return pad_or_trim(log_mel_spectrogram(samples, padding=N_SAMPLES), N_FRAMES)


@rivals.register("openai-whisper")
def openai_whisper(folder: Path) -> Align:
    """`whisper.timing.find_alignment`."""
    needed("openai-whisper")
    from whisper.timing import find_alignment

    model, tokenizer = formats.openai_model(folder), formats.openai_tokenizer(folder)

    def align(samples: NDArray[np.float32], text: str) -> Times:
        found = find_alignment(model, tokenizer, tokenizer.encode(" " + text), _mel(samples), len(samples) // 160)
        return [(w.word.strip(), w.start, w.end) for w in found if not w.word.startswith("<|")]

    return align


@rivals.register("transformers")
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


@rivals.register("whisper-timestamped")
def whisper_timestamped(folder: Path) -> Align:
    """`perform_word_alignment` with the settings of `transcribe`."""
    needed("whisper-timestamped")
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
        told = len(tokenizer.sot_sequence) - 1  # rows of the language and the task, which it takes off as well
        found = package.perform_word_alignment(
            [first, *ids, first + len(samples) // 320], [w[..., told:, :] for w in scores], tokenizer, mfcc=mel,
            alignment_heads=model.alignment_heads, refine_whisper_precision_nframes=25, detect_disfluencies=False,
        )  # fmt: skip
        return [(w["text"].strip(), w["start"], w["end"]) for w in found]

    return align


@rivals.register("stable-ts")
def stable_ts(folder: Path) -> Align:
    """`stable_whisper.align`, its default."""
    needed("stable-ts")
    import_torchaudio()
    import stable_whisper

    model, tokenizer = formats.openai_model(folder), formats.openai_tokenizer(folder)
    stable_whisper.modify_model(model)

    def align(samples: NDArray[np.float32], text: str) -> Times:
        found = model.align(samples, text, language="en", tokenizer=tokenizer, verbose=None)
        return [] if found is None else [(w.word.strip(), w.start, w.end) for w in found.all_words()]

    return align


@rivals.register("faster-whisper")
def faster_whisper(folder: Path) -> Align:
    """`WhisperModel.find_alignment` on the CTranslate2 conversion."""
    needed("faster-whisper")
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
