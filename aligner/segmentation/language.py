"""Which language is spoken: what the sound says and what the script of a transcript leaves, window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from aligner.audio.recording import Recording
from aligner.audio.sound import listen
from aligner.audio.speech import Region, speech_regions, windows
from aligner.models import Encoded, SpeechModel
from aligner.segmentation.loops import is_loop
from aligner.text.languages import LANGUAGES, allowed, name_and_code
from aligner.timing.settings import Settings

# A full window costs the encoder as much as a short one, and words and times are as good.
FULL = 0.1  # seconds that a full window is shorter than the model's
SHORT = 12.0  # seconds of a window where the language may change
_AGREED = 0.8  # probability in two neighbouring windows that changes the language
_ALONE, _LONG = 0.9, 5.0  # probability in one window of so many seconds that does
_LEADING = 2.0  # times as likely as the present one: a language that is tried
_CLOSE = 4.0  # times less likely than the first one by its sound: a language that is tried, too
_SHORTEST = 2.0  # seconds of a window that it is tried in
_CHANGE = 2.0  # evidence against a change of language
_LENGTH = 0.6  # exponent of the length penalty, in the middle of what they used

Probabilities = Mapping[str, float]
Judge = Callable[[int, str, str], float]


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


def evidence(model: SpeechModel, window: Encoded, language: str, probability: float) -> float:
    """Log probability of a language and, by length, of the text that a window makes in it.

    Neither the sum over tokens, which favours texts that leave something out, nor their mean, which favours scripts
    whose letters take several tokens, all but the first of which are sure; but the sum divided by the length penalty
    of Wu et al., "Google's Neural Machine Translation System", 2016, equation 14.

    Parameters
    ----------
    model : SpeechModel
    window : Encoded
    language : str
    probability : float
        Of the language by its sound.

    Returns
    -------
    float
        Minus infinity where there is no text, or one that repeats itself.
    """
    heard = model.transcribe([window], language)[0]
    if not heard.text or is_loop(heard.text) or not probability > 0:
        return -math.inf
    tokens = len(model.tokenize(heard.text, "subword", language)) + 1  # and the end
    return math.log(probability) + tokens * heard.mean_log_prob / ((5 + tokens) / 6) ** _LENGTH


def language_of(
    model: SpeechModel, source: Recording, settings: Settings, text: str, window: Encoded | None
) -> tuple[str, float | None]:
    """Language of a recording with a transcript and its probability, which is None where nothing had to be found out.

    Parameters
    ----------
    model : SpeechModel
    source : Recording
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
        measured = listen(source)
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

    def follow(self, windows: Sequence[Region], found: Sequence[Probabilities], gain: Judge) -> list[str]:
        """Languages of the next windows.

        Parameters
        ----------
        windows : sequence of Region
        found : sequence of mappings
            Probabilities of languages in each.
        gain : callable
            (window, language, other) gives the `evidence` of the other language less that of the first: asked where
            another one leads, but not by enough, and at first where two are close.
        """
        best = [likeliest(probabilities) for probabilities in found]
        if self.current is None:
            weights: dict[str, float] = {}
            for region, probabilities in zip(windows, found, strict=True):
                for code, p in probabilities.items():
                    weights[code] = weights.get(code, 0.0) + p * region.duration
            first, *others = sorted(weights, key=weights.__getitem__, reverse=True)
            longest = max(range(len(windows)), key=lambda k: windows[k].duration)
            close = [code for code in others[:1] if _CLOSE * weights[code] > weights[first]]
            self.current = next((code for code in close if gain(longest, first, code) > 0), first)
        chosen = []
        for k, (region, (code, p)) in enumerate(zip(windows, best, strict=True)):
            agreed = k + 1 < len(best) and best[k + 1][0] == code and min(p, best[k + 1][1]) > _AGREED
            sure = agreed or (p > _ALONE and region.duration > _LONG)
            leads = code != self.current and region.duration > _SHORTEST and p > _LEADING * found[k][self.current]
            if sure or (leads and gain(k, self.current, code) > _CHANGE):
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
