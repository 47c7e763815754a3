"""Speech with exact word and phone times from festival, which is run as a process of its own.

It has the one free diphone voice of another speaker than flite's `kal16`; conventions are those of `data.synthesize`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import soundfile

from data.synthesize import Segment, Speech, speech_of

VOICE = "ked_diphone"
_PITCH = 105.0  # of that voice, mean, in Hz
_DONE = "done"
# A word's segments by their end, their name and the word they stand in, if any, tab-separated.
_DEFINITIONS = f"""
(if (symbol-bound? 'voice_{VOICE}) (voice_{VOICE}) (quit))
(define (done)
  (format t "{_DONE}\\n")
  (fflush nil))
(define (speak text file)
  (let ((utterance (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave utterance file 'riff)
    (mapcar
      (lambda (segment)
        (let ((word (item.parent (item.parent (item.relation segment 'SylStructure)))))
          (format t "%f\\t%s\\t%s\\t%s\\n" (item.feat segment 'end) (item.name segment)
            (if word (item.feat word 'id) "") (if word (item.name word) ""))))
      (utt.relation.items utterance 'Segment))
    (done)))
(done)
"""


class Festival:
    """festival 2.5, until it is closed.

    Raises
    ------
    OSError
        It or its voice is not installed.
    """

    def __init__(self) -> None:
        program = shutil.which("festival")
        if program is None:
            raise OSError("festival is not installed: install the packages festival and festvox-kdlpc16k")
        self._folder = tempfile.TemporaryDirectory(prefix="festival-")
        self._wave = Path(self._folder.name) / "speech.wav"
        self._process = subprocess.Popen(
            [program, "--pipe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._ask(_DEFINITIONS)

    def _ask(self, command: str) -> list[str]:
        """What it prints before it is done."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.strip() == _DONE:
                return lines
            lines.append(line.rstrip("\n"))
        self.close()
        raise OSError(f"festival ended: has it the voice {VOICE}, of the package festvox-kdlpc16k?")

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
        """Speak words, slower above a `stretch` of 1, `pitch` times as high. None where they cannot be told apart."""
        text = " ".join(word + ("," if i in breaks else "") for i, word in enumerate(words))
        mean = _PITCH * pitch
        segments: list[Segment] = []
        previous = 0.0
        for line in self._ask(
            f"(Parameter.set 'Duration_Stretch {stretch})\n"
            f"(set! int_lr_params '((target_f0_mean {mean}) (target_f0_std {mean / 7})"
            " (model_f0_mean 170) (model_f0_std 34)))\n"
            f'(speak "{text}" "{self._wave}")'
        ):
            end, name, item, word = line.split("\t")
            # A segment that belongs to no word and is no pause was put in by a rule: the word before it goes on.
            if not item and name != "pau" and segments:
                *_, item, word = segments[-1]
            segments.append(Segment(name, previous, float(end), item, word.lower()))
            previous = float(end)
        samples, rate = soundfile.read(self._wave, dtype="float32")
        return speech_of(words, segments, samples, rate, f"festival:{VOICE}")
