"""`measure`: the footprint of a delta, with its controls.

Two controls say what a footprint would be without any reason: deltas at random, whose every module
has the same singular values, and labels at random.

Shape letters: N images, P parts, G heads.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor, nn

from datamodules.errors import InputError
from interpret.adapters.effects import Effects, base_scores, effects
from interpret.adapters.footprint import Floats, Footprint, Number, Score
from interpret.adapters.intervals import Items, Numbers, bootstrap, shuffled
from interpret.adapters.judged import Judged
from interpret.adapters.question import Question
from interpret.adapters.random_delta import random_delta
from interpret.adapters.scores import Table, known_mean, spread
from interpret.heads.concentration import rank_correlation
from interpret.heads.shares import covariance_shares
from interpret.parts.scores import Ints
from lightning_modules.class_token import read_class_token_only
from lightning_modules.delta import Delta


@dataclass(frozen=True)
class Settings:
    """How closely to look.

    Args:
        num_random: deltas at random to compare with; 0 or more.
        num_random_runs: how many of them are also run part by part, which takes most of the time.
        num_resamples: of the images, for intervals.
        num_shuffles: of the labels, for p.
        batch_size: images that are taken apart at a time.
        seed: of all of these.

    Raises:
        InputError: if a number is out of its range.
    """

    num_random: int = 5
    num_random_runs: int = 1
    num_resamples: int = 500
    num_shuffles: int = 500
    batch_size: int = 64
    seed: int = 0

    def ticks(self, num_parts: int, num_images: int) -> int:
        """How often `measure` calls its tick.

        Args:
            num_parts: that the delta acts in, see `parts_of`.
            num_images: that it is measured on.
        """
        batches = -(-num_images // self.batch_size)
        return (2 * num_parts + 2) * batches * (1 + self.num_random_runs)

    def __post_init__(self) -> None:
        if not 0 <= self.num_random_runs <= self.num_random:
            raise InputError(
                f"expected 0 to {self.num_random} deltas at random to run part by part, as many as "
                f"are drawn at most, got {self.num_random_runs}."
            )
        if min(self.num_resamples, self.num_shuffles, self.batch_size) < 1:
            raise InputError(
                "expected at least 1 resample, shuffle and image a batch, got "
                f"{self.num_resamples}, {self.num_shuffles} and {self.batch_size}."
            )


def measure(
    model: nn.Module,
    delta: Delta,
    images: Tensor,
    questions: Mapping[str, Question],
    settings: Settings | None = None,
    tick: Callable[[int], object] = lambda _: None,
) -> Footprint:
    """Measure what a delta changes, part by part.

    Args:
        model: the split base CLIP, without adapters, in evaluation mode; it is left as it was.
        delta: of kind "lora", on the attention and the MLPs of its image tower.
        images: preprocessed, (N, 3, height, width), on the model's device; not those it was trained
            on.
        questions: attribute -> question of these images; the delta's own must be among them.
        settings: how closely to look.
        tick: called with 1 after every run of the model on a batch, see `run_parts`.

    Raises:
        InputError: if the delta's attribute is not asked, or see `effects`.
    """
    settings = Settings() if settings is None else settings
    if delta.card.attribute not in questions:
        raise InputError(
            f"expected a question about {delta.card.attribute!r}, the attribute of the delta, got "
            f"{', '.join(questions) or 'none'}."
        )
    question = questions[delta.card.attribute]
    model = copy.deepcopy(model)
    asked = list(questions.values())
    base = base_scores(model, images, asked, batch_size=settings.batch_size)
    read_class_token_only(model)  # changes no number

    def look(each: Delta, *, with_runs: bool) -> Effects:
        return effects(
            model, each, images, asked, base=base, with_runs=with_runs,
            batch_size=settings.batch_size, tick=tick,
        )  # fmt: skip

    found = look(delta, with_runs=True)
    drawn = []
    for number in range(settings.num_random):
        each = random_delta(delta, model, settings.seed + number)
        effect = look(each, with_runs=number < settings.num_random_runs)
        drawn.append(Table.of(effect, question).scores())  # all else of it is large
    return _footprint(found, drawn, question, questions, settings)


def _footprint(
    found: Effects,
    drawn: Sequence[Numbers],
    question: Question,
    questions: Mapping[str, Question],
    settings: Settings,
) -> Footprint:
    heads_G = np.array([n for n, part in enumerate(found.parts) if part.kind == "head"])
    table, judged = Table.of(found, question), Judged.of(found, question)

    def statistic(items: Items | None) -> Numbers:
        scores, roles = table.scores(items), table.roles(items)
        return scores | spread(scores, roles, heads_G)

    count, seed = len(table.change), settings.seed
    intervals = bootstrap(statistic, count, num_resamples=settings.num_resamples, seed=seed)
    p = shuffled(
        lambda label_N: _of_labels(table, judged, label_N),
        question.label_N, num_shuffles=settings.num_shuffles, seed=seed,
    )  # fmt: skip
    scores, roles = table.scores(), table.roles()
    spreads = [spread(each, roles, heads_G) for each in drawn]
    covariance = {
        name: covariance_shares(found.base, each.of(found.base).columns)
        for name, each in questions.items()
    }
    return Footprint(
        attribute=question.name,
        num_images=count,
        seed=seed,
        parts=found.parts,
        accuracy={name: judged.accuracy(name, question.label_N) for name in ("base", "adapted")},
        scores={
            name: Score(value, intervals[name], p.get(name), _stacked(drawn, name))
            for name, value in scores.items()
        },
        direct=_direct(found),
        roles=roles,
        numbers={
            name: Number(
                float(value),
                float(intervals[name].low),
                float(intervals[name].high),
                tuple(float(each[name]) for each in spreads if name in each),
            )
            for name, value in spread(scores, roles, heads_G).items()
        },
        others={
            name: {
                score: rank_correlation(value[heads_G], role[heads_G])
                for score, value in scores.items()
            }
            for name, role in covariance.items()
        },
    )


def _of_labels(table: Table, judged: Judged, label_N: Ints) -> Numbers:
    """The scores that labels decide, for any labels."""
    gain_P = table.gain(replace(table.asked, label=label_N), np.arange(len(label_N)))
    brings = {name: known_mean(values) for name, values in judged.brings(label_N).items()}
    return {"separation": gain_P} | brings


def _stacked(drawn: Sequence[Numbers], name: str) -> Floats | None:
    rows = [each[name] for each in drawn if name in each]
    return np.stack(rows) if rows else None


def _direct(found: Effects) -> Floats:
    assert found.runs is not None
    direct = np.full(len(found.parts), np.nan)
    for part, share in zip(found.runs.parts, found.runs.direct_P.tolist(), strict=True):
        direct[found.parts.index(part)] = share
    return direct
