"""Sound tracks of videos and other containers, decoded by the ffmpeg program.

A track keeps the time of its video: one that starts late, or has gaps, is filled with silence there, so that its words
lie where a player shows them. A file without pictures begins with its first sound.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligner.errors import InputError

SUFFIXES = (
    ".m4a", ".m4b", ".aac", ".mp4", ".m4v", ".webm", ".mkv", ".mka", ".mov", ".wma", ".wmv", ".amr", ".3gp", ".avi",
    ".flv", ".mpg", ".mpeg", ".mts", ".mp2", ".ac3",
)  # fmt: skip
_BEGINNINGS = {  # of files of these kinds, whatever their names are: at which byte, what
    4: (b"ftyp", b"moov", b"mdat"),
    0: (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"#!AMR", b"FLV\x01", b"\xff\xf1", b"\xff\xf9", b"\x00\x00\x01\xba"),
    8: (b"AVI ",),
}
_CUT_OFF = ("partial file", "ended prematurely", "Input buffer exhausted before END")  # what ffmpeg says of such files
_STREAM = re.compile(r"^ *Stream #\d+:\d+(?:\[\w+\])?(?:\((?P<language>\w+)\))?: (?P<kind>Audio|Video): (?P<rest>.*)$")


@dataclass(frozen=True)
class Container:
    """What a container holds.

    Attributes
    ----------
    tracks : tuple of str
        The sound tracks, each as it is described: language, codec, channels.
    pictures : bool
        Whether there is a video, whose time counts. The cover of an album is none.
    """

    tracks: tuple[str, ...]
    pictures: bool


def is_container(path: Path) -> bool:
    """Whether a file is to be decoded by ffmpeg: by its name, or by how it begins."""
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open("rb") as handle:
        head = handle.read(512)
    if head[:1] == head[188:189] == head[376:377] == b"G":  # packets of an MPEG transport stream
        return True
    return any(head.startswith(known, place) for place, beginnings in _BEGINNINGS.items() for known in beginnings)


def contents(path: Path, given: Path) -> Container:
    """List the tracks of a container.

    Parameters
    ----------
    path : Path
    given : Path
        As its user knows it.

    Raises
    ------
    InputError
        ffmpeg is not there, or finds no sound in the file.
    """
    said = _run(given, "-hide_banner", "-protocol_whitelist", "file", "-i", path).stderr
    streams = [found for line in said.splitlines() if (found := _STREAM.match(line))]
    tracks = []
    for stream in streams:
        if stream["kind"] == "Audio":
            parts = [part.strip() for part in stream["rest"].split(",")]
            tracks.append(", ".join(filter(None, (stream["language"], parts[0].split(" ")[0], *parts[2:3]))))
    if not tracks:
        reason = "no sound in it" if streams else _last(said)
        raise InputError(f"{given} cannot be decoded by ffmpeg ({reason})")
    pictures = any(stream["kind"] == "Video" and "attached pic" not in stream["rest"] for stream in streams)
    return Container(tuple(tracks), pictures)


def decode(path: Path, given: Path, held: Container, track: int, copy: Path) -> None:
    """Write a sound track as flac, in the time of its video.

    Parameters
    ----------
    path : Path
    given : Path
        As its user knows it.
    held : Container
    track : int
        From 0, among the sound tracks.
    copy : Path
        Where to write.

    Raises
    ------
    InputError
        Damaged or cut off.
    """
    fill = "aresample=async=1:first_pts=0" if held.pictures else "aresample=async=1"
    command: list[Any] = ["-nostdin", "-v", "error", "-protocol_whitelist", "file", "-i", path]
    command += ["-map", f"0:a:{track}", "-af", fill, "-y", copy]
    if held.pictures:  # packets that are read and thrown away, as ffmpeg's time begins with the first stream it reads
        command += ["-map", "0:v", "-c", "copy", "-f", "null", "-"]
    done = _run(given, *command)
    if done.returncode or not copy.exists():
        raise InputError(f"{given} cannot be decoded by ffmpeg ({_last(done.stderr)})")
    if any(words in done.stderr for words in _CUT_OFF):
        raise InputError(f"{given} is cut off: ffmpeg finds that its end is missing; copy or export it again")


def _run(given: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    program = shutil.which("ffmpeg")
    if program is None:
        raise InputError(f"{given} needs the ffmpeg program: install it, or convert the file to wav")
    return subprocess.run([program, *arguments], capture_output=True, check=False, encoding="utf-8", errors="replace")


def _last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1] if lines else ""
