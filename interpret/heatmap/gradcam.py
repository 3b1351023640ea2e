"""GradCAM (Selvaraju et al., ICCV 2017): activations weighted by their mean gradient.

    map_i = relu(sum_c w_c a_ic),  w_c = mean over patches of dS/da_ic,  S = cos(image, text)

a is what the keys of the last attention are made from: tokens behind their LayerNorm in a
transformer, the last feature map in CLIP's ResNets (and in ConvNeXt). What leaves the last block
would not do: only the class token is read there, so the gradient at every patch is 0.

Shape letters: B images, S tokens, C channels, T texts, Y x X patches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from interpret.heatmap.watch import check_texts, similarity, to_grid
from interpret.taps import watch_outputs
from interpret.towers import Tower


@torch.enable_grad()
def gradcam(tower: Tower, images: Tensor, texts: Tensor | None) -> Tensor:
    """GradCAM of the patches, (B, T, Y, X), at least 0.

    Args:
        tower: from `image_tower`.
        images: preprocessed.
        texts: text embeddings (T, E), or (B, T, E) where each image has its own.

    Raises:
        InputError: if the tower is in training mode, or there is no text.
    """
    tower.check()
    texts = check_texts(texts, "gradcam", images)
    with _watch_activations(tower) as found:
        output_BE = tower.run(images.detach().requires_grad_())  # so that all of it has gradients
    scores_BT = similarity(output_BE, texts)
    activations, maps = found[-1], []
    for score_B in scores_BT.unbind(1):
        (gradient,) = torch.autograd.grad(score_B.sum(), activations, retain_graph=True)
        values_BSC, gradient_BSC = _patches(activations.detach(), gradient, tower, images)
        weight_BC = gradient_BSC.mean(1)
        maps.append(torch.einsum("bsc,bc->bs", values_BSC, weight_BC).clamp(min=0))
    return to_grid(torch.stack(maps, dim=1), tower, images)


def _patches(
    activations: Tensor, gradient: Tensor, tower: Tower, images: Tensor
) -> tuple[Tensor, Tensor]:
    """Activations and gradient (B, S, C) of the patches alone."""
    if activations.ndim == 4:  # a feature map
        return activations.flatten(2).mT, gradient.flatten(2).mT
    gridded = (to_grid(each.mT, tower, images) for each in (activations, gradient))
    first, second = (each.flatten(2).mT for each in gridded)
    return first, second


@contextmanager
def _watch_activations(tower: Tower) -> Iterator[list[Tensor]]:
    """Collect what the last attention reads, or the last feature map where there is none."""
    found: list[Tensor] = []
    if not tower.layers:
        assert tower.last is not None  # then it is a feature map
        with watch_outputs({"last": tower.last}, lambda _, x: found.append(x)):
            yield found
        return

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [*args, *kwargs.values()]
        # A pool is called with its queries first and what it reads second.
        has_keys = len(given) > 1 and isinstance(given[1], Tensor) and given[1].ndim == 3
        found.append(given[1] if has_keys else given[0])

    handle = tower.layers[-1].attention.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield found
    finally:
        handle.remove()
