"""The role of every head in every attribute, as one table.

Shape letters: A attributes, P parts, G heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from interpret.heads.concentration import (
    effective_number,
    gini,
    rank_correlation,
    selectivity,
)
from interpret.heads.shares import class_shares, covariance_shares, separation, share_intervals
from interpret.parts import Asked, Part, PartScores, heads

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Role:
    """One head in one attribute.

    Args:
        head: the head.
        share: covariance share in the attribute, of all parts together 1.
        low: lower end of its 95 % interval over images.
        high: upper end.
        class_share: the same between the true values' means.
        separation: eta squared of the head's own scores by the true value.
        selectivity: this share among the head's shares in all attributes.
    """

    head: Part
    share: float
    low: float
    high: float
    class_share: float
    separation: float
    selectivity: float


@dataclass(frozen=True)
class AttributeRoles:
    """All heads in one attribute.

    Args:
        attribute: its name.
        num_images: whose scores were used.
        accuracy: of the whole model on them.
        roles: of every head, in the order of the network.
        others: share of all that is no head: MLPs, the embedding, constants.
        effective_heads: exp of the entropy of the heads' positive shares.
        gini: their Gini coefficient.
        agreement: rank correlation of `share` with "class_share" and with "separation".
    """

    attribute: str
    num_images: int
    accuracy: float
    roles: tuple[Role, ...]
    others: float
    effective_heads: float
    gini: float
    agreement: dict[str, float]

    def top(self, count: int) -> tuple[Part, ...]:
        """The heads of the largest class shares, the largest first; ties to the earlier head.

        Raises:
            InputError: if there are fewer heads, or none is asked for.
        """
        if not 0 < count <= len(self.roles):
            raise InputError(f"expected 1 to {len(self.roles)} top heads, got {count}.")
        order = sorted(self.roles, key=lambda role: -role.class_share)
        return tuple(role.head for role in order[:count])


def find_roles(
    scores: PartScores, asked: Sequence[Asked], *, num_resamples: int = 1000, seed: int = 0
) -> tuple[AttributeRoles, ...]:
    """Find what every head does for every attribute.

    Args:
        scores: of images that nothing is confirmed on later.
        asked: attributes of these images.
        num_resamples: of the images, for the intervals.
        seed: of these.

    Raises:
        InputError: if there are no heads, or the model says the same of all images.
    """
    found = heads(scores.parts)
    if not found:
        raise InputError("expected a table with heads, got none.")
    at_G = scores.index(found)
    named = [scores.parts[place] for place in at_G]
    shares_AP = np.stack([covariance_shares(scores, each.columns) for each in asked])
    selective_AG = selectivity(shares_AP[:, at_G])
    return tuple(
        _roles(scores, each, named, at_G, shares_AP[a], selective_AG[a], num_resamples, seed)
        for a, each in enumerate(asked)
    )


def _roles(
    scores: PartScores,
    asked: Asked,
    named: Sequence[Part],
    at_G: NDArray[np.int64],
    shares_P: Floats,
    selective_G: Floats,
    num_resamples: int,
    seed: int,
) -> AttributeRoles:
    low_P, high_P = share_intervals(scores, asked.columns, num_resamples=num_resamples, seed=seed)
    columns = [
        shares_P[at_G],
        low_P[at_G],
        high_P[at_G],
        class_shares(scores, asked)[at_G],
        separation(scores, asked)[at_G],
        selective_G,
    ]
    share_G, _, _, class_G, separation_G, _ = columns
    rows = zip(named, *(column.tolist() for column in columns), strict=True)
    return AttributeRoles(
        asked.name,
        int((asked.label >= 0).sum()),
        asked.accuracy(scores.logits_NC),
        tuple(Role(*row) for row in rows),
        float(1 - share_G.sum()),
        effective_number(share_G),
        gini(share_G),
        {
            "class_share": rank_correlation(share_G, class_G),
            "separation": rank_correlation(share_G, separation_G),
        },
    )
