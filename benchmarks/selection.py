"""The English speech that the shipped heads are taught from, as a manifest: `python -m benchmarks.selection CORPORA`.

CORPORA holds one manifest a set (`librispeech.jsonl`: id, audio, text, speaker, duration) and `silver-words.jsonl`,
whose field `split` says what is held out: speakers and texts of its test part are in no item of its train part. Only
items of the train part that last 1 to 17 s are taken, in an order drawn once, up to so many seconds of each speaker:
most of LibriSpeech's, since it has the most voices. About four and a half hours, of which `make heads` takes two,
evenly over speakers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import defaultdict
from pathlib import Path

SHORTEST, LONGEST = 1.0, 17.0  # seconds
SECONDS = {"librispeech": 450, "commonvoice": 1800, "arctic": 500, "vctk": 500, "kathleen": 500, "ljspeech": 700}
"""Of each speaker; Common Voice does not name its own and counts as one."""
SOURCES = {
    "librispeech": "LibriSpeech (CC BY 4.0)",
    "commonvoice": "Common Voice (CC0)",
    "arctic": "CMU ARCTIC (free for any use)",
    "vctk": "VCTK (ODC-By 1.0)",
    "kathleen": "Kathleen (CC0)",
    "ljspeech": "LJ Speech (public domain)",
}


def selected(corpora: Path, seed: int = 0) -> list[dict[str, object]]:
    """Items of all sets that are taught from.

    Parameters
    ----------
    corpora : Path
    seed : int
        Of the order in which items of a speaker are taken.
    """
    silver = map(json.loads, (corpora / "silver-words.jsonl").read_text(encoding="utf-8").splitlines())
    train = {item["audio"] for item in silver if item["split"] == "train"}
    rng = random.Random(seed)
    found = []
    for name, most in SECONDS.items():
        items = [json.loads(line) for line in (corpora / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        rng.shuffle(items)
        spoken: defaultdict[str, float] = defaultdict(float)
        for item in items:
            fits = SHORTEST <= item["duration"] <= LONGEST and spoken[item["speaker"]] + item["duration"] <= most
            if item["audio"] in train and fits:
                spoken[item["speaker"]] += item["duration"]
                found.append({**item, "source": SOURCES[name]})
    return found


def main() -> None:
    """Write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="manifest to write (JSONL)")
    given = parser.parse_args()
    items = selected(given.corpora)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    place = given.output.parent.resolve()
    lines = []
    for item in items:
        audio = os.path.relpath((given.corpora / str(item["audio"])).resolve(), place)
        lines.append(json.dumps({**item, "audio": Path(audio).as_posix()}, ensure_ascii=False))
    given.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    hours = sum(float(str(item["duration"])) for item in items) / 3600
    print(f"{given.output}: {len(items)} recordings, {hours:.2f} hours")


if __name__ == "__main__":
    main()
