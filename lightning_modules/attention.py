"""Attention whose four projections are `nn.Linear` modules that are really called.

`nn.MultiheadAttention` reads the weights of its projections without calling them, so an adapter put
on `out_proj` changes nothing, and q, k, v are rows of one matrix that no adapter can tell apart.
Here

    out = out_proj(softmax(q_proj(x) k_proj(x)^T / sqrt(head width)) v_proj(x))

holds with four plain modules and one call of scaled-dot-product attention. The conversion is exact
and `fused_state_dict` undoes it, bit for bit, to the layout that open_clip loads with
`strict=True`.

Shape letters: N images or texts, L queries, S keys, D embedding width, H heads, W head width.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import InputError

_PROJECTIONS = ("q_proj", "k_proj", "v_proj")


class SplitMHA(nn.Module):
    """Multi-head attention with `q_proj`, `k_proj`, `v_proj` and `out_proj` as called `nn.Linear`s.

    Takes the place of `nn.MultiheadAttention` (batch first) and of open_clip's own `Attention`,
    with their call signatures and return values. Weights are copied: dtype, device, train mode and
    `requires_grad` stay.

    Args:
        attention: the module to replace.

    Raises:
        InputError: if the module does more than plain attention (normalised queries, dropout, ...).
    """

    q_proj: nn.Module
    k_proj: nn.Module
    v_proj: nn.Module
    out_proj: nn.Module

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        _refuse_unsupported(attention)
        self.num_heads: int = _get(attention, "num_heads")
        self.embed_dim: int = _get(attention, "out_proj").out_features
        self.head_dim: int = self.embed_dim // self.num_heads
        self.returns_tuple = isinstance(attention, nn.MultiheadAttention)
        # True in a mask hides in torch and open_clip 3, and shows in open_clip 4.
        self.true_hides = "k_x" not in inspect.signature(type(attention).forward).parameters
        self.q_proj, self.k_proj, self.v_proj = _projections(attention)
        out_proj = _get(attention, "out_proj")
        self.out_proj = _linear(out_proj.weight, out_proj.bias, out_proj.weight.requires_grad)
        self.train(attention.training)

    def forward(
        self,
        query: Tensor,
        k_x: Tensor | None = None,
        v_x: Tensor | None = None,
        attn_mask: Tensor | None = None,
        need_weights: bool = False,
    ) -> Tensor | tuple[Tensor, None]:
        """Attend from `query` (N, L, D) to `k_x` and `v_x` (N, S, width), by default to itself.

        Args:
            query: tokens that ask.
            k_x: tokens that are matched; `query` if None.
            v_x: tokens that are read; `k_x` if None.
            attn_mask: boolean or additive, of shape (L, S), (N*H, L, S) or (N, H, L, S).
            need_weights: must be False: attention maps are never built here.

        Returns:
            (N, L, D), or a pair of it and None where `nn.MultiheadAttention` was replaced.
        """
        if need_weights:
            raise ValueError("SplitMHA builds no attention maps: pass need_weights=False.")
        k_x = query if k_x is None else k_x
        v_x = k_x if v_x is None else v_x
        q_NHLW = _heads(self.q_proj(query), self.num_heads)
        k_NHSW = _heads(self.k_proj(k_x), self.num_heads)
        v_NHSW = _heads(self.v_proj(v_x), self.num_heads)
        mask = None if attn_mask is None else self._mask(attn_mask, q_NHLW.dtype)
        out_NHLW = F.scaled_dot_product_attention(q_NHLW, k_NHSW, v_NHSW, attn_mask=mask)
        out: Tensor = self.out_proj(out_NHLW.transpose(1, 2).flatten(2))
        return (out, None) if self.returns_tuple else out

    def _mask(self, mask: Tensor, dtype: torch.dtype) -> Tensor:
        if mask.dim() == 3:
            mask = mask.view(-1, self.num_heads, *mask.shape[1:])
        if mask.dtype == torch.bool:
            return mask.logical_not() if self.true_hides else mask
        return mask.to(dtype)


class SplitAttentionPool(nn.Module):
    """RN50's attention pooling that calls its own `q_proj`, `k_proj`, `v_proj` and `c_proj`.

    Same parameters under the same names as open_clip's `AttentionPool2d`. Only the mean token asks,
    since only its answer is returned.

    Args:
        pool: open_clip's module; its parameters are shared, not copied.
    """

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.num_heads: int = _get(pool, "num_heads")
        self.positional_embedding: nn.Parameter = _get(pool, "positional_embedding")
        self.q_proj: nn.Module = _get(pool, "q_proj")
        self.k_proj: nn.Module = _get(pool, "k_proj")
        self.v_proj: nn.Module = _get(pool, "v_proj")
        self.c_proj: nn.Module = _get(pool, "c_proj")
        self.train(pool.training)

    def forward(self, x: Tensor) -> Tensor:
        """Pool a feature map (N, D, height, width) into (N, output width)."""
        x_NSD = x.flatten(2).transpose(1, 2)
        x_NSD = torch.cat([x_NSD.mean(dim=1, keepdim=True), x_NSD], dim=1)
        x_NSD = x_NSD + self.positional_embedding.to(x_NSD.dtype)
        q_NH1W = _heads(self.q_proj(x_NSD[:, :1]), self.num_heads)
        k_NHSW = _heads(self.k_proj(x_NSD), self.num_heads)
        v_NHSW = _heads(self.v_proj(x_NSD), self.num_heads)
        out_NH1W = F.scaled_dot_product_attention(q_NH1W, k_NHSW, v_NHSW)
        out: Tensor = self.c_proj(out_NH1W.transpose(1, 2).flatten(2))
        return out[:, 0]


def split_attention(model: nn.Module) -> nn.Module:
    """Replace every attention of a CLIP, in both towers, in place; returns the same model.

    Raises:
        InputError: if an attention does more than plain attention; the message names it.
    """
    for parent_name, parent in list(model.named_modules()):
        for name, child in list(parent.named_children()):
            if is_uncalled_attention(child):
                try:
                    setattr(parent, name, _split(child))
                except InputError as error:
                    raise InputError(f"{parent_name}.{name}: {error}") from None
    return model


def is_uncalled_attention(module: nn.Module) -> bool:
    """Whether the module keeps projections that it never calls, so adapters on them do nothing."""
    is_torch = isinstance(module, nn.MultiheadAttention)
    return is_torch or _open_clip_class(module) in {"Attention", "AttentionPool2d"}


def fused_state_dict(source: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights in open_clip's own layout: a plain model loads them with `strict=True`.

    Args:
        source: a split model, also one with PEFT adapters (which are left out), or a state dict of
            one. In a bare state dict, attention is recognised by open_clip's module name `attn`.

    Raises:
        ValueError: if a PEFT adapter is merged into the weights, which hides the base.
    """
    if isinstance(source, nn.Module):
        if any(getattr(module, "merged", False) for module in source.modules()):
            raise ValueError("an adapter is merged into the weights: call unmerge_adapter() first.")
        modules = source.named_modules()
        paths = {base_name(name) for name, module in modules if isinstance(module, SplitMHA)}
        state = source.state_dict()
    else:
        state = dict(source)
        names = set(map(base_name, state))
        suffix = ".attn.q_proj.weight"
        found = {name.removesuffix(".q_proj.weight") for name in names if name.endswith(suffix)}
        paths = {path for path in found if f"{path}.out_proj.weight" in names}
    base = {base_name(name): value for name, value in state.items() if ".lora_" not in name}
    return _fuse(base, paths)


def split_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `fused_state_dict`: `in_proj_weight` becomes `q_proj.weight` and so on."""
    split: dict[str, Tensor] = {}
    for name, tensor in state.items():
        path, _, kind = name.rpartition("in_proj_")
        if kind in {"weight", "bias"}:
            names = (f"{path}{projection}.{kind}" for projection in _PROJECTIONS)
            split |= dict(zip(names, tensor.chunk(3), strict=True))
        elif name.endswith(tuple(f".{part}_weight" for part in _PROJECTIONS)):
            split[name.removesuffix("_weight") + ".weight"] = tensor
        else:
            split[name] = tensor
    return split


def base_name(name: str) -> str:
    """A parameter or module name as it was before PEFT wrapped the model."""
    name = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
    return name.removesuffix(".base_layer")


def _fuse(state: dict[str, Tensor], paths: Iterable[str]) -> dict[str, Tensor]:
    for path in paths:
        weights = {name: state.pop(f"{path}.{name}.weight") for name in _PROJECTIONS}
        if len({tuple(weight.shape) for weight in weights.values()}) == 1:
            state[f"{path}.in_proj_weight"] = torch.cat(list(weights.values()))
        else:  # keys or values of another width than the queries: nn.MultiheadAttention keeps three
            state |= {f"{path}.{name}_weight": weight for name, weight in weights.items()}
        if f"{path}.q_proj.bias" in state:
            biases = [state.pop(f"{path}.{name}.bias") for name in _PROJECTIONS]
            state[f"{path}.in_proj_bias"] = torch.cat(biases)
    return state


def _heads(x: Tensor, num_heads: int) -> Tensor:
    """(N, L, D) -> (N, H, L, W)."""
    return x.view(*x.shape[:-1], num_heads, -1).transpose(1, 2)


def _split(attention: nn.Module) -> nn.Module:
    if _open_clip_class(attention) == "AttentionPool2d":
        return SplitAttentionPool(attention)
    return SplitMHA(attention)


def _open_clip_class(module: nn.Module) -> str:
    """The class name of an open_clip module, else ""; spares the slow import of open_clip."""
    kind = type(module)
    return kind.__name__ if kind.__module__.startswith("open_clip.") else ""


def _refuse_unsupported(attention: nn.Module) -> None:
    norms = (getattr(attention, name, None) for name in ("ln_q", "ln_k", "ln_inner"))
    drops = [getattr(attention, name, None) for name in ("attn_drop", "out_drop")]
    dropped = [getattr(attention, "dropout", 0.0), *(getattr(drop, "p", 0.0) for drop in drops)]
    extras = {
        "batch second": not getattr(attention, "batch_first", True),
        "extra key and value biases": getattr(attention, "bias_k", None) is not None,
        "added zero attention": getattr(attention, "add_zero_attn", False),
        "a learned temperature": getattr(attention, "logit_scale", None) is not None,
        "scaled heads": getattr(attention, "head_scale", None) is not None,
        "inner normalisation": any(not isinstance(norm, nn.Identity | None) for norm in norms),
        "dropout": any(dropped),
    }
    if found := [name for name, present in extras.items() if present]:
        raise InputError(
            f"expected plain attention, got {type(attention).__name__} with {' and '.join(found)}. "
            "Adapters cannot be put on this architecture; choose another BACKBONE."
        )


def _projections(attention: nn.Module) -> list[nn.Linear]:
    """The q, k and v projections as modules, cut out of the fused parameters."""
    fused: Tensor | None = getattr(attention, "in_proj_weight", None)
    bias: Tensor | None = getattr(attention, "in_proj_bias", None)
    weights: Sequence[Tensor]
    if fused is None:
        weights = [_get(attention, f"{name}_weight") for name in _PROJECTIONS]
    else:
        weights = fused.detach().chunk(3)
    trains = (weights[0] if fused is None else fused).requires_grad  # a chunk forgets it
    biases: Sequence[Tensor | None] = [None] * 3 if bias is None else bias.detach().chunk(3)
    return [_linear(weight, part, trains) for weight, part in zip(weights, biases, strict=True)]


def _linear(weight: Tensor, bias: Tensor | None, trains: bool) -> nn.Linear:
    """An `nn.Linear` around copies of the given tensors."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight.detach().clone(), requires_grad=trains)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach().clone(), requires_grad=trains)
    return linear


def _get(module: nn.Module, name: str) -> Any:
    """An attribute of a module whose class is not known to the type checker."""
    return getattr(module, name)
