"""Compositional zero-shot learning: attribute-object pairs, some of them never seen in training.

    best_seen       seen accuracy with a bias of -infinity
    best_unseen     unseen accuracy with a bias of infinity
    best_harmonic   largest 2 S U / (S + U) over all biases
    auc             area under seen against unseen accuracy over all biases

Accuracies are over images. Every name comes twice: from the exact curve, and with `_sweep` from the
approximation that papers print (`literature_sweep`), to be compared with theirs. The sweep misses
maxima and cuts corners: its AUC and harmonic mean are off by up to some tenths of a point.

Closed world: the pairs of training and of the evaluated split are columns. Open world: all
attributes times all objects are, less those that `candidates` calls infeasible. (Evaluators that
multiply the scores of infeasible pairs by 0 leave them in play wherever other scores are negative.)

`curve` says how ties go and what an infinite bias does.

Shape letters: B images, P pairs, K points of a curve.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from datamodules.errors import InputError
from lightning_modules.metrics.curve import Curve, Flips, accuracies_at, exact_curve
from lightning_modules.metrics.seen_unseen import SeenUnseenStates


def literature_sweep(
    images: Flips, *, points: int = 20, shift: float = 1e-4, largest_bias: float = 1e3
) -> Curve:
    """The curve of Purushwalkam et al. (ICCV 2019) and Mancini et al. (CVPR 2021), at a few biases.

    With m_1 <= ... <= m_n the margins of the n unseen images that are right at `largest_bias`:

        step   = max(floor(n / points), 1)
        biases = m_1 - shift, m_{1 + step} - shift, m_{1 + 2 step} - shift, ..., largest_bias

    So there are n + 1 biases if n < 2 points, and from points + 1 to 1.5 points + 1 otherwise.
    Accuracies at these biases are exact; between them the trapezoid guesses. The first bias can lie
    above the flips of seen images: the sweep's best seen accuracy then falls short of the exact.

    Args:
        images: where each image flips.
        points: intended number of biases.
        shift: how far below a margin its bias lies, in units of the score.
        largest_bias: stands for infinity, in units of the score.
    """
    found_B = images.right_B & ~images.seen_B & (images.margin_B < largest_bias)
    margin_E = images.margin_B[found_B].sort().values
    step = max(len(margin_E) // points, 1)
    bias_K = pad(margin_E[::step] - shift, (0, 1), value=largest_bias)
    return Curve(bias_K, *accuracies_at(images, bias_K))


def summary(curve: Curve) -> dict[str, Tensor]:
    """The four numbers of the module's docstring, float64 scalars."""
    return {
        "best_seen": curve.seen_K.max(),
        "best_unseen": curve.unseen_K.max(),
        "best_harmonic": curve.harmonic_K().max(),
        "auc": curve.area(),
    }


class CompositionalAccuracy(SeenUnseenStates):
    """Exact and swept seen, unseen, harmonic mean and AUC; keeps four numbers an image.

    Args:
        seen: bool (P,), the pair occurs in training.
        candidates: bool (P,), the pair may be predicted: the closed world among open columns, or
            what is feasible. None for all.
        parts: int64 (P, 2), attribute and object of each pair. With it, "attribute" and "object"
            are the accuracies of either part of the pair predicted without a bias.

    Raises:
        InputError: if the masks or parts do not fit.
    """

    part_hits: Tensor

    def __init__(
        self, seen: Tensor, *, candidates: Tensor | None = None, parts: Tensor | None = None
    ) -> None:
        super().__init__(seen, candidates=candidates)
        if parts is not None and parts.shape != (len(seen), 2):
            raise InputError(
                f"expected parts ({len(seen)}, 2), the attribute and object of each pair, got "
                f"{tuple(parts.shape)}. Give one row a pair."
            )
        self.register_buffer("parts", parts, persistent=False)
        self.add_state("part_hits", torch.zeros(2, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, scores: Tensor, target: Tensor) -> None:
        """Keep a batch: scores (B, P), target (B,) with -1 where the true pair is not known.

        Raises:
            InputError: for a wrong shape, or a target that is no column.
        """
        best, target_B = self._keep(scores, target)
        if isinstance(self.parts, Tensor):
            is_seen_B = best.seen_score_B >= best.unseen_score_B
            predicted_B = torch.where(is_seen_B, best.seen_column_B, best.unseen_column_B)
            self.part_hits += (self.parts[predicted_B] == self.parts[target_B]).sum(0)

    def compute(self) -> dict[str, Tensor]:
        """The scores, float32 scalars; NaN where there is no such image.

        Raises:
            InputError: if scores of an image are not numbers.
        """
        images = self.flips()
        found = summary(exact_curve(images))
        swept = summary(literature_sweep(images))
        found |= {f"{name}_sweep": value for name, value in swept.items()}
        if isinstance(self.parts, Tensor):
            num_images = len(images.right_B) or math.nan
            for name, hits in zip(("attribute", "object"), self.part_hits, strict=True):
                found[name] = hits / num_images
        return {name: value.float().to(self.device) for name, value in found.items()}

    def curve(self) -> Curve:
        """The exact curve, over this process's images.

        Inside `with metric.sync_context():` over those of all processes.
        """
        return exact_curve(self.flips())
