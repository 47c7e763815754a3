"""Teach a timing head from recordings and transcripts: `align-eval adapt CORPUS ... --model base -o german.head`.

No times are needed. The checkpoint is not changed; what is made is one small file that `align --head` takes.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aligner.errors import InputError, SettingError

if TYPE_CHECKING:
    from aligner.models import SpeechModel
    from aligner.timing.head import Card, Head
    from aligner.training.corpus import Item
    from aligner.training.teach import Lesson

HELD_OUT = 20  # pieces, and at most a tenth of all
Say = Callable[[str], None]


@click.command("adapt")
@click.argument("corpora", nargs=-1, required=True, metavar="CORPUS...", type=click.Path(exists=True, path_type=Path))
@click.option("-m", "--model", "name", default="embedded", show_default=True, help="Checkpoint; it is not changed.")
@click.option("-l", "--language", metavar="NAME", help="Language of the speech.  [default: the checkpoint's only one]")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Head to write.")
@click.option(
    "--transcripts",
    type=click.Choice(["given", "own"]),
    default="given",
    show_default=True,
    help="Texts beside the recordings, or those that the checkpoint itself recognises.",
)
@click.option(
    "--start",
    type=click.Choice(["either", "attention", "even"]),
    default="either",
    show_default=True,
    help="Where words are taken to be at first: by attention, evenly spread, or the likelier of both.",
)
@click.option("--speller", metavar="NAME", help="How words become sounds.  [default: by the language]")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Most speech, evenly over speakers.")
@click.option("--held-out", default=HELD_OUT, show_default=True, type=click.IntRange(0), help="Recordings to judge by.")
@click.option("--apart", is_flag=True, help="One recording to a window: a little better, several times slower.")
@click.option("--seed", default=0, show_default=True, help="Of every choice that is left to chance.")
@click.option("--keep", is_flag=True, help="Keep OUTPUT.work, what the encoder said, for another try.")
def adapt(corpora: tuple[Path, ...], name: str, language: str | None, output: Path, **options: Any) -> None:
    """Teach a timing head to a checkpoint from recordings and their transcripts, without any times.

    CORPUS is a folder of recordings with transcripts beside them (talk.wav, talk.txt), or a manifest: one JSON object
    a line with "audio", "text" and, where known, "speaker" and "duration".

    A run that was stopped goes on where it was when the same command is given again.

    \b
    align-eval adapt recordings/ --model base --language de -o german.head
    align talk.wav --model base --head german.head --text talk.txt
    """
    from aligner.models import load_model
    from aligner.text.languages import code
    from aligner.text.pronunciation import speller_for, spellers
    from aligner.timing.head import save
    from aligner.training.gain import gain

    if options["speller"] is not None and options["speller"] not in spellers:
        raise SettingError(f"unknown speller {options['speller']!r}: choose one of {', '.join(spellers)}")
    model = load_model(name)
    _check(model)
    if language is None and len(model.languages) > 1:
        raise SettingError(f"model {model.name} knows {len(model.languages)} languages: name one with --language")
    language = code(language) if language else model.languages[0]
    model.check_language(language)
    speller = options["speller"] or speller_for(language)
    spell = spellers[speller](language)
    work = output.with_name(output.name + ".work")
    with _progress() as (say, phase):
        items = _items(corpora, options, say)
        ready = _pieces(model, items, language, spell, say, phase)
        lessons = _encoded(model, ready, language, options["apart"], work, phase)
        card = _card(model, language, speller, lessons, ready)
        head, judges = _taught(card, lessons, options, say, phase)
        save(head, output)
        verdict = gain(head, judges)
    if not options["keep"]:
        shutil.rmtree(work, ignore_errors=True)
    click.echo(f"{output}: taught from {head.card.hours:.2f} hours of speech; {verdict}", err=True)


def _check(model: SpeechModel) -> None:
    from aligner.models.base import HearsSpectrogram

    if not isinstance(model, HearsSpectrogram) or (model.feature_duration, model.frame_duration) != (0.01, 0.02):
        raise SettingError(
            f"model {model.name} cannot have a timing head: that needs features every 10 ms and encoder "
            "states every 20, as Whisper has"
        )


def _items(corpora: tuple[Path, ...], options: dict[str, Any], say: Say) -> tuple[Item, ...]:
    """Recordings to teach from, as many hours as are wanted."""
    from aligner.training.corpus import chosen, read_corpus, timed

    def looked_up(item: Item) -> Item | None:
        try:
            return timed(item)
        except InputError as error:
            say(f"left out: {error}")
            return None

    found = [item for corpus in corpora for item in read_corpus(corpus, options["transcripts"] == "own")]
    if options["hours"] is not None:
        known = [item if item.end > 0 else looked_up(item) for item in found]
        found = list(chosen([item for item in known if item is not None], options["hours"], options["seed"]))
    return tuple(item for one in found if (item := looked_up(one)) is not None)


def _pieces(
    model: SpeechModel, items: tuple[Item, ...], language: str, spell: Any, say: Say, phase: Any
) -> tuple[Item, ...]:
    """Pieces of all recordings from which something can be learned; what is left out is named."""
    from aligner.training.corpus import doubt, pieces

    ready: list[Item] = []
    left_out = 0
    with phase("cutting", float(len(items))) as step:
        for item in items:
            try:
                for piece in pieces(model, item, language):
                    if why := doubt(piece, spell):
                        say(f"left out: {piece.audio}, {piece.start:.1f} to {piece.end:.1f} s: {why}")
                        left_out += 1
                    else:
                        ready.append(piece)
            except InputError as error:
                say(f"left out: {error}")
                left_out += 1
            step(1.0)
    if left_out:
        say(f"left out {left_out}, kept {len(ready)} pieces of {len(items)} recordings")
    if not ready:
        raise InputError("nothing is left to learn from: are the transcripts those of the recordings?")
    return tuple(ready)


def _encoded(
    model: SpeechModel, items: tuple[Item, ...], language: str, apart: bool, work: Path, phase: Any
) -> list[Lesson]:
    from aligner.training.lessons import encoded, packed

    windows = packed(model, items, language, apart)
    with phase("encoding", sum(item.duration for item in items)) as step:
        return list(encoded(model, windows, language, work, step))


def _card(model: SpeechModel, language: str, speller: str, lessons: list[Lesson], items: tuple[Item, ...]) -> Card:
    from aligner.text.pronunciation import PHONES, sounds_of, spellers
    from aligner.timing.head import Card

    words = [word for lesson in lessons for word in lesson.words]
    sounds = PHONES if speller == "cmudict" else sounds_of(words, spellers[speller](language))
    if not sounds:
        raise InputError("the transcripts have too few sounds to learn from: give more speech, or another --speller")
    sources = tuple(sorted({item.source for item in items}))
    # A folder's place on this machine is nobody else's business.
    return Card(Path(model.name).name, model.fingerprint, language, speller, sounds, sources)


def _taught(
    card: Card, lessons: list[Lesson], options: dict[str, Any], say: Say, phase: Any
) -> tuple[Head, list[Lesson]]:
    """The head, and what it was not taught from; of two starts, that under which held-out speech is likelier."""
    from aligner.training.teach import likelihood, teach

    learned, judges = _split(lessons, options["held_out"], options["seed"])
    starts = ("attention", "even") if options["start"] == "either" else (options["start"],)
    heads: list[Head] = []
    for start in starts:
        with phase(f"teaching, {start} start", 1.0) as step:
            done = 0.0

            def report(what: str, share: float, step: Callable[[float], None] = step) -> None:
                nonlocal done
                say(what)
                step(share - done)
                done = share

            first = [replace(lesson, starts=None) for lesson in learned] if start == "even" else learned
            heads.append(teach(replace(card, start=start), first, judges, report))
    found = [likelihood(head, judges or learned[:HELD_OUT]) for head in heads] if len(heads) > 1 else [0.0]
    if len(heads) > 1:
        said = ", ".join(f"{score:.3f} from {start}" for start, score in zip(starts, found, strict=True))
        say(f"nats a frame on held-out speech: {said}; the likelier is kept")
    return heads[found.index(max(found))], judges


def _split(lessons: list[Lesson], held_out: int, seed: int) -> tuple[list[Lesson], list[Lesson]]:
    """To learn from, and to judge by."""
    judges = set(random.Random(seed).sample(range(len(lessons)), min(held_out, len(lessons) // 10)))
    kept = [lesson for k, lesson in enumerate(lessons) if k not in judges]
    return kept, [lessons[k] for k in sorted(judges)]


@dataclass(frozen=True)
class _Phases:
    """Bars of a terminal, one after the other."""

    progress: Any

    @contextmanager
    def __call__(self, what: str, total: float) -> Iterator[Callable[[float], None]]:
        task = self.progress.add_task(what, total=total)
        yield lambda more: self.progress.advance(task, more)


@contextmanager
def _progress() -> Iterator[tuple[Say, _Phases]]:
    """How to say something on standard error, and bars there where it is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, speed_estimate_period=3600) as progress:
        yield lambda what: console.print(what, markup=False, highlight=False, soft_wrap=True), _Phases(progress)
