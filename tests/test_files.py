"""Files appear whole or not at all, and never over an input."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aligner.errors import OutputError
from aligner.files import atomic_write, lock


def test_a_file_appears_whole_with_ordinary_rights_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == path.parent and temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_any_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(OutputError, match="disk is full"), atomic_write(path), open("/dev/full", "w") as full:
        full.write("x" * 100_000)
    assert list(tmp_path.iterdir()) == []


WRITE = """
import sys
from pathlib import Path
from aligner.errors import StorageError
from aligner.files import atomic_write, lock
folder = Path(sys.argv[1])
try:
    with atomic_write(folder / "a.txt") as temporary:
        temporary.write_text("half")
        folder.chmod(0o500)
        temporary.write_text("more")
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("already", [True, False])
def test_folder_without_permission(tmp_path: Path, already: bool) -> None:
    """The folder is read-only before, or turns so while the file is written."""
    command = [sys.executable, "-c", WRITE, str(tmp_path)]
    if os.geteuid() == 0:  # root writes anywhere, unless it gives up that right
        if shutil.which("setpriv") is None:
            pytest.skip("as root this needs setpriv")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    if already:
        tmp_path.chmod(0o500)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        tmp_path.chmod(0o700)
    assert "cannot write" in done.stdout and "no permission" in done.stdout
    assert done.stderr == ""
    assert not (tmp_path / "a.txt").exists()


def test_a_lock_is_held_by_one_and_ends_with_it(tmp_path: Path) -> None:
    with (tmp_path / "a").open("a") as one, (tmp_path / "a").open("a") as other:
        assert lock(one)
        assert not lock(other)
        one.close()
        assert lock(other)


def test_part_of_the_path_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(OutputError, match="is a file, not a folder"), atomic_write(tmp_path / "a" / "b.txt"):
        pass


def test_the_target_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"), atomic_write(tmp_path):
        pass


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="pipe or a device"), atomic_write(pipe):
        pass
    assert pipe.is_fifo()


def test_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="too long"), atomic_write(tmp_path / ("a" * 300)) as temporary:
        temporary.write_text("x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["itself", "symbolic link", "hard link"])
def test_an_input_is_never_overwritten(tmp_path: Path, way: str) -> None:
    talk = tmp_path / "talk.txt"
    talk.write_text("input")
    target = talk if way == "itself" else tmp_path / "other.txt"
    if way == "symbolic link":
        target.symlink_to(talk)
    elif way == "hard link":
        target.hardlink_to(talk)
    with pytest.raises(OutputError, match="is an input"), atomic_write(target, [talk]):
        pass
    assert talk.read_text() == "input"
