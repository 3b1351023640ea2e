"""Classes made of a value of each of several attributes, such as (red, star), in numbers.

Classes are in the order of the product of the attributes' values: the last attribute's number
changes first. An item without exactly one value of each attribute has no class.

Shape letters: N items, A attributes, V values of an attribute, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations import Labels

Ints = NDArray[np.int64]


def shown_numbers(labels: Sequence[Labels]) -> Ints:
    """The number of the one value that each item shows, (N, A); -1 where it is not one.

    Args:
        labels: of each attribute, A.
    """
    numbers = [
        np.where(of.label.sum(axis=1, dtype=np.int64) == 1, of.label.argmax(axis=1), -1)
        for of in labels
    ]
    return np.stack(numbers, axis=1)


def shown_classes(number_NA: Ints) -> Ints:
    """The combinations that items show, as numbers of values (C, A)."""
    whole_N = (number_NA >= 0).all(axis=1)
    return np.unique(number_NA[whole_N], axis=0)


def possible_classes(sizes: Sequence[int]) -> Ints:
    """All combinations of so many values of each attribute, as numbers of values (C, A)."""
    return np.stack(np.unravel_index(np.arange(math.prod(sizes)), tuple(sizes)), axis=1)


def class_numbers(number_NA: Ints, parts_CA: Ints) -> Ints:
    """The class of each item, (N,); -1 where it has none.

    Args:
        number_NA: see `shown_numbers`.
        parts_CA: the classes in their order.
    """
    sizes = tuple(np.maximum(number_NA.max(axis=0, initial=0), parts_CA.max(axis=0)) + 1)
    code_N = np.ravel_multi_index(tuple(np.maximum(number_NA, 0).T), sizes)
    code_C = np.ravel_multi_index(tuple(parts_CA.T), sizes)
    class_N = np.minimum(np.searchsorted(code_C, code_N), len(code_C) - 1)
    found_N = (number_NA >= 0).all(axis=1) & (code_C[class_N] == code_N)
    return np.where(found_N, class_N, -1)


def combined_labels(labels: Sequence[Labels], parts_CA: Ints) -> Labels:
    """Labels of the classes: one is shown, or nothing is known. Trust is that of the least sure.

    Args:
        labels: of each attribute, A.
        parts_CA: the classes in their order.
    """
    class_N = class_numbers(shown_numbers(labels), parts_CA)
    label = class_N[:, None] == np.arange(len(parts_CA))
    known = np.repeat(class_N[:, None] >= 0, len(parts_CA), axis=1)
    weight = np.min([of.weight for of in labels], axis=0)
    return Labels(label.astype(np.int8), known, weight)
