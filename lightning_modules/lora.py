"""LoRA adapters on named projections of a CLIP: PEFT's `Linear` layers, none of which idles.

    W x  ->  W x + (lora_alpha / r) B A dropout(x),   A: (r, in), B: (out, r), B = 0 at the start

(Hu et al., 2021, https://arxiv.org/abs/2106.09685). The base model stays frozen and in evaluation
mode whatever `train()` is called on top of it; only `lora_dropout` follows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import nn

from datamodules.errors import InputError
from datamodules.names import safe_name
from lightning_modules.attention import base_name, is_uncalled_attention
from lightning_modules.tensors import first_five

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

_BLOCK = re.compile(r"(.*\.(?:resblocks|blocks|layers|layer|block)\.\d+)\.")
_MAX_IDLE = 20  # steps without any gradient that may pass before they count
_LAST = re.compile(r"last:([1-9]\d*)")


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """Where adapters go and how large they are; the keys are PEFT's.

    Args:
        r: rank of every adapter, at least 1.
        lora_alpha: numerator of the scale, which is lora_alpha / r.
        lora_dropout: share of an adapter's inputs that are dropped in training, in [0, 1).
        target_modules: last parts of the names of the `nn.Linear` modules that get an adapter.
        blocks: "all", or "last:k" for the last k blocks of each tower.
        towers: "vision" alone, or "both".
    """

    r: int = 8
    lora_alpha: float = 16
    lora_dropout: float = 0.0
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "out_proj")
    blocks: str = "all"
    towers: Literal["vision", "both"] = "vision"

    def __post_init__(self) -> None:
        if self.r < 1:
            raise InputError(f"r is {self.r}, expected a rank of at least 1.")
        if not 0 <= self.lora_dropout < 1:
            raise InputError(f"lora_dropout is {self.lora_dropout}, expected a share in [0, 1).")
        if self.blocks != "all" and not _LAST.fullmatch(self.blocks):
            raise InputError(f'blocks is {self.blocks!r}, expected "all" or "last:k" with k >= 1.')
        if self.towers not in {"vision", "both"}:
            raise InputError(f'towers is {self.towers!r}, expected "vision" or "both".')


def attach_lora(model: nn.Module, settings: LoraSettings, adapter_name: str) -> PeftModel:
    """Freeze `model` and put one new, active adapter on it; its outputs do not change yet.

    Args:
        model: a split CLIP (see `split_attention`), or what an earlier call returned.
        settings: where the adapter goes and how large it is.
        adapter_name: any display name; PEFT's key for it is `adapter_key(adapter_name)`.

    Raises:
        InputError: if no module matches, if a match would never be called, or if the name is taken.
    """
    from peft import LoraConfig

    names = target_names(model, settings)
    config = LoraConfig(
        r=settings.r,
        lora_alpha=cast("int", settings.lora_alpha),  # PEFT only divides by it: floats are fine
        lora_dropout=settings.lora_dropout,
        target_modules=names,
        exclude_modules=visual_twins(names, linear_modules(model)) or None,
    )
    return add_adapter(model, config, adapter_name)


def add_adapter(model: nn.Module, config: LoraConfig, adapter_name: str) -> PeftModel:
    """Freeze `model`, add the adapter of `config`, make it the active one, in training mode.

    Raises:
        InputError: if the model already has an adapter of this name.
    """
    from peft import PeftModel, get_peft_model

    key = adapter_key(adapter_name)
    model.requires_grad_(False)
    if not isinstance(model, PeftModel):
        _keep_base_frozen(model)
        peft_model: PeftModel = get_peft_model(model, config, adapter_name=key)
    elif key in model.peft_config:
        raise InputError(
            f"the model already has an adapter {adapter_name!r}; it has "
            f"{', '.join(model.peft_config)}. Choose another name, or delete_adapter() the old one."
        )
    else:
        peft_model = model
        peft_model.add_adapter(key, config)
        peft_model.set_adapter(key)
    peft_model.train()
    return peft_model


def adapter_key(display_name: str) -> str:
    """A name that PEFT's containers accept: plain names stay, "type" or "a.b" are changed."""
    name = safe_name(display_name)
    return f"{name}_" if hasattr(nn.ModuleDict(), name) else name


def target_names(model: nn.Module, settings: LoraSettings) -> list[str]:
    """Full, sorted names of the `nn.Linear` modules that the settings choose.

    Raises:
        InputError: if nothing matches, or if a match belongs to a module that never calls it.
    """
    linears = linear_modules(model)
    both = settings.towers == "both"
    in_towers = [name for name in linears if both or name.startswith("visual.")]
    in_blocks = _in_blocks(in_towers, settings.blocks)
    chosen = [name for name in in_blocks if _ends_with(name, settings.target_modules)]
    if not chosen:
        leaves = sorted({name.rpartition(".")[2] for name in in_blocks})
        raise InputError(
            f"target_modules {', '.join(settings.target_modules)} match no nn.Linear in "
            f"towers={settings.towers}, blocks={settings.blocks}. "
            f"Linear modules there end in: {', '.join(leaves) or 'none'}. Choose of these."
        )
    if dead := [name for name in chosen if _never_called(model, linears[name])]:
        raise InputError(
            f"{len(dead)} target modules are never called, so adapters on them would learn "
            f"nothing: {first_five(dead)}. Load the backbone with split=True, or call "
            "split_attention(model) first."
        )
    return sorted(chosen)


def linear_modules(model: nn.Module) -> dict[str, nn.Linear]:
    """Every `nn.Linear` of the base model by its name before PEFT, in the model's order."""
    return {
        base_name(name): module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".lora_" not in name
    }


def visual_twins(names: Iterable[str], present: Iterable[str] | None = None) -> list[str]:
    """Vision modules that PEFT would adapt by mistake, sorted; for its `exclude_modules`.

    PEFT compares endings: `transformer.resblocks.3.mlp.c_fc` of the text tower would also choose
    `visual.transformer.resblocks.3.mlp.c_fc`.

    Args:
        names: modules that are chosen.
        present: modules of the model, where it is known.
    """
    chosen = set(names)
    twins = {f"visual.{name}" for name in chosen if name.startswith("transformer.")} - chosen
    return sorted(twins if present is None else twins.intersection(present))


@contextmanager
def base_only(model: nn.Module) -> Iterator[None]:
    """Run the base model: adapters are passed over, their `requires_grad` stays as it is.

    PEFT's own `disable_adapter` switches gradients off and on again, which DistributedDataParallel
    does not expect in the middle of a step.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    before = [layer._disable_adapters for layer in layers]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer, state in zip(layers, before, strict=True):
            layer._disable_adapters = state


class GradientGuard:
    """Raises an error when a trainable tensor receives no gradient in the first steps.

    Call `observe` before each optimiser step (`on_before_optimizer_step` in Lightning). `lora_B`
    must have a non-zero gradient at the first step; all others (`lora_A` waits for B to leave zero)
    within `patience` steps. Steps on which nothing at all receives a finite, non-zero gradient (no
    labelled image in the batch, an overflow of fp16) do not count.

    Args:
        named_parameters: the names and tensors of the model; frozen ones are ignored.
        patience: number of counted steps after which every tensor must have had a gradient.

    Raises:
        InputError: if nothing is trainable.
    """

    def __init__(
        self, named_parameters: Iterable[tuple[str, nn.Parameter]], *, patience: int = 3
    ) -> None:
        self.patience = patience
        self.steps = 0
        self._idle = 0
        self._trainable = {name: value for name, value in named_parameters if value.requires_grad}
        self._waiting = set(self._trainable)
        if not self._trainable:
            raise InputError("expected trainable tensors, got none: attach an adapter first.")

    @property
    def done(self) -> bool:
        """Whether every trainable tensor has received a gradient."""
        return not self._waiting

    def observe(self) -> None:
        """Look at the gradients of one step.

        Raises:
            InputError: naming the tensors that should have a gradient by now (first five and a
                count).
        """
        if self.done:
            return
        moved = _with_gradient(self._trainable)
        if not moved and self._idle < _MAX_IDLE:
            self._idle += 1
            return
        self.steps += 1
        self._waiting -= moved
        overdue = self.steps >= self.patience
        if late := sorted(name for name in self._waiting if overdue or ".lora_B." in name):
            raise InputError(
                f"{len(late)} of {len(self._trainable)} trainable tensors received no gradient by "
                f"step {self.steps}: {first_five(late)}. They would never learn, as the loss does "
                "not depend on them. Check target_modules, blocks and towers, and that the loss "
                "uses the tower that is adapted."
            )


def _with_gradient(tensors: dict[str, nn.Parameter]) -> set[str]:
    """Names of the tensors whose gradient is not all zero; none if any gradient is not finite."""
    grads = {name: tensor.grad for name, tensor in tensors.items() if tensor.grad is not None}
    if not grads:
        return set()
    sizes = torch.stack([grad.detach().abs().amax() for grad in grads.values()]).tolist()
    if not all(math.isfinite(size) for size in sizes):
        return set()
    return {name for name, size in zip(grads, sizes, strict=True) if size > 0}


def _keep_base_frozen(clip: nn.Module) -> None:
    """From now on `clip.train()` puts only the dropout of adapters in training mode."""
    clip.__dict__["train"] = MethodType(_train_adapters_only, clip)


def _train_adapters_only(clip: nn.Module, mode: bool = True) -> nn.Module:
    nn.Module.train(clip, False)
    for name, module in clip.named_modules():
        if name.endswith(".lora_dropout"):
            module.train(mode)
    return clip


def _in_blocks(names: list[str], blocks: str) -> list[str]:
    """The names that lie in the chosen blocks; all of them for "all"."""
    if blocks == "all":
        return names
    last = int(blocks.removeprefix("last:"))
    block_of = {name: match.group(1) for name in names if (match := _BLOCK.match(name))}
    towers: dict[bool, dict[str, None]] = {}
    for name, block in block_of.items():
        towers.setdefault(name.startswith("visual."), {})[block] = None
    kept = {block for tower in towers.values() for block in list(tower)[-last:]}
    return [name for name, block in block_of.items() if block in kept]


def _ends_with(name: str, endings: Iterable[str]) -> bool:
    """PEFT's rule for names: equal, or equal after a dot."""
    return any(name == ending or name.endswith(f".{ending}") for ending in endings)


def _never_called(model: nn.Module, linear: nn.Linear) -> bool:
    return any(
        is_uncalled_attention(parent) and any(child is linear for child in parent.children())
        for parent in model.modules()
    )
