"""A LoRA adapter head by head: which rows and columns of its factors belong to which part.

A head owns its rows of B in the query, key and value projections, and its columns of A in the
output projection. An MLP's adapters are a part of their own. So W + s B A restricted to some parts
is the same adapter with the other rows and columns at zero, and all parts together are the adapter.

Shape letters: H heads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from composition.granularity import Side, attention_heads
from datamodules.errors import InputError
from interpret.parts import Part
from interpret.towers import image_tower
from lightning_modules.delta import Delta, Factor
from lightning_modules.tensors import first_five


class Site(NamedTuple):
    """Whose an adapted module is.

    Args:
        side: "rows" of B or "columns" of A, which heads divide among them; "whole" is one part's.
        parts: H heads in order, or the one part.
    """

    side: Side
    parts: tuple[Part, ...]


def sites(model: nn.Module, delta: Delta) -> dict[str, Site]:
    """Whose each module is that a delta changes.

    Args:
        model: a split CLIP.
        delta: of kind "lora".

    Raises:
        InputError: if the delta is dense, or a module lies outside the blocks of the image tower or
            in an attention that is not split.
    """
    if delta.card.kind != "lora":
        raise InputError(
            f"expected a LoRA delta to restrict to heads, got {delta.card.attribute!r}, which is "
            "dense: its difference has no factors."
        )
    tower, heads = image_tower(model), attention_heads(model)
    paths = {id(module): name for name, module in model.named_modules()}
    layers = [(number, paths[id(each.attention)]) for number, each in enumerate(tower.layers)]
    found, lost = {}, []
    for name in delta.factors:
        inside = [(number, path) for number, path in layers if name.startswith(_block(path))]
        site = _site(name, *inside[0], heads) if inside else None
        if site is None:
            lost.append(name)
        else:
            found[name] = site
    if lost:
        raise InputError(
            f"expected adapters on the attention and the MLPs of the image tower, got {len(lost)} "
            f"elsewhere: {first_five(lost)}. Train with --model.towers vision on split attention."
        )
    return found


def parts_of(found: Mapping[str, Site]) -> tuple[Part, ...]:
    """All parts that own something, heads first, layer by layer."""
    parts = {part for site in found.values() for part in site.parts}
    return tuple(sorted(parts))


def restricted(delta: Delta, found: Mapping[str, Site], keep: Collection[Part]) -> Delta:
    """The delta as it acts in some parts alone; to be merged, attached or saved like any other.

    Args:
        delta: of kind "lora".
        found: `sites` of its modules.
        keep: parts that stay; the others' rows and columns are zero, and modules without any of
            them are left out.
    """
    factors = {
        name: cut(pair, found[name], keep)
        for name, pair in delta.factors.items()
        if set(found[name].parts).intersection(keep)
    }
    return replace(delta, factors=factors)


@contextmanager
def merged(model: nn.Module, delta: Delta) -> Iterator[None]:
    """Meanwhile the weights of a model are its own plus a delta; afterwards the same, bit for bit.

    Args:
        model: a split CLIP without adapters.
        delta: of any kind, restricted or not.

    Raises:
        InputError: if the delta does not fit the model.
    """
    delta.check_fits(model)
    names = delta.differences.keys() | {f"{name}.weight" for name in delta.factors}
    weights = model.state_dict()
    saved = {name: weights[name].clone() for name in names}
    try:
        delta.apply(model)
        yield
    finally:
        for name, value in saved.items():
            weights[name].copy_(value)


def cut(factor: Factor, site: Site, keep: Collection[Part]) -> Factor:
    """Factors with the rows or columns of all other parts at zero."""
    a, b = factor
    kept_H = torch.tensor([part in keep for part in site.parts], device=b.device)
    if site.side == "columns":
        kept = kept_H.repeat_interleave(a.shape[1] // len(kept_H))
        return Factor(torch.where(kept, a, 0), b)
    kept = kept_H.repeat_interleave(len(b) // len(kept_H))
    return Factor(a, torch.where(kept[:, None], b, 0))


def _site(
    name: str, layer: int, attention: str, heads: Mapping[str, tuple[Side, int]]
) -> Site | None:
    """None for a module of an attention that is not cut by heads."""
    if not name.startswith(f"{attention}."):
        return Site("whole", (Part("mlp", layer),))
    if f"{name}.weight" not in heads:
        return None
    side, count = heads[f"{name}.weight"]
    return Site(side, tuple(Part("head", layer, head) for head in range(count)))


def _block(attention: str) -> str:
    return f"{attention.rpartition('.')[0]}."
