"""A checkpoint: its files, what they say of the network, and what is known of it beyond them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aligner.errors import ModelError
from aligner.models import known
from aligner.models.formats import Contents, contents
from aligner.models.tokens import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    import torch

# Parts of an encoder that no format stores in whole numbers.
_EXACT = re.compile(r"(model\.)?encoder\.(.*(layer_?norm)\.(weight|bias)|.*conv\w*\.bias|embed_positions\.weight)")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint that was found; tensors are read when they are asked for.

    Attributes
    ----------
    name : str
        As its user gave it.
    path : Path
        Folder or file.
    format : str
        Name of its reader in `aligner.models.formats`.
    contents : Contents
        Its files, read.
    """

    name: str
    path: Path
    format: str
    contents: Contents = field(repr=False)

    @property
    def config(self) -> dict[str, Any]:
        """In transformers' keys, `model_type` among them."""
        return self.contents.config

    @property
    def generation(self) -> dict[str, Any]:
        """Likewise, those of `generation_config.json` that the files have."""
        return self.contents.generation

    def weights(self) -> dict[str, torch.Tensor]:
        """Tensors by transformers' names, in the precision of the files.

        Raises
        ------
        ModelError
            Files that are damaged.
        """
        found = self.contents.weights()
        self.__dict__["fingerprint"] = fingerprint_of(found)  # or the files would be read again for it
        return found

    @cached_property
    def fingerprint(self) -> str:
        """See `fingerprint_of`."""
        return fingerprint_of(self.contents.weights())

    @cached_property
    def alignment_heads(self) -> tuple[known.Head, ...]:
        """Heads (layer, head) that follow the speech: the files' list, else what is known of OpenAI's checkpoints.

        Raises
        ------
        ModelError
            A list of something else.
        """
        listed = self.generation.get("alignment_heads")
        if not listed:
            return known.alignment_heads(self.config, self.name)
        try:
            return tuple((int(layer), int(head)) for layer, head in listed)
        except (TypeError, ValueError):
            raise ModelError(
                f"{self.path}: its alignment_heads {str(listed)[:60]} are no [layer, head] pairs"
            ) from None

    @cached_property
    def suppressed(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Tokens that a transcript never holds, and those that it never begins with.

        Raises
        ------
        ModelError
            Lists of something else.
        """
        never = self.generation.get("suppress_tokens")
        first = self.generation.get("begin_suppress_tokens")
        if never is None:
            never = known.unspoken_tokens(int(self.config["vocab_size"]))
        try:
            return tuple(int(i) for i in never if int(i) >= 0), tuple(int(i) for i in first or ())
        except (TypeError, ValueError):
            raise ModelError(f"{self.path}: its suppressed tokens {str(never)[:60]} are no list of numbers") from None

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Its tokens; OpenAI's own where the files have none.

        Raises
        ------
        ModelError
            Files that are damaged, or none for a vocabulary of this size.
        """
        return read_vocabulary(self.contents.vocabulary, int(self.config["vocab_size"]))


def fingerprint_of(weights: dict[str, torch.Tensor]) -> str:
    """16 hex digits, the same for the same weights in any format and precision.

    SHA-256 of the encoder's layer norms, biases of convolutions and
    positions, as float16 in the order of their names.
    """
    import torch

    named = {name.removeprefix("model."): part for name, part in weights.items() if _EXACT.fullmatch(name)}
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(name.encode())
        digest.update(named[name].to(torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def read_checkpoint(path: Path, name: str) -> Checkpoint:
    """What the files of a checkpoint say; no tensors yet.

    Parameters
    ----------
    path : Path
        Folder or file.
    name : str
        What its user calls it.

    Raises
    ------
    ModelError
        Not a checkpoint.
    """
    return Checkpoint(name, path, *contents(path))
