"""The reference forms of the composition benchmarks: floors, and what others do.

Their forward passes compute the same tower; what a step learns, and how, differs:

    floor             frozen; the gradient ends at the outputs of the first block's q, k and v: the
                      graph of a composition less the composition
    floor_to_tokens   likewise, up to the tokens that enter the first block
    weights           fine-tuning of the weights that the deltas change
    dense_sum         theta_0 + sum_k c_k T_k from dense updates, by autograd, one product and one
                      sum an update (aTLAS, Zhang et al., NeurIPS 2024, as its official code does)
    rebuilt           likewise, each T_k = s_k B_k A_k multiplied out of its factors in every step

A floor keeps its graph alive by asking for the biases of the layers where it ends, a sum over
tokens each. Dense peers scale whole tensors of open_clip, in which q, k and v are one, and may keep
their updates in bfloat16.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from benchmarks._compose_model import tower_of, weight_shapes
from composition.granularity import fused_names
from lightning_modules.delta import Delta, Factor

_FIRST_BLOCK = "visual.transformer.resblocks.0.attn"


@dataclass
class Form:
    """One way to make a step.

    Args:
        embed: images to embeddings.
        learned: leaves that a step finds gradients for.
        held: all tensors that lie on the device between steps.
        coefficients: the one leaf of forms that learn coefficients, (deltas, blocks).
    """

    embed: Callable[[Tensor], Tensor]
    learned: Sequence[Tensor]
    held: Sequence[Tensor]
    coefficients: Tensor | None = None


class Block(NamedTuple):
    """A tensor of open_clip: its parts in the split model, dense updates, what these hold."""

    parts: list[str]
    update: Callable[[int], Tensor]
    held: list[Tensor]


def floor(clip: nn.Module) -> Form:
    """See the module."""
    return _tuned(clip, [f"{_FIRST_BLOCK}.{each}_proj.bias" for each in "qkv"])


def floor_to_tokens(clip: nn.Module) -> Form:
    """See the module."""
    return _tuned(clip, ["visual.ln_pre.bias"])


def weights(clip: nn.Module) -> Form:
    """See the module."""
    return _tuned(clip, list(weight_shapes(clip)))


def _tuned(clip: nn.Module, names: list[str]) -> Form:
    clip = copy.deepcopy(clip)
    parameters = dict(clip.named_parameters())
    learned = [parameters[name].requires_grad_() for name in names]
    return Form(tower_of(clip), learned, list(tower_of(clip).parameters()))


def dense_blocks(deltas: Sequence[Delta], clip: nn.Module, dtype: torch.dtype) -> dict[str, Block]:
    """All updates of each tensor of open_clip, dense, on the model's device."""
    device = next(clip.parameters()).device
    blocks = {}
    for name, parts in _parts(clip).items():
        rows = sum(len(clip.get_parameter(part)) for part in parts)
        columns = clip.get_parameter(parts[0]).shape[1]
        updates = torch.empty(len(deltas), rows, columns, dtype=dtype, device=device)
        for update, delta in zip(updates, deltas, strict=True):
            update.copy_(_multiply([_factor(delta, part, device) for part in parts]))
        held = list(updates.unbind())
        blocks[name] = Block(parts, held.__getitem__, held)
    return blocks


def factor_blocks(deltas: Sequence[Delta], clip: nn.Module) -> dict[str, Block]:
    """The same, made of their factors whenever they are asked for."""
    device = next(clip.parameters()).device
    blocks = {}
    for name, parts in _parts(clip).items():
        pairs = [[_factor(delta, part, device) for part in parts] for delta in deltas]
        held = [tensor for own in pairs for pair in own for tensor in pair]
        blocks[name] = Block(parts, partial(_rebuild, pairs), held)
    return blocks


def summed(
    clip: nn.Module,
    blocks: Mapping[str, Block],
    coefficients: Tensor,
    columns: Sequence[str],
    *,
    again: bool = False,
) -> Form:
    """The forms `dense_sum` and `rebuilt`, by what their blocks hold.

    Args:
        clip: the base; it is shared and stays as it is.
        blocks: by tensor of open_clip.
        coefficients: values to start from, (deltas, blocks).
        columns: tensors of open_clip in the order of the columns.
        again: make each update once more in the backward pass instead of keeping it.
    """
    tower, leaf = tower_of(clip), coefficients.detach().clone().requires_grad_()
    base = dict(clip.named_parameters())
    scaled = partial(checkpoint, _scaled, use_reentrant=False) if again else _scaled

    def embed(images: Tensor) -> Tensor:
        scales = leaf.flatten().unbind()
        state = {}
        for column, name in enumerate(columns):
            block = blocks[name]
            total: Any = sum(
                scaled(scales[k * len(columns) + column], block.update, k) for k in range(len(leaf))
            )
            for part, update in zip(block.parts, total.chunk(len(block.parts)), strict=True):
                state[part.removeprefix("visual.")] = base[part] + update
        embedding: Tensor = functional_call(tower, state, (images,))
        return embedding

    held = [x for block in blocks.values() for x in block.held]
    return Form(embed, [leaf], [*tower.parameters(), *held], leaf)


def _parts(clip: nn.Module) -> dict[str, list[str]]:
    fused, parts = fused_names(clip), defaultdict(list)
    for weight in weight_shapes(clip):
        parts[fused.get(weight, weight)].append(weight)
    return parts


def _scaled(scale: Tensor, update: Callable[[int], Tensor], k: int) -> Tensor:
    return scale * update(k)


def _factor(delta: Delta, weight: str, device: torch.device) -> Factor:
    a, b = delta.factors[weight.removesuffix(".weight")]
    return Factor(a.to(device), b.to(device))


def _multiply(own: Sequence[Factor]) -> Tensor:
    return torch.cat([b @ a for a, b in own])


def _rebuild(pairs: Sequence[Sequence[Factor]], k: int) -> Tensor:
    return _multiply(pairs[k])
