"""What an adapter is trained for: pure functions of logits and labels.

Shape letters: B images, V values, N images of the training split, D embedding width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.metrics import Objective

# With more values than this, and no negatives, batches compare images and captions.
_OPEN_VOCABULARY = 50


def choose_objective(label_NV: Tensor, known_NV: Tensor, *, exclusive: bool) -> Objective:
    """The objective that fits the labels.

    Exclusive values with one true value an image: softmax. Values that may be true together:
    sigmoid. A large vocabulary in which only what is shown was written down, so that nothing is
    known to be absent: contrastive.

    Args:
        label_NV: 1 where a value is shown.
        known_NV: where anything is known.
        exclusive: whether the dictionary says that an image shows at most one value.
    """
    if exclusive:
        return "softmax"
    negatives = bool((known_NV & (label_NV == 0)).any())
    return "contrastive" if not negatives and label_NV.shape[1] > _OPEN_VOCABULARY else "sigmoid"


def softmax_loss(
    logits_BV: Tensor, label_BV: Tensor, weight_B: Tensor, class_weight_V: Tensor | None = None
) -> Tensor:
    """Weighted mean cross-entropy; an image with several true values shares its mass among them.

    Args:
        logits_BV: scores.
        label_BV: 1 where a value is shown; images without any are left out.
        weight_B: weight of each image.
        class_weight_V: weight of each value, for unbalanced data.
    """
    target_BV = label_BV.to(logits_BV.dtype)
    target_BV = target_BV / target_BV.sum(1, keepdim=True).clamp_min(1)
    if class_weight_V is not None:
        target_BV = target_BV * class_weight_V
    mass_BV = target_BV * weight_B[:, None]
    return -(mass_BV * logits_BV.log_softmax(1)).sum() / mass_BV.sum().clamp_min(1e-12)


def sigmoid_loss(
    logits_BV: Tensor,
    label_BV: Tensor,
    known_BV: Tensor,
    weight_B: Tensor,
    class_weight_V: Tensor | None = None,
) -> Tensor:
    """Weighted mean binary cross-entropy over what is known (SigLIP, Zhai et al., ICCV 2023).

    Args:
        logits_BV: scaled and shifted cosines.
        label_BV: 1 or 0.
        known_BV: what counts.
        weight_B: weight of each image.
        class_weight_V: weight of each value, for unbalanced data.
    """
    each_BV = F.binary_cross_entropy_with_logits(
        logits_BV, label_BV.to(logits_BV.dtype), reduction="none"
    )
    mass_BV = known_BV * weight_B[:, None]
    if class_weight_V is not None:
        mass_BV = mass_BV * class_weight_V
    return (each_BV * mass_BV).sum() / mass_BV.sum().clamp_min(1e-12)


def contrastive_loss(logits_BV: Tensor, label_BV: Tensor, weight_B: Tensor) -> Tensor:
    """Symmetric contrastive loss over the values that occur in the batch (UniCL, arXiv 2204.03610).

    Args:
        logits_BV: scores of each image for each value.
        label_BV: 1 where a value is shown; a value of several images has several positives.
        weight_B: weight of each image.
    """
    present_V = label_BV.any(0)
    logits_BU, label_BU = logits_BV[:, present_V], label_BV[:, present_V]
    to_value = softmax_loss(logits_BU, label_BU, weight_B)
    to_image = softmax_loss(logits_BU.T, label_BU.T, torch.ones_like(logits_BU[0]))
    return (to_value + to_image) / 2


def keep_loss(image_BD: Tensor, base_BD: Tensor, texts: list[Tensor], scale: Tensor) -> Tensor:
    """How far the adapted model's answers about *other* attributes moved from the base model's.

    Mean over attributes of KL(base || adapted) over their values, in nats; where there is no other
    attribute, 1 - cosine to the base embedding.

    Args:
        image_BD: unit-norm embeddings of the adapted model.
        base_BD: unit-norm embeddings of the base model.
        texts: unit-norm value embeddings, one (V, D) for each other attribute.
        scale: factor on the cosines.
    """
    if not texts:
        return (1 - (image_BD * base_BD).sum(1)).mean()
    terms = []
    for text_VD in texts:
        adapted_BV = (scale * image_BD @ text_VD.T).log_softmax(1)
        base_BV = (scale * base_BD @ text_VD.T).log_softmax(1)
        terms.append(F.kl_div(adapted_BV, base_BV, log_target=True, reduction="batchmean"))
    return torch.stack(terms).mean()


def class_weights(label_NV: Tensor) -> Tensor:
    """Weights (V,) inversely proportional to how often a value is shown; mean 1 over the images."""
    count_V = label_NV.sum(0).to(torch.float32)
    weight_V = torch.where(count_V > 0, 1 / count_V.clamp_min(1), torch.zeros_like(count_V))
    return weight_V * count_V.sum() / (weight_V * count_V).sum().clamp_min(1e-12)
