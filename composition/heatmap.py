"""Coefficients as a picture: blocks in the order of the network, deltas beside one another.

Blue adds a delta, red takes it away, white leaves it out; the darkest color is the largest size.
Gray stands for coefficients that scale nothing. Drawn by matplotlib's Agg canvas on a bare
`Figure`: no pyplot, no state shared with others.

Shape letters: K deltas, L lines of one panel: its blocks, and a heading for each group of them.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import lightning as L
import numpy as np

from composition.coefficients import Named
from composition.composed import Composition
from datamodules.files import write_bytes
from lightning_modules.callbacks.figures import FAINT, INK, render
from lightning_modules.callbacks.surface import at_least, tensorboard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = Mapping[str, Mapping[str, float]]  # {delta: {block: number}}

TAG = "coefficients"

MOST_BLOCKS = 400  # more lines cannot be read: parts of a weight are then averaged
_LINES = 56  # of a panel; longer tables go on in the next one
_ROW, _NARROW, _WIDE = 0.19, 0.25, 0.55  # inches of a line, and of a delta without and with numbers
_LONGEST = 24  # characters of a delta's name
_NOTHING = "#bfc5cc"
_ANNOTATED = 128  # most coefficients of which each is written down
_LAYER = re.compile(r"(visual\.)?.*?\.?(?:resblocks|blocks|layers|layer|block)\.(\d+)\.?(.*)")
_PART = re.compile(r"\.(?:part|head|rank)\.\d+$")


class _Line(NamedTuple):
    """One line: a block, or a heading, which has no coefficients."""

    text: str
    block: str | None


class LogCoefficients(L.Callback):
    """Show coefficients in TensorBoard: least, mean and largest of each delta, and the heat map.

    The numbers are written after every epoch, as `coefficients/<delta>/mean` and so on. The module
    has the composition as its attribute `composition`.

    Args:
        every_n_epochs: epochs between two heat maps, which take a second; the last is always drawn.
    """

    def __init__(self, every_n_epochs: int = 5) -> None:
        self.every_n_epochs = at_least("LogCoefficients.every_n_epochs", every_n_epochs, 1)
        self._is_drawn = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the numbers and, if it is time, the heat map."""
        if (logger := tensorboard(trainer)) is None:
            return
        for name, row in used_coefficients(_composition(pl_module)).items():
            values = list(row.values())
            found = {"min": min(values), "mean": float(np.mean(values)), "max": max(values)}
            for statistic, value in found.items():
                tag = f"{TAG}/{name}/{statistic}"
                logger.experiment.add_scalar(tag, value, trainer.global_step)
        self._is_drawn = trainer.current_epoch % self.every_n_epochs == 0
        if self._is_drawn:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the last epoch, unless that is done."""
        if not self._is_drawn:
            self._draw(trainer, pl_module)
            self._is_drawn = True

    def _draw(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if (logger := tensorboard(trainer)) is not None:
            title = f"coefficients, step {trainer.global_step:,}"
            drawn = render(figure(used_coefficients(_composition(pl_module)), title=title))
            logger.experiment.add_image(TAG, drawn, trainer.global_step, dataformats="HWC")


def used_coefficients(composition: Composition) -> Named:
    """The coefficients that scale something: a delta may leave blocks of the others alone."""
    numbers = composition.coefficients.detach().flatten().tolist()
    named: Named = {}
    for (delta, block), value, acts in zip(
        composition.layout.entries, numbers, composition.used.tolist(), strict=True
    ):
        if acts:
            named.setdefault(delta, {})[block] = value
    return named


def figure(coefficients: Table, *, title: str) -> Figure:
    """The heat map.

    Args:
        coefficients: {delta: {block: number}}, blocks in the order of the network; a delta may lack
            some.
        title: printed above.
    """
    from matplotlib.figure import Figure

    coefficients, is_mean = _readable(coefficients)
    names = list(coefficients)
    panels = _panels(_lines(coefficients))
    values = [value for row in coefficients.values() for value in row.values()]
    limit = max((abs(value) for value in values if math.isfinite(value)), default=0) or 1.0
    tallest = max(map(len, panels))
    longest = max(len(line.text) for panel in panels for line in panel)
    annotate = len(values) <= _ANNOTATED
    width = 0.075 * longest + max(1.3, (_WIDE if annotate else _NARROW) * len(names))
    above = 0.075 * max(len(_short(name)) for name in names)  # they stand upright
    size = (max(4.2, width * len(panels) + 0.9), _ROW * tallest + above + 0.9)
    drawn = Figure(figsize=size, facecolor="white", layout="constrained")
    note = "\nmeans over the parts of each weight" if is_mean else ""
    drawn.suptitle(title + note, fontsize=11, color=INK, x=0.01, ha="left")
    axes = drawn.subplots(1, len(panels), squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        image = _draw(axis, panel, coefficients, limit, annotate=annotate)
        axis.set_ylim(tallest - 0.5, -0.5)  # lines are as high in every panel
    bar = drawn.colorbar(image, ax=list(axes), shrink=min(1.0, 16 / tallest), pad=0.02)
    bar.set_label("coefficient", color=INK, fontsize=9)
    bar.ax.tick_params(labelsize=8, color=FAINT, labelcolor=INK)
    bar.outline.set_edgecolor(FAINT)
    return drawn


def write_heatmap(path: Path, coefficients: Table, *, title: str) -> None:
    """Write the heat map as a PNG file, atomically.

    Args:
        path: the file.
        coefficients: see `figure`.
        title: printed above.

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer, drawn = io.BytesIO(), figure(coefficients, title=title)
    FigureCanvasAgg(drawn)
    drawn.savefig(buffer, format="png", dpi=120)
    write_bytes(path, buffer.getvalue())


def _draw(axis: Any, panel: Sequence[_Line], table: Table, limit: float, *, annotate: bool) -> Any:
    names, height = list(table), len(panel)
    values_LK = np.full((height, len(names)), np.nan)
    for number, line in enumerate(panel):
        if line.block is not None:
            values_LK[number] = [table[name].get(line.block, np.nan) for name in names]
    image = axis.imshow(
        values_LK, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
    axis.set_facecolor(_NOTHING)  # seen where there is no number
    for number, line in enumerate(panel):
        if line.block is None:
            axis.axhspan(number - 0.5, number + 0.5, color="white")
    for number, column in zip(*np.nonzero(np.isfinite(values_LK) & annotate), strict=True):
        value = values_LK[number, column]
        color = "white" if abs(value) > 0.6 * limit else INK
        style = {"ha": "center", "va": "center", "fontsize": 8, "color": color}
        axis.text(column, number, f"{value:.2f}", **style)
    shown = [_short(name) for name in names]
    axis.set_xticks(range(len(names)), shown, rotation=90, fontsize=9, color=INK)
    axis.set_yticks(range(height), [line.text for line in panel], fontsize=8, color=INK)
    for line, label in zip(panel, axis.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if line.block is None else "normal")
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return image


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _lines(table: Table) -> list[list[_Line]]:
    """The lines of each group: of a layer, or of what lies outside layers."""
    blocks = dict.fromkeys(block for row in table.values() for block in row)
    groups: dict[str, list[_Line]] = {}
    for block in blocks:
        group, text = place(block)
        groups.setdefault(group, []).append(_Line(text or group, block))
    if all(len(lines) == 1 and lines[0].text == group for group, lines in groups.items()):
        return [[line for lines in groups.values() for line in lines]]
    return [[_Line(group, None), *lines] for group, lines in groups.items()]


def place(block: str) -> tuple[str, str]:
    """Which layer a block is of, and what it is called there.

    Example:
        >>> place("visual.transformer.resblocks.3.attn.q_proj.weight")
        ('image layer 3', 'attn.q_proj')
        >>> place("transformer.resblocks.0.attn.in_proj_bias")
        ('text layer 0', 'attn.in_proj.bias')
        >>> place("visual.conv1.weight"), place("visual.transformer.resblocks.3"), place("all")
        (('image', 'conv1'), ('image layer 3', ''), ('all', ''))
    """
    short = re.sub(r"_(weight|bias)\b", r".\1", block)
    short = re.sub(r"\.weight\b", "", short)
    if match := _LAYER.fullmatch(short):
        tower, number, rest = match.groups()
        return f"{'image' if tower else 'text'} layer {number}", rest
    if short in {"all", "visual", "text"}:
        return {"visual": "image"}.get(short, short), ""
    if short.startswith("visual."):
        return "image", short.removeprefix("visual.")
    return "text", short


def _panels(groups: Sequence[list[_Line]]) -> list[list[_Line]]:
    """Groups one below the other; a panel that would grow too long ends before a group."""
    groups = [part for group in groups for part in _short_groups(group)]
    total = sum(map(len, groups))
    longest = max(total / math.ceil(total / _LINES), *map(len, groups))  # about equal panels
    panels: list[list[_Line]] = [[]]
    for group in groups:
        if panels[-1] and len(panels[-1]) + len(group) > longest:
            panels.append([])
        panels[-1] += group
    return panels


def _short_groups(group: list[_Line]) -> list[list[_Line]]:
    """A group in parts that fit a panel, each with its heading."""
    heading = [line for line in group[:1] if line.block is None]
    lines, size = group[len(heading) :], _LINES - len(heading)
    return [[*heading, *lines[start : start + size]] for start in range(0, len(lines), size)]


def _readable(table: Table) -> tuple[Table, bool]:
    """The table, or means over the parts of each weight where it has too many lines."""
    blocks = {block for row in table.values() for block in row}
    if len(blocks) <= MOST_BLOCKS:
        return table, False
    means: dict[str, dict[str, float]] = {}
    for name, row in table.items():
        parts: dict[str, list[float]] = {}
        for block, value in row.items():
            parts.setdefault(_PART.sub("", block), []).append(value)
        means[name] = {block: float(np.mean(each)) for block, each in parts.items()}
    return means, True


def _composition(module: L.LightningModule) -> Composition:
    return cast(Composition, module.composition)
