"""How logits change with the coefficients of a composition: their Jacobian, exactly.

forward   one forward pass with a tangent for each coefficient, some at a time. The tangent runs
          through merged weights, so that no custom gradient is asked for.
reverse   one backward pass for each class, of all images at once where they can be told apart
          (`solvers.rows`), else of each image.

Forward costs as many passes as there are coefficients, reverse as many as there are classes.

Shape letters: B images, V classes, N coefficients, T tangents at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from composition.composed import Composition
from composition.solvers.rows import rows_at_once
from composition.terms import Partitioned, Streamed, StreamedLowRank

Logits = Callable[[Tensor], Tensor]
Mode = Literal["forward", "reverse"]

_NUMBERS = 1 << 28  # of merged weights' tangents that are held at a time: 1 GiB in float32
_MAX_TANGENTS = 16  # more would not make products larger in a way that helps


def choose_mode(composition: Composition, num_classes: int) -> Mode:
    """The mode with fewer passes, of those that the composition's terms allow."""
    own = (Partitioned, Streamed, StreamedLowRank)
    custom = any(isinstance(term, own) for term in composition.terms)
    fewer = num_classes < composition.coefficients.numel()
    return "reverse" if custom or fewer else "forward"


def jacobian(composition: Composition, logits: Logits, images: Tensor, mode: Mode) -> Tensor:
    """Derivatives of the logits by the coefficients, flat, at their present values: (B, V, N).

    Args:
        composition: whose coefficients are meant.
        logits: images -> (B, V), by way of the composition.
        images: one batch.
        mode: see the module.
    """
    with torch.inference_mode(False), torch.compiler.set_stance("force_eager"):
        if mode == "reverse":
            rows_BVN = _by_rows(composition, logits, images)
            kept = composition.kept
            return rows_BVN if kept is None else rows_BVN.masked_fill(kept.flatten(), 0)
        try:
            return _by_columns(composition, logits, images)
        finally:
            composition.release()  # merged weights with tangents must not outlive this


class _Head(nn.Module):
    """Logits as a module, so that `functional_call` finds the coefficients under a name."""

    def __init__(self, composition: Composition, logits: Logits) -> None:
        super().__init__()
        self.composition = composition
        self.logits = logits

    def forward(self, images: Tensor) -> Tensor:
        """(B, V)."""
        return self.logits(images)


def _by_columns(composition: Composition, logits: Logits, images: Tensor) -> Tensor:
    head = _Head(composition, logits)
    point = composition.coefficients.detach()

    def run(coefficients: Tensor) -> Tensor:
        composition.release()
        values: Tensor = functional_call(head, {"composition.coefficients": coefficients}, images)
        return values

    def column(tangent_N: Tensor) -> Tensor:
        derivative_BV: Tensor = jvp(run, (point,), (tangent_N.view(point.shape),))[1]
        return derivative_BV

    size = sum(parameter.numel() for parameter in composition.model.parameters())
    tangents = max(1, min(_MAX_TANGENTS, _NUMBERS // size))
    unit_NN = torch.eye(point.numel(), dtype=point.dtype, device=point.device)
    kept = composition.kept
    free = slice(None) if kept is None else ~kept.flatten()
    # Fused attention has no forward derivative.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        columns_NBV: Tensor = vmap(column, chunk_size=tangents)(unit_NN[free])
    whole_BVN = columns_NBV.new_zeros(*columns_NBV.shape[1:], point.numel())
    whole_BVN[..., free] = columns_NBV.movedim(0, -1)
    return whole_BVN


def _by_rows(composition: Composition, logits: Logits, images: Tensor) -> Tensor:
    together = rows_at_once(composition, logits, images)
    if together is not None:
        return together
    coefficients, rows = composition.coefficients, []
    with torch.enable_grad():
        for image in images.unbind():
            values_V = logits(image[None])[0]
            for number, value in enumerate(values_V):
                last = number == len(values_V) - 1
                rows.append(_gradient(value, coefficients, keep=not last))
    return torch.stack(rows).view(len(images), -1, coefficients.numel())


def _gradient(value: Tensor, coefficients: Tensor, *, keep: bool) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(coefficients).flatten()
    (gradient,) = torch.autograd.grad(value, coefficients, retain_graph=keep, allow_unused=True)
    return (torch.zeros_like(coefficients) if gradient is None else gradient).flatten()
