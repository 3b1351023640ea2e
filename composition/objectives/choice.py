"""Objectives by the names of the command line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from composition.objectives.entropy import Entropy
from composition.objectives.fixmatch import FixMatch
from composition.objectives.negation import Negation
from composition.objectives.objective import Objective
from composition.objectives.self_labels import SelfLabels
from composition.objectives.supervised import Supervised

ObjectiveName = Literal["supervised", "negation", "entropy", "fixmatch", "self-labels"]


def make_objective(
    name: ObjectiveName, *, forget: Collection[str], experts: Mapping[str, tuple[str, ...]]
) -> Objective:
    """The objective of a name.

    Args:
        name: of the objective.
        forget: tasks that negation unlearns.
        experts: task -> the deltas of its own attributes, for all tasks.

    Raises:
        InputError: if it does not fit the tasks.
    """
    if name == "negation":
        return Negation(forget, experts)
    if name == "self-labels":
        return SelfLabels(experts)
    kinds: dict[str, type[Objective]] = {
        "supervised": Supervised, "entropy": Entropy, "fixmatch": FixMatch
    }  # fmt: skip
    return kinds[name]()
