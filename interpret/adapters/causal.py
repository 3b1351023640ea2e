"""What a delta does through single parts: the model runs again with a part taken out or alone.

    revert-one    base + delta without the part's rows and columns
    keep-one      base + the part's rows and columns alone

Both are total effects: later layers answer to what the part changes. What the part itself adds
otherwise to the embedding is its direct effect; the rest of keep-one is indirect.

Blocks before the part's own compute what they compute without the delta, or with all of it. So
they run twice, and every other run begins at its part's block.

Shape letters: N images, S tokens, D stream width, P parts, E embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import InputError
from interpret.adapters.cut import Site, merged, parts_of, restricted, sites
from interpret.decompose import Decomposition, decompose
from interpret.parts import Part
from interpret.taps import watch_inputs
from interpret.towers import image_tower
from lightning_modules.delta import Delta


@dataclass(frozen=True)
class Runs:
    """Unit-norm embeddings of every variant of a model with a delta, and shares of direct effects.

    Args:
        parts: the P parts that the delta acts in.
        base_NE: without the delta.
        adapted_NE: with all of it.
        revert_PNE: with all but one part.
        keep_PNE: with one part alone.
        direct_P: of keep-one, E <direct, total> / E |total|^2; the rest is indirect. NaN for a part
            that changes nothing.
    """

    parts: tuple[Part, ...]
    base_NE: Tensor
    adapted_NE: Tensor
    revert_PNE: Tensor
    keep_PNE: Tensor
    direct_P: Tensor


@torch.no_grad()
def run_parts(
    model: nn.Module,
    delta: Delta,
    batches: Iterable[Tensor],
    tick: Callable[[int], object] = lambda _: None,
) -> Runs:
    """Run a model once without each part of a delta, and once with each alone.

    Args:
        model: the split base model, in evaluation mode; afterwards it is as it was, bit for bit.
        delta: of kind "lora", on the attention and the MLPs of its image tower.
        batches: what the tower takes; what enters every block is kept for one of them at a time.
        tick: called with 1 after each of the 2 P + 2 runs of a batch.

    Raises:
        InputError: if there is no image, the tower is not open_clip's vision transformer, or the
            delta acts elsewhere.
    """
    blocks = _blocks(model)
    cut = _Cut(model, delta, sites(model, delta), blocks)
    found = [_batch(cut, images, tick) for images in batches]
    if not found:
        raise InputError("expected images to run the model on, got none.")
    product_P, square_P = (sum(each) for each in zip(*(run.sums for run in found), strict=True))
    return Runs(
        cut.parts,
        torch.cat([run.base_NE for run in found]),
        torch.cat([run.adapted_NE for run in found]),
        torch.cat([run.revert_PNE for run in found], dim=1),
        torch.cat([run.keep_PNE for run in found], dim=1),
        product_P / square_P,
    )


@dataclass(frozen=True)
class _Cut:
    """A model, and the delta that is cut for it."""

    model: nn.Module
    delta: Delta
    sites: dict[str, Site]
    blocks: Sequence[nn.Module]

    @property
    def parts(self) -> tuple[Part, ...]:
        return parts_of(self.sites)

    def restricted(self, keep: Iterable[Part]) -> Delta:
        return restricted(self.delta, self.sites, set(keep))


class _Batch(NamedTuple):
    """As `Runs`, with <direct, total> and |total|^2 of every part summed over images."""

    base_NE: Tensor
    adapted_NE: Tensor
    revert_PNE: Tensor
    keep_PNE: Tensor
    sums: tuple[Tensor, Tensor]


def _batch(cut: _Cut, images: Tensor, tick: Callable[[int], object]) -> _Batch:
    model, blocks, tower = cut.model, cut.blocks, image_tower(cut.model)
    with _entering(blocks) as base_streams:
        before = decompose(tower, images, convention="separate")
    tick(1)
    with merged(model, cut.delta), _entering(blocks) as streams:
        adapted_NE = F.normalize(tower.run(images), dim=-1)
    tick(1)
    kept, reverted, sums = [], [], []
    for part in cut.parts:
        start = part.layer
        with (
            merged(model, cut.restricted([part])),
            _from(blocks, start, base_streams[start]),
        ):
            rest = replace(tower, layers=tower.layers[start:], entrance=blocks[start])
            after = decompose(rest, images, convention="separate")
        tick(1)
        kept.append(after.output_BE)
        sums.append(_direct(before, after, part))
        others = cut.restricted(other for other in cut.parts if other != part)
        with merged(model, others), _from(blocks, start, streams[start]):
            reverted.append(F.normalize(tower.run(images), dim=-1))
        tick(1)
    product_P, square_P = (torch.stack(each) for each in zip(*sums, strict=True))
    return _Batch(
        before.output_BE,
        adapted_NE,
        torch.stack(reverted),
        torch.stack(kept),
        (product_P, square_P),
    )


def _direct(before: Decomposition, after: Decomposition, part: Part) -> tuple[Tensor, Tensor]:
    """<direct, total> and |total|^2 summed over images; `after` begins at the part's layer."""
    total_NE = (after.output_BE - before.output_BE).double()
    moved_NE = _own(after, part._replace(layer=0)) - _own(before, part)
    return (moved_NE * total_NE).sum(), total_NE.square().sum()


def _own(found: Decomposition, part: Part) -> Tensor:
    """What a part adds to the embeddings, (N, E), float64; every layer has an MLP."""
    if part.kind == "mlp":
        return found.mlps_BME[:, part.layer].double()
    codes_NC = found.codes_BLHC[:, part.layer, part.head].double()
    return codes_NC @ found.readout.maps_LHCE[part.layer, part.head].double()


def _blocks(model: nn.Module) -> list[nn.Module]:
    visual: Any = getattr(model, "visual", None)
    blocks = getattr(getattr(visual, "transformer", None), "resblocks", None)
    if not isinstance(blocks, nn.ModuleList) or hasattr(model, "peft_config"):
        raise InputError(
            "expected a CLIP of open_clip with a vision transformer, without adapters, got "
            f"{type(model).__name__} with {type(visual).__name__}. Give the base model and the "
            "delta by itself."
        )
    return list(blocks)


@contextmanager
def _entering(blocks: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """What enters each block, (N, S, D)."""
    streams: list[Tensor] = []
    named = {str(number): block for number, block in enumerate(blocks)}
    with watch_inputs(named, lambda _, x_NSD: streams.append(x_NSD)):
        yield streams


@contextmanager
def _from(blocks: Sequence[nn.Module], start: int, stream_NSD: Tensor) -> Iterator[None]:
    """Meanwhile blocks before `start` are passed over, and this one reads a given stream."""
    with ExitStack() as stack:
        for block in blocks[:start]:
            block.__dict__["forward"] = lambda x, *_, **__: x
            stack.callback(block.__dict__.pop, "forward")

        def enter(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            return (stream_NSD, *inputs[1:])

        stack.callback(blocks[start].register_forward_pre_hook(enter, prepend=True).remove)
        yield
