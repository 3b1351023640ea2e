"""Footprints as pictures: layers down, heads across, MLPs in a column of their own.

Blue is positive, red negative; every column of panels has a color scale of its own, which random
deltas share with the true one.

Shape letters: L layers, H heads, P parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from interpret.adapters.footprint import Footprint
from interpret.cells import draw_cells
from interpret.parts import Part
from lightning_modules.callbacks.figures import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_ANNOTATED = 40  # most heads of which each is written down
_LEAST = 0.005  # numbers that would round to 0.00 are left out


class _Panel(NamedTuple):
    """One heat map."""

    title: str
    values_P: Floats
    scale: str  # panels of the same one share their colors


def figure(footprints: Sequence[Footprint], *, title: str) -> Figure:
    """One row for each delta: base roles, energy, random energy, and what the parts bring.

    Args:
        footprints: of models of one architecture.
        title: printed above.

    Raises:
        InputError: if there is no footprint, or their parts differ.
    """
    from matplotlib.figure import Figure

    if not footprints or any(each.parts != footprints[0].parts for each in footprints):
        raise InputError("expected footprints of one architecture, at least one, got others.")
    rows = [_panels(each) for each in footprints]
    columns = list(dict.fromkeys(panel.title for row in rows for panel in row))
    layers, heads = _grid(footprints[0].parts)
    cell = 0.42 if layers * heads <= _ANNOTATED else 0.24
    size = (
        (cell * (heads + 2) + 0.75) * len(columns) + 0.6,
        (cell * layers + 0.85) * len(rows) + 0.5,
    )
    drawn = Figure(figsize=size, facecolor="white", layout="constrained")
    drawn.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    axes = drawn.subplots(len(rows), len(columns), squeeze=False)
    limits = _limits(rows)
    for line, (footprint, row) in enumerate(zip(footprints, rows, strict=True)):
        found = {panel.title: panel for panel in row}
        for axis, name in zip(axes[line], columns, strict=True):
            if name not in found:
                axis.axis("off")
                continue
            _draw(axis, footprint.parts, found[name], limits[found[name].scale])
            axis.set_title(name, fontsize=9, color=INK)
        axes[line][0].set_ylabel(f"{footprint.attribute}\nlayer", fontsize=9, color=INK)
    return drawn


def _panels(footprint: Footprint) -> list[_Panel]:
    energy = footprint.scores["energy"]
    panels = [
        _Panel("base: covariance share", footprint.roles["covariance"], "covariance"),
        _Panel("change: covariance share", footprint.scores["covariance"].value, "covariance"),
        _Panel("energy share", energy.value, "energy"),
    ]
    if energy.random is not None:
        panels.append(_Panel("energy share, random delta", energy.random.mean(axis=0), "energy"))
    names = {"revert_nats": "lost without it (nats)", "keep_nats": "won by it alone (nats)"}
    panels += [
        _Panel(text, footprint.scores[name].value, "nats")
        for name, text in names.items()
        if name in footprint.scores
    ]
    return panels


def _limits(rows: Sequence[Sequence[_Panel]]) -> dict[str, float]:
    """The largest size on each color scale."""
    limits: dict[str, float] = {}
    for panel in (panel for row in rows for panel in row):
        size = float(np.nanmax(np.abs(panel.values_P)))
        limits[panel.scale] = max(size, limits.get(panel.scale, 0.0))
    return limits


def _grid(parts: Sequence[Part]) -> tuple[int, int]:
    layers = 1 + max(part.layer for part in parts)
    return layers, 1 + max(part.head for part in parts)


def _draw(axis: Any, parts: Sequence[Part], panel: _Panel, limit: float) -> None:
    layers, heads = _grid(parts)
    values = np.full((layers, heads + 2), np.nan)  # heads, a gap, MLPs
    for part, value in zip(parts, panel.values_P, strict=True):
        if part.kind in {"head", "mlp"}:
            values[part.layer, part.head if part.kind == "head" else heads + 1] = value
    most = values.size if layers * heads <= _ANNOTATED else 0
    draw_cells(axis, values, limit, most=most, text=_text)
    axis.set_aspect("equal")
    axis.axvspan(heads - 0.5, heads + 0.5, color="white")
    step = max(1, heads // 8)
    ticks = [*range(0, heads, step), heads + 1]
    axis.set_xticks(ticks, [*map(str, range(0, heads, step)), "MLP"], fontsize=7, color=INK)
    axis.set_yticks(range(layers), map(str, range(layers)), fontsize=7, color=INK)
    axis.set_xlabel("head", fontsize=8, color=INK, labelpad=1)
    axis.spines[:].set_color(FAINT)


def _text(value: float) -> str:
    if abs(value) < _LEAST:
        return ""
    text = f"{value:.2f}"
    return text.replace("0.", ".") if abs(value) < 1 else text
