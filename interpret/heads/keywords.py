"""Roles by words: how many of a head's TextSpan texts speak of an attribute.

A head's count is compared with the rate over all heads by a binomial test, and false discoveries
among all heads and attributes are held down (Benjamini and Hochberg, 1995).

Shape letters: A attributes, G heads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datamodules.errors import InputError
from interpret.parts import Part


@dataclass(frozen=True)
class KeywordRole:
    """One attribute in the texts of one head.

    Args:
        head: the head.
        attribute: the attribute.
        count: texts that speak of it.
        num_texts: texts of this head.
        rate: count / num_texts.
        mean_rate: of the texts of all heads together.
        p: probability of as many or more at the mean rate.
        q: the least rate of false discoveries at which this one is among the discoveries.
        texts: those that speak of it.
    """

    head: Part
    attribute: str
    count: int
    num_texts: int
    rate: float
    mean_rate: float
    p: float
    q: float
    texts: tuple[str, ...]


def scan_keywords(
    texts: Mapping[Part, Sequence[str]], keywords: Mapping[str, Iterable[str]]
) -> tuple[KeywordRole, ...]:
    """Find the attributes that heads speak of, the surest first.

    A text speaks of an attribute if one of its words or phrases occurs in it, whole, in any case,
    also in the plural with s or es.

    Args:
        texts: head -> its texts, the most important first; cut them to as many as shall count.
        keywords: attribute -> words, such as the values of a dictionary.

    Returns:
        One entry for each head and attribute, by rising q.

    Raises:
        InputError: if a head has no texts or an attribute has no words.
    """
    from scipy.stats import binom, false_discovery_control

    patterns = {attribute: _pattern(attribute, words) for attribute, words in keywords.items()}
    if empty := [str(head) for head, lines in texts.items() if not lines]:
        raise InputError(f"expected texts of every head, got none of {empty[0]}.")
    if not texts or not patterns:
        raise InputError("expected heads with texts and attributes with words, got none.")
    heads = list(texts)
    size_G = np.array([len(texts[head]) for head in heads])
    found = {
        (attribute, head): tuple(line for line in texts[head] if pattern.search(line))
        for attribute, pattern in patterns.items()
        for head in heads
    }
    count_AG = np.array([[len(found[a, head]) for head in heads] for a in patterns])
    mean_A = count_AG.sum(axis=1) / size_G.sum()
    p_AG = np.clip(binom.sf(count_AG - 1, size_G, mean_A[:, None]), 0, 1)
    q_AG = false_discovery_control(p_AG.ravel()).reshape(p_AG.shape)
    roles = [
        KeywordRole(
            head, attribute, int(count_AG[a, g]), int(size_G[g]),
            float(count_AG[a, g] / size_G[g]), float(mean_A[a]),
            float(p_AG[a, g]), float(q_AG[a, g]), found[attribute, head],
        )
        for a, attribute in enumerate(patterns)
        for g, head in enumerate(heads)
    ]  # fmt: skip
    return tuple(sorted(roles, key=lambda role: (role.q, role.p)))


def _pattern(attribute: str, words: Iterable[str]) -> re.Pattern[str]:
    # The longest first does not matter for a search; sorted, equal tables give equal patterns.
    escaped = sorted({r"\s+".join(map(re.escape, word.split())) for word in words if word.strip()})
    if not escaped:
        raise InputError(f"expected words for the attribute {attribute!r}, got none.")
    return re.compile(rf"(?<!\w)(?:{'|'.join(escaped)})(?:s|es)?(?!\w)", re.IGNORECASE)
