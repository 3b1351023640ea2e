"""Which tokens an embedding is read from.

Shape letters: B images or texts, N tokens, R rows that are read; `...` any further dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """The mean of some tokens; one token is the mean of itself.

    Args:
        start: the first token that is read.
        stop: the one after the last; None reads to the end.
        index_B: in place of both, one token of each text.
    """

    start: int = 0
    stop: int | None = None
    index_B: Tensor | None = None

    def take(self, x: Tensor, dim: int = 1) -> Tensor:
        """Keep what is read: N tokens of the dimension `dim` become R, in memory of their own."""
        if self.index_B is None:
            return x[(slice(None),) * dim + (slice(self.start, self.stop),)].contiguous()
        x = x.movedim(dim, 1)
        rows = x[torch.arange(len(x), device=x.device), self.index_B.to(x.device)]
        return rows.unsqueeze(1).movedim(1, dim)


FIRST = Rows(0, 1)
