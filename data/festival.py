"""Speech with exact word and phone times from festival, which is run as a process of its own.

It has the one free diphone voice of another speaker than flite's `kal16`; conventions are those of `data.synthesize`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from data.synthesize import SAMPLE_RATE, Segment, Speech, timed_words

VOICE = "ked_diphone"
_PITCH = 105.0  # of that voice, mean, in Hz
_DONE = "spoken"
# A word's segments by their end, their name and the word they stand in, if any, tab-separated.
_DEFINITIONS = f"""
(define (speak text file)
  (let ((utterance (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave utterance file 'riff)
    (mapcar
      (lambda (segment)
        (let ((word (item.parent (item.parent (item.relation segment 'SylStructure)))))
          (format t "%f\\t%s\\t%s\\t%s\\n" (item.feat segment 'end) (item.name segment)
            (if word (item.feat word 'id) "") (if word (item.name word) ""))))
      (utt.relation.items utterance 'Segment))
    (format t "{_DONE}\\n")
    (fflush nil)))
"""


class Festival:
    """festival 2.5, until it is closed."""

    def __init__(self) -> None:
        program = shutil.which("festival")
        if program is None:
            raise OSError("festival is not installed: install the packages festival and festvox-kdlpc16k")
        self._folder = tempfile.TemporaryDirectory(prefix="festival-")
        self._wave = Path(self._folder.name) / "speech.wav"
        self._process = subprocess.Popen(
            [program, "--pipe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._send(f"(voice_{VOICE})" + _DEFINITIONS)

    def _send(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.communicate()
        self._folder.cleanup()

    def speak(
        self,
        words: Sequence[str],
        *,
        breaks: frozenset[int] = frozenset(),
        stretch: float = 1.0,
        pitch: float = 1.0,
    ) -> Speech | None:
        """Speak words, slower above a `stretch` of 1, `pitch` times as high. None where they cannot be told apart.

        Raises
        ------
        OSError
            Where festival ends, as it does if it lacks the voice.
        """
        text = " ".join(word + ("," if i in breaks else "") for i, word in enumerate(words))
        mean = _PITCH * pitch
        self._send(f"(Parameter.set 'Duration_Stretch {stretch})")
        self._send(
            f"(set! int_lr_params '((target_f0_mean {mean}) (target_f0_std {mean / 7})"
            " (model_f0_mean 170) (model_f0_std 34)))"
        )
        self._send(f'(speak "{text}" "{self._wave}")')
        segments: list[Segment] = []
        previous = 0.0
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == _DONE:
                break
            end, name, item, word = line.rstrip("\n").split("\t")
            # A segment that belongs to no word and is no pause was put in by a rule: the word before it goes on.
            inserted = not item and name != "pau" and segments and segments[-1].item
            segments.append(
                Segment(name, previous, float(end), *(segments[-1][3:] if inserted else (item, word.lower())))
            )
            previous = float(end)
        else:
            raise OSError(f"festival cannot speak as {VOICE}: install the package festvox-kdlpc16k")
        samples, rate = soundfile.read(self._wave, dtype="float32")
        timed = timed_words(words, segments, samples, rate)
        if timed is None:
            return None
        if rate != SAMPLE_RATE:
            samples = resample_poly(samples, SAMPLE_RATE, rate).astype(np.float32)
        return Speech(samples, timed, f"festival:{VOICE}")
