"""Base against adapted model: every attribute on every split, so that forgetting shows too.

Zero-shot throughout: an image is scored against the prompts of the values. Nothing is fitted or
chosen here.

Shape letters: N images, V values, D embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from datamodules.annotations import Labels
from datamodules.attribute import AttributeDataModule
from lightning_modules.adapted import AdaptedClip
from lightning_modules.comparison import Row, compare, compare_metric
from lightning_modules.embedding import embed
from lightning_modules.metrics import is_correct, mean_average_precision

_METRIC_RESAMPLES = 500  # average precision is sorted anew for each resample


def evaluate(
    clip: AdaptedClip,
    data: AttributeDataModule,
    *,
    attributes: Sequence[str] | None = None,
    text: Mapping[str, Tensor] | None = None,
) -> list[Row]:
    """One row a split and attribute: the attribute of the data module first, then the others.

    Args:
        clip: base and adapted model.
        data: the data module, after its `setup`.
        attributes: the attributes to score; by default all selected ones of the dictionary.
        text: value embeddings that the adapted model uses instead of the base's, by attribute.
    """
    names = list(attributes or dict.fromkeys([data.attribute, *data.dictionary.names]))
    values = {name: clip.encode_values(data.prompts(name)).cpu() for name in names}
    adapted_values = values | {
        name: embedding.detach().cpu() for name, embedding in (text or {}).items()
    }
    labels = {name: data.labels(name) for name in names}
    device = clip.scale.device
    rows = []
    for split in ("validation", *data.test_splits):
        members = data.annotations.members(split)
        base_ND, adapted_ND = (
            embed(encode, data, members, device=device, text=f"{split}, {model}").cpu()
            for model, encode in (("base", clip.encode_base), ("adapted", clip.encode_image))
        )
        for name in names:
            scores = base_ND @ values[name].T, adapted_ND @ adapted_values[name].T
            all_of = labels[name]
            chosen = Labels(all_of.label[members], all_of.known[members], all_of.weight[members])
            exclusive = bool(data.dictionary.attribute(name).exclusive)
            rows.append(
                replace(_row(*scores, chosen, exclusive=exclusive), split=split, attribute=name)
            )
    return sorted(rows, key=lambda row: names.index(row.attribute))


def card_metrics(rows: Sequence[Row], attribute: str) -> dict[str, dict[str, dict[str, float]]]:
    """The rows as a delta's card holds them: {split: {base | adapted: {name: value}}}.

    The delta's own attribute goes by the metric's name, the others by "metric/attribute".
    """
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        name = row.metric if row.attribute == attribute else f"{row.metric}/{row.attribute}"
        of_split = metrics.setdefault(row.split, {"base": {}, "adapted": {}})
        of_split["base"][name], of_split["adapted"][name] = row.base, row.adapted
    return metrics


def _row(base_NV: Tensor, adapted_NV: Tensor, labels: Labels, *, exclusive: bool) -> Row:
    label, known = torch.from_numpy(labels.label), torch.from_numpy(labels.known)
    if exclusive:
        return compare(is_correct(base_NV, label, known), is_correct(adapted_NV, label, known))

    def mean_ap(scores: Any, label: Any, known: Any) -> float:
        return float(mean_average_precision(*(torch.as_tensor(x) for x in (scores, label, known))))

    return compare_metric(
        mean_ap, base_NV, adapted_NV, label, known, metric="map", num_resamples=_METRIC_RESAMPLES
    )
