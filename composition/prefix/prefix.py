"""The first blocks of an image tower, kept as they are and run once for each image.

    embedding = last blocks(tokens),    tokens = first blocks(image)

If only coefficients of the last blocks learn, the tokens of an image stay the same, so a training
step runs the last blocks alone, forward and backward, and no number changes. It needs images
without augmentation. The tokens of an image are 75 KiB for ViT-B/32 in bf16, 150 KiB in float32.

Shape letters: B images, M images of a split, S tokens of an image, W width of the tower.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from open_clip.transformer import Transformer, VisionTransformer
from torch import Tensor, nn

from composition.attachment import Part
from composition.composed import Composition
from composition.prefix.kept import keep
from composition.tower import Tower
from datamodules.attribute import AttributeDataModule
from datamodules.batches import gathered
from datamodules.errors import InputError
from lightning_modules.progress import progress

_BATCH = 250  # images; no gradients, so memory is no matter
_SHARE = 0.25  # of a GPU's free memory that tokens may take; more of them stay on the host
_EMBEDDINGS = re.compile(r"visual\.(conv1|class_embedding|positional_embedding|ln_pre)\b")
_BLOCK = re.compile(r"visual\.transformer\.resblocks\.(\d+)\.")


class _Kept(NamedTuple):
    """The tokens of the training images of one task.

    Args:
        members_M: image numbers, ascending, on the model's device.
        tokens_MSW: there too, or on the host.
    """

    members_M: Tensor
    tokens_MSW: Tensor


class Prefix(nn.Module):
    """An image tower cut in first blocks, whose coefficients are kept from now on, and last ones.

    Args:
        composition: of open_clip's vision transformer.
        last_blocks: how many blocks learn, with all that lies behind them; 1 or more.

    Raises:
        InputError: if the tower is of another kind or has fewer blocks, or if nothing is left to
            learn.
    """

    def __init__(self, composition: Composition, last_blocks: int) -> None:
        super().__init__()
        visual = composition.model.visual
        if not isinstance(visual, VisionTransformer):
            raise InputError(
                "--model.last_blocks needs open_clip's vision transformer, got "
                f"{type(visual).__name__}. Leave it out, or choose another --model.backbone."
            )
        blocks = visual.transformer.resblocks
        if not 1 <= last_blocks <= len(blocks):
            raise InputError(
                f"--model.last_blocks is {last_blocks}, expected 1 to {len(blocks)}, the number of "
                "blocks of the image tower."
            )
        cut = len(blocks) - last_blocks
        keep(composition, {part.weight for part in composition.parts if _is_first(part, cut)})
        if all(_is_kept(part, composition) for part in composition.parts):
            raise InputError(
                f"--model.last_blocks {last_blocks} leaves nothing to learn: no delta changes "
                f"these blocks, or granularity {composition.granularity} has them share every "
                "coefficient with earlier ones. Take more blocks, or another --model.granularity."
            )
        towers = cast("list[Tower]", list(composition.towers))
        tower = next(each for each in towers if each.entrance[0] is visual.conv1)
        first, last = (_part(visual.transformer, each) for each in (blocks[:cut], blocks[cut:]))
        # A tuple, so that nothing is registered twice.
        self.held: tuple[Composition, Any, Tower, nn.Module, nn.Module] = (
            composition, visual, tower, first, last,
        )  # fmt: skip
        self.tasks: list[_Kept] = []

    @torch.no_grad()
    def tokens(self, image: Tensor) -> Tensor:
        """What enters the last blocks, (B, S, W), of what the tower reads, (B, 3, H, W)."""
        composition, visual, tower, first, _ = self.held
        tower.enter(composition.coefficients)
        found: Tensor = first(visual._embeds(image))
        return found

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings (B, D) by the last blocks, of `tokens` (B, S, W)."""
        composition, visual, tower, _, last = self.held
        tower.enter(composition.coefficients, behind=True)
        pooled, _ = visual._pool(last(tokens))
        embedding: Tensor = pooled if visual.proj is None else pooled @ visual.proj
        return embedding

    def fill(
        self, tasks: Sequence[AttributeDataModule], pixels: Callable[[Tensor], Tensor]
    ) -> None:
        """Keep the tokens of all training images, by the coefficients as they are now.

        They are in the type that the first blocks give in the precision that is on.

        Args:
            tasks: in the order of a batch's parts; images of one square each.
            pixels: what uint8 images (B, 3, H, W) pass before the tower.
        """
        self.tasks, device = [], self.held[0].coefficients.device
        for data in tasks:
            members = np.sort(data.members("train"))
            store = None
            with progress("first blocks", len(members)) as advance:
                for start in range(0, len(members), _BATCH):
                    own = members[start : start + _BATCH]
                    image = gathered([(data.pixels(), own)]).to(device)
                    tokens_BSW = self.tokens(pixels(image))
                    if store is None:
                        store = _room(tokens_BSW, len(members))
                    store[start : start + len(own)].copy_(tokens_BSW)
                    advance(len(own))
            assert store is not None
            self.tasks.append(_Kept(torch.from_numpy(members).to(device), store))

    def of(self, parts: Sequence[Mapping[str, Any]]) -> Tensor:
        """The tokens of a batch, by the `index` of its tasks' images, on the model's device."""
        device, found = self.held[0].coefficients.device, []
        for (members_M, tokens_MSW), part in zip(self.tasks, parts, strict=True):
            row_B = torch.searchsorted(members_M, part["index"])
            found.append(tokens_MSW[row_B.to(tokens_MSW.device)].to(device))
        return torch.cat(found)

    def describe(self) -> str:
        """How much is kept, and where."""
        kept = [each.tokens_MSW for each in self.tasks]
        size = sum(each.nbytes for each in kept) / 2**20
        images, places = sum(map(len, kept)), sorted({each.device.type for each in kept})
        return f"tokens of {images:,} images, {size:,.0f} MiB on {' and '.join(places)}"


def _room(tokens_BSW: Tensor, number: int) -> Tensor:
    """Memory for the tokens of some images: beside the model if there is plenty, else the host's.

    Raises:
        InputError: if there is none.
    """
    device, size = tokens_BSW.device, tokens_BSW[0].nbytes * number
    if device.type == "cuda" and size > _SHARE * torch.cuda.mem_get_info(device)[0]:
        device = torch.device("cpu")
    try:
        return tokens_BSW.new_empty((number, *tokens_BSW.shape[1:]), device=device)
    except RuntimeError:
        raise InputError(
            f"--model.last_blocks keeps {size / 2**30:,.1f} GiB of tokens of {number:,} images, "
            "more than there is memory. Set --data.shots or --data.max_images."
        ) from None


def _part(transformer: Transformer, blocks: nn.ModuleList) -> nn.Module:
    """The same transformer with some of its blocks."""
    part: nn.Module = copy.copy(transformer)
    part._modules = {**transformer._modules, "resblocks": blocks}
    return part


def _is_first(part: Part, cut: int) -> bool:
    """Whether a weight lies before the block of this number."""
    block = _BLOCK.match(part.weight)
    return int(block[1]) < cut if block else bool(_EMBEDDINGS.match(part.weight))


def _is_kept(part: Part, composition: Composition) -> bool:
    assert composition.kept is not None
    return bool(composition.kept.flatten()[part.places.to(composition.kept.device)].all())
