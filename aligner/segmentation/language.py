"""Which language is spoken: what the sound says and what the script of a transcript leaves, window by window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from aligner.audio.recording import Recording
from aligner.audio.sound import Sound
from aligner.audio.speech import Region, speech_regions, windows
from aligner.models import Encoded, SpeechModel
from aligner.text.languages import LANGUAGES, allowed, name_and_code
from aligner.timing.settings import Settings

# A full window costs the encoder as much as a short one, and words and times are as good.
FULL = 0.1  # seconds that a full window is shorter than the model's
SHORT = 12.0  # seconds of a window where the language may change
_AGREED = 0.8  # probability in two neighbouring windows that changes the language
_ALONE, _LONG = 0.9, 5.0  # probability in one window of so many seconds that does
_LEADING = 2.0  # times as likely as the present one: a language that is tried
_SHORTEST = 2.0  # seconds of a window that it is tried in

Probabilities = Mapping[str, float]
Judge = Callable[[int, str, str], bool]


def likeliest(probabilities: Probabilities, text: str = "") -> tuple[str, float]:
    """Most probable language among those that are written in the script of a text, and its probability among them.

    Parameters
    ----------
    probabilities : mapping of str to float
        Of each language that the model knows.
    text : str
        Empty where there is none.

    Examples
    --------
    >>> likeliest({"th": 0.7, "ja": 0.3})
    ('th', 0.7)
    >>> likeliest({"th": 0.7, "ja": 0.3}, "こんにちは")
    ('ja', 1.0)
    """
    possible = allowed(text)
    among = {code: p for code, p in probabilities.items() if code in possible} or probabilities
    best = max(among, key=among.__getitem__)
    return best, among[best] / (sum(among.values()) or 1.0)


def unknown_script(text: str, known: Sequence[str], model: str) -> str | None:
    """A sentence where a text is in no script of the languages that a model knows."""
    possible = allowed(text)
    if possible.intersection(known):
        return None
    return (
        f"the transcript is written as {' or '.join(sorted(LANGUAGES[code].title() for code in possible))} is, which "
        f"model {model} does not know: choose a multilingual one with --model"
    )


def language_of(
    model: SpeechModel, source: Recording, measured: Sound, settings: Settings, text: str, window: Encoded | None
) -> tuple[str, float | None]:
    """Language of a recording with a transcript and its probability, which is None where nothing had to be found out.

    Parameters
    ----------
    model : SpeechModel
    source : Recording
    measured : Sound
    settings : Settings
    text : str
        Its script counts as much as the sound.
    window : Encoded or None
        The whole recording, where it fits; its first speech is listened to otherwise.
    """
    if settings.language is not None:
        return settings.language, None
    if len(model.languages) == 1:
        return model.languages[0], None
    if window is None:
        longest = model.window - FULL
        first = windows(speech_regions(measured, settings.vad), measured.levels, longest)
        region = first[0] if first else Region(0.0, min(longest, source.duration))
        window = model.encode(source.read(region.start, region.end))
    return likeliest(model.language_probabilities(window), text)


@dataclass
class Follower:
    """Follows the language of a recording, window by window; short or doubtful windows do not change it.

    Attributes
    ----------
    current : str or None
    heard : list of (Region, str, float)
        Windows so far, the language each is taken for and the probability of that.
    """

    current: str | None = None
    heard: list[tuple[Region, str, float]] = field(default_factory=list)

    def follow(self, windows: Sequence[Region], found: Sequence[Probabilities], reads_better: Judge) -> list[str]:
        """Languages of the next windows.

        Parameters
        ----------
        windows : sequence of Region
        found : sequence of mappings
            Probabilities of languages in each.
        reads_better : callable
            (window, language, other) tells whether the window makes better text in a language than in another: asked
            where another language leads, but not by enough.
        """
        best = [likeliest(probabilities) for probabilities in found]
        if self.current is None:
            weights: dict[str, float] = {}
            for region, probabilities in zip(windows, found, strict=True):
                for code, p in probabilities.items():
                    weights[code] = weights.get(code, 0.0) + p * region.duration
            self.current = max(weights, key=weights.__getitem__)
        chosen = []
        for k, (region, (code, p)) in enumerate(zip(windows, best, strict=True)):
            agreed = k + 1 < len(best) and best[k + 1][0] == code and min(p, best[k + 1][1]) > _AGREED
            sure = agreed or (p > _ALONE and region.duration > _LONG)
            leads = code != self.current and region.duration > _SHORTEST and p > _LEADING * found[k][self.current]
            if sure or (leads and reads_better(k, code, self.current)):
                self.current = code
            chosen.append(self.current)
            self.heard.append((region, self.current, found[k].get(self.current, 0.0)))
        return chosen

    def main(self) -> tuple[str | None, float | None]:
        """Language of most of the time, and its mean probability there; None where nothing was heard."""
        seconds: dict[str, float] = {}
        for region, code, _ in self.heard:
            seconds[code] = seconds.get(code, 0.0) + region.duration
        if not seconds:
            return self.current, None
        code = max(seconds, key=seconds.__getitem__)
        return code, sum(r.duration * p for r, c, p in self.heard if c == code) / max(seconds[code], 1e-9)

    def changes(self) -> tuple[str, ...]:
        """A sentence for each change of language, in order of time."""
        ordered = sorted(self.heard, key=lambda window: window[0].start)
        return tuple(
            f"from {region.start:.2f} s on the language is {name_and_code(code)}, probability {p:.2f}"
            for (_, before, _), (region, code, p) in pairwise(ordered)
            if code != before
        )
