"""The byte-level vocabulary of the embedded model, in the conventions of Whisper's English-only checkpoints."""

from __future__ import annotations

SPECIALS = (
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
TIMESTAMPS = tuple(f"<|{i * 0.02:.2f}|>" for i in range(1501))
CTC_LABELS = ("<blank>", *"abcdefghijklmnopqrstuvwxyz", "'", " ")


def byte_order() -> list[int]:
    """The 256 bytes in GPT-2's order: printable ones first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return printable + [b for b in range(256) if b not in printable]


def byte_symbols() -> list[str]:
    """GPT-2's visible stand-in for each byte, in token order."""
    return [chr(b) if i < 188 else chr(256 + i - 188) for i, b in enumerate(byte_order())]


TOKENS = (*byte_symbols(), *SPECIALS, *TIMESTAMPS)
IDS = {token: i for i, token in enumerate(TOKENS)}
END, START, NO_TIMESTAMPS = IDS["<|endoftext|>"], IDS["<|startoftranscript|>"], IDS["<|notimestamps|>"]
_BYTE_ID = {b: i for i, b in enumerate(byte_order())}


def encode(text: str) -> list[int]:
    """UTF-8 bytes as token ids."""
    return [_BYTE_ID[b] for b in text.encode()]
