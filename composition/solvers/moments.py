"""Second moments of what Linear modules read: of images, or of the deltas themselves.

A moment is E z z^T over tokens, for z = A x where all updates of a weight are low-rank, else for
the inputs x themselves (see `solvers.updates`). So memory is bounded by the ranks and not by the
width of a layer, however many images pass.

Shape letters: N tokens, I inputs, S what a moment is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from composition.basis import Basis
from composition.solvers.updates import DenseUpdates, updates_of
from datamodules.errors import InputError
from lightning_modules.tensors import first_five

Moments = Mapping[str, Tensor]


class _Reader:
    """Sums z z^T over all that passes one module."""

    def __init__(self, directions_SI: Tensor | None) -> None:
        self.directions_SI = directions_SI
        self.total: Tensor | None = None
        self.tokens = 0

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x_NI = inputs[0].detach().flatten(0, -2)
        # float64: a moment stays positive, and sums over many tokens stay exact.
        with torch.autocast(x_NI.device.type, enabled=False):
            z_NS = x_NI.double()
            if self.directions_SI is not None:
                self.directions_SI = self.directions_SI.to(x_NI.device)
                z_NS = z_NS @ self.directions_SI.T
            update = z_NS.T @ z_NS
        self.total = update if self.total is None else self.total + update
        self.tokens += len(x_NI)


@torch.no_grad()
def input_moments(
    basis: Basis, encode: Callable[[Tensor], object], batches: Iterable[Tensor]
) -> dict[str, Tensor]:
    """Moments of what the Linear modules of a basis read when images pass, in one pass.

    Which model reads them is up to `encode`: the base, or a composition of the same basis, as in
    RegMean (https://arxiv.org/abs/2212.09849), whose inputs are those of each delta's own model.

    Args:
        basis: deltas and model.
        encode: calls the basis's model, such as `model.encode_image`.
        batches: what it is called with; a few dozen images are enough.

    Returns:
        Weight -> moment (S, S), float64 on the host, for all weights of Linear modules.

    Raises:
        InputError: if some of these modules are never called.
    """
    updates = updates_of(basis)
    readers = {
        weight: _Reader(each.directions)
        for weight, each in updates.items()
        if not (isinstance(each, DenseUpdates) and not each.width)
    }
    with _attached(basis.model, readers):
        for batch in batches:
            encode(batch)
    if idle := [weight for weight, reader in readers.items() if reader.total is None]:
        raise InputError(
            f"expected images to pass every module that a delta changes, got none for {len(idle)}: "
            f"{first_five(idle)}. Give at least one batch, and let `encode` call every tower."
        )
    return {
        weight: reader.total.cpu() / reader.tokens
        for weight, reader in readers.items()
        if reader.total is not None
    }


def delta_moments(basis: Basis) -> dict[str, dict[str, Tensor]]:
    """Moments without data: delta -> weight -> moment of inputs spread as the delta's own rows.

        C_k = I delta_k^T delta_k / ||delta_k||^2

    A row of a delta is a sum of the inputs it was trained on, so it stands in for them (WUDI,
    https://arxiv.org/abs/2503.08099). Inputs count as of mean square 1, as after a LayerNorm. For
    weights of Linear modules alone.
    """
    updates = updates_of(basis)
    return {
        name: {
            weight: moment
            for weight, each in updates.items()
            if (moment := each.own_moment(number)) is not None
        }
        for number, name in enumerate(basis.names)
    }


@contextmanager
def _attached(model: nn.Module, readers: Mapping[str, _Reader]) -> Iterator[None]:
    hooks: list[Any] = []
    try:
        for weight, reader in readers.items():
            module = model.get_submodule(weight.removesuffix(".weight"))
            hooks.append(module.register_forward_pre_hook(reader))
        yield
    finally:
        for hook in hooks:
            hook.remove()
