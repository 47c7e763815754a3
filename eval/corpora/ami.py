"""AMI meetings: word times from a forced alignment, so silver.

Layout: `.../words/ES2002a.A.words.xml` of the manual annotations and the
individual headsets `.../ES2002a.Headset-0.wav` (speaker A is headset 0).
Meetings are cut at pauses, and at words that carry no time.

Carletta et al., "The AMI Meeting Corpus", MLMI 2005.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import click

from aligner.errors import InputError
from eval.corpora.base import Option, Recipe, files, pieces, recipes
from eval.manifest import Utterance, make_utterance


def prepare(folder: Path, audio: Path | None = None) -> Iterator[Utterance]:
    """Utterances of at most 20 s.

    Parameters
    ----------
    folder : Path
        With the `.words.xml` files.
    audio : Path, optional
        With the headset recordings, if elsewhere.

    Raises
    ------
    InputError
        Annotations without their audio, or files that cannot be read.
    """
    recordings = {path.stem: path for path in files(audio or folder, ".wav")}
    for annotation in files(folder, ".xml"):
        meeting, _, rest = annotation.name.partition(".")
        letter, _, kind = rest.partition(".")
        if kind != "words.xml" or letter not in "ABCDE":
            continue
        stem = f"{meeting}.Headset-{'ABCDE'.index(letter)}"
        words, breaks = _read(annotation)
        if not words:
            continue
        if stem not in recordings:
            raise InputError(f"utterance {meeting}.{letter}: no recording {stem}.wav under {audio or folder}")
        speaker = f"{meeting[:-1]}.{letter}"  # the four meetings of a series share their people
        fields = {"speaker": speaker, "quality": "silver", "source": "ami"}
        recording = make_utterance(f"{meeting}.{letter}", recordings[stem], words, **fields)
        yield from pieces(recording, breaks)


def _read(annotation: Path) -> tuple[list[tuple[str, float, float]], list[float]]:
    try:
        root = ElementTree.parse(annotation).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two: encodings that it names
        raise InputError(f"{annotation} is not readable XML: {error}") from error
    words: list[tuple[str, float, float]] = []
    breaks = []
    for element in root:
        if element.tag != "w" or element.get("punc") == "true" or not (element.text or "").strip():
            continue
        try:
            start, end = (float(element.get(name, "nan")) for name in ("starttime", "endtime"))
        except ValueError:
            raise InputError(f"{annotation}: the times of the word {element.text!r} are not in seconds") from None
        if start < end and (not words or (start >= words[-1][1] and end > words[-1][2])):
            words.append(((element.text or "").strip(), start, end))
        elif words:
            breaks.append(words[-1][2])
    return words, breaks


recipes.register("ami")(
    Recipe(
        prepare,
        (
            Option(
                ("--audio",),
                {
                    "type": click.Path(exists=True, file_okay=False, path_type=Path),
                    "help": "Folder of the headset recordings, if not in DIR.",
                },
            ),
        ),
    )
)
