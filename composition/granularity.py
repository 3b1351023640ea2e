"""How finely coefficients scale a delta: which entries of a weight share one.

    global        one for each delta
    layer         one for each delta and transformer block; what lies outside blocks: one per tower
    module        as layer, but attention and MLP of a block apart
    block         one for each parameter tensor of open_clip (aTLAS, Zhang et al., NeurIPS 2024,
                  https://arxiv.org/abs/2407.02880): q, k and v share that of `in_proj_weight`
    projection    one for each parameter tensor of the split model: q, k and v apart
    head          as projection, and by attention head: rows of q, k, v, columns of the output
                  projection; other tensors as block
    partition:K   as block, each entry of a tensor in one of K parts by a hash (aTLAS x K)
    rank          one for each rank-1 direction of each delta (as TARA)
    spectral:k    one for each of k directions that all deltas share in a module (as BOLT)

Blocks are found by the names of weights, never by their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

from torch import nn

from datamodules.errors import InputError
from lightning_modules.attention import SplitAttentionPool, SplitMHA

Kind = Literal[
    "global", "layer", "module", "block", "projection", "head", "partition", "rank", "spectral"
]
Side = Literal["whole", "rows", "columns", "entries"]
WHOLE: tuple[Kind, ...] = ("global", "layer", "module", "block", "projection")  # cut no weight
COUNTED = {"partition": "K", "spectral": "k"}  # kinds that take a number after a colon
MAX_PARTS = 1 << 20  # the hash has 24 bits: parts stay balanced

_TRANSFORMER_BLOCK = re.compile(r"(.*?\.(?:resblocks|blocks|layers|layer|block)\.\d+)\.(.*)")
_ATTENTION = re.compile(r"attn|attention|self_attn|(ln_|ls_|norm|layer_norm)1")


class Site(NamedTuple):
    """What coefficients see of one weight.

    Args:
        side: how the weight is cut: not at all, in groups of equal size of output rows or of input
            columns, or entry by entry.
        blocks: name of each group's block; one name if it is not cut.
    """

    side: Side
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class Granularity:
    """A kind and, for `partition` and `spectral`, its number."""

    kind: Kind
    count: int = 0

    @classmethod
    def parse(cls, text: str) -> Granularity:
        """Read "layer", "partition:20" and so on.

        Raises:
            InputError: listing what there is.

        Example:
            >>> Granularity.parse("partition:20")
            Granularity(kind='partition', count=20)
        """
        kind, colon, number = text.partition(":")
        known = kind in get_args(Kind)
        if known and (kind in COUNTED) == bool(colon) and (not colon or _is_count(number)):
            return cls(cast("Kind", kind), int(number or 0))
        names = ", ".join(f"{k}:{COUNTED[k]}" if k in COUNTED else k for k in get_args(Kind))
        raise InputError(
            f"granularity is {text!r}, expected one of {names} "
            f"(K and k: whole numbers from 1 to {MAX_PARTS})."
        )

    def __str__(self) -> str:
        return f"{self.kind}:{self.count}" if self.kind in COUNTED else self.kind

    def sites(self, model: nn.Module, weights: Iterable[str]) -> dict[str, Site]:
        """Cut the weights of a split model; for `rank` and `spectral` no weight is cut.

        Args:
            model: the split model, before anything was attached to it.
            weights: names as in its state dict.
        """
        fused, heads = fused_names(model), attention_heads(model)
        return {name: self._site(name, fused, heads) for name in weights}

    def _site(
        self, name: str, fused: Mapping[str, str], heads: Mapping[str, tuple[Side, int]]
    ) -> Site:
        block = fused.get(name, name)
        if self.kind == "global":
            return Site("whole", ("all",))
        if self.kind in {"layer", "module"}:
            return Site("whole", (_transformer_block(name, parts=self.kind == "module"),))
        if self.kind == "partition":
            return Site("entries", tuple(f"{block}.part.{part}" for part in range(self.count)))
        if self.kind == "head" and name in heads:
            side, num_heads = heads[name]
            return Site(side, tuple(f"{name}.head.{head}" for head in range(num_heads)))
        return Site("whole", (block if self.kind in {"block", "head"} else name,))


def fused_names(model: nn.Module) -> dict[str, str]:
    """Names of split q, k, v weights and biases -> name of the tensor that open_clip keeps them in.

    Attention whose keys or values have another width than its queries is left out: open_clip keeps
    three tensors there.
    """
    fused = {}
    for path, module in model.named_modules():
        if not isinstance(module, SplitMHA):
            continue
        projections = {name: module.get_submodule(name) for name in ("q_proj", "k_proj", "v_proj")}
        shapes = {tuple(_linear(each).weight.shape) for each in projections.values()}
        if len(shapes) == 1:
            for name in projections:
                fused[f"{path}.{name}.weight"] = f"{path}.in_proj_weight"
                fused[f"{path}.{name}.bias"] = f"{path}.in_proj_bias"
    return fused


def attention_heads(model: nn.Module) -> dict[str, tuple[Side, int]]:
    """Weights that attention heads divide among them -> the side they divide, number of heads."""
    heads: dict[str, tuple[Side, int]] = {}
    for path, module in model.named_modules():
        if isinstance(module, SplitMHA | SplitAttentionPool):
            for name in ("q_proj", "k_proj", "v_proj"):
                for kind in ("weight", "bias"):
                    heads[f"{path}.{name}.{kind}"] = ("rows", module.num_heads)
            out = "out_proj" if isinstance(module, SplitMHA) else "c_proj"
            heads[f"{path}.{out}.weight"] = ("columns", module.num_heads)
    return heads


def _transformer_block(name: str, *, parts: bool) -> str:
    match = _TRANSFORMER_BLOCK.match(name)
    if match is None:
        return "visual" if name.startswith("visual.") else "text"
    block, rest = match.groups()
    return f"{block}.{'attention' if _ATTENTION.match(rest) else 'mlp'}" if parts else block


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PARTS


def _linear(module: nn.Module) -> nn.Linear:
    assert isinstance(module, nn.Linear)
    return module
