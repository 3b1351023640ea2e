"""What coefficients are fitted for."""

from composition.objectives.choice import ObjectiveName, make_objective
from composition.objectives.entropy import Entropy
from composition.objectives.fixmatch import FixMatch
from composition.objectives.negation import Negation, check_control
from composition.objectives.objective import Model, Objective, Scored
from composition.objectives.self_labels import SelfLabels
from composition.objectives.supervised import Supervised

__all__ = [
    "Entropy",
    "FixMatch",
    "Model",
    "Negation",
    "Objective",
    "ObjectiveName",
    "Scored",
    "SelfLabels",
    "Supervised",
    "check_control",
    "make_objective",
]
