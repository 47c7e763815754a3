"""One recording explained: attention, saliency and where they differ, over the spectrogram, on a page that plays it.

The page is self-contained. Its maps are bytes (each row from its median to its
peak), its times are those that `align` writes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from aligner.core import Alignment, Audio, SaliencyMap, TokenFrameMap, Tokens, Word
from aligner.errors import InputError, SettingError
from eval.pages import template

DIFFERENCE_RANGE = 3.0  # standard deviations shown at full colour
DECIMALS = 4  # of seconds


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the page shows.

    Attributes
    ----------
    name : str
        Of the recording.
    audio : Audio
    features : float array, shape (feature frames, channels)
    tokens : Tokens
    alignment : Alignment
        Words as `align` times them.
    by_head : bool
        Whether the checkpoint's timing head does.
    attention : TokenFrameMap
        Mean of the heads that time words.
    weights : float32 array, shape (layers, heads, tokens + 1, frames)
        Of every head.
    marked : tuple of (layer, head)
        Heads that the checkpoint itself lists.
    saliency : SaliencyMap
    method : str
        That made the saliency.
    timed_by_attention, timed_by_saliency : tuple of Word
    gold : tuple of Word or None, one per word
        Reference words where they match; empty without a reference.
    """

    name: str
    audio: Audio
    features: NDArray[np.floating[Any]]
    tokens: Tokens
    alignment: Alignment
    by_head: bool
    attention: TokenFrameMap
    weights: NDArray[np.float32]
    marked: tuple[tuple[int, int], ...]
    saliency: SaliencyMap
    method: str
    timed_by_attention: tuple[Word, ...]
    timed_by_saliency: tuple[Word, ...]
    gold: tuple[Word | None, ...]


def explain(
    path: Path,
    text: str | None,
    model: Any,
    method: str = "encoder",
    masks: int | None = None,
    seed: int = 0,
    reference: Path | None = None,
    language: str | None = None,
) -> Explanation:
    """Align a recording from its attention and from its saliency.

    Parameters
    ----------
    path : Path
        A recording of at most one model window.
    text : str or None
        The transcript; recognised when None.
    model : SpeechModel
    method : str
        Of `aligner.saliency.methods`.
    masks, seed
        As in `aligner.saliency.compute`.
    reference : Path, optional
        TextGrid with gold words.
    language : str, optional

    Raises
    ------
    InputError
        Recording longer than a window, unreadable files, text that does not fit.
    SettingError
        Unknown method, missing extra, too few masks.
    """
    from aligner.audio.level import loudness
    from aligner.audio.read import duration, read_audio
    from aligner.audio.recording import of_audio
    from aligner.pipeline import align_audio
    from aligner.saliency import agreement, compute, evidence
    from aligner.textgrid import read_words
    from aligner.timing.case import Case
    from aligner.timing.choice import head_of
    from aligner.timing.settings import choose
    from eval.gap_measure import LINEAR, as_evidence

    gold = read_words(reference) if reference else ()
    if duration(path) > model.window:
        raise InputError(
            f"{path} lasts {duration(path):.1f} s, explain shows one window of {model.window:g} s: cut it first"
        )
    audio = read_audio(path, model.sample_rate)
    settings = choose(language=language)
    text = align_audio(model, audio, None, settings).text if text is None else text
    alignment = align_audio(model, audio, text, settings)
    case = Case(model, model.encode(audio), text, alignment.language, levels=loudness(of_audio(audio)))
    tokens = case.tokens(settings.units)
    if len(tokens.words) != len(alignment.words):
        raise InputError(f"{path} holds more text than one pass of {model.name} takes: cut it first")
    looked = replace(settings, timing="attention", confidence=False)
    attention = case.evidence(replace(looked, aggregation=LINEAR))
    found = compute(model, case.encoded, tokens, method, masks=masks, seed=seed, language=case.language)
    frames = attention.values.shape[1]
    evident = evidence(found, attention.frame_duration, frames, log=method.split(":")[0] == "gradient")
    times = case.timed(as_evidence(evident.values, attention.frame_duration), replace(looked, shift=0.0)).words
    scores = agreement(attention, found, tokens)
    words = tuple(replace(w, agreement=a) for w, a in zip(alignment.words, scores, strict=True))
    return Explanation(
        path.name,
        audio,
        case.encoded.features.float().cpu().numpy(),
        tokens,
        replace(alignment, words=words),
        head_of(model, settings, alignment.language) is not None,
        attention,
        case.attention().weights,
        model.alignment_heads,
        found,
        method,
        case.words(looked).words,
        times,
        _matched(gold, words),
    )


def _matched(gold: Sequence[Word], words: Sequence[Word]) -> tuple[Word | None, ...]:
    from aligner.metrics import match_words

    if not gold:
        return ()
    pairs = {estimated: gold[reference] for reference, estimated in match_words(gold, words)}
    return tuple(pairs.get(k) for k in range(len(words)))


def page_data(explanation: Explanation) -> dict[str, Any]:
    """Everything the page's script reads, JSON-serialisable.

    Returns
    -------
    dict
        duration, frame_duration (seconds); words with their rows and times per
        source; tokens; maps "attention", "saliency", "difference" of tokens and
        of words, every head's attention of tokens, and the spectrogram, as
        base64 bytes with their shapes; the recording as a base64 WAV file; agreement of the whole.
    """
    from aligner.metrics.saliency import correlation, prepare
    from aligner.saliency import pool

    attention = explanation.attention
    frames = attention.values.shape[1]
    pooled = pool(explanation.saliency, attention.frame_duration, frames).values
    standard = prepare(attention.values, pooled)
    whole = correlation(attention.values, pooled)
    spans = [(word.start, word.stop) for word in explanation.tokens.words]
    difference = standard[0] - standard[1]
    maps = {
        "attention": (_row_bytes, attention.values[:-1]),
        "saliency": (_row_bytes, pooled[:-1]),
        "difference": (_signed_bytes, difference),
    }
    return {
        "name": explanation.name,
        "model": explanation.alignment.provenance["model"],
        "method": explanation.method,
        "masks": explanation.saliency.masks,
        "convergence": _rounded(explanation.saliency.convergence),
        "agreement": {
            "pearson": _rounded(whole.pearson),
            "r_squared": _rounded(whole.r_squared),
            "spearman": _rounded(whole.spearman),
        },
        "duration": round(explanation.alignment.duration, DECIMALS),
        "frame_duration": attention.frame_duration,
        "words": _words(explanation),
        "tokens": [text if text.strip() else "␣" for text in explanation.tokens.texts],
        "maps": {
            name: {"tokens": _packed(encode(rows)), "words": _packed(encode(_per_word(rows, spans)))}
            for name, (encode, rows) in maps.items()
        },
        "heads": [
            {
                "name": f"layer {layer}, head {head}",
                "marked": (layer, head) in explanation.marked,
                "pearson": _rounded(correlation(explanation.weights[layer, head], pooled).pearson),
                "tokens": _packed(_row_bytes(explanation.weights[layer, head, :-1].astype(np.float64))),
            }
            for layer, head in np.ndindex(*explanation.weights.shape[:2])
        ],
        "spectrogram": _packed(_whole_bytes(explanation.features[:, ::-1].T)),
        "audio": base64.b64encode(_wav(explanation.audio)).decode(),
    }


def _words(explanation: Explanation) -> list[dict[str, Any]]:
    """Text, rows, agreement and [onset, offset] per source of every word."""
    words = []
    for k, (word, span) in enumerate(zip(explanation.alignment.words, explanation.tokens.words, strict=True)):
        sources = {"attention": explanation.timed_by_attention[k], "saliency": explanation.timed_by_saliency[k]}
        if explanation.by_head:
            sources = {"head": word, **sources}
        reference = explanation.gold[k] if explanation.gold else None
        if reference is not None:
            sources["gold"] = reference
        times = {name: [round(w.start, DECIMALS), round(w.end, DECIMALS)] for name, w in sources.items()}
        words.append(
            {"text": word.text, "rows": [span.start, span.stop], "agreement": _rounded(word.agreement), "times": times}
        )
    return words


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)


def _per_word(rows: NDArray[np.float64], spans: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Mean over each word's rows."""
    return np.stack([rows[start:stop].mean(0) for start, stop in spans])


def _row_bytes(rows: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Each row from its median to its peak as 0 to 255: what most frames share is background."""
    return _scaled(rows, np.median(rows, axis=1, keepdims=True), rows.max(1, keepdims=True))


def _whole_bytes(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """All values from the smallest to the largest as 0 to 255."""
    return _scaled(values.astype(np.float64), values.min(), values.max())


def _scaled(values: NDArray[np.float64], low: Any, high: Any) -> NDArray[np.uint8]:
    share = (values - low) / np.where(high > low, high - low, 1)
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def _signed_bytes(rows: NDArray[np.float64]) -> NDArray[np.uint8]:
    """-DIFFERENCE_RANGE to DIFFERENCE_RANGE as 0 to 255, beyond cut off; 128 is no difference."""
    return np.rint(128 + 127 * np.clip(rows / DIFFERENCE_RANGE, -1, 1)).astype(np.uint8)


def _packed(values: NDArray[np.uint8]) -> dict[str, Any]:
    return {"shape": list(values.shape), "bytes": base64.b64encode(values.tobytes()).decode()}


def _wav(audio: Audio) -> bytes:
    import soundfile

    handle = io.BytesIO()
    soundfile.write(handle, audio.samples, audio.sample_rate, format="WAV", subtype="PCM_16")
    return handle.getvalue()


def render(explanation: Explanation) -> str:
    """The page as HTML.

    Raises
    ------
    SettingError
        The extra `eval` is not installed.
    """
    page: str = template("explain.html").render(data=page_data(explanation), difference_range=DIFFERENCE_RANGE)
    return page


@click.command("explain")
@click.argument("audio", type=click.Path(path_type=Path))
@click.option("-t", "--text", metavar="TEXT", help="Transcript: a file or the words; recognised when left out.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="HTML page.")
@click.option("--reference", type=click.Path(path_type=Path), metavar="FILE", help="TextGrid with gold words.")
@click.option("--model", "name", default="embedded", show_default=True, help="Checkpoint to align with.")
@click.option("--saliency", "method", default="encoder", show_default=True, help="encoder, strips, spes or gradient.")
@click.option("--masks", default="auto", show_default=True, metavar="N", help="Random masks; auto: until converged.")
@click.option("--seed", default=0, show_default=True, help="Of the masks.")
@click.option("--language", metavar="CODE", help="Language code; detected when left out.")
def explain_command(
    audio: Path,
    text: str | None,
    output: Path,
    reference: Path | None,
    name: str,
    method: str,
    masks: str,
    seed: int,
    language: str | None,
) -> None:
    """Show attention, saliency and word times of one recording on a page that plays it.

    \b
    align-eval explain talk.wav --text talk.txt -o explain.html
    """
    from aligner.audio.read import duration
    from aligner.files import atomic_write
    from aligner.models import load_model
    from aligner.text.transcript import find_transcript

    if masks != "auto" and not masks.isdigit():
        raise SettingError(f"--masks {masks!r} is neither a number nor auto")
    duration(audio)
    transcript = None if text is None else find_transcript(text, audio).text
    explanation = explain(
        audio,
        transcript,
        load_model(name),
        method,
        None if masks == "auto" else int(masks),
        seed,
        reference,
        language,
    )
    page = render(explanation)
    inputs = [audio, *([reference] if reference else []), *([Path(text)] if text and len(text) < 200 else [])]
    with atomic_write(output, protect=inputs) as temporary:
        temporary.write_text(page, encoding="utf-8")
    convergence = explanation.saliency.convergence
    if convergence is not None:
        click.echo(f"{method}: {explanation.saliency.masks} masks, split-half correlation {convergence:.2f}", err=True)
    click.echo(str(output))
