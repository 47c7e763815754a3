"""The table that `align --reference` prints."""

from __future__ import annotations

from collections.abc import Sequence

from aligner.core import Word
from aligner.errors import InputError
from aligner.metrics import boundary
from aligner.metrics.scores import score_words

_ROWS = ("mean absolute error, ms", "median absolute error, ms", "mean signed error, ms")


def reference_table(reference: Sequence[Word], estimated: Sequence[Word]) -> str:
    """Onset and offset errors against gold words, and the share of words matched, as plain text.

    Parameters
    ----------
    reference, estimated : sequence of Word

    Raises
    ------
    InputError
        No word of the reference is found among those estimated.
    """
    scores = score_words(reference, estimated)
    if not scores.n_matched:
        raise InputError(
            f"none of the {len(reference)} reference words is among the {len(estimated)} aligned ones: "
            "check that reference and recording belong together"
        )
    sides = (scores.onset, scores.offset)
    functions = (boundary.mean_abs_error, boundary.median_abs_error, boundary.mean_signed_error)
    rows = [
        (name, *(f"{1000 * function(side):.1f}" for side in sides))
        for name, function in zip(_ROWS, functions, strict=True)
    ]
    for tolerance in boundary.TOLERANCES:
        shares = (f"{100 * boundary.share_within(side, tolerance):.1f}" for side in sides)
        rows.append((f"within {1000 * tolerance:.0f} ms, %", *shares))
    lines = [
        f"{scores.n_matched} of {scores.n_reference} reference words matched ({100 * scores.matched_share:.1f} %), "
        f"{scores.n_estimated} aligned",
        f"{'':28}{'onset':>9}{'offset':>9}",
        *(f"{name:28}{onset:>9}{offset:>9}" for name, onset, offset in rows),
    ]
    return "\n".join(lines)
