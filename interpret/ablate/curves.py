"""From which layer on does a kind of part matter? Layers are ablated from the first one on.

In CLIP, accuracy stays level until the last few layers' attention goes, and the MLPs' direct
effect is small (figure 2 and table 1 of the paper in `ablation`).

Shape letters: N images, C texts, L layers, A attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from datamodules.errors import InputError
from interpret.ablate.ablation import Ablation, direct_effect
from interpret.parts import Asked, PartScores, heads, mlps


@dataclass(frozen=True)
class LayerCurve:
    """Accuracies after the parts of more and more layers are gone.

    Args:
        kind: "head" or "mlp": what is ablated; the other stays.
        layers: the layers that have such parts.
        whole: attribute -> accuracy of the whole model.
        accuracy: attribute -> one number a layer, with all layers up to it ablated.
    """

    kind: Literal["head", "mlp"]
    layers: tuple[int, ...]
    whole: dict[str, float]
    accuracy: dict[str, tuple[float, ...]]


def layer_curve(
    scores: PartScores,
    asked: Sequence[Asked],
    ablation: Ablation,
    kind: Literal["head", "mlp"] = "head",
) -> LayerCurve:
    """Ablate all parts of a kind in layers 0, then 0 and 1, and so on.

    Args:
        scores: of the images that are judged.
        asked: attributes of these images.
        ablation: what takes the place of the parts.
        kind: which parts go.

    Raises:
        InputError: if the table has no such parts, or labels or ablation do not fit it.
    """
    found = heads(scores.parts) if kind == "head" else mlps(scores.parts)
    layers = sorted({part.layer for part in found})
    if not layers:
        raise InputError(f"expected parts of the kind {kind!r} in the table, got none.")
    for each in asked:
        each.check(scores)
    left_NC = scores.logits_NC
    whole = {each.name: each.accuracy(left_NC) for each in asked}
    rows = []
    for layer in layers:
        own = [part for part in found if part.layer == layer]
        left_NC = left_NC - direct_effect(scores, own, ablation)
        rows.append([each.accuracy(left_NC) for each in asked])
    columns = zip(*rows, strict=True)
    names = [each.name for each in asked]
    return LayerCurve(kind, tuple(layers), whole, dict(zip(names, columns, strict=True)))
