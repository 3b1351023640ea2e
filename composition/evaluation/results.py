"""What an evaluation found: plain values, JSON, and tables for a terminal and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from composition.evaluation.unseen import METRICS
from composition.yardsticks import BASE, LEARNED, Search
from datamodules.text_table import text_table
from lightning_modules.comparison import Row

_NOTE = "learned - it: with its 95 % interval over the same images; * leaves out 0"


@dataclass(frozen=True)
class Score:
    """One model on one split of one task.

    Attributes:
        model: "learned" or a yardstick, see `composition.yardsticks`.
        task: its name.
        split: one split; or, for the numbers of combinations, all test splits joined by " + ".
        metric: such as "accuracy".
        value: in the metric's own unit; NaN where it is of nothing.
        num_images: of the split.
    """

    model: str
    task: str
    split: str
    metric: str
    value: float
    num_images: int


@dataclass(frozen=True)
class Gain:
    """The learned composition against one yardstick on one test split.

    Attributes:
        model: the yardstick.
        task: its name.
        split: a test split.
        metric: main metric of the task.
        num_images: images that both were scored on.
        value: score of the yardstick.
        learned: score of the learned composition.
        gain: learned - value.
        low: lower end of the gain's 95 % interval.
        high: upper end.
    """

    model: str
    task: str
    split: str
    metric: str
    num_images: int
    value: float
    learned: float
    gain: float
    low: float
    high: float


class _Table(NamedTuple):
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Evaluation:
    """Every model on every split of every task.

    Args:
        scores: model by model, the learned one last.
        gains: yardstick by yardstick, test splits alone.
        search: the yardstick whose scale is chosen on the validation splits.
        left_out: yardsticks that this composition does not have -> why.
        protocol: what chose the learned coefficients and the yardsticks, and what is reported.
    """

    scores: tuple[Score, ...]
    gains: tuple[Gain, ...]
    search: Search
    left_out: dict[str, str]
    protocol: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """All numbers as JSON objects and arrays; NaN, which JSON lacks, is None."""
        return {
            "protocol": self.protocol,
            "scores": [_plain(each) for each in self.scores],
            "gains": [_plain(each) for each in self.gains],
            "best_scale": _or_none(self.search.scale),
            "scales": [[scale, _or_none(score)] for scale, score in self.search.curve],
            "left_out": self.left_out,
        }

    def metrics(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """The scores as a composition's card holds them: {split: {model: {metric/task: value}}}.

        The learned composition goes by "composed" there.
        """
        found: dict[str, dict[str, dict[str, float | None]]] = {}
        for each in self.scores:
            model = "composed" if each.model == LEARNED else each.model
            of_model = found.setdefault(each.split, {}).setdefault(model, {})
            of_model[f"{each.metric}/{each.task}"] = _or_none(each.value)
        return found

    def rows(self, against: str = BASE) -> list[Row]:
        """The gains over one yardstick as rows of `lightning_modules.comparison`."""
        return [
            Row(g.split, g.task, g.metric, g.num_images, g.value, g.learned, g.gain, g.low, g.high)
            for g in self.gains
            if g.model == against
        ]

    def to_text(self) -> str:
        """Tables for a terminal, ended by a newline."""
        return self._written(lambda table: [table.title, *text_table(table.head, table.rows)])

    def to_markdown(self) -> str:
        """The same in Markdown, ended by a newline."""
        return self._written(_markdown)

    def _written(self, write: Callable[[_Table], list[str]]) -> str:
        lines = [line for table in self._tables() for line in (*write(table), "")]
        lines.append(f"{_NOTE}.")
        if self.search.curve:
            lines += [
                "",
                f"best scale: {self.search.scale:.2f}, of {len(self.search.curve)} tried, by its "
                "merit on the validation splits.",
            ]
        for name, why in self.left_out.items():
            lines += ["", f"left out: {name}: {why.removesuffix('.')}."]
        return "\n".join(lines) + "\n"

    def _tables(self) -> Iterator[_Table]:
        models = list(dict.fromkeys(each.model for each in self.scores))
        for task in dict.fromkeys(each.task for each in self.scores):
            own = [each for each in self.scores if each.task == task]
            main = [each for each in own if each.metric not in METRICS]
            yield self._main(task, models, main)
            if more := [each for each in own if each.metric in METRICS]:
                value = {(each.model, each.metric): _number(each.value) for each in more}
                rows = [(m, *(value[m, metric] for metric in METRICS)) for m in models]
                title = f"{task}: combinations of {more[0].split}, {more[0].num_images:,} images"
                yield _Table(title, ("model", *(m.replace("_", " ") for m in METRICS)), rows)

    def _main(self, task: str, models: Sequence[str], scores: Sequence[Score]) -> _Table:
        splits = list(dict.fromkeys(each.split for each in scores))
        value = {(each.model, each.split): each.value for each in scores}
        gains = {(each.model, each.split): each for each in self.gains if each.task == task}
        tests = [split for split in splits if any(each.split == split for each in self.gains)]
        head = ["model"]
        for split in splits:
            head += [split, "learned - it"] if split in tests else [split]
        rows = []
        for model in models:
            row = [model]
            for split in splits:
                row.append(_number(value[model, split]))
                if split in tests:
                    row.append(_interval(gains.get((model, split))))
            rows.append(row)
        return _Table(f"{task}: {scores[0].metric}", head, rows)


def _markdown(table: _Table) -> list[str]:
    lines = [table.head, ["---", *["---:"] * (len(table.head) - 1)], *table.rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return [f"**{table.title}**", "", *(f"| {' | '.join(line)} |" for line in cells)]


def _interval(gain: Gain | None) -> str:
    if gain is None or math.isnan(gain.low):
        return "-"
    mark = "* " if gain.low > 0 or gain.high < 0 else ""
    return f"{mark}{gain.gain:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _plain(each: Score | Gain) -> dict[str, Any]:
    return {key: _or_none(value) for key, value in asdict(each).items()}


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
