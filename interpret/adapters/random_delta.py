"""A LoRA delta at random as strong as a given one: what any change of this size would do."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from composition import Basis
from composition.interference.control import random_like
from lightning_modules.delta import Delta, Factor


def random_delta(delta: Delta, model: nn.Module, seed: int) -> Delta:
    """Singular values of every module's update stay, so rank and norm; its spaces are random.

    Args:
        delta: of kind "lora".
        model: the split base model, without adapters.
        seed: of the draw.

    Raises:
        InputError: if the delta does not fit the model.
    """
    drawn = random_like(Basis.from_deltas([delta], model), seed)
    factors = {name: Factor(each.A_RI, each.B_OR) for name, each in drawn.factors.items()}
    return Delta(replace(delta.card, scale=1.0), factors=factors)
