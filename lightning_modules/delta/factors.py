"""A delta in memory: what one adapter adds to the weights of its base model.

    weight(name) = base(name) + scale(name) * B A          kind "lora"
    weight(name) = base(name) + difference(name)           kind "dense"

Names are those of the split model (`...attn.q_proj`), whichever library trained the delta.
Shapes: A (r, in), B (out, r).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from datamodules.errors import InputError
from lightning_modules.attention import base_name, fused_state_dict, split_state_dict
from lightning_modules.delta.config import lora_config
from lightning_modules.delta.schema import DeltaCard
from lightning_modules.lora import adapter_key, add_adapter, linear_modules
from lightning_modules.tensors import first_five, mismatch

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel


class Factor(NamedTuple):
    """The two factors of one module's update: A (r, in) and B (out, r)."""

    A: Tensor
    B: Tensor


@dataclass(frozen=True)
class Delta:
    """The update of one attribute, with its metadata.

    Args:
        card: metadata; its kind says which of the two below is filled.
        factors: module name -> low-rank factors.
        differences: weight name -> fine-tuned minus base.
    """

    card: DeltaCard
    factors: Mapping[str, Factor] = field(default_factory=dict)
    differences: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def from_adapter(cls, model: PeftModel, adapter_name: str, card: DeltaCard) -> Delta:
        """Copy an adapter out of a PEFT model; the card's kind and scale are set from it.

        Raises:
            InputError: if the model has no LoRA adapter of this name.
        """
        key = adapter_key(adapter_name)
        layers = _lora_layers(model, key)
        if not layers:
            raise InputError(
                f"the model has no adapter {adapter_name!r}; it has {', '.join(model.peft_config)}."
            )
        factors, scales = {}, {}
        for name, layer in layers.items():
            pair = (layer.lora_A[key].weight, layer.lora_B[key].weight)
            factors[name] = Factor(*(weight.detach().cpu().clone() for weight in pair))
            scales[name] = float(layer.scaling[key])
        return cls(replace(card, kind="lora", scale=uniform(scales)), factors=factors)

    @classmethod
    def from_difference(
        cls,
        tuned: nn.Module | Mapping[str, Tensor],
        base: nn.Module | Mapping[str, Tensor],
        card: DeltaCard,
    ) -> Delta:
        """Fine-tuned minus base, for the weights that differ; split or plain models alike.

        Raises:
            InputError: if names or shapes of the two differ.
        """
        after = split_state_dict(fused_state_dict(tuned))
        before = split_state_dict(fused_state_dict(base))
        if problems := mismatch(before, after):
            raise InputError(f"the fine-tuned model is of another architecture: {problems}.")
        moved = {name: (after[name] - before[name]).cpu() for name in before}
        moved = {name: value for name, value in moved.items() if value.any()}
        return cls(replace(card, kind="dense", scale=1.0), differences=moved)

    def scale(self, name: str) -> float:
        """What multiplies B A in the module `name`."""
        return self.card.scale[name] if isinstance(self.card.scale, dict) else self.card.scale

    def dense(self) -> dict[str, Tensor]:
        """Weight name (`....weight`) -> update of the full shape, in float32 or finer."""
        if self.card.kind == "dense":
            return dict(self.differences)
        dense = {}
        for name, (a, b) in self.factors.items():
            dtype = torch.promote_types(a.dtype, torch.float32)
            dense[f"{name}.weight"] = self.scale(name) * (b.to(dtype) @ a.to(dtype))
        return dense

    def lora_config(self, model: nn.Module | None = None) -> LoraConfig:
        """PEFT's configuration of the adapter, for a given model if there is one."""
        kinds = {name: (len(a), self.scale(name)) for name, (a, _) in self.factors.items()}
        return lora_config(kinds, None if model is None else linear_modules(model))

    def attach(self, model: nn.Module, adapter_name: str = "") -> PeftModel:
        """Put the factors on a split model as an adapter, active and in evaluation mode.

        Args:
            model: a split CLIP, or a PEFT model, which keeps its other adapters.
            adapter_name: display name; the attribute by default.

        Raises:
            InputError: if the delta is dense, the name is taken, or names or shapes do not fit.
        """
        if self.card.kind == "dense":
            raise InputError(
                f"the delta {self.card.attribute!r} is dense and cannot be attached as an adapter; "
                "add it to the weights with apply()."
            )
        self.check_fits(model)
        name = adapter_name or self.card.attribute
        peft_model = add_adapter(model, self.lora_config(model), name)
        key = adapter_key(name)
        layers = _lora_layers(peft_model, key)
        assert layers.keys() == self.factors.keys()
        with torch.no_grad():
            for path, factor in self.factors.items():
                layers[path].lora_A[key].weight.copy_(factor.A)
                layers[path].lora_B[key].weight.copy_(factor.B)
        peft_model.eval()
        return peft_model

    @torch.no_grad()
    def apply(self, model: nn.Module, weight: float = 1.0) -> None:
        """Add `weight` times the delta to the weights of a split model, in place.

        Raises:
            InputError: if names or shapes do not fit.
        """
        self.check_fits(model)
        parameters = {base_name(name): value for name, value in model.state_dict().items()}
        for name, update in self.dense().items():
            parameters[name].add_(update.to(parameters[name]), alpha=weight)

    def check_fits(self, model: nn.Module) -> None:
        """Check that every name and shape is in the split model.

        Raises:
            InputError: naming the first five that are not, and a count.
        """
        if self.card.kind == "dense":
            state = {base_name(name): value for name, value in model.state_dict().items()}
            expected = {name: state[name] for name in self.differences if name in state}
            problems = mismatch(expected, self.differences)
        else:
            linears = linear_modules(model)
            expected = {name: linears[name].weight for name in self.factors if name in linears}
            problems = mismatch(expected, {name: _shape(f) for name, f in self.factors.items()})
        if problems:
            raise InputError(
                f"the delta {self.card.attribute!r} does not fit this model: {problems}. Expected "
                f"modules of {self.card.backbone} with split attention: load that backbone with "
                "split=True."
            )


def uniform(scales: dict[str, float]) -> float | dict[str, float]:
    """One number if all modules share it, else the numbers by name."""
    values = set(scales.values())
    return values.pop() if len(values) == 1 else scales


def check_factors(factors: Mapping[str, Factor], origin: str) -> None:
    """Check that each pair of factors shares its rank and that all numbers are finite.

    Raises:
        InputError: naming the first five that are wrong, and a count.
    """
    torn = [
        f"{name} A {list(a.shape)}, B {list(b.shape)}"
        for name, (a, b) in sorted(factors.items())
        if a.dim() != 2 or b.dim() != 2 or a.shape[0] != b.shape[1]
    ]
    if torn:
        raise InputError(
            f"{origin}: {len(torn)} factors of wrong shape: {first_five(torn)}. Expected A (r, in) "
            "and B (out, r)."
        )
    check_finite(
        {
            f"{name}.{kind}": value
            for name, factor in factors.items()
            for kind, value in zip("AB", factor, strict=True)
        },
        origin,
    )


def check_finite(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Check that all numbers are finite.

    Raises:
        InputError: naming the first five tensors that hold NaN or infinity, and a count.
    """
    if bad := sorted(name for name, value in tensors.items() if not value.isfinite().all()):
        raise InputError(
            f"{origin}: {len(bad)} tensors with NaN or infinity: {first_five(bad)}. Expected "
            "finite numbers: training diverged or the file is damaged. Train again, slower."
        )


def _lora_layers(model: nn.Module, key: str) -> dict[str, Any]:
    """PEFT's layers that hold the adapter `key`, by the names of the modules they wrap."""
    return {
        base_name(name): module
        for name, module in model.named_modules()
        if key in getattr(module, "lora_A", {})
    }


def _shape(factor: Factor) -> Tensor:
    """A tensor of the update's shape that takes no memory."""
    return torch.empty(factor.B.shape[0], factor.A.shape[1], device="meta")
