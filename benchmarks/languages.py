"""A head taught in another language, from speech whose times are exact: `python -m benchmarks.languages base`.

espeak-ng speaks made-up sentences in German and Spanish, in several voices. `align-eval adapt` learns from most of
them, without their times; on the others the words of the checkpoint's attention and of the head are compared with what
the synthesiser said. Prints one line a language.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from aligner import load_model
from aligner.audio.file import of_file
from aligner.timing.case import Case
from aligner.timing.settings import Settings
from eval.corpora.espeak import SAMPLE_RATE, Espeak

# Subjects, verbs, adverbs, objects, places: each sentence takes one of each, in the order of the language.
PARTS = {
    "de": (
        "der alte Lehrer|meine kleine Schwester|unser Nachbar|die junge Ärztin|ein fremder Mann|das Mädchen|"
        "Onkel Jürgen|die Bäckerin|jeder Schüler|sein bester Freund|Frau Schröder|der Gärtner|die Köchin aus Köln",
        "sucht|kauft|findet|zeichnet|verkauft|bringt|zerbricht|öffnet|versteckt|vergisst|wäscht|beschreibt|holt|prüft",
        "heute|gestern früh|jeden Abend|plötzlich|sehr langsam|manchmal|am Dienstag|noch einmal|vorsichtig|wieder",
        "ein neues Fahrrad|den schweren Koffer|zwölf rote Äpfel|das kaputte Fenster|einen langen Brief|die grüne Tür|"
        "viel warmes Wasser|seinen Schlüssel|drei Bücher über Vögel|eine Flasche Milch|das größte Bild|keine Zeitung",
        "im Dorf|hinter der Schule|auf dem Markt|bei uns zu Hause|zwischen den Bäumen|am Bahnhof|unter der Brücke|"
        "vor dem Frühstück|mit großer Freude|ohne ein Wort|in der Küche|wegen des Regens",
        "und|aber|denn",
    ),
    "es": (
        "el viejo profesor|mi hermana pequeña|nuestro vecino|la joven doctora|un hombre extraño|la niña|el tío Jorge|"
        "la panadera|cada alumno|su mejor amigo|la señora Muñoz|el jardinero|nadie|la cocinera de Sevilla",
        "busca|compra|encuentra|dibuja|vende|trae|rompe|abre|esconde|olvida|lava|describe|recoge|examina",
        "hoy|ayer por la mañana|cada noche|de repente|muy despacio|a veces|el martes|otra vez|con cuidado|siempre",
        "una bicicleta nueva|la maleta pesada|doce manzanas rojas|la ventana rota|una carta larga|la puerta verde|"
        "mucha agua caliente|su llave|tres libros sobre pájaros|una botella de leche|el cuadro más grande|un periódico",
        "en el pueblo|detrás de la escuela|en el mercado|en nuestra casa|entre los árboles|en la estación|"
        "bajo el puente|antes del desayuno|con mucha alegría|sin decir palabra|en la cocina|por culpa de la lluvia",
        "y|pero|porque",
    ),
}
VOICES = ("", "+m3", "+m7", "+f2", "+f4", "+Annie", "+paul", "+steph")


def sentences(language: str, seed: int) -> Iterator[list[str]]:
    """Words of made-up sentences, one or two clauses each."""
    rng = random.Random(seed)
    *parts, joins = (part.split("|") for part in PARTS[language])
    while True:
        clauses = [" ".join(rng.choice(part) for part in parts) for _ in range(rng.choice((1, 1, 2)))]
        yield f" {rng.choice(joins)} ".join(clauses).split()


def speak(language: str, folder: Path, minutes: float, held_out: int, seed: int = 0) -> list[dict[str, object]]:
    """Write speech to learn from, with its texts, and return what is held out, with exact times."""
    espeak, rng = Espeak(), random.Random(seed)
    (folder / "learn").mkdir(parents=True, exist_ok=True)
    (folder / "judge").mkdir(exist_ok=True)
    judged: list[dict[str, object]] = []
    spoken, number = 0.0, 0
    for words in sentences(language, seed):
        rate, pitch = rng.randint(130, 210), rng.randint(25, 80)
        breaks = frozenset(i for i in range(len(words) - 1) if rng.random() < 0.08)
        speech = espeak.speak(words, language + rng.choice(VOICES), breaks=breaks, rate=rate, pitch=pitch)
        if speech is None:
            continue
        # As recorded speech is never without noise, neither is this.
        quiet = np.random.default_rng(number).normal(0, 1e-3, len(speech.samples) + SAMPLE_RATE // 2)
        samples = quiet.astype(np.float32)
        samples[SAMPLE_RATE // 4 :][: len(speech.samples)] += speech.samples
        place = "judge" if len(judged) < held_out else "learn"
        audio = folder / place / f"{number:04d}.wav"
        soundfile.write(audio, samples, SAMPLE_RATE)
        if place == "judge":
            judged.append({"audio": audio, "words": [(w.text, w.start + 0.25, w.end + 0.25) for w in speech.words]})
        else:
            audio.with_suffix(".txt").write_text(" ".join(words) + "\n", encoding="utf-8")
            spoken += len(samples) / SAMPLE_RATE
        number += 1
        if spoken >= 60 * minutes:
            return judged
    raise AssertionError("sentences never end")


def errors(
    model: object, judged: Sequence[dict[str, object]], language: str, ways: Sequence[Settings]
) -> list[np.ndarray]:
    """Distances of onsets and offsets from the truth in ms, by several settings."""
    found: list[list[float]] = [[] for _ in ways]
    for one in judged:
        gold = one["words"]
        encoded = model.encode(of_file(one["audio"], model.sample_rate).read(0, 60))
        case = Case(model, encoded, " ".join(w for w, _, _ in gold), language)
        for settings, own in zip(ways, found, strict=True):
            words = case.words(settings).words
            own += [abs(w.start - a) for w, (_, a, _) in zip(words, gold, strict=True)]
            own += [abs(w.end - b) for w, (_, _, b) in zip(words, gold, strict=True)]
    return [1000 * np.array(own) for own in found]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="checkpoint that knows the languages")
    parser.add_argument("--minutes", type=float, default=20, help="of speech to learn from")
    parser.add_argument("--held-out", type=int, default=60, help="sentences to judge by")
    parser.add_argument("--languages", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--work", type=Path, default=Path("build/languages"))
    given = parser.parse_args()
    model = load_model(given.model)
    print("| language | words | attention, ms | <= 20 | <= 50 | head, ms | <= 20 | <= 50 | less error | minutes |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for language in given.languages:
        folder = given.work / language
        judged = speak(language, folder, given.minutes, given.held_out)
        head = folder / "taught.head"
        began = time.monotonic()
        command = [sys.executable, "-m", "eval.cli", "adapt", folder / "learn", "-m", given.model, "-l", language]
        subprocess.run([*map(str, command), "-o", str(head)], check=True)
        minutes = (time.monotonic() - began) / 60
        ways = [
            Settings(timing="attention", confidence=False),
            Settings(timing="head", head=str(head), confidence=False),
        ]
        by_attention, by_head = errors(model, judged, language, ways)
        cells = [language, str(len(by_head) // 2)]
        for found in (by_attention, by_head):
            cells += [f"{found.mean():.1f}", *(f"{100 * (found <= limit).mean():.1f}" for limit in (20, 50))]
        cells += [f"{100 * (1 - by_head.mean() / by_attention.mean()):.0f} %", f"{minutes:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
        (folder / "result.json").write_text(json.dumps({"attention": by_attention.tolist(), "head": by_head.tolist()}))


if __name__ == "__main__":
    main()
