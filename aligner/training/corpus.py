"""Recordings with their transcripts, as pieces that a model window holds: what a timing head is taught from."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aligner.audio.file import of_file
from aligner.audio.read import AUDIO_SUFFIXES, duration
from aligner.core import Word
from aligner.errors import InputError
from aligner.models.base import SpeechModel
from aligner.pipeline import align_audio
from aligner.text.encodings import numbered_lines
from aligner.text.pronunciation import Speller
from aligner.text.spacing import running
from aligner.text.transcript import find_transcript, read_transcript
from aligner.timing.settings import Settings

TRANSCRIPTS = (".txt", ".lab", ".srt", ".vtt", ".TextGrid")
SHORT = 20.0  # seconds; a recording that lasts no longer is one piece
SHORTEST_PIECE = 0.4  # seconds; less holds hardly a word
GAP = 0.25  # seconds without a word that a long recording may be cut in
_AROUND = 0.3  # seconds of sound kept before and after the words of a piece
FEWEST_SOUNDS, MOST_SOUNDS = 1.0, 25.0  # a second; another rate is that of another recording's transcript


@dataclass(frozen=True)
class Item:
    """A recording, or a piece of one, and what is said in it.

    Attributes
    ----------
    audio : Path
    text : str or None
        None where the model is to write it.
    speaker, source : str
        Who speaks, as far as it is known; name of the corpus.
    start, end : float
        Seconds; an end of 0 is that of the recording, before it has been looked up.
    """

    audio: Path
    text: str | None
    speaker: str
    source: str
    start: float = 0.0
    end: float = 0.0

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


def read_corpus(path: Path, own: bool = False) -> tuple[Item, ...]:
    """Recordings of a folder with transcripts beside them, or of a manifest.

    Parameters
    ----------
    path : Path
        A folder, or a file of one JSON object a line: `audio` (relative to the file), `text`, and, where they are
        known, `speaker`, `source` and `duration`.
    own : bool
        Transcripts are not asked for: the model writes its own.

    Raises
    ------
    InputError
        No recording, none with a transcript, or a file that is no manifest.
    """
    found = tuple(_folder(path, own)) if path.is_dir() else tuple(_manifest(path, own))
    if not found:
        wanted = "" if own else f" with a transcript beside it ({', '.join(TRANSCRIPTS)})"
        raise InputError(f"{path} holds no recording{wanted}: name a folder of recordings, or a manifest")
    return found


def _folder(folder: Path, own: bool) -> Iterator[Item]:
    for audio in sorted(folder.rglob("*")):
        if audio.suffix.lower() not in AUDIO_SUFFIXES or audio.name.startswith(".") or not audio.is_file():
            continue
        speaker = audio.parent.relative_to(folder).as_posix()
        beside = next((p for suffix in TRANSCRIPTS if (p := audio.with_suffix(suffix)).is_file()), None)
        if own:
            yield Item(audio, None, speaker, folder.name)
        elif beside is not None:
            yield Item(audio, find_transcript(os.fspath(beside), audio).text, speaker, folder.name)


def _manifest(path: Path, own: bool) -> Iterator[Item]:
    for number, line in numbered_lines(path):
        try:
            entry = json.loads(line)
            audio, text = path.parent / entry["audio"], "" if own else entry["text"]
            speaker, source = str(entry.get("speaker") or ""), str(entry.get("source") or path.stem)
            item = Item(audio, None, speaker, source, 0.0, float(entry.get("duration", 0.0)))
            if not own and text.strip():
                item = replace(item, text=read_transcript(text + "\n", f"{path}, line {number}").text)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f'{path}, line {number} is no recording of a manifest: a JSON object with "audio" and "text"'
            ) from None
        if own or item.text:
            yield item


def chosen(items: Sequence[Item], hours: float | None, seed: int) -> tuple[Item, ...]:
    """So much speech, evenly over speakers: the next recording is always one of who has spoken least.

    Parameters
    ----------
    items : sequence of Item
        With their durations.
    hours : float or None
        All when None.
    seed : int
        Of the order of each speaker's recordings.
    """
    if hours is None:
        return tuple(items)
    by_speaker: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        by_speaker[item.source, item.speaker].append(item)
    rng = random.Random(seed)
    for own in by_speaker.values():
        rng.shuffle(own)
    waiting = [(0.0, speaker) for speaker in sorted(by_speaker)]
    taken: list[Item] = []
    left = hours * 3600
    while waiting and left > 0:
        spoken, speaker = heapq.heappop(waiting)
        item = by_speaker[speaker].pop()
        taken.append(item)
        left -= item.duration
        if by_speaker[speaker]:
            heapq.heappush(waiting, (spoken + item.duration, speaker))
    return tuple(taken)


def timed(item: Item) -> Item:
    """The same with the duration that the recording itself has.

    Raises
    ------
    InputError
        It cannot be read.
    """
    return replace(item, end=duration(item.audio))


def doubt(item: Item, speller: Speller) -> str | None:
    """Why nothing can be learned from a piece; None where something can.

    A transcript of many more sounds than can be said in the time, or of hardly any, belongs to another recording.
    """
    assert item.text is not None
    if item.duration < SHORTEST_PIECE:
        return f"lasts only {item.duration:.2f} s"
    # What cannot be spelled counts as one sound.
    sounds = sum(len(ways[0]) if (ways := speller(word)) else 1 for word in item.text.split() if spoken(word))
    rate = sounds / item.duration
    if rate > MOST_SOUNDS:
        return f"its transcript is far too long: {rate:.0f} sounds a second"
    if rate < FEWEST_SOUNDS:
        return f"its transcript is far too short: {rate:.1f} sounds a second"
    return None


def spoken(word: str) -> bool:
    """Whether a written word is more than marks."""
    return any(character.isalnum() for character in word)


def pieces(model: SpeechModel, item: Item, language: str) -> tuple[Item, ...]:
    """An item as pieces that are short enough, each with its text; one that is already is the only one.

    A long recording is aligned with attention and cut where nobody speaks; what is left out of the alignment, of the
    text or of the recording, is not learned from. Text that the model is to write comes from there, too.

    Raises
    ------
    InputError
        Nothing of the transcript is found, or nothing is recognised.
    """
    if item.text is not None and item.duration <= SHORT:
        return (item,)
    recording = of_file(item.audio, model.sample_rate)
    settings = Settings(timing="attention", language=language, confidence=False)
    words = align_audio(model, recording, item.text, settings).words
    groups = cut(words)
    before = [item.start, *(group[-1].end for group in groups[:-1])]
    after = [*(group[0].start for group in groups[1:]), recording.duration]
    return tuple(
        replace(
            item,
            text=running(group),
            start=max(low, group[0].start - _AROUND),
            end=min(high, group[-1].end + _AROUND),
        )
        for group, low, high in zip(groups, before, after, strict=True)
    )


def cut(words: Sequence[Word]) -> list[tuple[Word, ...]]:
    """Words in groups that last at most `SHORT`, cut in the pause that is nearest to the middle.

    A group without a pause is cut between words.
    """
    if not words:
        return []
    if words[-1].end - words[0].start <= SHORT - 2 * _AROUND:
        return [tuple(words)]
    gaps = [after.start - before.end for before, after in itertools.pairwise(words)]
    if not gaps:
        return []  # one word of more than a piece: no word lasts so long
    middle = len(words) / 2
    open_ = [k for k, gap in enumerate(gaps) if gap >= GAP] or range(len(gaps))
    at = min(open_, key=lambda k: (abs(k + 1 - middle), -gaps[k])) + 1
    return [*cut(words[:at]), *cut(words[at:])]
