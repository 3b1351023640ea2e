"""The deltas that a composition is made of, checked against one base and stacked by module.

    W(c) = W_0 + B diag(c) A,    A = [A_1; ...; A_K],    B = [s_1 B_1, ..., s_K B_K]

holds for every Linear module, one entry of c for each rank-1 direction. A delta without this module
adds no direction: its part is zero exactly, whatever its coefficient. Ranks may differ.
Dense deltas (fine-tuned minus base) are kept by weight name, as they are.

Shape letters: K deltas, R ranks of all deltas together, I inputs, O outputs of a Linear module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from datamodules.errors import InputError
from lightning_modules.attention import base_name, fused_state_dict
from lightning_modules.backbone import Backbone
from lightning_modules.delta import Delta
from lightning_modules.delta.factors import check_factors, check_finite
from lightning_modules.lora import linear_modules
from lightning_modules.tensors import fingerprint, first_five


class StackedFactors(NamedTuple):
    """The rank-1 directions of all deltas in one Linear module, delta by delta.

    In the precision of the module or of the factors, whichever is finer, and at least float32.

    Args:
        A_RI: what the directions read.
        B_OR: what they write, times each delta's scale.
        owner_R: number of the delta that each direction belongs to, ascending.
    """

    A_RI: Tensor
    B_OR: Tensor
    owner_R: Tensor


class Differences(NamedTuple):
    """The dense updates of one weight, for the deltas that have one.

    Args:
        owner: numbers of these deltas, ascending.
        tensors: their updates, each of the weight's shape; shared with the deltas, not copied.
    """

    owner: tuple[int, ...]
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True)
class Basis:
    """K deltas of one base, ready to be composed. Build it with `from_deltas`.

    Args:
        model: the split base model.
        names: of the deltas: their attributes.
        factors: Linear module -> directions of all LoRA deltas, in the model's order.
        differences: weight -> updates of all dense deltas, in the model's order; counters, which
            are no weights, are left out.
    """

    model: nn.Module = field(repr=False)
    names: tuple[str, ...]
    factors: Mapping[str, StackedFactors] = field(repr=False)
    differences: Mapping[str, Differences] = field(repr=False)

    @classmethod
    def from_deltas(cls, deltas: Sequence[Delta], backbone: Backbone | nn.Module) -> Basis:
        """Check the deltas and stack them, in the order given; LoRA and dense ones may be mixed.

        Args:
            deltas: with distinct attributes.
            backbone: what they were trained on, or its split model alone.

        Raises:
            InputError: if there is no delta, or if some are equal, hold numbers that are not
                finite, were trained on another base, or do not fit the model.
        """
        model = backbone.model if isinstance(backbone, Backbone) else backbone
        if not deltas:
            raise InputError("expected at least one delta to compose, got none. Train one first.")
        if any(base_name(name) != name for name, _ in model.named_modules()):
            raise InputError(
                "expected a base model without adapters, got one that PEFT has wrapped. Load the "
                "backbone again: a composition attaches the deltas itself."
            )
        for delta in deltas:
            origin = f"the delta {delta.card.attribute!r}"
            check_factors(delta.factors, origin)
            check_finite(delta.differences, origin)
        _check_base(deltas, backbone)
        for delta in deltas:
            delta.check_fits(model)
        _check_distinct(deltas)
        return cls(
            model,
            tuple(delta.card.attribute for delta in deltas),
            {
                name: stack
                for name, linear in linear_modules(model).items()
                if (stack := _stack(name, deltas, linear.weight.dtype))
            },
            {name: found for name in model.state_dict() if (found := _gather(name, deltas))},
        )

    @property
    def weights(self) -> list[str]:
        """Names of the weights that some delta changes, in the model's order."""
        changed = {f"{name}.weight" for name in self.factors} | self.differences.keys()
        return [name for name in self.model.state_dict() if name in changed]


def _stack(name: str, deltas: Sequence[Delta], dtype: torch.dtype) -> StackedFactors | None:
    present = [(k, delta) for k, delta in enumerate(deltas) if name in delta.factors]
    if not present:
        return None
    factors = [delta.factors[name] for _, delta in present]
    for tensor in (tensor for factor in factors for tensor in factor):
        dtype = torch.promote_types(dtype, tensor.dtype)
    dtype = torch.promote_types(dtype, torch.float32)
    scaled = [d.scale(name) * d.factors[name].B.detach().to(dtype) for _, d in present]
    ranks = torch.tensor([len(factor.A) for factor in factors])
    return StackedFactors(
        torch.cat([factor.A.detach().to(dtype) for factor in factors]),
        torch.cat(scaled, dim=1),
        torch.tensor([k for k, _ in present]).repeat_interleave(ranks),
    )


def _gather(name: str, deltas: Sequence[Delta]) -> Differences | None:
    present = [
        (k, delta.differences[name].detach())
        for k, delta in enumerate(deltas)
        if name in delta.differences and delta.differences[name].is_floating_point()
    ]
    if not present:
        return None
    return Differences(tuple(k for k, _ in present), tuple(update for _, update in present))


def _check_base(deltas: Sequence[Delta], backbone: Backbone | nn.Module) -> None:
    """Every delta must have been trained on these weights, with this activation."""
    if isinstance(backbone, Backbone):
        expected, name = backbone.fingerprint, f"{backbone.name} {backbone.pretrained}".strip()
        quick = {backbone.quick_gelu}
    else:
        expected, name = fingerprint(fused_state_dict(backbone)), "the given model"
        quick = {deltas[0].card.quick_gelu}  # a bare model does not tell
    wrong = [
        f"{card.attribute} ({card.backbone} {card.pretrained}, "
        f"{'QuickGELU' if card.quick_gelu else 'GELU'}, weights {card.fingerprint[:12]})"
        for card in (delta.card for delta in deltas)
        if card.fingerprint != expected or card.quick_gelu not in quick
    ]
    if wrong:
        activation = "QuickGELU" if quick == {True} else "GELU"
        raise InputError(
            f"expected deltas of {name} ({activation}, weights {expected[:12]}), got "
            f"{len(wrong)} of {len(deltas)} of another base: {first_five(wrong)}. Deltas only add "
            "up on the weights they were trained on: load that base, or train them again on this."
        )


def _check_distinct(deltas: Sequence[Delta]) -> None:
    names = Counter(delta.card.attribute for delta in deltas)
    if repeated := sorted(name for name, count in names.items() if count > 1):
        raise InputError(
            f"expected deltas of distinct names, got {', '.join(repeated)} more than once. "
            "Coefficients are found by name: leave one out, or give it another attribute."
        )
    contents: dict[str, str] = {}
    for delta in deltas:
        name, content = delta.card.attribute, content_hash(delta)
        if content in contents:
            raise InputError(
                f"the deltas {contents[content]!r} and {name!r} hold the same numbers, so their "
                "coefficients could not be told apart. Leave one out."
            )
        contents[content] = name


def content_hash(delta: Delta) -> str:
    """SHA-256 of a delta's numbers, with the scale in them."""
    tensors = dict(delta.differences)
    for name, (a, b) in delta.factors.items():
        tensors |= {f"{name}.A": a, f"{name}.B": delta.scale(name) * b}
    return fingerprint(tensors)
