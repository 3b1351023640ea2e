"""Total effects: the model runs again while the outputs of chosen heads are replaced.

A direct effect freezes all that comes later. Here later layers read the changed stream, and the
final LayerNorm takes its statistics from it, so heads that only feed other heads count too.

Shape letters: B images, H heads, Q tokens that ask, W head width, E embedding width.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.parts import Part
from interpret.taps import Call, check_seen, tap_attention
from interpret.towers import Tower
from lightning_modules.tensors import first_five

HeadOutputs = Mapping[int, Tensor]  # layer -> outputs (B or 1, H, Q, W) of its heads


@torch.no_grad()
def head_outputs(tower: Tower, images: Tensor) -> dict[int, Tensor]:
    """What the heads of every layer put out for some images: layer -> (B, H, Q, W).

    As replacements for other images of the same number, these are a resample ablation.

    Args:
        tower: from `image_tower`, in evaluation mode.
        images: what the tower takes.

    Raises:
        InputError: if the model is in training mode, or an attention bypasses torch's function.
    """
    tower.check()
    found: dict[int, Tensor] = {}

    def see(call: Call) -> None:
        found[int(call.name)] = call.output

    with tap_attention(tower.attentions, see):
        tower.run(images)
    check_seen(tower.attentions, set(map(str, found)))
    return found


@torch.no_grad()
def mean_head_outputs(tower: Tower, batches: Iterable[Tensor]) -> dict[int, Tensor]:
    """Means of `head_outputs` over images, for each position: layer -> (1, H, Q, W).

    Args:
        tower: from `image_tower`, in evaluation mode.
        batches: images of one size, none of which is to be ablated.

    Raises:
        InputError: if there are no images, or the model is in training mode.
    """
    sums: dict[int, Tensor] = {}
    count = 0
    for batch in batches:
        count += len(batch)
        for layer, output in head_outputs(tower, batch).items():
            # float64: the mean of many images stays exact
            part = output.double().sum(dim=0, keepdim=True)
            sums[layer] = part if layer not in sums else sums[layer] + part
    if not count:
        raise InputError("expected images to take means over, got none.")
    return {layer: total / count for layer, total in sums.items()}


@torch.no_grad()
def run_with_heads(
    tower: Tower, images: Tensor, heads: Collection[Part], replacement: HeadOutputs | None
) -> Tensor:
    """Embeddings (B, E) of the tower, not normalized, while some heads put out something else.

    Args:
        tower: from `image_tower`, in evaluation mode.
        images: what the tower takes.
        heads: whose outputs are replaced.
        replacement: layer -> outputs (B or 1, H, Q, W), from `mean_head_outputs` or, for other
            images, `head_outputs`; None is zero.

    Raises:
        InputError: if a part is no head of the tower, a replacement is missing or does not fit, or
            an attention bypasses torch's function.
    """
    tower.check()
    chosen = _by_layer(tower, heads)
    if replacement is not None and (missing := sorted(set(chosen) - set(replacement))):
        raise InputError(
            f"expected replacements for layers {sorted(chosen)}, got none for {missing[0]}."
        )

    seen = set()

    def see(call: Call) -> Tensor | None:
        seen.add(call.name)
        layer = int(call.name)
        if layer not in chosen:
            return None
        output = call.output.clone()
        output[:, chosen[layer]] = _rows(replacement, layer, output)[:, chosen[layer]]
        return output

    with tap_attention(tower.attentions, see):
        embedding: Tensor = tower.run(images)
    check_seen(map(str, chosen), seen)
    return embedding


def _rows(replacement: HeadOutputs | None, layer: int, output: Tensor) -> Tensor:
    if replacement is None:
        return torch.zeros_like(output)
    rows = replacement[layer].to(output)
    if rows.shape[1:] != output.shape[1:] or len(rows) not in {1, len(output)}:
        raise InputError(
            f"expected replacements {tuple(output.shape)} or for one image, got "
            f"{tuple(rows.shape)} in layer {layer}. Use images of the same size and number."
        )
    return rows


def _by_layer(tower: Tower, heads: Collection[Part]) -> dict[int, list[int]]:
    count = {number: layer.num_heads for number, layer in enumerate(tower.layers)}
    wrong = [
        str(part)
        for part in heads
        if part.kind != "head" or not 0 <= part.head < count.get(part.layer, 0)
    ]
    if wrong:
        raise InputError(f"expected heads of this tower, got {first_five(wrong)}.")
    chosen: dict[int, list[int]] = {}
    for part in sorted(set(heads)):
        chosen.setdefault(part.layer, []).append(part.head)
    return chosen
