"""Which parts a delta moves: scores with intervals, beside the base's roles and random deltas.

Shape letters: P parts, K attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.text_table import text_table
from interpret.adapters.intervals import Interval
from interpret.parts import Part
from interpret.plain import plain

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One score of all parts.

    Args:
        value: (P,); NaN where a part has none.
        interval: over images, 95 %.
        p: of shuffled labels, one-sided; None for scores without labels, and for shares, which sum
            to 1 whatever the labels.
        random: of deltas at random of equal norms, (draws, P); None if none was measured.
    """

    value: Floats
    interval: Interval
    p: Floats | None
    random: Floats | None


@dataclass(frozen=True)
class Number:
    """One number of a footprint.

    Args:
        value: NaN if it cannot be told.
        low: lower end of its 95 % interval over images.
        high: upper end.
        random: of each delta at random.
    """

    value: float
    low: float
    high: float
    random: tuple[float, ...]


@dataclass(frozen=True)
class Footprint:
    """What one delta changes.

    Args:
        attribute: of the delta, which is also what was asked.
        num_images: that it was measured on.
        seed: of resamples, shuffles and deltas at random.
        parts: P parts.
        accuracy: of the "base" and the "adapted" model on these images; {} without runs.
        scores: see `interpret.adapters.scores`.
        direct: share of a part's direct effect in what it does alone, (P,); NaN where unknown.
        roles: what the base's parts are for in the attribute, {name in `scores.ROLES`: (P,)}.
        numbers: how scores are spread over heads, and how they go with roles.
        others: {attribute: {score: Spearman's correlation over heads with the base's covariance
            shares of that attribute}}; a delta that acts through the heads of its own attribute has
            its largest there.
    """

    attribute: str
    num_images: int
    seed: int
    parts: tuple[Part, ...]
    accuracy: dict[str, float]
    scores: dict[str, Score]
    direct: Floats
    roles: dict[str, Floats]
    numbers: dict[str, Number]
    others: dict[str, dict[str, float]]

    def top(self, score: str, count: int) -> tuple[Part, ...]:
        """The heads of highest score, falling; a tie goes to the earlier head."""
        value = self.scores[score].value
        heads = [
            place
            for place, part in enumerate(self.parts)
            if part.kind == "head" and not math.isnan(value[place])
        ]
        falling = sorted(heads, key=lambda place: -value[place])
        return tuple(self.parts[place] for place in falling[:count])

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it; NaN is None."""
        rows = []
        for place, part in enumerate(self.parts):
            scores = {name: _cell(score, place) for name, score in self.scores.items()}
            roles = {name: role[place] for name, role in self.roles.items()}
            rows.append(
                {"part": part, "scores": scores, "roles": roles, "direct": self.direct[place]}
            )
        found: dict[str, Any] = plain(
            {
                "attribute": self.attribute,
                "num_images": self.num_images,
                "seed": self.seed,
                "accuracy": self.accuracy,
                "parts": rows,
                "numbers": self.numbers,
                "correlation_with_roles_of": self.others,
            }
        )
        return found

    def lines(self, count: int = 6) -> list[str]:
        """A table of the parts with most energy, and what is known of all heads.

        Args:
            count: parts in the table.
        """
        names = [name for name in _SHOWN if name in self.scores]
        falling = np.argsort(-self.scores["energy"].value, kind="stable")[:count]
        rows = [
            [
                str(self.parts[place]),
                *(_text(self.scores[name], place) for name in names),
                f"{self.roles['covariance'][place]:+.2f}",
            ]
            for place in falling
        ]
        head = ["part", *names, "base role"]
        return [*text_table(head, rows), "", *text_table(_HEAD, self._number_rows())]

    def _number_rows(self) -> Iterable[list[str]]:
        for name, each in self.numbers.items():
            score, _, role = name.partition(" ~ ")
            if role and (score not in _CORRELATED or role == "separation"):
                continue
            random = f"{np.mean(each.random):.2f}" if each.random else "-"
            yield [name, f"{each.value:.2f}", f"{each.low:.2f} to {each.high:.2f}", random]


_SHOWN = ("energy", "covariance", "class_share", "separation", "revert", "keep")
_CORRELATED = ("energy", "covariance", "class_share", "revert_nats", "keep_nats")
_HEAD = ("over heads", "value", "95 % interval", "random delta")


def _cell(score: Score, place: int) -> dict[str, Any]:
    low, high = score.interval.low[place], score.interval.high[place]
    cell: dict[str, Any] = {"value": score.value[place], "low": low, "high": high}
    if score.p is not None:
        cell["p"] = score.p[place]
    if score.random is not None:
        cell["random"] = score.random[:, place]
    return cell


def _text(score: Score, place: int) -> str:
    value = score.value[place]
    if math.isnan(value):
        return "-"
    return f"{value:.3f} ({score.interval.low[place]:.3f} to {score.interval.high[place]:.3f})"
