"""What `measure_interference` found: plain values, JSON, and a table for people.

Every number stands beside the same number of random deltas of equal ranks and norms: large is what
is large against those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from composition.interference.disentanglement import Disentanglement
from composition.solvers.least_squares import Residual
from datamodules.text_table import text_table


@dataclass(frozen=True)
class PairNumbers:
    """How two deltas meet in one weight.

    Args:
        column_degrees: principal angles between what they write into, ascending; empty where a
            delta is dense or zero.
        row_degrees: between what they read.
        overlap: in [0, 1], see `interference.angles`; None where there are no angles.
        cosine: between what they do to the inputs, in [-1, 1]; of random deltas, its mean size.
    """

    column_degrees: tuple[float, ...]
    row_degrees: tuple[float, ...]
    overlap: float | None
    cosine: float


@dataclass(frozen=True)
class Pair:
    """Two deltas in one weight.

    Args:
        weight: its name.
        first: a delta.
        second: the other.
        found: their numbers.
        random: mean of those of random deltas.
    """

    weight: str
    first: str
    second: str
    found: PairNumbers
    random: PairNumbers


@dataclass(frozen=True)
class WeightNumbers:
    """All deltas in one weight, as shares of the squared size of what each does to its own inputs.

    Args:
        interference: what the others do to its inputs, when all are added with coefficient 1.
        gain: how much of that learned coefficients take away, at best (in closed form).
        uniform_gain: how much of it one number for all deltas and weights takes away.
    """

    interference: float
    gain: float
    uniform_gain: float


@dataclass(frozen=True)
class Weight:
    """All deltas in one weight, or in all of them together.

    Args:
        weight: its name, or "all".
        norms: root of the mean squared change of the outputs by each delta; without images, the
            norm of the delta.
        found: numbers of the deltas.
        random: mean of those of random deltas.
        share: of this weight in the interference of all weights.
        residual: the least-squares problem behind `found`.
    """

    weight: str
    norms: dict[str, float]
    found: WeightNumbers
    random: WeightNumbers
    share: float
    residual: Residual


@dataclass(frozen=True)
class Interference:
    """The whole report.

    Args:
        names: of the deltas.
        information: what was used: "data-free" or "k unlabelled images".
        draws: how many sets of random deltas were measured.
        seed: of these.
        weights: one entry for each weight that a delta changes, in the model's order.
        total: all weights together.
        pairs: one entry for each weight and pair.
        responsible: up to five weights whose interference exceeds that of random deltas most, the
            largest first.
        disentanglement: errors of predictions, where they were measured.
    """

    names: tuple[str, ...]
    information: str
    draws: int
    seed: int
    weights: tuple[Weight, ...]
    total: Weight
    pairs: tuple[Pair, ...]
    responsible: tuple[str, ...]
    disentanglement: tuple[Disentanglement, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All numbers as JSON objects and arrays, one key for each field."""
        return asdict(self)

    def to_text(self) -> str:
        """Tables for a terminal, ended by a newline; numbers of random deltas in brackets."""
        lines = [
            f"{', '.join(self.names)}: {self.information}; (random deltas, {self.draws} draws)"
        ]
        lines += ["", *_weight_table(self), "", *_pair_table(self), ""]
        lines.append("most above random: " + (", ".join(self.responsible) or "no weight"))
        if self.disentanglement:
            lines += ["", *_error_table(self.disentanglement)]
        return "\n".join(lines) + "\n"


def _weight_table(report: Interference) -> list[str]:
    by_weight: dict[str, list[Pair]] = {}
    for pair in report.pairs:
        by_weight.setdefault(pair.weight, []).append(pair)
    rows = []
    for each in (*report.weights, report.total):
        pairs = by_weight.get(each.weight, report.pairs if each is report.total else [])
        rows.append(
            (
                each.weight,
                *_means(pairs),
                _beside(each.found.interference, each.random.interference),
                _beside(each.found.gain, each.random.gain),
                f"{each.share:.0%}",
            )
        )
    head = ("weight", "overlap", "cosine", "interference", "gain", "share")
    return text_table(head, rows)


def _pair_table(report: Interference) -> list[str]:
    by_names: dict[tuple[str, str], list[Pair]] = {}
    for pair in report.pairs:
        by_names.setdefault((pair.first, pair.second), []).append(pair)
    rows = []
    for (first, second), pairs in by_names.items():
        angles = [
            _beside(
                _mean(getattr(p.found, side)[0] for p in pairs if p.found.overlap is not None),
                _mean(getattr(p.random, side)[0] for p in pairs if p.found.overlap is not None),
                "{:.0f}",
            )
            for side in ("column_degrees", "row_degrees")
        ]
        rows.append((f"{first}, {second}", *_means(pairs), *angles))
    head = ("pair", "overlap", "cosine", "columns' least angle", "rows' least angle")
    return text_table(head, rows)


def _error_table(errors: Sequence[Disentanglement]) -> list[str]:
    names = dict.fromkeys(name for error in errors for name in error.by_delta)
    rows = [
        (
            error.delta,
            error.num_images,
            _beside(error.all, error.random),
            *(_number(error.by_delta.get(name)) for name in names),
        )
        for error in errors
    ]
    head = ("changed predictions of", "images", "by all", *(f"by {name}" for name in names))
    return text_table(head, rows)


def _means(pairs: Sequence[Pair]) -> tuple[str, str]:
    """Mean overlap and mean size of the cosine."""
    met = [pair for pair in pairs if pair.found.overlap is not None]
    overlap = (_mean(p.found.overlap for p in met), _mean(p.random.overlap for p in met))
    cosine = (_mean(abs(p.found.cosine) for p in pairs), _mean(p.random.cosine for p in pairs))
    return _beside(*overlap), _beside(*cosine)


def _mean(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None


def _beside(found: float | None, random: float | None, form: str = "{:.3f}") -> str:
    if found is None:
        return "-"
    return form.format(found) + ("" if random is None else f" ({form.format(random)})")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
