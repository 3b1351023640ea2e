"""Coefficients that stay as they are while the others of a composition learn."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import torch
from torch import Tensor, nn

from composition.composed import Composition
from composition.tower import Tower


def keep(composition: Composition, weights: Collection[str]) -> None:
    """From now on hand out the coefficients that some weights ask for without gradient.

    No gradient runs through these weights. The coefficients can be set as before.

    Args:
        composition: it stays one parameter, with a gradient of zero for what is kept.
        weights: names; a coefficient that other weights ask for too is kept there as well.
    """
    coefficients = composition.coefficients
    kept = torch.zeros(coefficients.numel(), dtype=torch.bool, device=coefficients.device)
    for part in composition.parts:
        if part.weight in weights:
            kept[part.places.to(kept.device)] = True
    composition.kept = nn.Parameter(kept.view(coefficients.shape), requires_grad=False)
    for tower in cast("list[Tower]", list(composition.towers)):
        tower.keep(weights, kept)


def learning(composition: Composition) -> Tensor:
    """The coefficients of a composition; those that are kept have no gradient."""
    coefficients, kept = composition.coefficients, composition.kept
    return coefficients if kept is None else torch.where(kept, coefficients.detach(), coefficients)
