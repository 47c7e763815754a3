"""Buckeye: hand-corrected words of spontaneous American English.

Layout: `.../s0101a.words` beside `s0101a.wav`; after a header that ends with
`#`, lines of `end-time colour label; ...` in which a word starts where the
previous entry ends. Labels in <> or {} are silence, noise or the interviewer.
Recordings of ten minutes are cut at pauses, and at the interviewer.

Pitt et al., "Buckeye Corpus of Conversational Speech", 2nd release, 2007.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aligner.audio.read import SOUNDFILE_SUFFIXES
from aligner.errors import InputError
from eval.corpora.base import Recipe, files, pieces, recipes, sibling
from eval.manifest import Utterance, make_utterance


def prepare(folder: Path) -> Iterator[Utterance]:
    """Utterances of at most 20 s of a folder with `.words` files."""
    for labels in files(folder, ".words"):
        words, breaks = _read(labels)
        if words:
            name = labels.relative_to(folder).with_suffix("").as_posix()
            audio = sibling(labels, SOUNDFILE_SUFFIXES)
            recording = make_utterance(name, audio, words, speaker=labels.stem[:3], source="buckeye")
            yield from pieces(recording, breaks)


def _read(labels: Path) -> tuple[list[tuple[str, float, float]], list[float]]:
    """Words with start and end, and the middles of everything else that is not silence."""
    lines = labels.read_text(encoding="latin-1").splitlines()
    try:
        body = lines[[line.strip() for line in lines].index("#") + 1 :]
    except ValueError:
        raise InputError(f"{labels} is no Buckeye label file: it has no line '#' that ends the header") from None
    words, breaks, previous = [], [], 0.0
    for line in body:
        if not line.strip():
            continue
        fields = line.split(";")[0].split(maxsplit=2)
        try:
            end = float(fields[0])
        except ValueError:
            raise InputError(f"{labels}: {line!r} does not start with a time in seconds") from None
        label = fields[2].strip() if len(fields) > 2 else ""
        if end > previous:
            if label and label[0] not in "<{":
                words.append((label, previous, end))
            elif not label.startswith(("<SIL", "{")):
                breaks.append((previous + end) / 2)
            previous = end
        elif label and label[0] not in "<{":
            breaks.append(end)  # a word without length: its neighbours cannot be aligned as one text
    return words, breaks


recipes.register("buckeye")(Recipe(prepare))
