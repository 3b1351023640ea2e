"""Names of the parts that an embedding is the sum of, and sets of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, cast, get_args

from datamodules.errors import InputError

Kind = Literal["head", "mlp", "embedding", "constant"]


class Part(NamedTuple):
    """One term of the sum.

    Args:
        kind: "head", "mlp", "embedding" (the stream before the first layer) or "constant".
        layer: of a head or an MLP, from 0; -1 for the others.
        head: its number in the layer, from 0; -1 for what is no head.

    Example:
        >>> str(Part("head", 3, 1)), Part.parse("layer 3 head 1") == Part("head", 3, 1)
        ('layer 3 head 1', True)
    """

    kind: Kind
    layer: int = -1
    head: int = -1

    def __str__(self) -> str:
        """For people and files: "layer 3 head 1", "mlp 3", "embedding"."""
        if self.kind == "head":
            return f"layer {self.layer} head {self.head}"
        return f"mlp {self.layer}" if self.kind == "mlp" else self.kind

    @classmethod
    def parse(cls, name: str) -> Part:
        """The inverse of `str`.

        Raises:
            InputError: if it names no part.
        """
        words = name.split()
        numbers = [int(word) for word in words[1::2] if word.isdecimal()]
        kind = "head" if words[::2] == ["layer", "head"] else name.partition(" ")[0]
        if kind in get_args(Kind):
            part = cls(cast("Kind", kind), *numbers)
            if str(part) == name:
                return part
        raise InputError(
            'expected a part such as "layer 3 head 1", "mlp 3", "embedding" or "constant", got '
            f"{name[:80]!r}."
        )


def heads(parts: Sequence[Part], layers: Collection[int] | None = None) -> tuple[Part, ...]:
    """All heads, or those of some layers."""
    return tuple(
        part for part in parts if part.kind == "head" and (layers is None or part.layer in layers)
    )


def mlps(parts: Sequence[Part], layers: Collection[int] | None = None) -> tuple[Part, ...]:
    """All MLPs, or those of some layers."""
    return tuple(
        part for part in parts if part.kind == "mlp" and (layers is None or part.layer in layers)
    )


def all_but_last_layers(parts: Sequence[Part], count: int) -> tuple[Part, ...]:
    """Heads of all layers but the last few.

    Args:
        parts: of a model.
        count: how many of the last layers are kept.
    """
    found = heads(parts)
    num_layers = 1 + max((part.layer for part in found), default=-1)
    return tuple(part for part in found if part.layer < num_layers - count)
