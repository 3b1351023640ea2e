"""Coefficients without stochastic gradients: closed forms, and second-order steps."""

from composition.solvers.gauss_newton import Descent, Step, gauss_newton
from composition.solvers.least_squares import LeastSquares, Residual, least_squares
from composition.solvers.moments import Moments, delta_moments, input_moments
from composition.solvers.objective import Task
from composition.solvers.updates import updates_of

__all__ = [
    "Descent",
    "LeastSquares",
    "Moments",
    "Residual",
    "Step",
    "Task",
    "delta_moments",
    "gauss_newton",
    "input_moments",
    "least_squares",
    "updates_of",
]
