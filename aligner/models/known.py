"""What is known of OpenAI's checkpoints beyond their weights, for the files that do not say it.

Sources: openai-whisper 20250625, `whisper/__init__.py` (`_ALIGNMENT_HEADS`) and `whisper/tokenizer.py`
(`LANGUAGES`, `non_speech_tokens`), MIT licence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aligner.text.languages import LANGUAGES as NAMES

EMBEDDED = Path(__file__).parent.parent / "embedded"  # tiny.en, the checkpoint inside the package

Head = tuple[int, int]  # layer, head

LANGUAGES = tuple(NAMES)  # in the order of their tokens; the first 99 but in large-v3 and its kin
ENGLISH_VOCABULARY = 51864  # tokens of the English-only checkpoints; others have more
VOCABULARIES = (ENGLISH_VOCABULARY, 51865, 51866)
TIMESTAMPS = 1501  # tokens of times, the last ones

# By (encoder layers, decoder layers, width, tokens); layer.head.
_HEADS: dict[tuple[Any, ...], str] = {
    (4, 4, 384, 51864): "1.0 2.0 2.5 3.0 3.1 3.2 3.3 3.4",
    (4, 4, 384, 51865): "2.2 3.0 3.2 3.3 3.4 3.5",
    (6, 6, 512, 51864): "3.3 4.7 5.1 5.5 5.7",
    (6, 6, 512, 51865): "3.1 4.2 4.3 4.7 5.1 5.2 5.4 5.6",
    (12, 12, 768, 51864): "6.6 7.0 7.3 7.8 8.2 8.5 8.7 9.0 9.4 9.8 9.10 10.0 10.1 10.2 10.3 10.6 10.11 11.2 11.4",
    (12, 12, 768, 51865): "5.3 5.9 8.0 8.4 8.7 8.8 9.0 9.7 9.9 10.5",
    (24, 24, 1024, 51864): (
        "11.4 14.1 14.12 14.14 15.4 16.0 16.4 16.9 17.12 17.14 18.7 18.10 18.15 20.0 20.3 20.9 20.14 21.12"
    ),
    (24, 24, 1024, 51865): "13.15 15.4 15.15 16.1 20.0 23.4",
    (32, 32, 1280, 51865): (
        "10.12 13.17 16.11 16.12 16.13 17.15 17.16 18.4 18.11 18.19 19.11 21.2 21.3 22.3 22.9 22.12 23.5 23.7 23.13 "
        "25.5 26.1 26.12 27.15"
    ),
    (32, 32, 1280, 51866): "7.0 10.17 12.18 13.12 16.1 17.14 19.11 21.4 24.1 25.6",
    (32, 4, 1280, 51866): "2.4 2.11 3.3 3.6 3.11 3.14",
}
_LARGE = (32, 32, 1280, 51865)
_LARGE_V1 = "9.19 11.2 11.4 11.17 22.7 22.11 22.17 23.2 23.15"  # of large-v2's shape: told apart by name only

# Marks and symbols that nobody says: tokens that a transcript does without.
_UNSPOKEN_ENGLISH = (
    1, 2, 7, 8, 9, 10, 14, 25, 26, 27, 28, 29, 31, 58, 59, 60, 61, 62, 63, 90, 91, 92, 93, 357, 366, 438, 532, 685,
    705, 796, 930, 1058, 1220, 1267, 1279, 1303, 1343, 1377, 1391, 1635, 1782, 1875, 2162, 2361, 2488, 3467, 4008,
    4211, 4600, 4808, 5299, 5855, 6329, 7203, 9609, 9959, 10563, 10786, 11420, 11709, 11907, 13163, 13697, 13700,
    14808, 15306, 16410, 16791, 17992, 19203, 19510, 20724, 22305, 22935, 27007, 30109, 30420, 33409, 34949, 40283,
    40493, 40549, 47282, 49146,
)  # fmt: skip
_UNSPOKEN_MULTILINGUAL = (
    1, 2, 7, 8, 9, 10, 14, 25, 26, 27, 28, 29, 31, 58, 59, 60, 61, 62, 63, 90, 91, 92, 93, 359, 503, 522, 542, 873,
    893, 902, 918, 922, 931, 1350, 1853, 1982, 2460, 2627, 3246, 3253, 3268, 3536, 3846, 3961, 4183, 4667, 6585, 6647,
    7273, 9061, 9383, 10428, 10929, 11938, 12033, 12331, 12562, 13793, 14157, 14635, 15265, 15618, 16553, 16604,
    18362, 18956, 20075, 21675, 22520, 26130, 26161, 26435, 28279, 29464, 31650, 32302, 32470, 36865, 42863, 47425,
    49870, 50254,
)  # fmt: skip


def alignment_heads(config: dict[str, Any], name: str) -> tuple[Head, ...]:
    """OpenAI's list of alignment heads for a checkpoint of one of its shapes.

    Parameters
    ----------
    config : dict
        In transformers' keys.
    name : str
        As the user gave it: large-v1 has the shape of large-v2.

    Returns
    -------
    tuple of (layer, head)
        Empty for other shapes.

    Examples
    --------
    >>> alignment_heads({"encoder_layers": 32, "decoder_layers": 4, "d_model": 1280, "vocab_size": 51866}, "turbo")
    ((2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14))
    """
    shape = tuple(config.get(key) for key in ("encoder_layers", "decoder_layers", "d_model", "vocab_size"))
    listed = _HEADS.get(shape, "")
    if shape == _LARGE and "large-v1" in name:
        listed = _LARGE_V1
    layers_and_heads = (pair.split(".") for pair in listed.split())
    return tuple((int(layer), int(head)) for layer, head in layers_and_heads)


def unspoken_tokens(vocab_size: int) -> tuple[int, ...]:
    """Tokens of marks that OpenAI's tools keep out of transcripts; empty for other vocabularies."""
    if vocab_size == ENGLISH_VOCABULARY:
        return _UNSPOKEN_ENGLISH
    return _UNSPOKEN_MULTILINGUAL if vocab_size in (51865, 51866) else ()
