"""How little is imported on the way of a user: what is slow to import waits until it is needed."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[1] / "data" / "samples" / "carrots.flac"
HEAVY = (
    "transformers", "torchaudio", "torch._dynamo", "huggingface_hub", "sympy", "skimage", "matplotlib",
    "scipy", "dtw", "praatio", "pysubs2", "pympi", "distributed", "multiprocessing.pool", "num2words",
)  # fmt: skip


@pytest.mark.parametrize("given", [True, False], ids=["given", "recognised"])
def test_aligning_imports_no_heavy_library_but_torch(given: bool, tmp_path: Path) -> None:
    arguments = [str(SAMPLE), "-o", str(tmp_path / "out.json"), "-q"]
    arguments += ["--text", str(SAMPLE.with_suffix(".txt"))] if given else []
    code = (
        f"import sys; sys.argv = ['align', *{arguments!r}]\n"
        "from aligner.command.cli import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "import gc\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000)"  # torch and the model are never looked through again
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "True True"]
    assert (tmp_path / "out.json").is_file()


def test_what_was_freed_goes_back_to_the_system_between_steps() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc keeps it")
    code = (
        "import numpy as np\n"
        "from aligner.memory import give_back\n"
        "held = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "for _ in range(2): np.ones(2 << 20)\n"  # 16 MiB: freed once, blocks up to that size stay
        "before, small = held(), [np.ones(1 << 17) for _ in range(64)]\n"  # 64 MiB
        "last = np.ones(1 << 17); del small\n"
        "kept = held(); give_back()\n"
        "print(kept - before, held() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    kept, given_back = map(int, done.stdout.split())
    assert kept > 48 << 20, "nothing to show"
    assert given_back < 4 << 20
