"""The values that flow through the aligner. numpy only.

Conventions
-----------
Times are seconds from the start of the recording. Arrays keep their axes in
the order layers, heads, tokens, frames. Row i of every map belongs to the
decoder step that *predicts* token i. All classes are frozen and their arrays
read-only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _frozen(array: NDArray[Any], dtype: type, ndim: int, name: str) -> NDArray[Any]:
    """A read-only view of an array, checked for its number of axes and for finite values."""
    result: NDArray[Any] = np.asarray(array, dtype=dtype).view()
    if result.ndim != ndim:
        raise ValueError(f"{name} has shape {result.shape}, expected {ndim} axes")
    if not np.all(np.isfinite(result)):
        raise ValueError(f"{name} of shape {result.shape} holds NaN or infinite values")
    result.flags.writeable = False
    return result


@dataclass(frozen=True, eq=False)
class Audio:
    """Mono audio.

    Attributes
    ----------
    samples : float32 array, shape (n_samples,)
    sample_rate : int
        Hz.
    """

    samples: NDArray[np.float32]
    sample_rate: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", _frozen(self.samples, np.float32, 1, "samples"))

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class Word:
    """A word as its user spells it, and when it is spoken.

    Attributes
    ----------
    text : str
        With its punctuation; the times leave punctuation out.
    start, end : float
        Onset and offset in seconds, 0 <= start < end.
    probability : float or None
        Mean probability of its tokens; None when nobody asked for it.
    agreement : float or None
        Correlation of attention and saliency over the word's rows; None when saliency was not computed.
    flags : tuple of str
        Reasons to doubt the times, such as "repaired".
    margin : float or None
        Seconds: the true edges lie within this much of `start` and `end` with 90 %; None when it is not known.
    spaced : bool or None
        Whether a space stands before it in running text; None where its script tells.

    Examples
    --------
    >>> Word("suit.", 1.25, 1.5).duration
    0.25
    """

    text: str
    start: float
    end: float
    probability: float | None = None
    agreement: float | None = None
    flags: tuple[str, ...] = ()
    margin: float | None = None
    spaced: bool | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < float("inf"):
            raise ValueError(f"word {self.text!r} has impossible times {self.start} to {self.end}")

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True)
class Cue:
    """A piece of a transcript that its file gives a time: a subtitle, an utterance of an annotation.

    Attributes
    ----------
    text : str
        Its words; empty where nothing in it is spoken, as in a note on sounds.
    start, end : float
        Seconds, as the file has them: rough, and of another cut perhaps.
    shown : str
        What a subtitle shows, in lines, with `<i>`, `<b>`, `<u>` for its type
        and `{\\an8}` for its place; empty where the file holds no subtitles.
    """

    text: str
    start: float
    end: float
    shown: str = ""


@dataclass(frozen=True)
class WordSpan:
    """The rows of a word in a token sequence.

    Attributes
    ----------
    text : str
        The user's spelling, punctuation included.
    start, stop : int
        Half-open range of the token rows that carry its timing: no leading
        space, no outer punctuation (unless the word is nothing else).
    """

    text: str
    start: int
    stop: int


@dataclass(frozen=True)
class Tokens:
    """Text tokens of an utterance; the model adapter adds and hides special tokens.

    Attributes
    ----------
    ids : tuple of int, length n_tokens
    texts : tuple of str, length n_tokens
        What each token spells, for display (byte fragments as the replacement character).
    words : tuple of WordSpan
        Ordered and disjoint. Rows in no span are spaces and punctuation.
    """

    ids: tuple[int, ...]
    texts: tuple[str, ...]
    words: tuple[WordSpan, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """Cross-attention scores of one teacher-forced pass.

    Attributes
    ----------
    logits : float32 array, shape (layers, heads, rows, frames seen)
        Scaled scores before the softmax, over every frame the decoder saw,
        padding included. Rows are `prefix` rows of the prompt, one row per
        text token, one row for the end of the text, and `suffix` rows after
        it; row `prefix + i` predicts token i.
    frames : int
        Frames of real audio; the rest is padding.
    frame_duration : float
        Seconds per encoder frame, read from the shapes.
    prefix, suffix : int
    """

    logits: NDArray[np.float32]
    frames: int
    frame_duration: float
    prefix: int = 0
    suffix: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "logits", _frozen(self.logits, np.float32, 4, "logits"))

    @property
    def text_rows(self) -> slice:
        """Rows of the text tokens and of the end of the text."""
        return slice(self.prefix, self.logits.shape[2] - self.suffix)

    def probabilities(self, layer: int, head: int) -> NDArray[np.float32]:
        """Attention of one head, (rows, real frames): softmax over all frames seen, then cropped."""
        return softmax(self.logits[layer, head])[:, : self.frames]

    @property
    def weights(self) -> NDArray[np.float32]:
        """Attention of every head over the text rows, shape (layers, heads, tokens + 1, real frames)."""
        return softmax(self.logits[:, :, self.text_rows])[..., : self.frames]


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the last axis.

    Parameters
    ----------
    scores : float32 array

    Returns
    -------
    float32 array of the same shape
    """
    exponent = scores - scores.max(-1, keepdims=True)
    np.exp(exponent, out=exponent)
    exponent /= exponent.sum(-1, keepdims=True)
    return exponent


@dataclass(frozen=True, eq=False)
class TokenFrameMap:
    """Evidence that a token is spoken at a frame; whether attention or saliency made it is not its concern.

    Attributes
    ----------
    values : float64 array, shape (tokens + 1, frames)
        Finite, higher is more evidence; the last row is the end of the text
        (left out where the method has none).
    frame_duration : float
        Seconds.
    """

    values: NDArray[np.float64]
    frame_duration: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values, np.float64, 2, "values"))


@dataclass(frozen=True, eq=False)
class SaliencyMap:
    """How much hiding (or changing) a cell moves the prediction of a token.

    Attributes
    ----------
    values : float64 array, shape (tokens + 1, frames, channels)
        Channels is 1 for methods that act on whole frames.
    frame_duration : float
        Seconds per frame of this map (10 ms features or 20 ms encoder frames for Whisper).
    convergence : float or None
        Split-half correlation; None for methods that draw no random masks.
    masks : int
        Random masks used; 0 where there are none.
    """

    values: NDArray[np.float64]
    frame_duration: float
    convergence: float | None = None
    masks: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values, np.float64, 3, "values"))


@dataclass(frozen=True, eq=False)
class Path:
    """A monotone walk through a token-by-frame map that visits every token and every frame.

    Attributes
    ----------
    tokens, frames : int arrays, shape (steps,)
    """

    tokens: NDArray[np.intp]
    frames: NDArray[np.intp]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", _frozen(self.tokens, np.intp, 1, "tokens"))
        object.__setattr__(self, "frames", _frozen(self.frames, np.intp, 1, "frames"))
        if len(self.tokens) != len(self.frames) or not len(self.tokens):
            raise ValueError(f"path has {len(self.tokens)} tokens and {len(self.frames)} frames")
        for steps in (np.diff(self.tokens), np.diff(self.frames)):
            if np.any(steps < 0) or np.any(steps > 1):
                raise ValueError("path is not monotone and complete")


@dataclass(frozen=True)
class Alignment:
    """The words of a recording.

    Attributes
    ----------
    words : tuple of Word
        Ordered, disjoint, inside the recording.
    duration : float
        Seconds of the recording.
    language : str or None
    provenance : dict
        JSON-serialisable: model and fingerprint, aggregation and its steps, path, pauses, versions, repairs.
    segments : tuple of (int, int)
        Half-open word ranges of sentences or windows; empty means one segment.
    tokens : tuple of Word
        Optional token tier.
    cues : tuple of Cue
        Of the transcript, where it had any: one a segment, whose range is empty
        where none of the cue's words was found.
    """

    words: tuple[Word, ...]
    duration: float
    language: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    segments: tuple[tuple[int, int], ...] = ()
    tokens: tuple[Word, ...] = ()
    cues: tuple[Cue, ...] = ()

    def __post_init__(self) -> None:
        if self.cues and len(self.cues) != len(self.segments):
            raise ValueError(f"{len(self.cues)} cues for {len(self.segments)} segments")
        previous = 0.0
        for word in self.words:
            if word.start < previous - 1e-9 or word.end > self.duration + 1e-6:
                raise ValueError(f"word {word.text!r} at {word.start}-{word.end} overlaps or leaves the recording")
            previous = word.end

    @property
    def text(self) -> str:
        """The words joined by spaces."""
        return " ".join(word.text for word in self.words)
