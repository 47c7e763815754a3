"""Word error rates of `align` without a transcript: `python -m benchmarks.recognition MANIFEST ... [--model FOLDER]`.

Every utterance of the manifests (from `align-eval prepare`) is recognised by `align` and by faster-whisper with the
same CTranslate2 weights: greedy (one beam, no second tries), with and without timestamp tokens. Texts are compared in
their spoken form. Intervals are drawn over speakers, differences over the same draws.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from aligner.core import Audio
from aligner.errors import InputError
from aligner.metrics.bootstrap import Interval, group_weights
from aligner.text.spoken import spoken_form
from benchmarks.mixtures import RATE, Samples
from eval.manifest import load_audio, read_manifest

Hear = Callable[[Samples], str]


def word_errors(said: str, heard: str, language: str = "en") -> tuple[int, int]:
    """Substitutions, deletions and insertions between the spoken forms of two texts, and how many words were said."""
    from jiwer import process_words

    reference, found = spoken_form(said, language), spoken_form(heard, language)
    if not reference or not found:
        return max(len(reference.split()), len(found.split())), len(reference.split())
    measured = process_words(reference, found)
    return measured.substitutions + measured.deletions + measured.insertions, len(reference.split())


def own(folder: str) -> Hear:
    """`align` without a transcript."""
    from aligner.models import load_model
    from aligner.pipeline import align_audio
    from aligner.timing.settings import Settings

    model, settings = load_model(folder, threads=1), Settings(language="en")

    def hear(samples: Samples) -> str:
        try:
            return align_audio(model, Audio(samples, RATE), None, settings).text
        except InputError:  # no speech was recognised
            return ""

    return hear


@contextmanager
def readable(folder: str) -> Iterator[str]:
    """The folder with the list of tokens that CTranslate2 wants beside the tokenizer that has them already."""
    with TemporaryDirectory() as place:
        for path in Path(folder).resolve().iterdir():
            (Path(place) / path.name).symlink_to(path)
        if not list(Path(place).glob("vocabulary.*")):
            tokenizer = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
            ids = tokenizer["model"]["vocab"] | {entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}
            tokens = sorted(ids, key=ids.__getitem__)
            tokens += [f"<|{0.02 * k:.2f}|>" for k in range(1501) if f"<|{0.02 * k:.2f}|>" not in ids]
            (Path(place) / "vocabulary.json").write_text(json.dumps(tokens), encoding="utf-8")
        yield place


def faster_whisper(folder: str, timestamps: bool) -> Hear:
    """faster-whisper, greedy."""
    from faster_whisper import WhisperModel

    with readable(folder) as whole:
        model = WhisperModel(whole, device="cpu", compute_type="float32", cpu_threads=1)

    def hear(samples: Samples) -> str:
        segments, _ = model.transcribe(
            samples,
            language="en",
            beam_size=1,
            temperature=0.0,
            without_timestamps=not timestamps,
            condition_on_previous_text=False,
        )
        return " ".join(segment.text for segment in segments)

    return hear


SYSTEMS: dict[str, Callable[[str], Hear]] = {
    "align": own,
    "faster-whisper": lambda folder: faster_whisper(folder, timestamps=True),
    "faster-whisper, no timestamps": lambda folder: faster_whisper(folder, timestamps=False),
}


def rate(errors: Sequence[float], said: Sequence[float], groups: Sequence[str]) -> Interval:
    """Errors per hundred words, and its 95 % interval when whole groups are drawn."""
    wrong, words = np.asarray(errors, float), np.asarray(said, float)
    weights = group_weights(groups)
    low, high = np.quantile((weights @ wrong) / (weights @ words), [0.025, 0.975])
    return Interval(100 * wrong.sum() / words.sum(), 100 * float(low), 100 * float(high))


def _shown(found: Interval) -> str:
    return f"{found.value:.1f} [{found.low:.1f}, {found.high:.1f}]"


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", help="Folder of a CTranslate2 checkpoint, which both tools read; the embedded one by default.")
@click.option("--system", "systems", multiple=True, type=click.Choice(list(SYSTEMS)), help="All by default.")
@click.option("--most", type=int, help="Utterances of each manifest, drawn at random; all by default.")
@click.option("--worst", default=0, help="Show so many of the utterances that the first system heard worst.")
@click.option("--seed", default=0, show_default=True)
def main(
    manifests: tuple[Path, ...], model: str | None, systems: tuple[str, ...], most: int | None, worst: int, seed: int
) -> None:
    """Print word error rates."""
    import aligner

    folder = model or str(Path(aligner.__file__).parent / "embedded")
    names = systems or tuple(SYSTEMS)
    tools = {name: SYSTEMS[name](folder) for name in names}
    click.echo(f"weights {Path(folder).name}; % of words wrong with 95 % intervals over speakers, CPU ms per second\n")
    head = " | ".join(f"{name} | more than {names[0]} | CPU" for name in names)
    click.echo(f"| corpus | utterances | words | {head} |")
    click.echo("|---" * (3 + 3 * len(names)) + "|")
    for path in manifests:
        every = read_manifest(path)
        chosen = [every[k] for k in sorted(np.random.default_rng(seed).permutation(len(every))[:most])]
        errors: dict[str, list[int]] = {name: [] for name in names}
        spent = dict.fromkeys(names, 0.0)
        said: list[int] = []
        heard: list[str] = []
        for utterance in chosen:
            samples = load_audio(utterance, RATE).samples
            for name, hear in tools.items():
                before = time.process_time()
                text = hear(samples)
                spent[name] += time.process_time() - before
                wrong, words = word_errors(utterance.text, text, utterance.language)
                errors[name].append(wrong)
                if name == names[0]:
                    said.append(words)
                    heard.append(text)
        groups = [utterance.speaker or utterance.id for utterance in chosen]
        seconds = sum(utterance.duration for utterance in chosen)
        cells = []
        for name in names:
            more = [b - a for a, b in zip(errors[names[0]], errors[name], strict=True)]
            beside = "" if name == names[0] else _shown(rate(more, said, groups))
            cells += [_shown(rate(errors[name], said, groups)), beside, f"{1000 * spent[name] / seconds:.0f}"]
        click.echo(f"| {path.stem} | {len(chosen)} | {sum(said)} | " + " | ".join(cells) + " |")
        for k in sorted(range(len(chosen)), key=lambda k: -errors[names[0]][k])[:worst]:
            click.echo(f"{errors[names[0]][k]} {chosen[k].id}: {chosen[k].text!r} heard as {heard[k]!r}", err=True)


if __name__ == "__main__":
    main()
