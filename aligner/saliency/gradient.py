"""Saliency by gradients: log of the L2 norm of the gradient of each token's log-probability.

Zeyer et al., arXiv 2607.06831. "gradient" is taken at the input features,
"gradient:output" at the encoder's output, "gradient:2" at the output of
encoder layer 2 (from 0). The log of the norm over channels is one channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from aligner.core import SaliencyMap
from aligner.errors import SettingError
from aligner.saliency.base import Request, methods

FLOOR = 1e-12  # of a norm, before the log


@methods.register("gradient")
def gradient_saliency(request: Request) -> SaliencyMap:
    """Log gradient norm of each frame, one channel; no random masks.

    Raises
    ------
    SettingError
        A layer that the encoder does not have.
    """
    model, encoded = request.model, request.encoded
    with torch.enable_grad():
        if request.argument == "output":
            at = encoded.states.detach().clone()[None].requires_grad_()
            states, frames, duration = at, request.frames, model.frame_duration
        elif not request.argument:
            hears = request.spectrogram()
            at = encoded.features.detach().clone()[None].requires_grad_()
            states, frames, duration = hears.encode_features(at), at.shape[1], hears.feature_duration
        else:
            at, states = _at_layer(request)
            frames, duration = request.frames, model.frame_duration
        log_probs = model.token_log_probs(states, request.tokens, request.language)[0]
        ids = torch.tensor(request.tokens.ids, device=log_probs.device)
        # The end of the text has no id here: the likeliest token of its row stands for it.
        chosen = torch.cat([ids, log_probs[-1:].argmax(-1)])
        targets = log_probs.gather(1, chosen[:, None])[:, 0]
        norms = [
            torch.autograd.grad(target, at, retain_graph=True)[0][0, :frames].float().norm(dim=-1) for target in targets
        ]
    values = torch.stack(norms).clamp(min=FLOOR).log()
    return SaliencyMap(values[..., None].double().cpu().numpy(), duration)


def _at_layer(request: Request) -> tuple[torch.Tensor, torch.Tensor]:
    """Activation of an encoder layer and the states that follow from it."""
    hears = request.spectrogram()
    layers = hears.encoder_layers
    if not request.argument.isdigit() or int(request.argument) >= len(layers):
        raise SettingError(
            f"gradient:{request.argument}: the encoder has layers 0 to {len(layers) - 1}; "
            "or take gradient (at the input) or gradient:output"
        )
    kept: list[torch.Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> Any:
        whole = output[0] if isinstance(output, tuple) else output
        kept.append(whole.detach().requires_grad_())
        return (kept[0], *output[1:]) if isinstance(output, tuple) else kept[0]

    remove: Callable[[], None] = layers[int(request.argument)].register_forward_hook(keep).remove
    try:
        states = hears.encode_features(request.encoded.features[None])
    finally:
        remove()
    return kept[0], states
