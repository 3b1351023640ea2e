"""Tables of part scores drawn from a seed."""

import numpy as np

from interpret.heads.spurious import CueLabels
from interpret.parts import Asked, Part, PartScores

LAYERS, HEADS = 3, 2
PARTS = (
    *(Part("head", layer, head) for layer in range(LAYERS) for head in range(HEADS)),
    *(Part("mlp", layer) for layer in range(LAYERS)),
    Part("embedding"),
    Part("constant"),
)
TEXTS = ("red", "green", "blue", "round", "flat")


def table(seed=0, count=40, texts=TEXTS):
    random = np.random.default_rng(seed)
    return PartScores(random.normal(size=(count, len(PARTS), len(texts))), PARTS, tuple(texts))


def questions(seed=0, count=40):
    """Color and shape, some of them unknown."""
    random = np.random.default_rng(seed + 100)
    return [
        Asked("color", np.array([0, 1, 2]), random.integers(-1, 3, count)),
        Asked("shape", np.array([3, 4]), random.integers(-1, 2, count)),
    ]


def truth(seed, count, agreement):
    """Two classes, and a cue that agrees with them as often as asked."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, count)
    return CueLabels(label, np.where(random.random(count) < agreement, label, 1 - label))
