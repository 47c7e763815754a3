"""Train the embedded Whisper checkpoint: `python -m data.train FEATURES... -o RUN --steps N`.

Losses: cross-entropy of the decoder; CTC on the encoder; per-frame losses on
the encoder, of phones and of characters, wherever word times are known: exact
for synthetic speech, estimated by an earlier model for real speech
(`data.align`); and on synthetic speech only, guided attention on the
designated cross-attention heads (`GUIDED_HEADS`). Every other head learns
freely. For most of a run most batches train the encoder alone: it is what
takes longest to learn.

A run folder holds `last.pt` (model, optimiser, position in the data), written
every few minutes, and `log.jsonl`. The same command resumes it; the order of
data and all random numbers follow from the seed and the step, so a resumed
run sees what an uninterrupted one sees.

Two processes of one thread each train half as fast again as one of two threads:
`python -m torch.distributed.run --nproc-per-node 2 -m data.train ...`; a step
is then the mean gradient of a batch from each.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from torch import distributed, nn
from torch.nn import functional

from aligner.guard import import_torchaudio
from data.pronounce import PHONES, phone_edges, pronounce
from data.vocabulary import CTC_LABELS, END, NO_TIMESTAMPS, START, TOKENS, encode

import_torchaudio()
from transformers import WhisperConfig, WhisperForConditionalGeneration  # noqa: E402  (after the guard)
from transformers.audio_utils import hertz_to_mel, mel_to_hertz  # noqa: E402

GUIDED_HEADS = ((1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3))  # (layer, head)
FRAME = 0.02  # seconds per encoder frame
WEIGHTS = {"text": 1.0, "ctc": 0.3, "guide": 0.3, "frame": 0.3, "phone": 1.0}
WARMUP = 150
BATCH_FRAMES = 3_000  # feature frames a batch of one worker, padding included
DECODER_FROM = 0.5  # share of a run after which every batch trains the decoder as well as the encoder
ENCODER_ONLY = 0.88  # share of the batches before that train the encoder alone
OTHER_VOICE = 0.5  # share of the utterances heard as if another voice had spoken
ABRUPT = 0.3  # share of the utterances that begin and end with their speech
_CENTRES = mel_to_hertz(np.linspace(0, hertz_to_mel(8000.0, "slaney"), 82)[1:-1], "slaney")  # of the mel bands, Hz
_LABEL = {label: i for i, label in enumerate(CTC_LABELS)}


def whisper_config() -> WhisperConfig:
    """Architecture of the embedded model: Whisper with 4 + 3 layers of width 192."""
    return WhisperConfig(
        vocab_size=len(TOKENS), num_mel_bins=80, d_model=192, max_source_positions=1500, max_target_positions=448,
        encoder_layers=4, encoder_attention_heads=4, encoder_ffn_dim=768,
        decoder_layers=3, decoder_attention_heads=6, decoder_ffn_dim=768,
        pad_token_id=END, bos_token_id=END, eos_token_id=END, decoder_start_token_id=START,
        suppress_tokens=None, begin_suppress_tokens=None, dropout=0.0,
    )  # fmt: skip


class Recogniser(nn.Module):
    """The Whisper checkpoint plus the two heads on its encoder that training uses."""

    def __init__(self) -> None:
        super().__init__()
        self.whisper = WhisperForConditionalGeneration(whisper_config())
        # Eager shows the decoder's attention, and at these lengths trains faster than the fused kernel.
        self.whisper.set_attn_implementation("eager")
        self.ctc = nn.Linear(192, len(CTC_LABELS))
        self.frame = nn.Linear(192, len(CTC_LABELS))
        self.phone = nn.Linear(192, len(PHONES))

    def encode(self, mel: torch.Tensor) -> torch.Tensor:
        """Encoder states (batch, frames, width) of features (batch, mels, feature frames) of any length."""
        encoder = self.whisper.model.encoder
        hidden = functional.gelu(encoder.conv1(mel))
        hidden = functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        for layer in encoder.layers:
            out = layer(hidden, attention_mask=None)
            hidden = out[0] if isinstance(out, tuple) else out
        return encoder.layer_norm(hidden)


class Word(NamedTuple):
    """A word of an utterance: character boundaries in seconds, phones as labels."""

    text: str
    bounds: Sequence[float]
    sounds: Sequence[int]

    def moved(self, shift: float, factor: float = 1.0) -> Word:
        """The word with its times multiplied, then moved."""
        return self._replace(bounds=[t * factor + shift for t in self.bounds])


@dataclass(frozen=True)
class Item:
    """An utterance of a feature set; `exact` tells the times of synthetic speech from estimated ones."""

    mel: np.ndarray  # float (frames, 80)
    text: str
    words: list[Word] | None  # where their times are known
    exact: bool = True


@dataclass(frozen=True)
class Batch:
    mel: torch.Tensor  # (batch, 80, frames)
    tokens: torch.Tensor  # (batch, length), START NO_TIMESTAMPS text END, padded with -100
    frames: torch.Tensor  # real encoder frames of each utterance
    ctc_targets: torch.Tensor
    ctc_lengths: torch.Tensor
    guide: torch.Tensor  # (exact, tokens, encoder frames), rows sum to 1 (or 0)
    exact: torch.Tensor  # indices of the utterances whose times are exact
    frame_labels: torch.Tensor  # (timed, encoder frames), -100 where unknown
    phone_labels: torch.Tensor  # likewise
    timed: torch.Tensor  # indices of the utterances that have times


def load_features(folders: Sequence[Path], split: str) -> list[Item]:
    """Every utterance of one split of the feature sets."""
    items = []
    for folder in folders:
        for index in sorted(folder.glob("**/index.jsonl")):
            mel = np.memmap(index.parent / "mel.f16", np.float16, "r").reshape(-1, 80)
            estimates = index.with_name("estimated.jsonl")
            lines = estimates.read_text().splitlines() if estimates.is_file() else ()
            estimated = {e["id"]: e for e in map(json.loads, lines)}
            for entry in map(json.loads, index.read_text().splitlines()):
                if entry["split"] == split:
                    part = mel[entry["offset"] : entry["offset"] + entry["frames"]]
                    words = timed_words(entry, estimated.get(entry["id"], {}))
                    items.append(Item(part, entry["text"], words, exact=entry["words"] is not None))
    return items


def timed_words(entry: dict[str, Any], estimated: dict[str, Any]) -> list[Word] | None:
    """Words of a line of `index.jsonl`, with what `data.align` found."""
    words = entry["words"] or estimated.get("words")
    if words is None:
        return None
    sounds = estimated.get("sounds") or [pronounce(text) for text, _ in words]
    return [Word(text, bounds, said) for (text, bounds), said in zip(words, sounds, strict=True)]


def joined(items: Sequence[Item]) -> Item:
    """One item that says several after another; each keeps an even number of feature frames."""
    if len(items) == 1:
        return items[0]
    mels, words, shift = [], [], 0.0
    for item in items:
        mel = item.mel[: len(item.mel) // 2 * 2]
        words += [word.moved(shift) for word in item.words or ()]
        shift += len(mel) / 100
        mels.append(mel)
    timed, exact = (all(found) for found in zip(*((i.words is not None, i.exact) for i in items), strict=True))
    return Item(np.concatenate(mels), " ".join(i.text for i in items), words if timed else None, exact)


def pieces(item: Item, longest: int, rng: np.random.Generator) -> list[Item]:
    """An utterance cut between words into parts of at most `longest` feature frames; whole if its times are unknown.

    A cut is made in the longest pause of the second half of what fits.
    """
    if len(item.mel) <= longest or item.words is None:
        return [item]
    words = item.words
    gaps = [(a.bounds[-1], b.bounds[0]) for a, b in itertools.pairwise(words)]
    cuts, begin = [(0, 0)], 0  # word and feature frame (even) at which each part begins
    while len(item.mel) - begin > longest:
        room = longest * rng.uniform(0.6, 1.0)
        fits = [k for k in range(cuts[-1][0], len(gaps)) if begin + room / 2 < 50 * sum(gaps[k]) <= begin + room]
        if not fits:
            return [item]
        k = max(fits, key=lambda k: gaps[k][1] - gaps[k][0])
        begin = round(25 * sum(gaps[k])) * 2
        cuts.append((k + 1, begin))
    found = []
    for (first, start), (stop, end) in zip(cuts, [*cuts[1:], (len(words), len(item.mel))], strict=True):
        part = [word.moved(-start / 100) for word in words[first:stop]]
        found.append(Item(item.mel[start:end], " ".join(w.text for w in part), part, item.exact))
    return found


def between_rows(rows: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Rows at fractional positions, interpolated linearly; at least two are needed."""
    low = np.minimum(position.astype(int), len(rows) - 2)
    weight = (position - low)[:, None].astype(np.float32)
    found: np.ndarray = rows[low] * (1 - weight) + rows[low + 1] * weight
    return found


def stretched(item: Item, factor: float) -> Item:
    """An utterance `factor` times as long, its features interpolated."""
    n = len(item.mel)
    if factor == 1 or n < 2:
        return item
    position = np.linspace(0, n - 1, round(n * factor))
    scale = len(position) / n
    words = None if item.words is None else [word.moved(0.0, scale) for word in item.words]
    return Item(between_rows(item.mel.astype(np.float32), position), item.text, words, item.exact)


def trimmed(item: Item, rng: np.random.Generator) -> Item:
    """An utterance of known times with at most 0.1 s in front of its speech and 0.06 s behind."""
    if not item.words:
        return item
    first = max(0, int(100 * (item.words[0].bounds[0] - rng.uniform(0, 0.1))))
    stop = math.ceil(100 * (item.words[-1].bounds[-1] + rng.uniform(0, 0.06)))
    return Item(item.mel[first:stop], item.text, [word.moved(-first / 100) for word in item.words], item.exact)


def other_voice(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Features as if a longer or shorter vocal tract had spoken through another microphone.

    Frequencies are scaled (vocal tract length perturbation, Jaitly and Hinton 2013) and a smooth response is added.
    """
    position = np.interp(_CENTRES * rng.uniform(0.84, 1.2), _CENTRES, np.arange(80))
    response = np.interp(np.arange(80), np.linspace(0, 79, 5), rng.normal(0, 0.08, 5))
    return (between_rows(mel.T, position).T + response).astype(np.float32)


def with_noise(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Features as if steady coloured noise had been added: powers add, here in Whisper's scaled logarithm."""
    level = mel.max() - rng.uniform(0.35, 1.4) + np.linspace(0, rng.uniform(-0.5, 0.2), 80)
    noise = 4 * level + np.log10(rng.exponential(size=mel.shape) + 1e-3)
    return (np.logaddexp(4 * np.log(10) * mel, np.log(10) * noise) / (4 * np.log(10))).astype(np.float32)


def guidance(item: Item, n_frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each predicted token is spoken, and the character and the phone at each frame.

    Characters own their stretch of the word, the space before a word owns the
    pause (at least 40 ms around the edge), the end token what follows speech.

    Returns
    -------
    (tokens, frames) float32 with rows summing to 1, and two times (frames,) int64 labels
    """
    spans: list[tuple[float, float]] = []
    labels, phones = np.zeros((2, n_frames), np.int64)
    centres = (np.arange(n_frames) + 0.5) * FRAME
    last = 0.0
    for k, (text, bounds, sounds) in enumerate(item.words or []):
        if k:
            centre = (last + bounds[0]) / 2
            spans.append((min(last, centre - 0.02), max(bounds[0], centre + 0.02)))
        for character, start, end in zip(text, bounds[:-1], bounds[1:], strict=True):
            spans.append((start, max(end, start + 0.01)))
            labels[(centres >= start) & (centres < end)] = _LABEL.get(character, 0)
        edges = phone_edges(np.asarray(bounds), len(sounds))
        inside = (centres >= edges[0]) & (centres < edges[-1])
        phones[inside] = np.array(sounds)[np.searchsorted(edges[1:-1], centres[inside], side="right")]
        last = bounds[-1]
    spans.append((last, min(max(last + 0.06, n_frames * FRAME), last + 0.3)))
    edges = np.arange(n_frames + 1) * FRAME
    start, end = np.array(spans).T
    overlap = np.minimum(edges[1:], end[:, None]) - np.maximum(edges[:-1], start[:, None])
    weights = np.maximum(overlap, 0)
    smooth = 0.6 * weights
    smooth[:, 1:] += 0.2 * weights[:, :-1]
    smooth[:, :-1] += 0.2 * weights[:, 1:]
    return (smooth / np.maximum(smooth.sum(1, keepdims=True), 1e-9)).astype(np.float32), labels, phones


def collate(items: Sequence[Item], rng: np.random.Generator, training: bool) -> Batch:
    """Pad, mask (SpecAugment) and build the targets of a batch."""
    if training:
        factors = [rng.uniform(0.88, 1.12) if rng.random() < 0.3 else 1.0 for _ in items]
        items = [
            stretched(i, f) if f != 1 and len(i.mel) * f < 3000 else i for i, f in zip(items, factors, strict=True)
        ]
        items = [trimmed(item, rng) if rng.random() < ABRUPT else item for item in items]
    longest = max(len(item.mel) for item in items)
    if training:
        extra = int(rng.integers(0, 300)) if rng.random() < 0.3 else int(rng.integers(0, 20))
        longest = 3000 if len(items) <= 4 and rng.random() < 0.2 else min(longest + extra, 3000)
    longest += longest % 2
    mel = np.empty((len(items), longest, 80), np.float32)
    tokens, ctc, frames, guides, labels, phones, timed, exact = [], [], [], [], [], [], [], []
    for i, item in enumerate(items):
        part = item.mel.astype(np.float32)
        if training and rng.random() < OTHER_VOICE:
            part = other_voice(part, rng)
        if training and not item.exact and rng.random() < 0.2:  # synthetic speech is noisy already
            part = with_noise(part, rng)
        floor = max(float(part.max()) - 2.0, -1.5)
        if training and rng.random() < 0.25:
            floor = 0.0  # faster-whisper pads features, not audio
        if training:
            for _ in range(int(rng.integers(0, 3))):
                low, high = np.sort(rng.integers(0, 80, 2))
                part[:, low : min(high, low + 14)] = part.mean()
                width = int(rng.integers(0, max(1, len(part) // 20)))
                begin = int(rng.integers(0, len(part) - width))
                part[begin : begin + width] = part.mean()
        mel[i, : len(part)] = part
        mel[i, len(part) :] = floor
        tokens.append(torch.tensor([START, NO_TIMESTAMPS, *encode(item.text), END]))
        ctc.append(torch.tensor([_LABEL[c] for c in item.text]))
        frames.append((len(part) + 1) // 2)
        if item.words is not None:
            guide, *both = guidance(item, longest // 2)
            timed.append(i)
            for label, found in zip(both, (labels, phones), strict=True):
                label[frames[-1] :] = -100
                found.append(torch.from_numpy(label))
            if item.exact:
                exact.append(i)
                guides.append(torch.from_numpy(guide))
    pad = nn.utils.rnn.pad_sequence
    return Batch(
        torch.from_numpy(mel).transpose(1, 2).contiguous(),
        pad(tokens, True, -100),
        torch.tensor(frames),
        torch.cat(ctc),
        torch.tensor([len(c) for c in ctc]),
        pad(guides, True) if guides else torch.zeros(0, 1, longest // 2),
        torch.tensor(exact, dtype=torch.long),
        *(
            torch.stack(found) if found else torch.zeros(0, longest // 2, dtype=torch.long)
            for found in (labels, phones)
        ),
        torch.tensor(timed, dtype=torch.long),
    )


def losses(model: Recogniser, batch: Batch, decoder: bool = True) -> dict[str, torch.Tensor]:
    """Every loss of a batch, those of the decoder on request, and the share of guided attention on gold frames."""
    states = model.encode(batch.mel)
    found = encoder_losses(model, states, batch)
    return found | decoder_losses(model, states, batch) if decoder else found


def encoder_losses(model: Recogniser, states: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """CTC and the per-frame losses."""
    log_probabilities = functional.log_softmax(model.ctc(states).float(), -1).transpose(0, 1)
    ctc = functional.ctc_loss(
        log_probabilities, batch.ctc_targets, batch.frames, batch.ctc_lengths, reduction="none", zero_infinity=True
    )
    found = {"ctc": (ctc / batch.ctc_lengths).mean()}
    if len(batch.timed):
        timed = states[batch.timed]
        for name, head, labels in (
            ("frame", model.frame, batch.frame_labels),
            ("phone", model.phone, batch.phone_labels),
        ):
            scores = head(timed).float().flatten(0, 1)
            found[name] = functional.cross_entropy(scores, labels.flatten())
        known = batch.phone_labels.flatten() > 0
        found["phones_right"] = (scores.argmax(-1) == batch.phone_labels.flatten())[known].float().mean().detach()
    return found


def decoder_losses(model: Recogniser, states: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """Cross-entropy of the text and, where times are exact, guided attention."""
    inputs = batch.tokens[:, :-1].clamp(min=0)
    decoder = model.whisper.model.decoder(
        input_ids=inputs, encoder_hidden_states=states, output_attentions=True, use_cache=False
    )
    # The START position need not be learned: its successor is given.
    targets = batch.tokens[:, 2:]
    logits = model.whisper.proj_out(decoder.last_hidden_state[:, 1:]).float()
    found = {"text": functional.cross_entropy(logits.flatten(0, 1), targets.flatten())}
    if len(batch.exact):
        rows = batch.guide.shape[1]
        heads = torch.stack([decoder.cross_attentions[layer][batch.exact, head] for layer, head in GUIDED_HEADS])
        heads = heads[:, :, 1 : rows + 1].float()
        weight = batch.guide.sum(-1)
        fit = -(batch.guide * torch.log(heads + 1e-5)).sum(-1)
        entropy = -(batch.guide * torch.log(batch.guide + 1e-9)).sum(-1)
        found["guide"] = ((fit - entropy) * weight).sum() / (weight.sum() * len(GUIDED_HEADS))
        found["on_gold"] = (heads * (batch.guide > 0)).sum(-1).mul(weight).sum().detach() / (
            weight.sum() * len(GUIDED_HEADS)
        )
    return found


def total(found: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack([weight * found[name] for name, weight in WEIGHTS.items() if name in found]).sum()


def batches_of(items: Sequence[Item], frames: int, rng: np.random.Generator) -> list[list[Item]]:
    """Items of like length together, at most `frames` feature frames a batch, in random order."""
    order = sorted(items, key=lambda item: len(item.mel) * rng.uniform(0.9, 1.1))
    batches: list[list[Item]] = [[]]
    for item in order:
        if batches[-1] and len(item.mel) * (len(batches[-1]) + 1) > frames:
            batches.append([])
        batches[-1].append(item)
    rng.shuffle(batches)  # type: ignore[arg-type]
    return batches


def make_round(
    real: list[list[Item]], synthetic: list[Item], progress: float, rng: np.random.Generator
) -> list[list[Item]]:
    """One pass over the real speech with a share of synthetic speech; longer utterances as training goes on.

    Parameters
    ----------
    real : list of lists
        Versions of the real speech (clean, augmented); a round takes an equal random share of each.
    synthetic : list
    progress : float
        Share of the steps done.
    """
    longest = 500 if progress < 0.3 else 800 if progress < 0.6 else 1200
    share = 0.5
    chosen = [version[i] for version in real for i in rng.permutation(len(version))[: len(version) // len(real)]]
    chosen = [piece for item in chosen for piece in pieces(item, longest, rng)]
    chosen = [item for item in chosen if len(item.mel) <= longest]
    wanted = sum(len(item.mel) for item in chosen) * share / (1 - share) if chosen else math.inf
    for i in rng.permutation(len(synthetic)):
        if wanted <= 0:
            break
        if len(synthetic[i].mel) <= longest:
            chosen.append(synthetic[i])
            wanted -= len(synthetic[i].mel)
    order = rng.permutation(len(chosen))
    grouped, k = [], 0
    while k < len(order):
        group = [chosen[order[k]]]
        k += 1
        if rng.random() < 0.05:  # several in a row: long positions and long pauses
            limit = rng.uniform(longest, min(2.0 * longest, 2950))
            while k < len(order) and sum(len(i.mel) for i in group) + len(chosen[order[k]].mel) < limit:
                group.append(chosen[order[k]])
                k += 1
                if sum(len(i.text) + 1 for i in group) > 380:
                    break
        item = joined(group)
        if len(item.text) <= 440:
            grouped.append(item)
    return batches_of(grouped, BATCH_FRAMES, rng)


def rate_at(step: int, steps: int, peak: float) -> float:
    """Linear warm-up to the peak rate, then cosine decay to 2 % of it."""
    if step < WARMUP:
        return peak * (step + 1) / WARMUP
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - WARMUP) / (steps - WARMUP)))))


def schedule(
    real: list[list[Item]], synthetic: list[Item], steps: int, seed: int, position: tuple[int, int, int], workers: int
) -> Iterator[tuple[list[list[Item]], tuple[int, int, int]]]:
    """A batch for each worker from a position (step, round, index) on, each time with the position that follows."""
    step, number, index = position
    start_step = step - index
    while True:
        rng = np.random.default_rng([seed, number])
        batches = make_round(real, synthetic, start_step / steps, rng)
        for k in range(index, len(batches) // workers):
            step += 1
            yield batches[k * workers : (k + 1) * workers], (step, number, k + 1)
        number, index, start_step = number + 1, 0, step


def shared(parameters: Sequence[nn.Parameter], stop: bool, workers: int) -> bool:
    """Make every gradient the mean over the workers; whether any of them wants to stop."""
    if workers == 1:
        return stop
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([g.flatten() for g in gradients] + [torch.tensor([float(stop)])])
    distributed.all_reduce(flat)
    for parameter, mean in zip(parameters, flat[:-1].split([g.numel() for g in gradients]), strict=True):
        parameter.grad = (mean / workers).view_as(parameter)
    return bool(flat[-1] > 0)


def evaluate(model: Recogniser, items: Sequence[Item], device: str) -> dict[str, float]:
    """Mean losses over held-out items."""
    rng = np.random.default_rng(0)
    sums: dict[str, list[float]] = {}
    model.eval()
    with torch.no_grad():
        for batch in batches_of(items, BATCH_FRAMES, rng):
            for name, value in losses(model, to_device(collate(batch, rng, False), device)).items():
                sums.setdefault(name, []).append(float(value))
    model.train()
    return {name: round(float(np.mean(values)), 4) for name, values in sums.items()}


def to_device(batch: Batch, device: str) -> Batch:
    return batch if device == "cpu" else Batch(**{k: v.to(device) for k, v in vars(batch).items()})


def exported_state(folder: Path) -> dict[str, torch.Tensor]:
    """Weights of an exported checkpoint folder, as `Recogniser` names them."""
    from safetensors.torch import load_file

    weights = {f"whisper.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    weights.setdefault("whisper.proj_out.weight", weights["whisper.model.decoder.embed_tokens.weight"])
    weights |= load_file(folder / "ctc_head.safetensors")
    return {name: value.float() for name, value in weights.items()}


def weights(source: Path) -> dict[str, torch.Tensor]:
    """Weights of an exported folder or of a run's `last.pt`."""
    if source.is_dir():
        return exported_state(source)
    found: dict[str, torch.Tensor] = torch.load(source, map_location="cpu")["model"]
    return found


def save(state: dict[str, Any], path: Path) -> None:
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


@click.command()
@click.argument("features", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Run folder; resumed if it exists."
)
@click.option(
    "--steps", default=20_000, show_default=True, help="Steps of the whole run; the learning rate ends there."
)
@click.option("--stop-at", type=int, help="Stop (resumably) at this step, before the run is over.")
@click.option(
    "--init",
    type=click.Path(exists=True, path_type=Path),
    help="A last.pt or an exported folder to take the weights from.",
)
@click.option("--rate", default=7e-4, show_default=True, help="Peak learning rate.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu", show_default=True)
@click.option(
    "--bf16/--float32",
    default=torch.cuda.is_available(),
    show_default=True,
    help="Few CPUs multiply bfloat16 faster than float32; the others take ten times as long.",
)
def main(
    features: tuple[Path, ...],
    output: Path,
    steps: int,
    stop_at: int | None,
    init: Path | None,
    rate: float,
    seed: int,
    device: str,
    bf16: bool,
) -> None:
    """Train on feature sets; each FEATURES folder of real speech is one version of the same utterances."""
    output.mkdir(parents=True, exist_ok=True)
    rank, workers = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if workers > 1:
        distributed.init_process_group("gloo")
    torch.manual_seed(seed)
    model = Recogniser().to(device)
    sets = [load_features([folder], "train") for folder in features]
    synthetic = [item for items in sets for item in items if item.exact]
    real = [items for items in sets if items and not items[0].exact]
    dev = load_features([features[0]], "test")[:100]
    dev_synthetic = [i for i in load_features(features, "test") if i.exact][:100]
    click.echo(
        f"real {[len(r) for r in real]} synthetic {len(synthetic)} dev {len(dev)} {len(dev_synthetic)}", err=True
    )
    decay = [p for p in model.parameters() if p.ndim > 1 and p.requires_grad]
    rest = [p for p in model.parameters() if p.ndim <= 1 and p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=1e-3, betas=(0.9, 0.98)
    )
    position = (0, 0, 0)
    checkpoint = output / "last.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        position = state["position"]
        click.echo(f"resumed at step {position[0]}", err=True)
    elif init:
        model.load_state_dict(weights(init), strict=False)  # checkpoints before the phone classifier lack it

    def snapshot() -> None:
        save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "position": position}, checkpoint)

    interrupted: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: interrupted.append(received))
    begun = saved = time.monotonic()
    seen: dict[str, list[float]] = {}
    passes = 0
    every = [p for p in model.parameters() if p.requires_grad]
    of_decoder = {id(p) for p in model.whisper.model.decoder.parameters()}
    of_encoder = [p for p in every if id(p) not in of_decoder]
    stop = False
    for given, following in schedule(real, synthetic, steps, seed, position, workers):
        if stop or position[0] >= (stop_at or steps):
            break
        items, step = given[rank], position[0]
        rng = np.random.default_rng([seed, 7, step, rank])
        decoder = step >= DECODER_FROM * steps or np.random.default_rng([seed, 8, step]).random() >= ENCODER_ONLY
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps, rate)
        batch = to_device(collate(items, rng, True), device)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            found = losses(model, batch, decoder)
        optimizer.zero_grad(set_to_none=True)
        total(found).backward()
        stop = shared(every if decoder else of_encoder, bool(interrupted), workers)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        position = following
        passes += len(items)
        for name, value in found.items():
            seen.setdefault(name, []).append(float(value.detach()))
        if position[0] % 100 == 0 and rank == 0:
            means = {name: round(float(np.mean(values)), 4) for name, values in seen.items()}
            record: dict[str, Any] = {
                "step": position[0],
                "seconds": round(time.monotonic() - begun),
                "passes": passes,
                **means,
            }
            if position[0] % 2000 == 0:
                record["dev"] = evaluate(model, dev, device)
                record["dev_synthetic"] = evaluate(model, dev_synthetic, device)
            with (output / "log.jsonl").open("a") as log:
                log.write(json.dumps(record) + "\n")
            seen.clear()
        if rank == 0 and time.monotonic() - saved > 180:
            snapshot()
            saved = time.monotonic()
    if rank == 0:
        snapshot()


if __name__ == "__main__":
    main()
