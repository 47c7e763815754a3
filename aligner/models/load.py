"""From a name to a model: found, read, and given to the adapter of its family."""

from __future__ import annotations

from aligner.errors import ModelError, SettingError
from aligner.memory import give_back
from aligner.models.base import SpeechModel
from aligner.models.checkpoint import Checkpoint, read_checkpoint
from aligner.models.families import model_families
from aligner.models.find import find

DTYPES = ("float32", "bfloat16", "float16", "int8", "auto")
DEVICES = ("cpu", "cuda", "mps", "xpu")


def open_checkpoint(name: str) -> Checkpoint:
    """Find a checkpoint and read what its files say; no tensors yet.

    Parameters
    ----------
    name : str
        See `aligner.models.find.find`.

    Raises
    ------
    ModelError
        Not found, or not a checkpoint.
    """
    return read_checkpoint(find(name), name)


def load_model(
    name: str = "embedded", device: str = "cpu", dtype: str = "float32", threads: int | None = None
) -> SpeechModel:
    """Load a model by name.

    Parameters
    ----------
    name : str
        "embedded", or what `aligner.models.find.find` finds.
    device : str
        "cpu", "cuda", "cuda:1", "mps" or "xpu".
    dtype : str
        "float32", "bfloat16" or "float16"; "int8" for linear layers in whole numbers on a processor; "auto" for
        bfloat16 where a processor computes in it (docs/speed.md: words and times stay), else float32.
    threads : int, optional
        CPU threads.

    Raises
    ------
    ModelError
        Unknown name, broken checkpoint, family without an adapter.
    SettingError
        Unknown device or dtype.
    """
    if dtype not in DTYPES:
        raise SettingError(f"unknown dtype {dtype!r}: choose one of {', '.join(DTYPES)}")
    if device.partition(":")[0] not in DEVICES:
        raise SettingError(f"unknown device {device!r}: choose one of {', '.join(DEVICES)}")
    if threads is not None and threads < 1:
        raise SettingError(f"{threads} threads cannot compute anything: give 1 or more")
    checkpoint = open_checkpoint(name)
    family = checkpoint.config.get("model_type")
    if family not in model_families:
        raise ModelError(f"model {name!r} is of the family {family!r}; supported: {', '.join(model_families)}")
    import torch

    from aligner.models.products import supported

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SettingError(f"device {device!r} asked for, but torch sees no GPU: use --device cpu")
    if dtype == "auto":
        dtype = "bfloat16" if device == "cpu" and family == "whisper" and _has_bfloat16() else "float32"
    elif dtype == "int8" and not (device == "cpu" and supported()):
        raise SettingError("--dtype int8 is for processors of the x86 kind: take float32, or float16 on a GPU")
    if threads is not None:
        torch.set_num_threads(threads)
    model = model_families[str(family)](checkpoint, torch.device(device), getattr(torch, dtype))
    give_back()
    return model


def _has_bfloat16() -> bool:
    import torch

    known = torch.cpu.get_capabilities()
    return any(known.get(name) for name in ("avx512_bf16", "amx_bf16"))
