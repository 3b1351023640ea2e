"""The deltas that a composition is made of, checked against one base and stacked by module.

    W(c) = W_0 + B diag(c) A,    A = [A_1; ...; A_K],    B = [s_1 B_1, ..., s_K B_K]

holds for every Linear module, one entry of c for each rank-1 direction. A delta without this module
adds no direction: its part is zero exactly, whatever its coefficient. Ranks may differ.
Dense deltas (fine-tuned minus base) are kept by weight name, as they are.

Shape letters: K deltas, R ranks of all deltas together, I inputs, O outputs of a Linear module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from composition.basis.checks import check_deltas
from composition.basis.stacks import StackedFactors, Stacks, Updates
from datamodules.errors import InputError
from lightning_modules.attention import base_name
from lightning_modules.backbone import Backbone
from lightning_modules.delta import Delta
from lightning_modules.lora import linear_modules


class Differences(NamedTuple):
    """The dense updates of one weight, for the deltas that have one.

    Args:
        owner: numbers of these deltas, ascending.
        tensors: their updates, each of the weight's shape; shared with the deltas, not copied, or
            read from their files when they are asked for.
    """

    owner: tuple[int, ...]
    tensors: Sequence[Tensor]


@dataclass(frozen=True)
class Basis:
    """K deltas of one base, ready to be composed. Build it with `from_deltas`.

    Args:
        model: the split base model.
        names: of the deltas: their attributes.
        factors: Linear module -> directions of all LoRA deltas, in the model's order, stacked when
            they are asked for.
        differences: weight -> updates of all dense deltas, in the model's order; counters, which
            are no weights, are left out.
        partial: names of deltas that lack weights which they had, see `composition.selection`.
    """

    model: nn.Module = field(repr=False)
    names: tuple[str, ...]
    factors: Mapping[str, StackedFactors] = field(repr=False)
    differences: Mapping[str, Differences] = field(repr=False)
    partial: frozenset[str] = frozenset()

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
        check_deltas(deltas, backbone)
        deltas = tuple(deltas)
        return cls(
            model,
            tuple(delta.card.attribute for delta in deltas),
            Stacks(deltas, linear_modules(model)),
            {
                name: found
                for name, tensor in model.state_dict().items()
                if tensor.is_floating_point() and (found := _gather(name, deltas))
            },
        )

    @property
    def weights(self) -> list[str]:
        """Names of the weights that some delta changes, in the model's order."""
        changed = {f"{name}.weight" for name in self.factors} | self.differences.keys()
        return [name for name in self.model.state_dict() if name in changed]


def _gather(name: str, deltas: Sequence[Delta]) -> Differences | None:
    owner = tuple(k for k, delta in enumerate(deltas) if name in delta.differences)
    return Differences(owner, Updates(name, [deltas[k] for k in owner])) if owner else None
