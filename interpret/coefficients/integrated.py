"""Integrated gradients along coefficients: which of them the fall of a loss is owed to.

    IG_j = c_j * integral over s in [0, 1] of dL/dc_j (s c)

from the base (all coefficients 0) to the learned ones c. Their sum is L(c) - L(0) but for the error
of the quadrature, which is reported (Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep
Networks", ICML 2017, https://arxiv.org/abs/1703.01365).

Shape letters: C coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from composition import Composition
from datamodules.errors import InputError

Loss = Callable[[], Tensor]  # a share of L at the coefficients as they are


@dataclass(frozen=True)
class Integrated:
    """Attributions of a change of loss.

    Args:
        shares_C: IG, float64; negative lowers the loss.
        base: L(0).
        learned: L(c).
        num_nodes: of the quadrature.
    """

    shares_C: Tensor
    base: float
    learned: float
    num_nodes: int

    @property
    def gap(self) -> float:
        """Sum of the shares less L(c) - L(0): the error of the quadrature."""
        return float(self.shares_C.sum()) - (self.learned - self.base)


def integrated_gradients(
    composition: Composition,
    losses: Sequence[Loss],
    *,
    num_nodes: int = 64,
    tick: Callable[[int], object] = lambda _: None,
) -> Integrated:
    """Attribute the change of a loss to coefficients, by Gauss-Legendre quadrature.

    Args:
        composition: with learned coefficients, which it has again afterwards.
        losses: functions whose sum is L, such as one for each batch; called anew at each node, with
            gradients.
        num_nodes: points of the path, at least 1; each is a forward and a backward pass.
        tick: called with 1 after every node.

    Raises:
        InputError: if there is no loss, or too few nodes.
    """
    if not losses or num_nodes < 1:
        raise InputError(
            f"expected a loss and a node or more, got {len(losses)} losses and {num_nodes} nodes."
        )
    points, weights = np.polynomial.legendre.leggauss(num_nodes)
    learned = composition.coefficients.detach().clone()
    total = torch.zeros_like(learned, dtype=torch.float64)
    with _restored(composition):
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            _set(composition, learned * float(point))
            for loss in losses:
                (gradient,) = torch.autograd.grad(loss(), composition.coefficients)
                total += float(weight) * gradient.double()
            tick(1)
        base = _total(composition, learned * 0.0, losses)
        end = _total(composition, learned, losses)
    return Integrated((learned.double() * total).flatten().cpu(), base, end, num_nodes)


@torch.no_grad()
def _total(composition: Composition, values: Tensor, losses: Sequence[Loss]) -> float:
    """L at some coefficients, which stay."""
    _set(composition, values)
    return math.fsum(float(loss()) for loss in losses)


@contextmanager
def _restored(composition: Composition) -> Iterator[None]:
    kept = composition.coefficients.detach().clone()
    try:
        yield
    finally:
        _set(composition, kept)


def _set(composition: Composition, values: Tensor) -> None:
    with torch.no_grad():
        composition.coefficients.copy_(values)
    composition.release()
