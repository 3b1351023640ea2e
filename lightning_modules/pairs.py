"""Not learning one attribute by another: which pairs of values occur is a fact about the split.

When some (color, shape) pairs are missing from the training images, color predicts shape, and an
adapter trained on shape learns to lean on color; on the missing pairs it then fails. Adding

    offset[n, v] = sum over other attributes a of  log p(v | a's value in n) - log p(v)

to the logits in training lets this fixed prior explain the co-occurrence, so that nothing is left
of it to learn. It is logit adjustment (Menon et al., ICLR 2021, arXiv 2007.07314) with one prior an
image. Nothing is added when the adapter is used.

Shape letters: N images, V values of the attribute, U values of another attribute.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from datamodules.attribute import AttributeDataModule


def pair_offsets(label_NV: Tensor, others: Sequence[Tensor], *, smoothing: float = 0.01) -> Tensor:
    """The offset of each image of a training split and each value: (N, V), in nats.

    Args:
        label_NV: 1 where a value is shown.
        others: labels (N, U) of other attributes whose values exclude each other; an image without
            any adds nothing.
        smoothing: added to every count, so that pairs that never occur get a finite offset.
    """
    shown_NV = label_NV.float()
    offset_NV = torch.zeros_like(shown_NV)
    count_V = shown_NV.sum(0) + smoothing
    prior_V = count_V.log() - count_V.sum().log()
    for other in others:
        other_NU = other.float()
        count_UV = other_NU.T @ shown_NV + smoothing
        ratio_UV = count_UV.log() - count_UV.sum(1, keepdim=True).log() - prior_V
        offset_NV += other_NU @ ratio_UV
    return offset_NV


def training_offsets(data: AttributeDataModule) -> Tensor:
    """`pair_offsets` for the training split of a data module, by image number; 0 elsewhere.

    Args:
        data: a data module after its `setup`.
    """
    members = data.members("train")
    label_NV = torch.from_numpy(data.labels(data.attribute).label)
    others = [
        torch.from_numpy(data.labels(name).label[members])
        for name in data.dictionary.names
        if name != data.attribute and data.dictionary.attribute(name).exclusive
    ]
    offset_NV = torch.zeros(label_NV.shape)
    offset_NV[members] = pair_offsets(label_NV[members], others)
    return offset_NV
