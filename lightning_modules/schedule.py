"""Learning rates and seeds as pure functions of the step: a resumed run meets the same ones."""

from __future__ import annotations

import math

import numpy as np


def warmup_cosine(step: int, *, warmup_steps: int, num_steps: float) -> float:
    """Share of the highest learning rate at a step: a linear warm-up, and a cosine to zero.

    Args:
        step: from 0.
        warmup_steps: steps of the warm-up; 0 for none.
        num_steps: steps of the whole training; infinity keeps the rate after the warm-up.

    Example:
        >>> [round(warmup_cosine(step, warmup_steps=0, num_steps=4), 3) for step in (0, 2, 4)]
        [1.0, 0.5, 0.0]
    """
    progress = min(1.0, step / max(1.0, num_steps))
    return min(1.0, (step + 1) / max(1, warmup_steps)) * (0.5 + 0.5 * math.cos(math.pi * progress))


def derived_seed(*numbers: int) -> int:
    """One seed for each combination of non-negative numbers, in [0, 2**32)."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
