"""The silence that a window is filled up with, encoded for less than speech.

An encoder that was trained on windows of 30 s is given one for three seconds of speech, nine tenths of it silence. Once
the first layer has looked around, one frame of that silence is much like the next: so it looks at all of them, and from
there on one of several stands for its neighbours, with the logarithm of their number added to the scores of all that
attends to it. To the softmax that is the same as so many equal frames. What is close to the speech, and the end of the
window, where encoders keep what they share, stay whole. docs/speed.md says what it costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

EACH = 5  # frames that one stands for
AFTER = 50  # frames after the real audio that stay whole
LAST = 100  # frames at the end of the window that stay whole


@dataclass(frozen=True, eq=False)
class Thinned:
    """Frames of a window that are encoded to the end.

    Attributes
    ----------
    index : int tensor, shape (frames kept,)
        Where they are among all.
    counts : float32 tensor, shape (frames kept,)
        Frames that each stands for.
    """

    index: torch.Tensor
    counts: torch.Tensor


def bias(counts: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What is added to scores of attention, shape (batch, 1, 1, frames).

    Parameters
    ----------
    counts : float32 tensor, shape (batch, frames)
        Frames that each stands for; none of those with 0 are seen.
    dtype : torch.dtype
        Of the scores.
    """
    return counts.log().to(dtype)[:, None, None]


def thinned(frames: int, window: int) -> Thinned | None:
    """What to keep of a window.

    Parameters
    ----------
    frames : int
        Of the real audio.
    window : int
        All.

    Returns
    -------
    Thinned or None
        None where there is no silence to leave out.

    Examples
    --------
    >>> found = thinned(100, 1500)
    >>> len(found.index), int(found.counts.sum())
    (500, 1500)
    """
    groups = (window - LAST - AFTER - frames) // EACH
    if groups < 1:
        return None
    counts = torch.ones(window - groups * (EACH - 1))
    first = window - LAST - groups * EACH
    counts[first : first + groups] = EACH
    index = torch.cat(
        [
            torch.arange(first),
            torch.arange(first + EACH // 2, window - LAST, EACH),
            torch.arange(window - LAST, window),
        ]
    )
    return Thinned(index, counts)
