"""Where a checkpoint lies that its user names: inside the package, in a cache, at a path, or on the hub."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from aligner.errors import ModelError
from aligner.models.known import EMBEDDED

_WHISPER = "tiny base base.en small small.en medium medium.en large-v1 large-v2 large-v3 large-v3-turbo"
_DISTILLED = "small.en medium.en large-v2 large-v3 large-v3.5"
# Repositories of the hub that hold a checkpoint; the first is its authors'.
REPOSITORIES: dict[str, tuple[str, ...]] = {
    **{name: (f"openai/whisper-{name}", f"Systran/faster-whisper-{name}") for name in _WHISPER.split()},
    "large-v1": ("openai/whisper-large", "Systran/faster-whisper-large-v1"),
    "large-v3-turbo": (
        "openai/whisper-large-v3-turbo",
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "deepdml/faster-whisper-large-v3-turbo-ct2",
    ),
    **{
        f"distil-{name}": (f"distil-whisper/distil-{name}", f"Systran/faster-distil-whisper-{name}")
        for name in _DISTILLED.split()
    },
    "distil-large-v3.5": ("distil-whisper/distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2"),
}
ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
_INSIDE = ("embedded", "tiny.en")
NAMES = (*_INSIDE, *REPOSITORIES, *ALIASES)

# https://huggingface.co/docs/hub/repositories: names of owners and repositories.
_ON_HUB = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)


def find(name: str) -> Path:
    """Folder or file of a checkpoint, fetched from the hub where this machine lacks it.

    Parameters
    ----------
    name : str
        "embedded"; one of `NAMES`, as whisper's users type them ("./base" for
        a folder of such a name); a path; or a repository of the hub, such as
        "openai/whisper-small" or "Systran/faster-whisper-small".

    Raises
    ------
    ModelError
        There is none of that name, or it cannot be fetched.
    """
    if name in _INSIDE:
        return EMBEDDED
    path = Path(name).expanduser()
    known = REPOSITORIES.get(ALIASES.get(name, name), ())
    if not known and path.exists():
        return path
    if not known and not _is_repository(name):
        what = "there is no such folder or file" if len(path.parts) > 1 else "it is no name that is known"
        raise ModelError(
            f"no model {name!r}{_suggestion(name)}: {what}; give a name such as base or large-v3, one of the hub such "
            "as openai/whisper-base, a checkpoint's folder, or a .pt file of openai-whisper (align models lists those "
            "on this machine)"
        )
    return on_this_machine(name) or _fetched(name, *known or (name,))


def on_this_machine(name: str) -> Path | None:
    """A checkpoint in one of the caches, by its short name or its name on the hub; None where there is none."""
    from aligner.models import caches

    short = ALIASES.get(name, name)
    found = (caches.snapshot(repository) for repository in REPOSITORIES.get(short, (name,)))
    file = caches.whisper_cache() / f"{short}.pt"
    return next((path for path in found if path is not None), file if file.is_file() else None)


def _is_repository(name: str) -> bool:
    return bool(_ON_HUB.fullmatch(name)) and not name.endswith((".pt", ".bin"))


def _fetched(name: str, repository: str, *others: str) -> Path:
    from aligner.models import caches, hub

    try:
        return hub.fetch(repository)
    except hub.Unreachable as error:
        places = f"{', '.join((repository, *others))} in {caches.hub_cache()}"
        if name != repository:
            places += f", {ALIASES.get(name, name)}.pt in {caches.whisper_cache()}"
        raise ModelError(
            f"model {name!r}{_suggestion(name)} is not on this machine (looked for {places}), and {error}: fetch it "
            "once with a connection, or give --model a folder or .pt file that you have copied"
        ) from None
    except hub.Missing as error:
        raise ModelError(
            f"no model {name!r}{_suggestion(name)}: {error}, and there is no folder of that name"
        ) from None


def _suggestion(name: str) -> str:
    """Names that look like one that is not known, in brackets."""
    from aligner.models import caches

    hub = [repository for choices in REPOSITORIES.values() for repository in choices]
    hub += [repository for repository, _ in caches.repositories()]
    spelled = {choice.lower(): choice for choice in (*NAMES, *hub)}
    spelled |= {repository.partition("/")[2].lower(): repository for repository in reversed(hub)}
    close = difflib.get_close_matches(name.lower(), spelled, n=2, cutoff=0.75)
    found = dict.fromkeys(spelled[choice] for choice in close)
    return f" (did you mean {' or '.join(found)}?)" if found and name not in found else ""
