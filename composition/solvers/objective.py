"""The mean cross-entropy of several tasks as a function of a composition's coefficients.

    L(c) = mean over tasks of mean_b CE(logits_b(c), y_b) + ridge / 2 ||c - c_0||^2

Its linearization keeps the cross-entropy and makes the logits linear: slope and generalized
Gauss-Newton matrix at a point are

    g = mean_b J_b^T (p_b - y_b),    H = mean_b J_b^T (diag(p_b) - p_b p_b^T) J_b,

each with what the ridge adds; J_b = d logits_b / dc, p_b = softmax(logits_b). A task may weigh the
images of its mean. Sums over images are made chunk by chunk, in float64.

Shape letters: B images, V classes, N coefficients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from composition.composed import Composition
from composition.solvers.jacobian import Logits, choose_mode, jacobian
from datamodules.errors import InputError


class Images(Protocol):
    """A tensor (N, ...), or what reads one piece by piece."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Tensor: ...


class Task(NamedTuple):
    """What a composition should get right.

    Args:
        logits: images -> (B, V), by way of the composition.
        images: all that count.
        target: numbers of classes (B,), or probabilities (B, V).
        weight: of each image, above 0 (B,); None counts them alike.
    """

    logits: Logits
    images: Images
    target: Tensor
    weight: Tensor | None = None


class Objective:
    """L of a composition, where its coefficients stand.

    Args:
        composition: its coefficients are read and moved.
        tasks: each counts the same, however many images it has.
        ridge: pull to where the coefficients are now, 0 or more.
        chunk_size: images at a time.

    Raises:
        InputError: if targets do not fit the logits, or a number is out of its range.
    """

    def __init__(
        self, composition: Composition, tasks: Sequence[Task], ridge: float, chunk_size: int
    ) -> None:
        sizes = [len(task.images) for task in tasks]
        if not (sizes and all(sizes) and ridge >= 0 and chunk_size >= 1):
            raise InputError(
                "expected tasks with at least one image each, a ridge of at least 0 and a "
                f"chunk_size of at least 1, got tasks of {sizes} images, {ridge} and {chunk_size}."
            )
        self.composition, self.tasks = composition, tasks
        self.ridge, self.chunk_size = ridge, chunk_size
        self.origin_N = self.point()
        self.targets = [_probabilities(task) for task in tasks]
        self.shares = [_shares(task) / len(tasks) for task in tasks]

    def point(self) -> Tensor:
        """A copy of the coefficients, flat, in float64."""
        return self.composition.coefficients.detach().flatten().to(torch.float64, copy=True)

    @torch.no_grad()
    def move(self, point_N: Tensor) -> None:
        """Set the coefficients."""
        coefficients = self.composition.coefficients
        coefficients.copy_(point_N.view(coefficients.shape))

    @torch.no_grad()
    def loss(self) -> float:
        """L."""
        total = self.ridge / 2 * float((self.point() - self.origin_N).square().sum())
        for number, (task, target_BV) in enumerate(zip(self.tasks, self.targets, strict=True)):
            for rows in self._chunks(number):
                log_BV = task.logits(task.images[rows]).double().log_softmax(1)
                share_B = self.shares[number][rows].to(log_BV.device)
                total -= float(share_B @ (target_BV[rows] * log_BV).sum(1))
        return total

    def linearize(self) -> tuple[Tensor, Tensor]:
        """Slope (N,) and curvature (N, N) of the linearization, in float64.

        Raises:
            InputError: if no logit depends on any coefficient.
        """
        point_N = self.point()
        slope_N = self.ridge * (point_N - self.origin_N)
        curvature_NN = self.ridge * torch.eye(len(point_N)).to(point_N)
        reached = False
        for number, (task, target_BV) in enumerate(zip(self.tasks, self.targets, strict=True)):
            mode = choose_mode(self.composition, target_BV.shape[1])
            for rows in self._chunks(number):
                images = task.images[rows]
                with torch.no_grad():
                    p_BV = task.logits(images).double().softmax(1)
                j_BVN = jacobian(self.composition, task.logits, images, mode).double()
                reached = reached or bool(j_BVN.any())
                share_B = self.shares[number][rows].to(p_BV.device)
                slope_N += torch.einsum("b,bv,bvn->n", share_B, p_BV - target_BV[rows], j_BVN)
                # diag(p) - p p^T = S^T S with S = diag(sqrt(p)) (1 - 1 p^T): H stays positive.
                mean_BN = torch.einsum("bv,bvn->bn", p_BV, j_BVN)
                root_BV = (share_B[:, None] * p_BV).sqrt()
                rows_SN = (root_BV[:, :, None] * (j_BVN - mean_BN[:, None])).flatten(0, 1)
                curvature_NN += rows_SN.T @ rows_SN
        if not reached:
            raise InputError(
                "the logits do not depend on the coefficients. Compute them by the composition, "
                "such as from its encode_image, and not from stored embeddings."
            )
        return slope_N, curvature_NN

    def _chunks(self, number: int) -> Iterator[slice]:
        for start in range(0, len(self.targets[number]), self.chunk_size):
            yield slice(start, start + self.chunk_size)


def _shares(task: Task) -> Tensor:
    """What each image of a task counts, (B,) of sum 1, float64."""
    weight_B = torch.ones(len(task.images)) if task.weight is None else task.weight
    return weight_B.double() / weight_B.double().sum()


@torch.no_grad()
def _probabilities(task: Task) -> Tensor:
    """The target as probabilities (B, V), float64, where the logits are."""
    num_images, target = len(task.images), task.target
    logits_BV = task.logits(task.images[:1])
    num_classes = logits_BV.shape[-1]
    target_BV = target
    if target.shape == (num_images,) and set(target.tolist()) <= set(range(num_classes)):
        target_BV = F.one_hot(target.long(), num_classes)
    sums_B = target_BV.double().sum(-1)
    if target_BV.shape != (num_images, num_classes) or (sums_B - 1).abs().max() > 1e-4:
        raise InputError(
            f"a task of {num_images} images and {num_classes} classes has a target of shape "
            f"{list(target.shape)}. Expected class numbers from 0 to {num_classes - 1}, or "
            "probabilities of the classes that sum to 1 for each image."
        )
    return target_BV.to(logits_BV.device, torch.float64)
