"""Speech with gold words as windows hold it: `python -m benchmarks.windows MANIFEST... -o FOLDER`.

Utterances of a speaker are joined up to a length, longer ones are cut where the speaker rests longest; the recordings
and their manifest, `windows.jsonl`, are written to FOLDER, for what takes one window at a time, as `align-eval gap`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import click
import soundfile

from benchmarks.joined import joined
from eval.manifest import Utterance, make_utterance, read_manifest, write_manifest

RATE = 16_000


def cut(utterance: Utterance, seconds: float) -> Iterator[Utterance]:
    """Parts of at most that length; the longest rest that leaves both sides a quarter is where it is cut."""
    words, whole = utterance.words, utterance.duration
    rests = [
        (after.start - before.end, k)
        for k, (before, after) in enumerate(pairwise(words), 1)
        if whole / 4 <= (before.end + after.start) / 2 <= 3 * whole / 4
    ]
    if whole <= seconds or not rests:
        yield utterance
        return
    at = max(rests)[1]
    here = (words[at - 1].end + words[at].start) / 2
    moved = tuple(replace(word, start=word.start - here, end=word.end - here) for word in words[at:])
    offset = utterance.offset + here
    yield from cut(replace(utterance, id=f"{utterance.id}-a", words=words[:at], duration=here), seconds)
    yield from cut(
        replace(utterance, id=f"{utterance.id}-b", words=moved, duration=whole - here, offset=offset), seconds
    )


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", "folder", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--seconds", default=28.0, show_default=True, help="Most seconds of a recording.")
def main(manifests: tuple[Path, ...], folder: Path, seconds: float) -> None:
    """Write the utterances of MANIFESTS as recordings of nearly a window."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [part for path in manifests for one in read_manifest(path) for part in cut(one, seconds)]
    made = []
    for number, one in enumerate(joined(parts, seconds, RATE)):
        audio = folder / f"{number:03}.flac"
        soundfile.write(audio, one.audio.samples, RATE)
        words = [(word.text, word.start, word.end) for word in one.words]
        made.append(make_utterance(audio.stem, audio, words, speaker=one.speaker, quality=parts[0].quality))
    write_manifest(made, folder / "windows.jsonl")
    click.echo(f"{len(made)} recordings of {sum(one.duration for one in made):.0f} s", err=True)


if __name__ == "__main__":
    main()
