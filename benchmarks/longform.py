"""Hours of speech with gold joints: `python -m benchmarks.longform CORPUS --hours 3`.

CORPUS is a folder of `.jsonl` manifests (audio, text, speaker). Utterances are joined with random pauses over
background noise into one recording, which the real `align` command aligns in a process of its own. A joint is the
start or the end of an utterance; gold is where its own sound begins and ends. Clips whose edges two thresholds
put more than 100 ms apart (breath, clicks, noise) are not used; this choice never sees an alignment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from aligner.metrics.bootstrap import interval

RATE = 16_000
NEAR = 0.2  # seconds that a joint may be off
PAUSES = (0.2, 3.0)  # seconds between utterances, uniform
SPEECH = -26.0  # dB re full scale of the loud parts of speech, plus or minus SPREAD
SPREAD = 6.0
EDGES = (17.0, 23.0, 30.0)  # dB below a clip's loud parts: where its edges are looked for; the middle one is gold
AGREE = 0.1  # seconds within which the outer two must agree; a longer gap parts two sounds
APART = 0.4  # seconds from an edge within which there may be no gap
RUMBLE = 150.0  # Hz; below it sounds hum and wind
KEPT = 0.1  # seconds of a clip kept outside its edges
_FADE = round(0.02 * RATE)


@dataclass(frozen=True)
class Utterance:
    """An utterance of the recording.

    Attributes
    ----------
    id, text : str
    start, end : float
        Gold, in seconds of the recording.
    spoken, written : bool
        Whether it is in the audio and in the transcript.
    known : bool
        Whether the embedded model was trained on it.
    """

    id: str
    text: str
    start: float
    end: float
    spoken: bool
    written: bool
    known: bool


def edges(samples: NDArray[np.float32]) -> tuple[float, float] | None:
    """Seconds at which the sound of a clip begins and ends; None where that is not clear."""
    from scipy.ndimage import median_filter
    from scipy.signal import butter, sosfilt

    width = RATE // 100
    heard = sosfilt(butter(4, RUMBLE, "highpass", fs=RATE, output="sos"), samples)
    frames = heard[: len(heard) // width * width].reshape(-1, width)
    levels = median_filter(10 * np.log10(np.square(frames).mean(1) + 1e-10), 5)
    loud = [np.flatnonzero(levels > np.percentile(levels, 95) - depth) for depth in EDGES]
    agree = all(abs(loud[0][end] - loud[-1][end]) <= 100 * AGREE for end in (0, -1))
    # A click, a breath or a stray word stands apart from the speech.
    near, (before, after) = round(100 * APART), (loud[1][:-1], loud[1][1:])
    at_edge = (before < before[0] + near) | (after > after[-1] - near)
    apart = (after - before > 100 * AGREE) & at_edge
    hidden = levels.min() > np.percentile(levels, 95) - EDGES[-1] - 3
    if not agree or hidden or apart.any():
        return None
    return float(loud[1][0]) / 100, float(loud[1][-1] + 1) / 100


def clips(folder: Path, sets: Sequence[str], seed: int) -> Iterator[tuple[dict[str, str], NDArray[np.float32]]]:
    """Utterances in random order, each cut to just outside its edges, faded, at its own random level."""
    import soundfile

    entries: list[dict[str, str]] = []
    splits: dict[str, str] = {}  # of what heads are taught from
    for manifest in sorted(folder.glob("*.jsonl")):
        if not sets or manifest.stem in sets:
            lines = manifest.read_text(encoding="utf-8").splitlines()
            entries += [entry for entry in map(json.loads, lines) if "text" in entry]
            splits |= {entry["audio"]: entry["split"] for entry in map(json.loads, lines) if "split" in entry}
    rng = np.random.default_rng(seed)
    fade = np.linspace(0, 1, _FADE, dtype=np.float32)
    for index in rng.permutation(len(entries)):
        entry, level = entries[index], SPEECH + rng.uniform(-SPREAD, SPREAD)
        samples, rate = soundfile.read(folder / entry["audio"], dtype="float32")
        # The output joins a mark that stands alone to the word before it.
        text = " ".join(word for word in entry["text"].split() if any(c.isalnum() for c in word))
        if rate != RATE or len(samples) < RATE // 2 or not text:
            continue
        found = edges(samples)
        if found is None:
            continue
        first, last = max(0, round((found[0] - KEPT) * RATE)), min(len(samples), round((found[1] + KEPT) * RATE))
        part = samples[first:last] * 10 ** ((level - _loud(samples)) / 20)
        part[:_FADE] *= fade
        part[-_FADE:] *= fade[::-1]
        start, end = found[0] - first / RATE, found[1] - first / RATE
        yield {**entry, "text": text, "start": start, "end": end, "split": splits.get(entry["audio"], "")}, part


def _loud(samples: NDArray[np.float32]) -> float:
    """dB of the louder half of a clip."""
    width = RATE // 100
    power = np.square(samples[: len(samples) // width * width].reshape(-1, width)).mean(1)
    return float(10 * np.log10(power[power >= np.median(power)].mean() + 1e-10))


class Noise:
    """Pink noise that swells and ebbs over minutes, in consecutive pieces."""

    def __init__(self, level: float, seed: int) -> None:
        self._rng, self._level, self._at = np.random.default_rng(seed), level, 0
        self._state = np.zeros(3)

    def take(self, count: int) -> NDArray[np.float32]:
        """The next `count` samples."""
        from scipy.signal import lfilter

        # Pinking filter: Smith, "Spectral Audio Signal Processing", section on synthesis of 1/f noise.
        above, below = [0.049922, -0.095993, 0.050613, -0.004409], [1, -2.494956, 2.017266, -0.522189]
        pink, self._state = lfilter(above, below, self._rng.normal(size=count), zi=self._state)
        moment = (self._at + np.arange(count)) / RATE
        self._at += count
        gain = self._level + 4 * np.sin(2 * np.pi * moment / 420)
        return (pink / 0.088 * 10 ** (gain / 20)).astype(np.float32)


def compose(
    folder: Path, sets: Sequence[str], hours: float, seed: int, noise: float, omit: float, target: Path
) -> list[Utterance]:
    """Write `target` (.wav) and its transcript beside it (.txt), a line an utterance.

    Parameters
    ----------
    folder : Path
        Manifests and their audio.
    sets : sequence of str
        Stems of the manifests used; all where empty.
    hours : float
    seed : int
    noise : float
        dB below the speech.
    omit : float
        Share of utterances left out of the audio, and of others left out of the text.
    target : Path
    """
    import soundfile

    rng, roles = np.random.default_rng(seed + 1), np.random.default_rng(seed + 2)
    background = Noise(SPEECH - noise, seed + 3)
    found: list[Utterance] = []
    at = 0  # samples written
    with soundfile.SoundFile(target, "w", RATE, 1, "PCM_16", format="RF64") as file:

        def write(samples: NDArray[np.float32]) -> None:
            file.write(np.clip(samples + background.take(len(samples)), -1, 1))

        for entry, samples in clips(folder, sets, seed):
            role, pause = roles.random(), round(rng.uniform(*PAUSES) * RATE)
            spoken, written = role >= omit, not omit <= role < 2 * omit
            known = entry["split"] == "train"
            if spoken:
                write(np.zeros(pause, np.float32))
                write(samples)
                at += pause
            start, end = at / RATE + float(entry["start"]), at / RATE + float(entry["end"])
            found.append(Utterance(entry["id"], entry["text"], start, end, spoken, written, known))
            at += len(samples) if spoken else 0
            if at > hours * 3600 * RATE:
                break
        write(np.zeros(RATE, np.float32))
    text = "\n".join(utterance.text for utterance in found if utterance.written)
    target.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
    return found


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock and of the processor, and the most MiB held, of a command."""

    wall: float
    cpu: float
    peak: float


def command(recording: Path, output: Path, text: bool = True) -> Cost:
    """Run `align` on a recording, with the transcript beside it."""
    environment = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    arguments = ["--text", str(recording.with_suffix(".txt"))] if text else []
    began = time.monotonic()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "aligner.command.cli",
            str(recording),
            *arguments,
            "-f",
            "json",
            "-o",
            str(output),
            "-q",
        ],
        env=environment,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"align ended with exit code {process.returncode}; its message is above")
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


Times = tuple[float, float]


def word_times(utterances: Sequence[Utterance], output: Path) -> tuple[list[list[Times | None]], list[str]]:
    """Times of every written utterance's words, None where the word is reported missing; the reported runs."""
    data = json.loads(output.read_text(encoding="utf-8"))
    words = [word for segment in data["segments"] for word in segment["words"]]
    texts = [word["word"].strip() for word in words]
    script = [word for utterance in utterances if utterance.written for word in utterance.text.split()]
    runs = list(data["provenance"].get("missing", ()))
    places: list[int | None] = []  # of each word of the script among the words found
    for run in runs:
        lost = run.split()
        done = len(places)
        found = sum(place is not None for place in places)
        while done < len(script) and found < len(texts) and script[done] == texts[found]:
            places.append(found)
            done, found = done + 1, found + 1
        # Words after the gap may equal those in it: go back to where the run fits.
        while script[done : done + len(lost)] != lost:
            done -= 1
            if places.pop() is None:
                raise click.ClickException(f"{output} reports {run!r} as missing where the transcript does not have it")
        places += [None] * len(lost)
    found = sum(place is not None for place in places)
    places += range(found, found + len(script) - len(places))
    assert [texts[place] for place in places if place is not None] == [
        word for word, place in zip(script, places, strict=True) if place is not None
    ]
    times = [None if place is None else (words[place]["start"], words[place]["end"]) for place in places]
    grouped, at = [], 0
    for utterance in utterances:
        count = len(utterance.text.split()) if utterance.written else 0
        grouped.append(times[at : at + count])
        at += count
    return grouped, runs


@dataclass(frozen=True)
class Joint:
    """A start or an end: of which utterance, gold and signed error in seconds (infinite where it has no time)."""

    utterance: int
    gold: float
    error: float
    start: bool

    @property
    def near(self) -> bool:
        return abs(self.error) <= NEAR


def joints(utterances: Sequence[Utterance], times: Sequence[Sequence[Times | None]]) -> list[Joint]:
    """Both joints of every utterance that is spoken and written."""
    found = []
    for number, (utterance, words) in enumerate(zip(utterances, times, strict=True)):
        if utterance.spoken and utterance.written:
            first, last = words[0], words[-1]
            error = first[0] - utterance.start if first else np.inf
            found.append(Joint(number, utterance.start, error, True))
            error = last[1] - utterance.end if last else np.inf
            found.append(Joint(number, utterance.end, error, False))
    return found


def share(chosen: Sequence[Joint]) -> str:
    """Percent of joints near gold, with its interval over utterances."""
    if not chosen:
        return "none"
    found = interval([100.0 * joint.near for joint in chosen], [joint.utterance for joint in chosen])
    return f"{found.value:.2f} % [{found.low:.2f}, {found.high:.2f}] of {len(chosen)}"


def report(
    utterances: Sequence[Utterance], times: Sequence[Sequence[Times | None]], runs: Sequence[str]
) -> Iterator[str]:
    """Lines that say how good an alignment is."""
    found = joints(utterances, times)
    heard = [joint for joint in found if np.isfinite(joint.error)]
    yield f"joints within {1000 * NEAR:.0f} ms: {share(found)}"
    yield f"  starts {share([j for j in found if j.start])}; ends {share([j for j in found if not j.start])}"
    third = max(joint.gold for joint in found) / 3
    for number, name in enumerate(("first", "middle", "last")):
        yield f"  {name} third: {share([j for j in found if min(int(j.gold / third), 2) == number])}"
    yield f"  never trained on: {share([j for j in found if not utterances[j.utterance].known])}"
    yield f"median error {1000 * float(np.median([abs(j.error) for j in heard])):.0f} ms"
    yield "worst: " + "; ".join(
        f"{joint.error:+.2f} s at {joint.gold:.1f} s ({'start' if joint.start else 'end'} of "
        f"{utterances[joint.utterance].id})"
        for joint in sorted(heard, key=lambda j: -abs(j.error))[:5]
    )
    here = [words for u, words in zip(utterances, times, strict=True) if u.spoken]
    wrong = sum(words.count(None) for words in here)
    yield f"words wrongly reported missing: {wrong} of {sum(map(len, here))}"
    absent = [words for u, words in zip(utterances, times, strict=True) if not u.spoken]
    if absent:
        whole = sum(words.count(None) == len(words) for words in absent)
        right, count = sum(words.count(None) for words in absent), sum(map(len, absent))
        yield f"sentences not spoken: {whole} of {len(absent)} named whole, {right} of their {count} words"
        yield f"words named as not spoken: {right} of {right + wrong} rightly"
        yield from _around_omissions(utterances, found)


def _around_omissions(utterances: Sequence[Utterance], found: Sequence[Joint]) -> Iterator[str]:
    """Joints by their utterance's distance from the nearest omission."""
    gaps = np.array([i for i, u in enumerate(utterances) if not (u.spoken and u.written)])
    away = {joint: int(np.abs(gaps - joint.utterance).min()) for joint in found}
    yield f"  next to an omission: {share([j for j in found if away[j] == 1])}"
    yield f"  two away: {share([j for j in found if away[j] == 2])}"
    yield f"  farther: {share([j for j in found if away[j] > 2])}"


@click.command()
@click.argument("corpus", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--hours", default=3.0, show_default=True)
@click.option("--sets", default="", help="Manifests used, by stem, with commas; all by default.")
@click.option("--seed", default=0, show_default=True)
@click.option("--noise", default=20.0, show_default=True, help="Background noise, dB below the speech.")
@click.option(
    "--omit", default=0.0, show_default=True, help="Share of sentences not spoken, and of others not written."
)
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Folder for recording, gold and result.")
def main(corpus: Path, hours: float, sets: str, seed: int, noise: float, omit: float, keep: Path | None) -> None:
    """Align one long recording made of CORPUS and score its joints."""
    with tempfile.TemporaryDirectory() as place:
        folder = keep or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        recording, output = folder / "long.wav", folder / "long.json"
        chosen = tuple(name for name in sets.split(",") if name)
        utterances = compose(corpus, chosen, hours, seed, noise, omit, recording)
        gold = "\n".join(json.dumps(vars(utterance)) for utterance in utterances)
        (folder / "gold.jsonl").write_text(gold + "\n", encoding="utf-8")
        click.echo(
            f"{recording.stat().st_size / 2 / RATE / 3600:.2f} h, {len(utterances)} utterances of "
            f"{sets or 'all sets'}, seed {seed}, noise {noise:g} dB below speech, omitted {omit:.0%} and {omit:.0%}"
        )
        cost = command(recording, output)
        for line in report(utterances, *word_times(utterances, output)):
            click.echo(line)
        click.echo(f"{cost.wall:.0f} s on the clock, {cost.cpu:.0f} CPU s, at most {cost.peak:.0f} MiB")


if __name__ == "__main__":
    main()
