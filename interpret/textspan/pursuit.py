"""Greedy choice of texts whose directions explain the variance of many heads at once.

Texts are columns x_j of X, and C is the covariance, both in coordinates of the head's span. After a
unit direction u is taken out of the images, C becomes (I - u u^T) C (I - u u^T); all directions are
orthogonal, so the projected variance s_j = x_j^T C x_j of a text falls by

    2 a b - a^2 q,    a = u^T x_j,    b = w^T x_j,    w = C u,    q = u^T w,

and X itself is never changed: a step is one product of two rows with X. q is the variance that u
explains. That is Algorithm 1 of Gandelsman et al. (ICLR 2024, https://arxiv.org/abs/2310.05916),
which passes over all images and rewrites all texts in every step.

Shape letters: G heads, R coordinates, T texts, S steps, U: 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from interpret.head_space import TOLERANCE

_TIE = 1e-9  # of the best score: rounding alone must not choose between equal texts


class Picks(NamedTuple):
    """What was chosen.

    Args:
        index_GS: number of the text; -1 where nothing is left to explain.
        variance_GS: that the step explains; 0 where there is no text.
        direction_GSR: orthonormal, along the rest of the text; 0 where there is no text.
    """

    index_GS: Tensor
    variance_GS: Tensor
    direction_GSR: Tensor


def pursue(
    text_GRT: Tensor, covariance_GRR: Tensor, steps: int, *, by_direction: bool = False
) -> Picks:
    """Choose texts one after the other, none twice, of equal ones the first.

    Args:
        text_GRT: X, float64.
        covariance_GRR: C.
        steps: texts of each head at most.
        by_direction: choose by the variance that the unit direction explains (simultaneous
            orthogonal matching pursuit), instead of by that of the text's rest as long as it is.
    """
    heads, rank, _ = text_GRT.shape
    every_G = torch.arange(heads, device=text_GRT.device)
    left_GRR = covariance_GRR
    score_GT = ((left_GRR @ text_GRT) * text_GRT).sum(1)
    length_GT = text_GRT.square().sum(1) if by_direction else None
    floor_G = TOLERANCE * score_GT.max(1).values.clamp_min(torch.finfo(score_GT.dtype).tiny)
    index_GS = torch.full((heads, steps), -1, device=text_GRT.device)
    variance_GS = text_GRT.new_zeros(heads, steps)
    direction_GSR = text_GRT.new_zeros(heads, steps, rank)
    for step in range(steps):
        index_G, is_left_G = _best(score_GT, length_GT, floor_G)
        if not is_left_G.any():
            break
        u_GR = _direction(text_GRT[every_G, :, index_G], direction_GSR[:, :step])
        u_GR = torch.where(is_left_G[:, None], u_GR, 0.0)
        w_GR = (left_GRR @ u_GR[:, :, None])[..., 0]
        q_G = (u_GR * w_GR).sum(1).clamp_min(0)
        index_GS[:, step] = torch.where(is_left_G, index_G, -1)
        variance_GS[:, step], direction_GSR[:, step] = q_G, u_GR
        a_GT, b_GT = (torch.stack([u_GR, w_GR], 1) @ text_GRT).unbind(1)
        # s - 2 a b + a^2 q, without a copy of a row for each term
        score_GT.addcmul_(a_GT, torch.addcmul(-2 * b_GT, a_GT, q_G[:, None]))
        score_GT[every_G, index_G] = -torch.inf
        if length_GT is not None:
            length_GT.addcmul_(a_GT, a_GT, value=-1)
        uw_GRR = u_GR[:, :, None] * (w_GR - q_G[:, None] * u_GR / 2)[:, None]
        left_GRR = left_GRR - uw_GRR - uw_GRR.mT
    return Picks(index_GS, variance_GS, direction_GSR)


def _best(score_GT: Tensor, length_GT: Tensor | None, floor_G: Tensor) -> tuple[Tensor, Tensor]:
    """The first of the best texts of each head, and whether it explains anything."""
    is_left_GT = score_GT > floor_G[:, None]
    if length_GT is not None:  # positive where the score is
        score_GT = torch.where(is_left_GT, score_GT / length_GT, -torch.inf)
    best_GU = score_GT.max(1, keepdim=True).values
    first_G = (score_GT >= best_GU - _TIE * best_GU.abs()).to(torch.uint8).argmax(1)
    return first_G, is_left_GT.any(1)


def _direction(text_GR: Tensor, taken_GSR: Tensor) -> Tensor:
    """The part of a text at right angles to the directions taken, of unit norm."""
    for _ in range(2):  # the second time removes what rounding left
        text_GR = text_GR - ((taken_GSR @ text_GR[:, :, None]).mT @ taken_GSR)[:, 0]
    norm_GU: Tensor = text_GR.norm(dim=1, keepdim=True)
    unit_GR: Tensor = text_GR / norm_GU.clamp_min(torch.finfo(text_GR.dtype).tiny)
    return unit_GR
