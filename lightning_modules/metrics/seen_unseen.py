"""From scores to what a seen-unseen curve needs of each image (see `curve`), batch by batch.

Shape letters: B images, P columns (pairs or classes).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.errors import InputError
from lightning_modules.metrics.curve import Flips
from lightning_modules.metrics.per_class import check_scores
from lightning_modules.metrics.states import VectorStates


class Columns(NamedTuple):
    """Columns left to predict of either group, ascending int64."""

    seen: Tensor
    unseen: Tensor


class Best(NamedTuple):
    """What a batch leaves behind: the best column of each group, (B,) each."""

    seen_score_B: Tensor
    seen_column_B: Tensor
    unseen_score_B: Tensor
    unseen_column_B: Tensor

    def finds(self, target_B: Tensor) -> Tensor:
        """Whether the best column of the true column's own group is the true one, bool (B,)."""
        return (self.seen_column_B == target_B) | (self.unseen_column_B == target_B)


def columns(seen_P: Tensor, candidates_P: Tensor | None = None) -> Columns:
    """The columns of each group that may be predicted.

    Args:
        seen_P: bool, the column was seen in training.
        candidates_P: bool, the column may be predicted; None for all.

    Raises:
        InputError: if the masks are not bool (P,) both, or leave nothing to predict.
    """
    allowed_P = torch.ones_like(seen_P) if candidates_P is None else candidates_P
    if seen_P.dtype != torch.bool or allowed_P.dtype != torch.bool or seen_P.ndim != 1:
        raise InputError(
            f"expected masks of type bool and shape (P,), got {seen_P.dtype} {tuple(seen_P.shape)} "
            f"and {allowed_P.dtype} {tuple(allowed_P.shape)}. Give one bool a column."
        )
    if seen_P.shape != allowed_P.shape or not allowed_P.any():
        raise InputError(
            f"expected candidates among {len(seen_P)} columns, got {int(allowed_P.sum())} of "
            f"{len(allowed_P)}. Give one bool a column, true for at least one."
        )
    return Columns((seen_P & allowed_P).nonzero()[:, 0], (~seen_P & allowed_P).nonzero()[:, 0])


def best_of_groups(scores_BP: Tensor, groups: Columns) -> Best:
    """Highest score and its column in each group; -inf and -1 where a group has no column."""
    found: list[Tensor] = []
    for chosen in groups:
        if len(chosen) and len(scores_BP):
            # Columns are ascending and max returns the first of equals: ties go to the first.
            score_B, place_B = scores_BP.index_select(1, chosen).max(dim=1)
            found += [score_B, chosen[place_B]]
        else:
            found += [
                scores_BP.new_full((len(scores_BP),), -torch.inf),
                chosen.new_full((len(scores_BP),), -1),
            ]
    return Best(*found)


def flips(
    scores_BP: Tensor, target_B: Tensor, seen_P: Tensor, *, candidates_P: Tensor | None = None
) -> Flips:
    """Where each image of one matrix of scores flips; `SeenUnseenStates` does it batch by batch.

    Args:
        scores_BP: one column a pair or class.
        target_B: true column of each image; one of -1 is not scored.
        seen_P: bool, the column was seen in training.
        candidates_P: bool, the column may be predicted; None for all.

    Raises:
        InputError: for masks, shapes or targets that do not fit, or scores that are not numbers.
    """
    scores_BP, target_B = _scored(scores_BP, target_B, len(seen_P))
    best = best_of_groups(scores_BP, columns(seen_P, candidates_P))
    margin_B = _margins(best.seen_score_B, best.unseen_score_B)
    return Flips(margin_B, target_B, seen_P[target_B], best.finds(target_B))


def _scored(scores_BP: Tensor, target_B: Tensor, num_columns: int) -> tuple[Tensor, Tensor]:
    """The rows whose true column is known."""
    check_scores(scores_BP, target_B, num_columns)
    known_B = target_B >= 0
    return (scores_BP, target_B) if known_B.all() else (scores_BP[known_B], target_B[known_B])


def _margins(seen_score_B: Tensor, unseen_score_B: Tensor) -> Tensor:
    """Best seen less best unseen score, float64 (B,)."""
    margin_B = seen_score_B.double() - unseen_score_B.double()
    if bad := int(margin_B.isnan().sum()):
        raise InputError(
            f"expected a number as best score, got NaN or infinity for {bad} of {len(margin_B)} "
            "images. Leave columns out with `candidates`, not with infinity."
        )
    return margin_B


class SeenUnseenStates(VectorStates):
    """Keeps four numbers an image: two scores, the true column, and whether its group finds it.

    Scores are kept as float32. A subclass has `compute`.

    Args:
        seen: bool (P,), the column was seen in training.
        candidates: bool (P,), the column may be predicted; None for all.

    Raises:
        InputError: if the masks do not fit.
    """

    seen_columns: Tensor
    unseen_columns: Tensor
    kinds: Tensor

    def __init__(self, seen: Tensor, *, candidates: Tensor | None = None) -> None:
        super().__init__()
        groups = columns(seen, candidates)
        for name, each in zip(("seen_columns", "unseen_columns"), groups, strict=True):
            self.register_buffer(name, each, persistent=False)
        # A state, so that MetricCollection never takes the closed world for the open one: it shares
        # one set of states among metrics whose states are equal after the first batch.
        kinds = 2 * seen.to(torch.int8) + (seen if candidates is None else candidates)
        self.add_state("kinds", kinds, dist_reduce_fx="max")
        for name in ("best_seen", "best_unseen"):
            self.add_vector(name, torch.float32)
        self.add_vector("target", torch.int64)
        # int8, not bool: not every backend of torch.distributed can gather bool.
        self.add_vector("right", torch.int8)

    def update(self, scores: Tensor, target: Tensor) -> None:
        """Keep a batch: scores (B, P), target (B,) with -1 where the true column is not known.

        Raises:
            InputError: for a wrong shape, or a target that is no column.
        """
        self._keep(scores, target)

    def _keep(self, scores_BP: Tensor, target_B: Tensor) -> tuple[Best, Tensor]:
        scores_BP, target_B = _scored(scores_BP, target_B, len(self.kinds))
        best = best_of_groups(scores_BP, Columns(self.seen_columns, self.unseen_columns))
        self.append(
            best_seen=best.seen_score_B,
            best_unseen=best.unseen_score_B,
            target=target_B,
            right=best.finds(target_B),
        )
        return best, target_B

    def flips(self) -> Flips:
        """Where each image so far flips, on the CPU.

        Raises:
            InputError: if scores of an image are NaN, or infinite in both groups.
        """
        margin_B = _margins(self.vector("best_seen"), self.vector("best_unseen"))
        target_B = self.vector("target")
        seen_B = (self.kinds >= 2).cpu()[target_B]
        return Flips(margin_B, target_B, seen_B, self.vector("right").bool())
