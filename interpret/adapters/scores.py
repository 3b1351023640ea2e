"""Footprint scores of a delta's parts, and how they are spread over the heads.

    energy       E |change of the part|^2 over the sum of all parts'
    mean_share   |E change|^2 over E |change|^2: what is the same for all images
    covariance   share of the part in how the values' scores change, see `heads.shares`
    class_share  the same between the means of the true values, see there
    separation   eta^2 of the part's scores by the true value, with the delta less without
    revert       accuracy lost without the part's share of the delta
    keep         accuracy won by the part's share of the delta alone
    *_nats       the same in log probability of the true value

Shape letters: N images, P parts, G heads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from interpret.adapters.effects import Effects
from interpret.adapters.intervals import Items, Numbers
from interpret.adapters.judged import BRINGS, Judged
from interpret.adapters.question import Question
from interpret.heads.concentration import effective_number, gini, rank_correlation
from interpret.heads.shares import class_shares, covariance_shares, separation
from interpret.parts import Asked, PartScores
from interpret.parts.scores import Ints

Floats = NDArray[np.float64]
DIRECT = ("energy", "mean_share", "covariance", "class_share", "separation")
ROLES = ("covariance", "class_share", "separation")


@dataclass(frozen=True)
class Table:
    """A delta's effects on the images of one question, ready to be resampled.

    Args:
        found: the effects.
        asked: the question, to `found.base`.
        change: scores of the parts' changes.
        square_NP: squared lengths of the changes.
        brings: of single parts, see `Judged.brings`; {} without runs.
    """

    found: Effects
    asked: Asked
    change: PartScores
    square_NP: Floats
    brings: Numbers

    @classmethod
    def of(cls, found: Effects, question: Question) -> Table:
        """The table of one of the questions that were asked."""
        asked = question.of(found.base)
        columns = _columns(found, asked)
        judged = None if columns.runs is None else Judged.of(columns, question)
        brings = {} if judged is None else judged.brings(question.label_N)
        asked = replace(asked, columns=np.arange(len(asked.columns)))
        square_NP = np.square(found.change_NPE).sum(axis=2)
        return cls(columns, asked, columns.change, square_NP, brings)

    def scores(self, items: Items | None = None) -> Numbers:
        """Scores of all parts, {name: (P,)}, NaN where a part has none.

        Args:
            items: numbers of the images, with repetitions; None takes all once.
        """
        items = np.arange(len(self.change)) if items is None else items
        count_N = np.bincount(items, minlength=len(self.change)) / len(items)
        square_P = count_N @ self.square_NP
        mean_PE = np.tensordot(count_N, self.found.change_NPE, axes=1)
        asked = self.asked.images(items)
        with np.errstate(invalid="ignore", divide="ignore"):
            numbers = {
                "energy": square_P / square_P.sum(),
                "mean_share": np.square(mean_PE).sum(axis=1) / square_P,
                "covariance": covariance_shares(self.change.images(items), asked.columns),
                "class_share": class_shares(self.change.images(items), asked),
                "separation": self.gain(asked, items),
            }
        rows = {name: values[items] for name, values in self.brings.items()}
        return numbers | {name: known_mean(values) for name, values in rows.items()}

    def gain(self, asked: Asked, items: Items) -> Floats:
        """Eta^2 with the delta less without it, (P,)."""
        before, after = self.found.base.images(items), self.found.adapted.images(items)
        return separation(after, asked) - separation(before, asked)

    def roles(self, items: Items | None = None) -> Numbers:
        """What the base's parts are for, {name in `ROLES`: (P,)}."""
        items = np.arange(len(self.change)) if items is None else items
        base, asked = self.found.base.images(items), self.asked.images(items)
        return {
            "covariance": covariance_shares(base, asked.columns),
            "class_share": class_shares(base, asked),
            "separation": separation(base, asked),
        }


def spread(scores: Numbers, roles: Numbers, heads_G: Ints) -> Numbers:
    """How scores are spread over heads: {name: ()}.

    "effective heads" (exp of the entropy of energy), "gini", "heads for 90 %" of the heads' energy,
    and "<score> ~ <role>": Spearman's correlation with what the base's heads are for.

    Args:
        scores: of the parts.
        roles: of the base's parts.
        heads_G: places of the heads among the parts.
    """
    energy_G = scores["energy"][heads_G]
    falling_G = np.sort(energy_G)[::-1].cumsum() / energy_G.sum()
    found = {
        "effective heads": effective_number(energy_G),
        "gini": gini(energy_G),
        "heads for 90 %": int(np.searchsorted(falling_G, 0.9 - 1e-12)) + 1,
    }
    for name in [*DIRECT, *(set(BRINGS) & scores.keys())]:
        for role in ROLES:
            one, other = scores[name][heads_G], roles[role][heads_G]
            found[f"{name} ~ {role}"] = rank_correlation(one, other)
    return {name: np.asarray(value, dtype=np.float64) for name, value in sorted(found.items())}


def _columns(found: Effects, asked: Asked) -> Effects:
    """The effects with the values of one question alone."""

    def chosen(scores: PartScores) -> PartScores:
        names = tuple(scores.texts[column] for column in asked.columns)
        return PartScores(scores.values[:, :, asked.columns], scores.parts, names)

    return replace(found, base=chosen(found.base), adapted=chosen(found.adapted))


def known_mean(values_NP: Floats) -> Floats:
    """Mean over the images that have a value, (P,); NaN for a part without any."""
    known_NP = ~np.isnan(values_NP)
    count_P = known_NP.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known_NP, values_NP, 0).sum(axis=0) / count_P)
