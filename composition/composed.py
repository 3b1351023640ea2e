"""A CLIP that is the sum of its base and K deltas, scaled by learned coefficients.

    theta(c) = theta_0 + sum_k c[k, block] delta_k

c is the one parameter that trains. The sum is exact and differentiable at every granularity, and no
dense update is built from factors, except by `partition`, one at a time. How: see `forms.choice`.

When a tower is called, the coefficients of all its modules are gathered at once. In steps that do
not train coefficients the weights are merged once and kept until the coefficients change.

Shape letters: K deltas, P blocks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from composition.attachment import Attachment
from composition.basis import Basis
from composition.coefficients import Named, from_named, to_named
from composition.granularity import Granularity
from composition.plan import Plan
from composition.tower import Tower, towers
from datamodules.errors import InputError
from lightning_modules.tensors import mismatch

_KEY = "coefficients"


class Composition(nn.Module):
    """The base model with its deltas on it: a module with one trainable parameter.

    The model is changed in place, frozen and kept in evaluation mode. Its weights are never
    written, and reading its parameters shows the base; `detach` gives it back as it was. A state
    dict holds the coefficients alone.

    Args:
        basis: deltas and base.
        granularity: see `composition.granularity`.
        stream: leave the deltas in host memory or in their files, and fetch them piece by piece in
            every step that learns: slower, exact, and memory does not grow with their number.

    Attributes:
        coefficients: (K, P), or flat for granularities that scale directions. Zeros at first, but
            for `spectral`, which starts at its closed form. A change through `.data`, which torch
            does not count, needs a call of `release`.

        parts: the composed weights, and where each finds its coefficients.
        partial: names of deltas that cannot be composed alone: only some of their weights are here.
        kept: which coefficients do not learn, bool, see `composition.prefix`; None if all learn.

    Raises:
        InputError: if the granularity is unknown or does not fit the basis, or if the model is
            composed already.
    """

    def __init__(self, basis: Basis, granularity: str = "block", *, stream: bool = False) -> None:
        super().__init__()
        kind = Granularity.parse(granularity)
        model = basis.model
        if taken := model.__dict__.get("composed_of"):
            raise InputError(
                f"the model is composed already, of {', '.join(taken)}. Call detach() on that "
                "composition first, or load the backbone again."
            )
        plan = Plan.of(basis, kind)
        self.granularity = str(kind)
        self.delta_names = basis.names
        self.partial = basis.partial
        self.layout = plan.layout
        model.requires_grad_(False).eval()
        example = next(model.parameters())
        dtype = torch.promote_types(example.dtype, torch.float32)
        self.coefficients = nn.Parameter(plan.start.to(example.device, dtype))
        self.kept: nn.Parameter | None = None
        self._attachment = Attachment(basis, plan, stream=stream)
        model.__dict__["composed_of"] = basis.names
        self.model = model
        self.terms = nn.ModuleList(self._attachment.terms)
        self.parts = self._attachment.parts
        found = towers(model, self.parts)
        self.towers = nn.ModuleList(found)
        self._hooks = [
            tower.entrance[0].register_forward_pre_hook(partial(self._enter, tower))
            for tower in found
        ]
        self.register_load_state_dict_post_hook(_miss_nothing_else)  # type: ignore[no-untyped-call]
        self._prefix = ""

    @property
    def block_names(self) -> tuple[str, ...]:
        """Names of the columns of the table, or of all directions."""
        return self.layout.block_names

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the composed model."""
        return self.model(*args, **kwargs)

    def encode_image(self, *args: Any, **kwargs: Any) -> Tensor:
        """Embed images by the composed model."""
        embedding: Tensor = self.model.encode_image(*args, **kwargs)  # type: ignore[operator]
        return embedding

    def encode_text(self, *args: Any, **kwargs: Any) -> Tensor:
        """Embed texts by the composed model."""
        embedding: Tensor = self.model.encode_text(*args, **kwargs)  # type: ignore[operator]
        return embedding

    @property
    def used(self) -> Tensor:
        """Which coefficients scale something, bool, flat, on the host.

        A delta may leave blocks of the others alone.
        """
        used = torch.zeros(self.coefficients.numel(), dtype=torch.bool)
        for part in self.parts:
            used[part.places.cpu()] = True
        return used

    def named_coefficients(self) -> Named:
        """The coefficients as {delta: {block: value}}."""
        return to_named(self.layout, self.coefficients.detach())

    def assign(self, named: Mapping[str, Mapping[str, float]]) -> None:
        """Set the coefficients by name.

        Raises:
            InputError: if a delta or block is missing or unknown, or a number is not finite.
        """
        self._fill(from_named(self.layout, named))

    def zero(self) -> None:
        """Compose nothing: the base model."""
        self.uniform(0.0)

    def zero_unused(self) -> None:
        """Set the coefficients that scale nothing to zero."""
        flat = self.coefficients.detach().flatten()
        self._fill((flat * self.used.to(flat.device)).view_as(self.coefficients))

    def uniform(self, value: float) -> None:
        """Set all coefficients to one finite number.

        Raises:
            InputError: if it is NaN or infinite.
        """
        self.assign(
            {delta: dict.fromkeys(row, value) for delta, row in self.named_coefficients().items()}
        )

    def one_hot(self, name: str) -> None:
        """Compose one delta alone, as it was trained.

        Raises:
            InputError: see `sum_of`.
        """
        self.sum_of([name])

    def sum_of(self, names: Collection[str]) -> None:
        """Compose the plain sum of some deltas; of none, the base.

        Raises:
            InputError: if there is no such delta, only a part of it, or if directions are shared
                by all.
        """
        if unknown := [name for name in names if name not in self.delta_names]:
            raise InputError(
                f"there is no delta {unknown[0]!r}; the composition has "
                f"{', '.join(self.delta_names)}."
            )
        if names and self.granularity.startswith("spectral"):
            raise InputError(
                f"granularity {self.granularity} has no coefficients of single deltas: its "
                "directions are shared. Choose another granularity to compose chosen deltas."
            )
        if parts := sorted(self.partial.intersection(names)):
            raise InputError(
                f"{', '.join(parts)} cannot be composed as trained: under a budget only some of "
                "the weights are kept. Compose again without --model.budget."
            )
        named = self.named_coefficients()
        self.assign({d: dict.fromkeys(row, float(d in names)) for d, row in named.items()})

    @contextmanager
    def summed(self, names: Collection[str]) -> Iterator[None]:
        """Meanwhile compose the plain sum of some deltas, see `sum_of`.

        Raises:
            InputError: see `sum_of`.
        """
        kept = self.coefficients.detach().clone()
        self.sum_of(names)
        try:
            yield
        finally:
            self._fill(kept)

    def release(self) -> None:
        """Forget merged weights and graphs; the next call of a tower makes them again."""
        for tower in self.towers:
            tower.release()  # type: ignore[operator]

    def detach(self) -> nn.Module:
        """Take the deltas off and return the base model, bit for bit as it was; this ends here."""
        for hook in self._hooks:
            hook.remove()
        self._attachment.undo()
        model = self.model
        del model.__dict__["composed_of"], self.model
        return model

    def train(self, mode: bool = True) -> Composition:
        """Set the mode of this module; the frozen model stays in evaluation mode."""
        super().train(mode)
        self.model.eval()
        return self

    def state_dict(  # type: ignore[override]
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """The coefficients alone."""
        state: dict[str, Any] = OrderedDict() if destination is None else destination
        state[prefix + _KEY] = self.coefficients if keep_vars else self.coefficients.detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take the coefficients of a state dict.

        Raises:
            InputError: if names or shape differ, or numbers are not finite.
        """
        if strict:
            _check_state(self.state_dict(), state_dict)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        self._prefix = prefix
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _fill(self, values: Tensor) -> None:
        with torch.no_grad():
            self.coefficients.copy_(values)
        self.release()

    def _enter(self, tower: Tower, module: nn.Module, inputs: object) -> None:
        tower.enter(self.coefficients)

    def _apply(self, *args: Any, **kwargs: Any) -> Composition:
        self.release()  # merged weights would stay on the former device
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        return self

    def __getstate__(self) -> dict[str, Any]:
        self.release()  # tensors with graphs cannot be copied
        return self.__dict__


def _check_state(expected: Mapping[str, Tensor], got: Mapping[str, Any]) -> None:
    if problems := mismatch(expected, got):
        raise InputError(
            f"the state dict does not fit this composition: {problems}. Expected the coefficients "
            "alone, of the same deltas and granularity."
        )
    if not got[_KEY].isfinite().all():
        raise InputError(
            f"{_KEY} hold NaN or infinity, expected finite numbers. Learn them again with a "
            "smaller learning rate."
        )


def _miss_nothing_else(module: nn.Module, incompatible_keys: Any) -> None:
    """A state dict of a parent lacks the base and the deltas: that is as it should be."""
    assert isinstance(module, Composition)
    own = module._prefix
    missing = incompatible_keys.missing_keys
    missing[:] = [key for key in missing if key == own + _KEY or not key.startswith(own)]
