"""What stands before, after and between the words must not move them: `python -m benchmarks.edges MANIFEST ...`.

Every utterance of the manifests (from `align-eval prepare`) is aligned with its transcript as it is, and again with
60 s of silence, noise, music or the babble of other speakers before it, with noise and breath after it, and with 3 s of
silence inside it, between two of its words. Printed for each: how far the words moved. With `--recognise` the leads are
recognised without a transcript, and the words found inside them are counted: all of them are hallucinated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np

from aligner.core import Alignment, Audio
from aligner.metrics.bootstrap import interval
from aligner.models import load_model
from aligner.pipeline import align_audio
from aligner.timing.settings import Settings
from benchmarks.mixtures import RATE, Samples, babble, level, music, noise
from eval.manifest import Utterance, load_audio, read_manifest

NEAR = 0.1  # seconds that a word may move
INSIDE = 3.0  # seconds of pause between two words
AFTER = 5.0  # seconds of noise after the last word


def leads(seconds: float, others: Sequence[Samples]) -> dict[str, Callable[[np.random.Generator], Samples]]:
    """What can stand before an utterance, relative to its level."""
    count = round(seconds * RATE)
    return {
        "silence": lambda rng: 0.001 * noise(count, rng),
        "noise, -20 dB": lambda rng: 0.1 * noise(count, rng),
        "noise, -6 dB": lambda rng: 0.5 * noise(count, rng),
        "music, -6 dB": lambda rng: 0.5 * music(count, rng),
        "music, 0 dB": lambda rng: music(count, rng),
        "babble, -10 dB": lambda rng: 0.32 * babble(count, rng, others),
    }


def breath(rng: np.random.Generator) -> Samples:
    """A breath, half a second of noise that swells and ebbs, and faint noise; relative to the speech."""
    found = 0.01 * noise(round(AFTER * RATE), rng)
    swell = np.sin(np.linspace(0, np.pi, RATE // 2)).astype(np.float32)
    found[RATE // 4 : RATE // 4 + len(swell)] += 0.08 * swell * noise(len(swell), rng)
    return found


def moved(clean: Alignment, found: Alignment, shift: Callable[[int], float]) -> list[float]:
    """Seconds that each word moved, the farther of its ends; infinite where it is reported missing."""
    if [w.text for w in found.words] != [w.text for w in clean.words]:
        return [np.inf] * len(clean.words)
    pairs = enumerate(zip(clean.words, found.words, strict=True))
    return [max(abs(b.start - a.start - shift(k)), abs(b.end - a.end - shift(k))) for k, (a, b) in pairs]


def line(name: str, moves: Sequence[Sequence[float]]) -> str:
    """A row of the table: share of words that stay, with its interval over utterances, and the farthest."""
    flat = [value for words in moves for value in words]
    groups = [k for k, words in enumerate(moves) for _ in words]
    share = interval([100.0 * (value <= NEAR) for value in flat], groups)
    shown = f"{share.value:.1f} [{share.low:.1f}, {share.high:.1f}]"
    return f"| {name} | {len(flat)} | {shown} | {1000 * float(np.median(flat)):.0f} | {max(flat):.2f} |"


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seconds", default=60.0, show_default=True, help="Length of what stands before the words.")
@click.option("--most", type=int, help="Utterances used, drawn at random; all by default.")
@click.option("--seed", default=0, show_default=True)
@click.option("--recognise", is_flag=True, help="Count the words recognised in what stands before the words.")
def main(manifests: tuple[Path, ...], seconds: float, most: int | None, seed: int, recognise: bool) -> None:
    """Print how far words move when something else stands beside them."""
    utterances = [utterance for path in manifests for utterance in read_manifest(path)]
    rng = np.random.default_rng(seed)
    chosen = [utterances[k] for k in sorted(rng.permutation(len(utterances))[:most])]
    model, settings = load_model(threads=1), Settings(confidence=False)

    def align(samples: Samples, text: str | None) -> Alignment:
        return align_audio(model, Audio(samples, RATE), text, settings)

    clips = {utterance.id: load_audio(utterance, RATE).samples for utterance in utterances}
    moves: dict[str, list[list[float]]] = {}
    words: dict[str, int] = {}
    for number, utterance in enumerate(chosen):
        samples = clips[utterance.id]
        # Where speakers are unknown, every utterance counts as one.
        others = [clips[u.id] for u in utterances if (u.speaker or u.id) != (utterance.speaker or utterance.id)]
        loud = level(samples)
        clean = align(samples, utterance.text)
        for name, make in leads(seconds, others).items():
            lead = loud * make(np.random.default_rng([seed, number]))
            joined = np.concatenate([lead, samples])
            shift = len(lead) / RATE
            if recognise:
                found = align(joined, None)
                words[name] = words.get(name, 0) + sum(word.end < shift for word in found.words)
            else:
                found = align(joined, utterance.text)
                moves.setdefault(name, []).append(moved(clean, found, lambda k, shift=shift: shift))
        if not recognise:
            after = loud * breath(np.random.default_rng([seed, number]))
            found = align(np.concatenate([samples, after]), utterance.text)
            moves.setdefault("breath and noise after", []).append(moved(clean, found, lambda k: 0.0))
            row = paused(utterance, samples, clean, align, loud, np.random.default_rng([seed, number]))
            moves.setdefault(f"{INSIDE:g} s of silence inside", []).append(row)
        click.echo(f"{number + 1} of {len(chosen)}", err=True)
    click.echo(
        f"{len(chosen)} utterances, {seconds:g} s before the words, seed {seed}; {model.name} {model.fingerprint}\n"
    )
    if recognise:
        click.echo("| before the words | words recognised there | a minute |\n|---|---|---|")
        for name, count in words.items():
            click.echo(f"| {name} | {count} | {60 * count / seconds / len(chosen):.1f} |")
        return
    click.echo(
        f"| beside the words | words | within {1000 * NEAR:.0f} ms, % | median ms | farthest s |\n|---|---|---|---|---|"
    )
    for name, rows in moves.items():
        click.echo(line(name, rows))


def paused(
    utterance: Utterance,
    samples: Samples,
    clean: Alignment,
    align: Callable[[Samples, str], Alignment],
    loud: float,
    rng: np.random.Generator,
) -> list[float]:
    """Moves of the words when silence parts them at the gold boundary nearest the middle."""
    middle = len(utterance.words) // 2
    cut = round((utterance.words[middle - 1].end + utterance.words[middle].start) / 2 * RATE)
    silence = 0.001 * loud * noise(round(INSIDE * RATE), rng)
    found = align(np.concatenate([samples[:cut], silence, samples[cut:]]), utterance.text)
    return moved(clean, found, lambda k: INSIDE if k >= middle else 0.0)


if __name__ == "__main__":
    main()
