"""Greedy decoding of several windows together."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from aligner.models.network import Memory, Past, Whisper


@dataclass(frozen=True)
class Decoded:
    """Tokens that a decoder wrote for one window.

    Attributes
    ----------
    ids : tuple of int
        Without the end; timestamps among them where they were asked for.
    mean_log_prob : float
        Over the tokens and the end, as openai-whisper's `avg_logprob`.
    no_speech : float
        Probability of the no-speech token where the transcript starts; 0 where there is no such token.
    """

    ids: tuple[int, ...]
    mean_log_prob: float
    no_speech: float


@dataclass(frozen=True)
class Rules:
    """What a decoder may write.

    Attributes
    ----------
    end : int
        Token that ends a text.
    never, not_first : bool tensor, shape (vocabulary,)
        Tokens left out always, and as a text's first.
    no_speech : int or None
        Token whose probability at the first position is reported.
    limit : int
        Most tokens.
    zero : int or None
        Token of the first moment of a window, its timestamps follow; None without timestamps, which are then text.
    """

    end: int
    never: torch.Tensor
    not_first: torch.Tensor
    no_speech: int | None
    limit: int
    zero: int | None = None


class Clock:
    """What timestamps allow next: they come in pairs around a piece of text and never go back.

    A text begins with a timestamp of the window's first second, and one is written wherever all timestamps together
    are likelier than the likeliest word, as in openai-whisper.

    Parameters
    ----------
    rules : Rules
        With a `zero`.
    batch : int
    device : torch.device
    """

    FIRST = 50  # steps of 20 ms

    def __init__(self, rules: Rules, batch: int, device: torch.device) -> None:
        assert rules.zero is not None
        self.zero, self.end = rules.zero, rules.end
        self.started = False
        self.last = torch.zeros(batch, dtype=torch.bool, device=device)  # whether the last token is a timestamp
        self.before = ~self.last  # and the one before it; a text begins as if after one
        self.latest = torch.full((batch,), self.zero, device=device)  # timestamp

    def limit(self, scores: torch.Tensor) -> None:
        """Bar what may not follow in scores, shape (batch, vocabulary)."""
        words, times = scores[:, : self.zero], scores[:, self.zero :]
        if not self.started:
            words.fill_(-torch.inf)
            times[:, self.FIRST + 1 :] = -torch.inf
            return
        closing = self.last & ~self.before  # the next text may begin where this one ended, or nothing follows
        times.masked_fill_((self.last & self.before)[:, None], -torch.inf)
        steps = torch.arange(self.zero, scores.shape[1], device=scores.device)
        times.masked_fill_(steps < (self.latest + ~closing)[:, None], -torch.inf)
        words[:, : self.end].masked_fill_(closing[:, None], -torch.inf)
        words.masked_fill_((times.logsumexp(-1) > words.amax(-1))[:, None], -torch.inf)

    def advance(self, chosen: torch.Tensor) -> None:
        """Take in what was written, shape (batch,)."""
        time = chosen >= self.zero
        self.before = self.last if self.started else self.before
        self.last, self.latest, self.started = time, torch.where(time, chosen, self.latest), True

    def keep(self, rows: torch.Tensor) -> None:
        """Forget all rows of the batch but some."""
        self.last, self.before, self.latest = self.last[rows], self.before[rows], self.latest[rows]


def greedy(
    network: Whisper,
    memory: Memory,
    prompt: list[int],
    rules: Rules,
    timed: bool = False,
    bias: torch.Tensor | None = None,
) -> list[Decoded]:
    """The likeliest token at every step, for every window until its text ends.

    Parameters
    ----------
    network : Whisper
    memory : Memory
        Cross-attention keys and values of a batch of windows.
    prompt : list of int
        The same for all.
    rules : Rules
    timed : bool
        Whether timestamps are written; the prompt then asks for them.
    bias : tensor, shape (batch, 1, 1, frames), optional
        Added to the scores of cross-attention.

    Returns
    -------
    list of Decoded, one for each window
    """
    looked_at = list(memory)
    del memory  # so that what has ended leaves it, where nobody else holds it
    batch, device = len(looked_at[0][0]), looked_at[0][0].device
    past = Past(network.shape, batch, looked_at[0][0])
    ids = torch.tensor([prompt] * batch, device=device)
    hidden, _ = network.decoder(ids, tuple(looked_at), past, bias)
    silent = [0.0] * batch
    if rules.no_speech is not None:
        silent = network.decoder.scores(hidden[:, 0]).softmax(-1)[:, rules.no_speech].tolist()
    texts: list[list[int]] = [[] for _ in range(batch)]
    gains = [0.0] * batch
    open_ = list(range(batch))  # windows whose text goes on: a row each
    clock = Clock(rules, batch, device) if timed else None
    never = rules.never.clone()
    if clock:
        never[clock.zero :] = False
    barred = never | rules.not_first
    for step in range(rules.limit):
        scores = network.decoder.scores(hidden[:, -1]).masked_fill_(barred, -torch.inf)
        barred = never
        if clock:
            clock.limit(scores)
        chosen = scores.argmax(-1)
        if clock:
            clock.advance(chosen)
        gained = scores.gather(1, chosen[:, None])[:, 0] - scores.logsumexp(-1)
        going = []
        for row, (window, token, gain) in enumerate(zip(open_, chosen.tolist(), gained.tolist(), strict=True)):
            gains[window] += gain
            if token != rules.end:
                texts[window].append(token)
                going.append(row)
        if not going or step + 1 == rules.limit:
            break
        if len(going) < len(open_):  # what has ended costs nothing more
            open_ = [open_[row] for row in going]
            rows = torch.tensor(going, device=device)
            chosen = chosen[rows]
            for layer, (keys, values) in enumerate(looked_at):
                looked_at[layer] = keys[rows], values[rows]
            del keys, values
            bias = None if bias is None else bias[rows]
            past.keep(rows)
            if clock:
                clock.keep(rows)
        hidden, _ = network.decoder(chosen[:, None], tuple(looked_at), past, bias)
    return [
        Decoded(tuple(text), gain / (len(text) + 1), none)
        for text, gain, none in zip(texts, gains, silent, strict=True)
    ]
