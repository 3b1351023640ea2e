"""Which learned coefficients matter, and whether another seed says the same."""

from interpret.coefficients.figure import importance_figure
from interpret.coefficients.importance import KINDS, Importance, measure
from interpret.coefficients.integrated import Integrated, integrated_gradients
from interpret.coefficients.sizes import output_sizes, update_norms
from interpret.coefficients.stability import Agreement, Stability, stability

__all__ = [
    "KINDS",
    "Agreement",
    "Importance",
    "Integrated",
    "Stability",
    "importance_figure",
    "integrated_gradients",
    "measure",
    "output_sizes",
    "stability",
    "update_norms",
]
