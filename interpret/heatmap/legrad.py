"""LeGrad (Bousselham et al., ICCV 2025): where more attention would raise the score.

    map = sum_l mean over heads and queries of relu(dS_l / dA_l),  S_l = cos(image_l, text)

image_l is what the tower's last LayerNorm and projection make of the mean of all tokens behind
layer l. A tower that pools by attention has its pool as the one layer, and the queries are those
that are read.

Shape letters: B images, N tokens, D stream width, E embedding width, T texts, H heads, Q queries,
S keys, Y x X patches.
"""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.heatmap.watch import (
    check_layers,
    check_texts,
    from_layer,
    similarity,
    to_grid,
    watch_weights,
)
from interpret.taps import watch_inputs, watch_outputs
from interpret.towers import Tower


@torch.enable_grad()
def legrad(tower: Tower, images: Tensor, texts: Tensor | None, *, start: int = 0) -> Tensor:
    """Sensitivity to attention paid to each patch, (B, T, Y, X), at least 0.

    Args:
        tower: from `image_tower`.
        images: preprocessed.
        texts: text embeddings (T, E), or (B, T, E) where each image has its own.
        start: the first layer that counts; the authors' code takes the last two, start=-2.

    Raises:
        InputError: if the tower has no attention that can be seen, is in training mode, or has no
            such layer, its last block computes the class token alone, or there is no text.
    """
    check_layers(tower, "legrad")
    texts = check_texts(texts, "legrad", images)
    layers = from_layer(tower, start)
    terms: dict[str, Tensor] = {}
    with watch_weights(tower, layers) as weights, _watch_terms(tower, terms):
        output_BE = tower.run(images)
    if len({term_BND.shape[1] for term_BND in terms.values()}) > 1:
        raise InputError(
            "expected a tower whose blocks compute all tokens, got one whose last block computes "
            "the class token alone. LeGrad needs all of them: load the model anew."
        )
    total_BTS: Tensor | None = None
    for layer in layers:
        has_stream = tower.entrance is not None
        embedding_BE = _read_stream(tower, terms, layer) if has_stream else output_BE
        scores_BT = similarity(embedding_BE, texts)
        gradients = [
            torch.autograd.grad(score_B.sum(), weights[layer], retain_graph=True)[0]
            for score_B in scores_BT.unbind(1)
        ]
        if not has_stream:
            gradients = [tower.rows(images).take(each, 2) for each in gradients]
        own_BTS = torch.stack([each.clamp(min=0).mean((1, 2)) for each in gradients], dim=1)
        total_BTS = own_BTS if total_BTS is None else total_BTS + own_BTS
    assert total_BTS is not None  # there is a layer
    return to_grid(total_BTS, tower, images)


def _watch_terms(tower: Tower, terms: dict[str, Tensor]) -> ExitStack:
    """Collect what every layer adds to the stream, under "attention 3" and "mlp 3"."""
    outputs, stack = {}, ExitStack()
    if tower.entrance is None:
        return stack
    for number, layer in enumerate(tower.layers):
        outputs[f"attention {number}"] = layer.post_norm or layer.attention
        if layer.mlp is not None:
            outputs[f"mlp {number}"] = layer.mlp
    stack.enter_context(watch_outputs(outputs, terms.__setitem__))
    stack.enter_context(watch_inputs({"entrance": tower.entrance}, terms.__setitem__))
    return stack


def _read_stream(tower: Tower, terms: dict[str, Tensor], layer: int) -> Tensor:
    """The mean of all tokens behind a layer as an embedding, (B, E)."""
    stream_BD = terms["entrance"].mean(1)
    for number in range(layer + 1):
        part = tower.layers[number]
        scaled = ((f"attention {number}", part.scale), (f"mlp {number}", part.mlp_scale))
        for name, scale in scaled:
            if name in terms:
                term_BD = terms[name].mean(1)
                stream_BD = stream_BD + (term_BD if scale is None else term_BD * scale)
    normed_BD = stream_BD if tower.norm is None else tower.norm(stream_BD)
    project = tower.project()
    return normed_BD @ project.weight.T + project.bias
