"""Subtitles against those of peers: `python -m benchmarks.subtitles MODEL RECORDING... [-o FOLDER]`.

MODEL is a checkpoint as CTranslate2 reads it; all three tools recognise the words with it, one after the other:
`align -f srt`, faster-whisper (a subtitle a segment, as its examples print them; it writes no files itself) and
stable-ts (`to_srt_vtt`, a subtitle a segment, its default regrouping). Printed is what a professional would retouch,
`align-eval subtitles`, per hundred subtitles.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import click

from aligner.subtitles.style import style
from benchmarks.invented import ratio, shown
from eval.subtitles import rates, read_cues, table

Write = Callable[[Path, Path, Sequence[Path]], None]


def ours(model: Path, folder: Path, recordings: Sequence[Path]) -> None:
    """The command line tool, with its default settings."""
    command = [sys.executable, "-m", "aligner", *recordings, "--model", model, "-l", "en", "-f", "srt", "-o"]
    subprocess.run([*command, f"{folder}{os.sep}", "-q"], check=True)


def faster_whisper(model: Path, folder: Path, recordings: Sequence[Path]) -> None:
    """Segments as subtitles."""
    import pysubs2
    from faster_whisper import WhisperModel

    loaded = WhisperModel(str(model), device="cpu", compute_type="float32")
    for path in recordings:
        segments, _ = loaded.transcribe(str(path), language="en")
        written = pysubs2.SSAFile()
        for segment in segments:
            times = (round(1000 * segment.start), round(1000 * segment.end))
            written.append(pysubs2.SSAEvent(*times, segment.text.strip()))
        written.save(str(folder / f"{path.stem}.srt"))


def stable_ts(model: Path, folder: Path, recordings: Sequence[Path]) -> None:
    """Its own writer, a segment a subtitle."""
    from aligner.guard import import_torchaudio

    import_torchaudio()
    import stable_whisper

    loaded = stable_whisper.load_faster_whisper(str(model), device="cpu", compute_type="float32")
    for path in recordings:
        result = loaded.transcribe(str(path), language="en", verbose=None)
        with redirect_stdout(sys.stderr):  # it says what it saved
            result.to_srt_vtt(str(folder / f"{path.stem}.srt"), word_level=False)


TOOLS: dict[str, Write] = {"align": ours, "faster-whisper": faster_whisper, "stable-ts": stable_ts}


@click.command(help=__doc__)
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.argument("recordings", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Keep the files here.")
def main(model: Path, recordings: tuple[Path, ...], output: Path | None) -> None:
    """Run all tools and print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        columns, rows = {}, []
        for name, write in TOOLS.items():
            folder = (output or Path(scratch)) / name
            folder.mkdir(parents=True, exist_ok=True)
            write(model, folder, recordings)
            files = {path.stem: read_cues(folder / f"{path.stem}.srt") for path in recordings}
            columns[name] = rates(files, style("en"))
            each = [rates({stem: cues}, style("en")) for stem, cues in files.items()]
            wrong = [count * sum(found.values()) / 100 for count, found in each]
            rows.append(shown(ratio(wrong, [count for count, _ in each], list(files), 100)))
        click.echo(table(columns))
        click.echo(f"| all, with the 95 % interval over {len(recordings)} recordings | {' | '.join(rows)} |")


if __name__ == "__main__":
    main()
