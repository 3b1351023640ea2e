"""A parameter of any module that is replaced, step by step, by itself plus scaled updates.

The sum is set as an attribute of the module. It shadows the parameter of the same name, which stays
registered and untouched: state dicts still show the base, and removing the attribute undoes it all.
The tensor stays until the next step: checkpointed layers find it again in the backward pass.

Buffers, such as the running statistics of BatchNorm, follow their coefficients too, but torch gives
those statistics no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ComposedTensor:
    """One parameter or buffer of one module, and the terms that are added to it.

    Args:
        module: that uses it.
        name: in this module.
        terms: modules of `composition.terms`.
        shapes: of each term's coefficients, two sizes each.
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        terms: Sequence[nn.Module],
        shapes: Sequence[tuple[int, int]],
    ) -> None:
        self.module = module
        self.name = name
        self.terms = tuple(zip(terms, shapes, strict=True))

    @property
    def base(self) -> Tensor:
        """The module's own tensor."""
        registered = self.module._parameters | self.module._buffers
        tensor = registered[self.name]
        assert tensor is not None
        return tensor

    def receive(self, scales: Tensor) -> None:
        """Compute the tensor of this step from the coefficients of all its terms, end to end."""
        value = base = self.base
        parts = torch.split(scales, [rows * columns for _, (rows, columns) in self.terms])
        for (term, shape), part in zip(self.terms, parts, strict=True):
            value = term(value, part.view(shape))
        object.__setattr__(self.module, self.name, value.to(base.dtype))

    def release(self) -> None:
        """Take the tensor away: the module uses its own again."""
        self.module.__dict__.pop(self.name, None)
