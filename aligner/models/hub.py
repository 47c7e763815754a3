"""Checkpoints fetched from the hub of Hugging Face, into the cache that other tools share.

`HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` are heeded, as by every tool
that uses huggingface_hub.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aligner.errors import ModelError
from aligner.models import caches
from aligner.models.families import model_families
from aligner.models.formats import read_json, weights_formats

PATIENCE = 5.0  # seconds for the hub to answer
_SMALL = (".json", ".txt", ".model")  # settings and vocabularies, beside the weights
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


class Unreachable(Exception):
    """The hub does not answer; says which, and why."""


class Missing(Exception):
    """The hub has no such repository, or does not show it."""


def fetch(repository: str) -> Path:
    """Fetch the files of a checkpoint that its reader needs, and no others.

    What is fetched is said on standard error, with its size, then how far it
    is; neither where `HF_HUB_DISABLE_PROGRESS_BARS` is set.

    Parameters
    ----------
    repository : str
        Such as "openai/whisper-base".

    Returns
    -------
    Path
        Folder in the hub's cache.

    Raises
    ------
    Unreachable, Missing
    ModelError
        Nothing there that can be read, or no room for it.
    """
    from huggingface_hub import HfApi, constants, hf_hub_download
    from huggingface_hub.utils import are_progress_bars_disabled

    cache = caches.hub_cache()
    with _errors(repository, constants.ENDPOINT, cache):
        found = HfApi().model_info(repository, files_metadata=True, timeout=PATIENCE).siblings or []
        sizes = {file.rfilename: file.size or 0 for file in found if "/" not in file.rfilename}
        weights = next(filter(None, (weights_formats[name].wanted(sizes) for name in weights_formats)), [])
        if not weights or "config.json" not in sizes:
            raise ModelError(
                f"{repository} on the hub holds no weights that can be read: a checkpoint there has config.json and "
                "model.safetensors, pytorch_model.bin or (faster-whisper's) model.bin"
            )
        config = hf_hub_download(repository, "config.json", cache_dir=cache, etag_timeout=PATIENCE)
        family = read_json(Path(config)).get("model_type", "whisper")  # CTranslate2's config does not say it
        if family not in model_families:
            raise ModelError(
                f"{repository} on the hub is of the family {family!r}; supported: {', '.join(model_families)}"
            )
        files = [name for name in sizes if name.endswith(_SMALL) and name not in weights] + weights
        if not are_progress_bars_disabled():
            total = sum(sizes[name] for name in files)
            print(f"fetching {repository}: {len(files)} files, {size(total)}, to {cache}", file=sys.stderr)
        for name in files:
            hf_hub_download(repository, name, cache_dir=cache, etag_timeout=PATIENCE)
    return Path(config).parent


@contextmanager
def _errors(repository: str, endpoint: str, cache: Path) -> Iterator[None]:
    """What huggingface_hub and its connection raise, as one sentence."""
    from huggingface_hub.errors import GatedRepoError, HTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        yield
    except GatedRepoError:
        raise ModelError(
            f"{repository} is open to those only who have accepted its terms at {endpoint}/{repository}: do that, and "
            "log in with hf auth login"
        ) from None
    except RepositoryNotFoundError:
        raise Missing(f"{endpoint} has no such repository, or does not show it") from None
    except OfflineModeIsEnabled:
        raise Unreachable("HF_HUB_OFFLINE forbids fetching it") from None
    except (HTTPError, OSError, ValueError) as error:
        why = str(error).partition("\n")[0][:160]
        if isinstance(error, OSError) and error.errno in _STORAGE:
            raise ModelError(f"{repository} cannot be kept in {cache}: {why}") from None
        raise Unreachable(f"{endpoint} cannot be reached or does not answer properly ({why})") from None


def size(n_bytes: int) -> str:
    """A size for people.

    Examples
    --------
    >>> size(290_403_936), size(3_087_000_000), size(900)
    ('290 MB', '3.1 GB', '1 kB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.{1 if unit == 'GB' else 0}f} {unit}"
    return f"{max(1, round(n_bytes / 1e3))} kB"
