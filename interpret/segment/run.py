"""Photographs with masks through a model: one heat map each, judged as a segmentation.

Shape letters: B images, T texts, E embedding width, S pixels a side of the model's input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.heatmap import WITHOUT_TEXT, contrast, enlarge, heat_map, stretch
from interpret.segment.cases import Case
from interpret.segment.protocol import Protocol, check_protocol, prepare
from interpret.segment.scores import SegmentationScores
from interpret.segment.threshold import Threshold
from interpret.towers import Tower
from lightning_modules.pixels import Pixels


def segment(
    tower: Tower,
    preprocess: Pixels,
    cases: Iterable[Case],
    texts_TE: Tensor,
    *,
    method: str = "decomposition",
    relative: bool = True,
    protocol: Protocol = "aligned",
    threshold: Threshold = "mean",
    batch_size: int = 16,
    **options: Any,
) -> dict[str, float]:
    """Pixel accuracy, mIoU and mAP of a method's heat maps, see `SegmentationScores`.

    Args:
        tower: from `image_tower`, on the device of the texts.
        preprocess: what the model wants done to its pixels; it fixes S.
        cases: read one after the other, so a generator will do.
        texts_TE: embeddings of the prompts, one for each class.
        method: of the heat maps.
        relative: explain what tells a text from all the others. Gandelsman et al. do so for their
            own maps; the baselines' papers take the text as it is.
        protocol: how a mask comes to the model's square.
        threshold: where the object begins.
        batch_size: images at a time; the scores do not depend on it.
        options: of the method.

    Returns:
        The scores under "pix_acc", "miou" and "map", and the number of images under "images".

    Raises:
        InputError: if image and mask differ in size, there is no case or no such text, or as
            `heat_map`.
    """
    check_protocol(protocol)
    if batch_size < 1:
        raise InputError(f"expected batch_size of at least 1, got {batch_size}.")
    scores = SegmentationScores(threshold=threshold).to(texts_TE.device)
    for batch in _batches(cases, batch_size):
        squares = [prepare(each.image, each.mask, preprocess.size, protocol) for each in batch]
        pixels, masks = (torch.from_numpy(np.stack(each)) for each in zip(*squares, strict=True))
        images = preprocess.to(texts_TE.device)(pixels.permute(0, 3, 1, 2).to(texts_TE.device))
        numbers = _numbers(tower, images, texts_TE, [each.text for each in batch])
        maps = own_maps(tower, images, texts_TE, numbers, method, relative, **options)
        scores.update(maps, masks.to(texts_TE.device))
    count = int(scores.images)
    if not count:
        raise InputError("expected images with masks, got none. Check the folder and the split.")
    return {**{name: value.item() for name, value in scores.compute().items()}, "images": count}


def own_maps(
    tower: Tower,
    images: Tensor,
    texts_TE: Tensor,
    text_B: Tensor,
    method: str,
    relative: bool,
    **options: Any,
) -> Tensor:
    """The map of each image for its own text, in [0, 1], at the size of the model's input.

    Args:
        tower: from `image_tower`.
        images: preprocessed, (B, 3, S, S).
        texts_TE: embeddings of all prompts.
        text_B: number of each image's text.
        method: of the heat maps.
        relative: explain what tells the text from all the others.
        options: of the method.

    Returns:
        (B, S, S).
    """
    if method in WITHOUT_TEXT:
        maps = heat_map(tower, images, method=method, **options)
    else:
        directions_TE = contrast(texts_TE) if relative else texts_TE
        own_B1E = directions_TE[text_B][:, None]
        maps = heat_map(tower, images, own_B1E, method=method, **options)
    height, width = images.shape[-2:]
    return stretch(enlarge(maps, (height, width)))[:, 0]


@torch.no_grad()
def _numbers(tower: Tower, images: Tensor, texts_TE: Tensor, given: list[int | None]) -> Tensor:
    """The number of each image's text, int64 (B,).

    Raises:
        InputError: if a number names no text.
    """
    for each in given:
        if each is not None and not 0 <= each < len(texts_TE):
            raise InputError(
                f"expected the number of one of {len(texts_TE)} texts, from 0 on, got {each}."
            )
    if None not in given:
        return torch.tensor(given, device=texts_TE.device)
    unit_TE = texts_TE / texts_TE.norm(dim=-1, keepdim=True)
    liked = (tower.run(images) @ unit_TE.T).argmax(1).tolist()
    numbers = [best if each is None else each for best, each in zip(liked, given, strict=True)]
    return torch.tensor(numbers, device=texts_TE.device)


def _batches(cases: Iterable[Case], size: int) -> Iterator[list[Case]]:
    remaining = iter(cases)
    while batch := list(islice(remaining, size)):
        yield batch
