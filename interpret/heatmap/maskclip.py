"""MaskCLIP (Zhou, Loy and Dai, ECCV 2022): each patch's value of the last layer, as an embedding.

    map_i = cos(P LN(W_o v_i + b_o), text)

Shape letters: B images, H heads, S keys, W head width, E embedding width, T texts, Y x X patches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.heatmap.watch import check_layers, check_texts, similarity, to_grid
from interpret.taps import Call, check_seen, tap_attention
from interpret.towers import Tower


@torch.no_grad()
def maskclip(tower: Tower, images: Tensor, texts: Tensor | None) -> Tensor:
    """Cosine of each patch's value and the text, (B, T, Y, X), in [-1, 1].

    Args:
        tower: from `image_tower`.
        images: preprocessed.
        texts: text embeddings (T, E), or (B, T, E) where each image has its own.

    Raises:
        InputError: if the tower has no attention that can be seen, is in training mode, or
            normalizes around its output projection, or there is no text.
    """
    check_layers(tower, "maskclip")
    texts = check_texts(texts, "maskclip", images)
    layer = tower.layers[-1]
    if layer.inner_norm is not None or layer.post_norm is not None:
        raise InputError(
            f"expected attention without LayerNorms around its output projection, got "
            f"{tower.kind}, whose values mean nothing alone. Choose another method."
        )
    found: dict[str, Tensor] = {}

    def see(call: Call) -> None:
        found[call.name] = call.value

    last = str(len(tower.layers) - 1)
    with tap_attention({last: layer.attention}, see):
        tower.run(images)
    check_seen([last], found)
    out, project = layer.out(), tower.project()
    values_BSD = found[last].transpose(1, 2).flatten(2) @ out.weight.T + out.bias
    if layer.scale is not None:
        values_BSD = values_BSD * layer.scale
    if tower.norm is not None:
        values_BSD = tower.norm(values_BSD)
    tokens_BSE = values_BSD @ project.weight.T + project.bias
    return to_grid(similarity(tokens_BSE, texts).mT, tower, images)
