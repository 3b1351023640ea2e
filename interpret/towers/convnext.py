"""ConvNeXt: an average of positions behind one LayerNorm; no heads."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from interpret.towers.affine import affine_of, first_parameter
from interpret.towers.rows import Rows
from interpret.towers.tower import Tower, UnsupportedTowerError


def convnext(visual: Any) -> Tower:
    """Describe an `open_clip.timm_model.TimmModel` around a `ConvNeXt`.

    Raises:
        UnsupportedTowerError: if its head is not affine (an MLP) or does not average.
    """
    trunk = visual.trunk
    head = trunk.head
    is_affine = all(isinstance(part, nn.Dropout | nn.Linear) for part in visual.head)
    is_mean = head.global_pool.pool_type == "avg" and isinstance(head.pre_logits, nn.Identity)
    if not (is_affine and is_mean and isinstance(head.norm, nn.LayerNorm)):
        raise UnsupportedTowerError(
            "expected an average, a LayerNorm and a linear map after the last ConvNeXt stage, got "
            f"{head.global_pool.pool_type!r} pooling, {type(head.norm).__name__} and a head of "
            f"{', '.join(type(part).__name__ for part in visual.head)}, which is no sum of its "
            "positions."
        )
    return Tower(
        run=visual,
        layers=(),
        project=partial(
            affine_of, partial(_tail, visual), head.in_features, first_parameter(trunk)
        ),
        last=trunk.norm_pre,
        norm=head.norm,
        rows=lambda _: Rows(),
        grid=partial(_grid, trunk),
        is_map=True,
        kind="ConvNeXt",
    )


def _tail(visual: Any, x: Tensor) -> Tensor:
    embedding: Tensor = visual.head(visual.trunk.head.fc(x))
    return embedding


def _grid(trunk: Any, images: Tensor) -> tuple[int, int]:
    reduction: int = trunk.feature_info[-1]["reduction"]
    return images.shape[-2] // reduction, images.shape[-1] // reduction
