"""Deltas put on the modules of a model, and taken off again.

A Linear module that only LoRA deltas change becomes a `ComposedLinear`, which chooses its form call
by call. All else is summed once a step by a `ComposedTensor`: weights with dense deltas, parameters
of other modules, and weights whose entries are scaled part by part.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from composition.basis import Basis, Differences, Directions, StackedFactors, Stacks
from composition.granularity import Side
from composition.linear import ComposedLinear
from composition.plan import Plan
from composition.tensor import ComposedTensor
from composition.terms import Dense, LowRank, Partitioned, Streamed, StreamedLowRank


@dataclass(frozen=True)
class Part:
    """One composed weight.

    Args:
        weight: its name in the split model.
        user: what computes it.
        places: flat numbers of the coefficients it asks for, int64.
    """

    weight: str
    user: ComposedLinear | ComposedTensor
    places: Tensor


class Attachment:
    """The composed weights of a model; made by the constructor, undone by `undo`.

    Args:
        basis: deltas and model.
        plan: coefficients.
        stream: whether updates stay where the deltas keep them.
    """

    def __init__(self, basis: Basis, plan: Plan, *, stream: bool) -> None:
        self.model = basis.model
        self.terms: list[nn.Module] = []
        self.parts: list[Part] = []
        self._replaced: dict[str, nn.Module] = {}
        self._stream = stream
        summed = []
        for weight in basis.weights:
            if weight in basis.differences or plan.sites[weight].side == "entries":
                summed.append(weight)
            else:
                self.parts.append(self._linear(weight, plan))
        # Last, as a bias may belong to a module that has just been replaced.
        self.parts += [self._tensor(weight, basis, plan) for weight in summed]

    def undo(self) -> None:
        """Put the model's own modules and tensors back."""
        for part in self.parts:
            part.user.release()
        for name, module in self._replaced.items():
            self._set(name, module)

    def _linear(self, weight: str, plan: Plan) -> Part:
        name = weight.removesuffix(".weight")
        base, factors = self.model.get_submodule(name), self._factors(name, plan)
        assert isinstance(base, nn.Linear)
        update = _low_rank(factors, base.weight, plan.sites[weight].side)
        self.terms.append(update)
        self._replaced[name] = base
        linear = ComposedLinear(base, update)
        self._set(name, linear)
        return Part(weight, linear, plan.places(weight, factors.owner_R).flatten())

    def _tensor(self, weight: str, basis: Basis, plan: Plan) -> Part:
        path, _, name = weight.rpartition(".")
        module, site = self.model.get_submodule(path), plan.sites[weight]
        like = self.model.state_dict(keep_vars=True)[weight]
        terms: list[nn.Module] = []
        places: list[Tensor] = []
        if name == "weight" and path in plan.factors:
            factors = self._factors(path, plan)
            owner = factors.owner_R
            if site.side == "entries":
                owner = torch.tensor(sorted(set(owner.tolist())))
                terms.append(Partitioned(factors, like, weight, stream=self._stream))
            else:
                terms.append(_low_rank(factors, like, site.side))
            places.append(plan.places(weight, owner))
        if differences := basis.differences.get(weight):
            places.append(plan.places(weight, torch.tensor(differences.owner)))
            terms.append(self._dense(weight, differences, like, plan))
        self.terms += terms
        shapes = [(len(each), each.shape[1]) for each in places]
        user = ComposedTensor(module, name, terms, shapes)
        return Part(weight, user, torch.cat([each.flatten() for each in places]))

    def _dense(self, weight: str, differences: Differences, like: Tensor, plan: Plan) -> nn.Module:
        site = plan.sites[weight]
        if site.side == "entries":
            return Partitioned(differences, like, weight, stream=self._stream)
        if self._stream:
            return Streamed(differences, site.side)
        return Dense(differences, like, site.side, len(site.blocks))

    def _factors(self, module: str, plan: Plan) -> StackedFactors | Directions:
        """Factors of a module, read and from now on held, or left where the deltas keep them."""
        if self._stream and isinstance(plan.factors, Stacks):
            return plan.factors.directions[module]
        return plan.factors[module]

    def _set(self, name: str, module: nn.Module) -> None:
        parent, _, child = name.rpartition(".")
        setattr(self.model.get_submodule(parent), child, module)


def _low_rank(
    factors: StackedFactors | Directions, like: Tensor, side: Side
) -> LowRank | StreamedLowRank:
    if isinstance(factors, Directions):
        return StreamedLowRank(factors, side)
    return LowRank(factors, like, side)
