"""Attention weights of a pass, with a gradient; and how tokens become maps.

Shape letters: B images, H heads, Q queries, S keys, E embedding width, T texts,
Y x X patches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import InputError
from interpret.taps import Call, check_seen, tap_attention
from interpret.towers import Tower

Weights = dict[int, Tensor]  # by layer, (B, H, Q, S)


@contextmanager
def watch_weights(tower: Tower, layers: Sequence[int]) -> Iterator[Weights]:
    """Collect the attention weights of some layers, while the context lasts.

    They are part of the pass: where gradients are recorded, the output can be differentiated by
    them.

    Raises:
        InputError: at the end, if a layer made no call that could be seen.
    """
    found: Weights = {}

    def see(call: Call) -> Tensor:
        weights_BHQS = call.weights()
        if torch.is_grad_enabled() and not weights_BHQS.requires_grad:
            weights_BHQS.requires_grad_()
        found[int(call.name)] = weights_BHQS
        return weights_BHQS @ call.value

    with tap_attention({str(each): tower.layers[each].attention for each in layers}, see):
        yield found
    check_seen(map(str, layers), set(map(str, found)))


def check_layers(tower: Tower, method: str) -> None:
    """Make sure that a tower has attention to look at, and cannot be in training mode.

    Raises:
        InputError: if not.
    """
    tower.check()
    if not tower.layers:
        raise InputError(
            f"expected a tower with attention for the method {method!r}, got {tower.kind}, which "
            'has none. Choose method="decomposition" or "gradcam".'
        )


def from_layer(tower: Tower, start: int) -> range:
    """The layers from `start` on; below 0 it counts from the end.

    Raises:
        InputError: if there is no such layer.
    """
    count = len(tower.layers)
    if not -count <= start < count:
        raise InputError(
            f"expected start to be the number of one of {count} layers, from {-count} to "
            f"{count - 1}, got {start}."
        )
    return range(start % count, count)


def check_texts(texts: Tensor | None, method: str, images: Tensor) -> Tensor:
    """The texts, each of length 1: (T, E), or (B, T, E) where each image has its own.

    Raises:
        InputError: if there are none, one is 0, or the images are of another number.
    """
    shape = () if texts is None else tuple(texts.shape)
    fits = len(shape) == 2 or (len(shape) == 3 and shape[0] == len(images))
    if texts is None or not fits or not texts.numel():
        got = "none" if texts is None else f"a tensor of shape {shape}"
        raise InputError(
            f"expected text embeddings (texts, width), or (images, texts, width) for "
            f"{len(images)} images, for the method {method!r}, got {got}. Encode at least one "
            "prompt."
        )
    length = texts.norm(dim=-1, keepdim=True)
    if not bool((length > 0).all()):
        raise InputError("expected text embeddings longer than 0, got one of length 0 or NaN.")
    unit: Tensor = texts / length
    return unit


def similarity(embeddings: Tensor, texts: Tensor) -> Tensor:
    """Cosines with texts of length 1: of (B, E) as (B, T), of tokens (B, S, E) as (B, S, T)."""
    unit = F.normalize(embeddings, dim=-1)
    is_one = unit.ndim == 2
    cosines = (unit[:, None] if is_one else unit) @ texts.to(unit.dtype).mT
    found: Tensor = cosines[:, 0] if is_one else cosines
    return found


def to_grid(tokens_BTS: Tensor, tower: Tower, images: Tensor) -> Tensor:
    """A number for each token as maps over patches, (B, T, Y, X); what precedes the patches goes.

    Raises:
        InputError: if the tower sees no images, or the patches are more than the tokens.
    """
    if tower.grid is None:
        raise InputError(f"expected a tower that sees images, got a {tower.kind}.")
    down, across = tower.grid(images)
    if tokens_BTS.shape[-1] < down * across:
        raise InputError(
            f"expected a token for each of {down} x {across} patches, got "
            f"{tokens_BTS.shape[-1]} tokens. The tower drops or merges patches: no map shows them."
        )
    return tokens_BTS[..., -down * across :].reshape(*tokens_BTS.shape[:-1], down, across)
