"""A conversation by telephone in Mandarin, from which a head is taught: `python -m benchmarks.telephone base`.

espeak-ng speaks turns of made-up Mandarin in several voices, with hesitations, as a telephone carries them: 8 kHz,
300 to 3400 Hz, mu-law, with noise. `align-eval adapt` learns from these recordings and their transcripts alone, and the
same recordings are then aligned: their words' edges are compared with what the synthesiser said, beside attention's.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt

from aligner import load_model
from aligner.audio.file import of_file
from aligner.models import SpeechModel
from aligner.pipeline import align_audio
from aligner.timing.settings import Settings
from eval.corpora.espeak import SAMPLE_RATE, Espeak, TimedWord

RATE = 8000  # Hz
# Openings, subjects, times, verbs, objects, endings.
PARTS = (
    "嗯|呃|那个|对 对|哎|然后|就是|哦|反正|其实|我 觉得|你 知道",
    "我|我们|他|她 妈妈|你们|小王|那个 老师|我 朋友|大家|我 姐姐|张先生|孩子们|我 同事|邻居",
    "昨天|明天|今年|上个月|早上|有时候|现在|已经|每天|星期二|一直|刚才|下午 三点|去年 春天",
    "想 买|找到 了|看见 了|正在 做|喜欢|打算 卖|忘 了|准备|听说 了|学习|需要|修 好 了|带来|收到 了",
    "一 本 书|新 的 电脑|很多 水果|那 辆 车|北京 的 房子|两 张 票|女儿 的 衣服|中文|一点儿 东西|绿 的 裤子|"
    "学校 的 消息|二十 块 钱|热 的 茶|照片|自行车|医院 的 电话|旅行 的 计划",
    "吧|啊|呢|嘛|对 吧|是 不 是|没有 办法|真的|不 知道|可以 吗|挺 好 的|太 贵 了",
)
VOICE = "cmn-latn-pinyin"  # what reads characters reads their tones as figures
VARIANTS = ("", "+m3", "+f2", "+f4")
PAUSE = 0.35  # of the joints between parts that a pause follows


def telephone(samples: NDArray[np.float32], noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sound at 16 kHz as a telephone carries it, at 8 kHz.

    Parameters
    ----------
    samples : float32 array, shape (n_samples,)
    noise : float
        dB below the speech.
    rng : Generator
    """
    narrow = resample_poly(samples, 1, SAMPLE_RATE // RATE)
    level = np.sqrt(np.mean(narrow[np.abs(narrow) > 0.01] ** 2))
    narrow = narrow + rng.normal(0, level * 10 ** (-noise / 20), len(narrow))
    narrow = sosfilt(butter(4, (300, 3400), "bandpass", fs=RATE, output="sos"), narrow)
    narrow *= 0.5 / np.abs(narrow).max()
    coded = np.round(127 * np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)) / 127
    found: NDArray[np.float32] = (np.sign(coded) * np.expm1(np.abs(coded) * np.log(256)) / 255).astype(np.float32)
    return found


def turns(seed: int) -> Iterator[tuple[list[str], frozenset[int]]]:
    """Words of made-up turns, of half a clause to three, and after which of them there is a pause."""
    rng = random.Random(seed)
    parts = [part.split("|") for part in PARTS]
    while True:
        words: list[str] = []
        breaks: set[int] = set()
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            for part, often in zip(parts, (0.6, 0.9, 0.6, 1, 0.9, 0.4), strict=True):
                if rng.random() < often:
                    words += rng.choice(part).split()
                    if rng.random() < PAUSE / 2:
                        breaks.add(len(words) - 1)
        yield words or rng.choice(parts[0]).split(), frozenset(breaks - {len(words) - 1})


def speak(folder: Path, minutes: float, lasting: float, seed: int = 0) -> dict[Path, list[TimedWord]]:
    """Write recordings with their transcripts; the exact times of their words.

    Parameters
    ----------
    folder : Path
    minutes : float
        Of speech in all.
    lasting : float
        Seconds of turns, one after the other, that one recording holds at least; 0 is one turn a recording.
    seed : int
    """
    from pypinyin import Style, lazy_pinyin  # of the extra `languages`

    espeak, rng, noises = Espeak(), random.Random(seed), np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[Path, list[TimedWord]] = {}
    parts, words, texts, at, spoken = [], [], [], 0, 0.0
    for said, breaks in turns(seed):
        voice, rate, pitch = VOICE + rng.choice(VARIANTS), rng.randint(170, 260), rng.randint(30, 75)
        read = ["".join(lazy_pinyin(word, style=Style.TONE3)) for word in said]
        speech = espeak.speak(read, voice, breaks=breaks, rate=rate, pitch=pitch)
        if speech is None or len(speech.samples) > 15 * SAMPLE_RATE:
            continue
        before = round(rng.uniform(0.1, 0.8) * SAMPLE_RATE)
        first = (at + before) / SAMPLE_RATE
        words += [TimedWord(word, first + w.start, first + w.end) for word, w in zip(said, speech.words, strict=True)]
        texts.append(" ".join(said))
        parts += [np.zeros(before, np.float32), speech.samples * np.float32(rng.uniform(0.3, 1))]
        at += before + len(speech.samples)
        if at < lasting * SAMPLE_RATE:
            continue
        audio = folder / f"{len(found):04d}.wav"
        samples = telephone(np.concatenate([*parts, np.zeros(4800, np.float32)]), rng.uniform(15, 25), noises)
        soundfile.write(audio, samples, RATE, "ULAW")
        audio.with_suffix(".txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
        found[audio] = words
        spoken += at / SAMPLE_RATE
        parts, words, texts, at = [], [], [], 0
        if spoken >= 60 * minutes:
            return found
    raise AssertionError("turns never end")


def errors(model: SpeechModel, gold: dict[Path, list[TimedWord]], settings: Settings) -> NDArray[np.float64]:
    """Distances of onsets and offsets from the truth in ms; infinite where no edge lies between the same characters."""
    found: list[float] = []
    for audio, words in gold.items():
        text = audio.with_suffix(".txt").read_text(encoding="utf-8")
        made = align_audio(model, of_file(audio, model.sample_rate), text, settings).words
        ends = np.cumsum([0, *(len(word.text) for word in made)]).tolist()
        starts_at, ends_at = dict(zip(ends, made, strict=False)), dict(zip(ends[1:], made, strict=True))
        place = 0
        for true in words:
            own = starts_at.get(place)
            found.append(abs(own.start - true.start) if own else np.inf)
            own = ends_at.get(place := place + len(true.text))
            found.append(abs(own.end - true.end) if own else np.inf)
    return 1000 * np.array(found)


@click.command()
@click.argument("model")
@click.option("--minutes", default=12.0, show_default=True, help="Of speech to learn from.")
@click.option("--lasting", default=0.0, show_default=True, help="Seconds of a recording at least; 0: a turn each.")
@click.option("--judged", default=40, show_default=True, help="Recordings of these that are aligned.")
@click.option("--work", type=click.Path(path_type=Path), default="build/telephone", show_default=True)
def main(model: str, minutes: float, lasting: float, judged: int, work: Path) -> None:
    """Print how well MODEL, which knows Mandarin, times a conversation before and after `adapt`."""
    folder, head = work / f"{lasting:g}", work / f"taught-{lasting:g}.head"
    gold = speak(folder, minutes, lasting)
    if not head.is_file():
        command = [sys.executable, "-m", "eval.cli", "adapt", folder, "-m", model, "-l", "zh", "-o", head]
        subprocess.run(list(map(str, command)), check=True)
    loaded = load_model(model)
    some = dict(list(gold.items())[:judged])
    click.echo(f"{sum(map(len, some.values()))} words of the first {len(some)} of {len(gold)} recordings\n")
    click.echo("| timing | median, ms | <= 20, % | <= 50 | <= 100 |\n|---|---|---|---|---|")
    for timing, path in (("attention", None), ("head", str(head))):
        off = errors(loaded, some, Settings(timing=timing, head=path, language="zh", confidence=False))
        shares = " | ".join(f"{100 * (off <= limit).mean():.1f}" for limit in (20, 50, 100))
        click.echo(f"| {timing} | {np.median(off):.1f} | {shares} |")


if __name__ == "__main__":
    main()
