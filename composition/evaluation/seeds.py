"""Evaluations of one target over several seeds, as Markdown: means, deviations, paired gains.

    gain of a seed = score(learned) - score(yardstick),    interval = mean +- t s / sqrt(S)

with the sample deviation s of S seeds and t of Student's distribution, S - 1 degrees of freedom, 95
%. Seeds differ in adapters, in the images that are drawn and in their order; test images are the
same, so that the interval is about the method, not about these images.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from composition.yardsticks import LEARNED
from lightning_modules.study import spread

_OF_COMBINATIONS = {"auc": "AUC", "best_harmonic": "best harmonic mean"}
_LEVEL = 0.95

Place = tuple[str, str, str]  # task, split, metric


@dataclass(frozen=True)
class Run:
    """One composition.

    Attributes:
        target: what it was fitted for.
        seed: its seed.
        evaluation: as of `Evaluation.to_json`.
    """

    target: str
    seed: int
    evaluation: Mapping[str, Any]

    def scores(self) -> dict[str, dict[Place, float]]:
        """Model -> what it scores on the splits that are reported; what is of nothing left out."""
        reported = self.evaluation["protocol"]["reported_on"]
        found: dict[str, dict[Place, float]] = {}
        for each in self.evaluation["scores"]:
            wanted = each["split"] in reported or each["metric"] in _OF_COMBINATIONS
            if wanted and each["value"] is not None:
                place = each["task"], each["split"], each["metric"]
                found.setdefault(each["model"], {})[place] = each["value"]
        return found


def seeds_table(runs: Iterable[Run]) -> str:
    """Markdown: two tables a target, of scores and of gains."""
    runs = list(runs)
    lines = []
    for target in dict.fromkeys(each.target for each in runs):
        mine = [each.scores() for each in runs if each.target == target]
        places = list(mine[0][LEARNED])
        models = [name for name in mine[0] if all(name in each for each in mine)]
        values = {
            model: [[each[model][place] for each in mine] for place in places] for model in models
        }
        head = ["model", *(_column(place, places) for place in places)]
        lines += [f"**{target}** ({len(mine)} seeds)", "", *_head(head)]
        for model in models:
            lines.append(_row([model, *map(short_spread, values[model])]))
        lines += ["", *_head([f"{target}: learned -", *head[1:]])]
        for model in models:
            if model != LEARNED:
                pairs = zip(values[LEARNED], values[model], strict=True)
                gains = [[a - b for a, b in zip(*pair, strict=True)] for pair in pairs]
                lines.append(_row([model, *map(interval, gains)]))
        lines.append("")
    return "\n".join(lines)


def short_spread(values: Sequence[float]) -> str:
    """Mean and sample deviation of scores, without zeros in front.

    Example:
        >>> short_spread([0.9, 0.92])
        '.910 ± .014'
    """
    return spread(values, ".3f").replace("0.", ".")


def interval(gains: Sequence[float]) -> str:
    """Mean and interval, with a star if that leaves out 0.

    Example:
        >>> interval([0.02, 0.03, 0.04])
        '* +.030 (+.005 to +.055)'
    """
    from scipy.stats import t as student

    mean, count = statistics.mean(gains), len(gains)
    if count < 2:
        return _short(mean, "+")
    half = statistics.stdev(gains) / math.sqrt(count) * student.ppf((1 + _LEVEL) / 2, count - 1)
    low, high = mean - half, mean + half
    mark = "* " if low > 0 or high < 0 else ""
    return f"{mark}{_short(mean, '+')} ({_short(low, '+')} to {_short(high, '+')})"


def _column(place: Place, places: Sequence[Place]) -> str:
    task, split, metric = place
    name = _OF_COMBINATIONS.get(metric, split)
    return name if len({task for task, _, _ in places}) == 1 else f"{task}, {name}"


def _short(value: float, sign: str) -> str:
    """Three digits, without the zero in front."""
    return f"{value:{sign}.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:{sign}.3f}"


def _head(cells: Sequence[str]) -> list[str]:
    return [_row(cells), _row(["---", *["---:"] * (len(cells) - 1)])]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
