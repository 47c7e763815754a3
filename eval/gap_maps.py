"""The dear part of the gap study: saliency maps, each kept in a file as soon as it is made.

Utterances come in rounds, one of every speaker and the shortest first, so
that a study that is stopped early has heard all speakers equally often.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aligner import saliency
from aligner.core import SaliencyMap
from aligner.files import atomic_write
from eval.cases import named, open_case
from eval.manifest import Utterance


def rounds(utterances: Sequence[Utterance], per_speaker: int) -> list[list[int]]:
    """Positions of the utterances to explain: one of every speaker, then a second, the shortest first.

    Examples
    --------
    >>> def spoken(speaker, seconds):
    ...     return Utterance("", "", (), 16000, seconds, speaker=speaker)
    >>> rounds([spoken("a", 3), spoken("a", 2), spoken("b", 5), spoken("a", 4)], 2)
    [[1, 2], [0]]
    """
    found: list[list[int]] = [[] for _ in range(per_speaker)]
    heard: Counter[str] = Counter()
    for k in sorted(range(len(utterances)), key=lambda k: utterances[k].duration):
        speaker = utterances[k].speaker or utterances[k].id
        if heard[speaker] < per_speaker:
            found[heard[speaker]].append(k)
            heard[speaker] += 1
    return [turn for turn in found if turn]


class Maps:
    """Saliency maps of a study's utterances, in a folder.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, method: str, k: int) -> Path:
        return self.folder / method.replace(":", "-") / f"{k:04}.npz"

    def get(self, method: str, k: int) -> SaliencyMap | None:
        """The map of an utterance, by its position; None where it is not made yet."""
        path = self._path(method, k)
        if not path.is_file():
            return None
        with np.load(path) as held:
            half = float(held["convergence"])
            return SaliencyMap(
                held["values"].astype(np.float64),
                float(held["frame_duration"]),
                None if np.isnan(half) else half,
                int(held["masks"]),
            )

    def all_of(self, k: int, methods: Sequence[str]) -> dict[str, SaliencyMap]:
        """The maps that an utterance has, by method."""
        found = {method: self.get(method, k) for method in methods}
        return {method: one for method, one in found.items() if one is not None}

    def put(self, method: str, k: int, found: SaliencyMap) -> None:
        """Keep a map."""
        path = self._path(method, k)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = np.nan if found.convergence is None else found.convergence
        with atomic_write(path) as temporary, temporary.open("wb") as handle:
            np.savez(
                handle,
                values=found.values.astype(np.float32),
                frame_duration=found.frame_duration,
                convergence=half,
                masks=found.masks,
            )

    def make(
        self,
        model: Any,
        utterances: Sequence[Utterance],
        order: Sequence[Sequence[int]],
        masks: Mapping[str, int | None],
        minutes: float | None,
    ) -> Iterator[tuple[str, int]]:
        """Make what is missing, one map a step; none is begun after so many minutes.

        Yields
        ------
        (method, position)
            Of each map of the study, when it is there.
        """
        began = time.monotonic()
        for method, k in [(method, k) for turn in order for method in masks for k in turn]:
            if self.get(method, k) is None:
                if minutes is not None and time.monotonic() - began > 60 * minutes:
                    return
                case = open_case(model, utterances[k])
                with named(utterances[k]):
                    # A map that has not converged is part of the study, so no threshold is asked for.
                    found = saliency.compute(
                        model, case.encoded, case.tokens(), method, masks[method], language=case.language, threshold=0
                    )
                self.put(method, k, found)
            yield method, k
