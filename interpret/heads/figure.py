"""Head roles as a picture: layers by heads for every attribute, then what ablation costs.

Shape letters: A attributes, L layers, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from interpret.cells import MOST_NUMBERS, draw_cells
from interpret.heads.causal import Confirmation
from interpret.heads.roles import AttributeRoles
from interpret.heads.study import RoleStudy
from interpret.parts import Part
from lightning_modules.callbacks.figures import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = 0.46  # inches
_POINTS = 100  # shares and losses are shown in percent


def roles_figure(study: RoleStudy, *, title: str) -> Figure:
    """The picture of a study.

    The upper row shows covariance shares in percent, blue for and red against; heads that were
    ablated together are framed. The lower row shows losses in points of accuracy: rows are whose
    heads were ablated, columns what was asked.

    Args:
        study: what was found.
        title: printed above.
    """
    from matplotlib.figure import Figure

    maps = [_grid(roles) for roles in study.roles]
    limit = max(float(np.nanmax(np.abs(grid_LH))) for grid_LH in maps)
    height, width = maps[0].shape
    wide = max(_CELL * width + 0.7, 1.9) * len(maps)
    tall = _CELL * (height + len(study.roles)) + 2.7
    figure = Figure(figsize=(max(wide, 8.5), tall), facecolor="white", layout="constrained")
    note = "\nshare of each head in percent; framed: ablated together below"
    figure.suptitle(title + note, fontsize=11, color=INK, x=0.01, ha="left")
    ratios = [height + 1.0, len(study.roles) + 1.5]
    parts: Any = figure.subfigures(2, 1, height_ratios=ratios)
    upper, lower = parts
    for axis, grid_LH, roles in zip(
        upper.subplots(1, len(maps), squeeze=False)[0], maps, study.roles, strict=True
    ):
        _draw(axis, grid_LH, limit, "RdBu")
        _frame(axis, study.direct.heads[roles.attribute])
        axis.set_title(f"{roles.attribute}\n{_subtitle(roles)}", fontsize=9, color=INK, loc="left")
        axis.set_xlabel("head", fontsize=8, color=INK)
        axis.set_ylabel("layer", fontsize=8, color=INK)
    for axis, (name, each) in zip(
        lower.subplots(1, 2),
        (("direct effects", study.direct), ("total effects", study.total)),
        strict=True,
    ):
        _draw_matrix(axis, name, each)
    return figure


def _grid(roles: AttributeRoles) -> NDArray[np.float64]:
    """Shares (L, H) in percent; NaN where a layer has no such head."""
    layers = 1 + max(role.head.layer for role in roles.roles)
    width = 1 + max(role.head.head for role in roles.roles)
    grid_LH = np.full((layers, width), np.nan)
    for role in roles.roles:
        grid_LH[role.head.layer, role.head.head] = _POINTS * role.share
    return grid_LH


def _subtitle(roles: AttributeRoles) -> str:
    return f"{roles.accuracy:.0%} right, {roles.effective_heads:.1f} effective heads"


def _draw_matrix(axis: Any, name: str, confirmation: Confirmation) -> None:
    matrix_AA = _POINTS * np.array(confirmation.matrix)
    _draw(axis, matrix_AA, float(np.abs(matrix_AA).max()), "PuOr")
    names = confirmation.attributes
    axis.set_xticks(range(len(names)), names, fontsize=8, color=INK)
    axis.set_yticks(range(len(names)), [f"{each} heads" for each in names], fontsize=8, color=INK)
    axis.set_title(
        f"points lost, {name}\npermutation {_p(confirmation.p_permutation)}, "
        f"random heads {_p(confirmation.p_random)}",
        fontsize=9, color=INK, loc="left",
    )  # fmt: skip


def _p(value: float) -> str:
    return f"p = {value:.3f}" if value >= 0.001 else "p < 0.001"


def _draw(axis: Any, grid: NDArray[np.float64], limit: float, colors: str) -> None:
    draw_cells(axis, grid, limit, colors=colors, text=_whole)
    if grid.size <= MOST_NUMBERS:
        axis.set_xticks(range(grid.shape[1]))
        axis.set_yticks(range(grid.shape[0]))
    axis.tick_params(labelsize=8, labelcolor=INK)
    axis.spines[:].set_edgecolor(FAINT)


def _whole(value: float) -> str:
    return f"{value:.0f}".replace("-0", "0")


def _frame(axis: Any, chosen: Sequence[Part]) -> None:
    from matplotlib.patches import Rectangle

    for part in chosen:
        corner = (part.head - 0.5, part.layer - 0.5)
        style: dict[str, Any] = {
            "fill": False,
            "edgecolor": INK,
            "linewidth": 1.6,
            "clip_on": False,
        }
        axis.add_patch(Rectangle(corner, 1, 1, **style))
