"""Values of one attribute that are near each other: "blue", "dark blue" and "navy".

Shape letters: V values of an attribute, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from datamodules.dictionary.grouping.clusters import Labels
from datamodules.dictionary.records import Attribute, Group, Value
from datamodules.dictionary.words.evidence import Array
from datamodules.dictionary.words.vectors import unit_rows


def grouped(attribute: Attribute, features_VD: Array, labels_V: Labels) -> Attribute:
    """The attribute with groups, named by the values nearest to their centers.

    Args:
        attribute: V values.
        features_VD: unit rows of its values.
        labels_V: number of each value's group; -1 is in none.
    """
    found: list[tuple[int, Group]] = []
    group_of: dict[str, str] = {}
    for label in range(max(labels_V.tolist(), default=-1) + 1):
        rows = np.flatnonzero(labels_V == label).tolist()
        members = [attribute.values[row] for row in rows]
        medoid, cohesion = _medoid(features_VD[rows], members)
        group = Group(f"{attribute.name}/{medoid.text}", medoid.text, medoid.id, cohesion)
        found.append((sum(value.count for value in members), group))
        group_of.update(dict.fromkeys((value.id for value in members), group.id))
    found.sort(key=lambda pair: (-pair[0], pair[1].id))
    return replace(
        attribute,
        values=tuple(replace(v, group=group_of.get(v.id, "")) for v in attribute.values),
        groups=tuple(group for _, group in found),
    )


def _medoid(features_VD: Array, members: Sequence[Value]) -> tuple[Value, float]:
    """The member nearest to the center, weighted by the logarithm of the counts; mean cosine."""
    weight_V = np.log1p([value.count for value in members])
    center_D = unit_rows((weight_V[:, None] * features_VD).sum(axis=0, keepdims=True))[0]
    cosine_V = features_VD @ center_D
    nearest = min(range(len(members)), key=lambda row: (-round(float(cosine_V[row]), 6), row))
    return members[nearest], round(float(cosine_V.mean()), 3)
