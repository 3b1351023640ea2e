"""A learned composition held against everything that needs no learning, on the same images."""

from composition.evaluation.gap import Gap, optimality_gap
from composition.evaluation.protocol import protocol
from composition.evaluation.results import Evaluation, Gain, Score
from composition.evaluation.scoring import evaluate

__all__ = ["Evaluation", "Gain", "Gap", "Score", "evaluate", "optimality_gap", "protocol"]
