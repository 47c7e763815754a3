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
        Without the end.
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
    """

    end: int
    never: torch.Tensor
    not_first: torch.Tensor
    no_speech: int | None
    limit: int


def greedy(network: Whisper, memory: Memory, prompt: list[int], rules: Rules) -> list[Decoded]:
    """The likeliest token at every step, for every window until its text ends.

    Parameters
    ----------
    network : Whisper
    memory : Memory
        Cross-attention keys and values of a batch of windows.
    prompt : list of int
        The same for all.
    rules : Rules

    Returns
    -------
    list of Decoded, one for each window
    """
    keys = memory[0][0]
    batch = len(keys)
    past = Past(network.shape, batch, keys)
    ids = torch.tensor([prompt] * batch, device=keys.device)
    hidden, _ = network.decoder(ids, memory, past)
    silent = [0.0] * batch
    if rules.no_speech is not None:
        silent = network.decoder.scores(hidden[:, 0]).softmax(-1)[:, rules.no_speech].tolist()
    texts: list[list[int]] = [[] for _ in range(batch)]
    total = torch.zeros(batch, device=keys.device)
    running = torch.ones(batch, dtype=torch.bool, device=keys.device)
    barred = rules.never | rules.not_first
    for _ in range(rules.limit):
        scores = network.decoder.scores(hidden[:, -1]).masked_fill_(barred, -torch.inf)
        barred = rules.never
        chosen = scores.argmax(-1)
        gain = scores.gather(1, chosen[:, None])[:, 0] - scores.logsumexp(-1)
        total += torch.where(running, gain, 0.0)
        running &= chosen != rules.end
        going = running.tolist()
        if not any(going):
            break
        for text, token, goes in zip(texts, chosen.tolist(), going, strict=True):
            if goes:
                text.append(token)
        hidden, _ = network.decoder(chosen[:, None], memory, past)
    means = (total.cpu() / torch.tensor([len(text) + 1 for text in texts])).tolist()
    return [Decoded(tuple(text), mean, none) for text, mean, none in zip(texts, means, silent, strict=True)]
