"""First and second moments of head codes: all that TextSpan, PCA and whitening need of the images.

A head contributes c = y M to an embedding: y is its code for the image, M its map, fixed per model.
Mean and covariance of c follow from n, sum y and sum y y^T, which are small, add up over batches
and processes, and do not grow with the number of images.

Plain sums are enough, without a shift: what cancels in float64, 1e-16 of the mean square, is less
than the 4e-15 of it that codes in float32 have rounded off before.

Shape letters: B images of a batch, L layers, H heads, C width of a code, E embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from datamodules.errors import InputError
from interpret.arrays import BROKEN, write_arrays


@dataclass
class HeadMoments:
    """Sums over the images seen so far, float64.

    Args:
        identity: what the codes are of, such as model, weights, convention; moments of different
            identity are never added, nor loaded for each other.
        count: images seen.
        sum_LHC: sum of the codes.
        square_LHCC: sum of the outer products of each code with itself.
    """

    identity: str
    count: int
    sum_LHC: Tensor
    square_LHCC: Tensor

    @classmethod
    def empty(
        cls,
        identity: str,
        layers: int,
        heads: int,
        width: int,
        device: torch.device | str = "cpu",
    ) -> HeadMoments:
        """Moments of no image yet."""
        with torch.inference_mode(False):  # else they could not be added to outside of it
            shape = (layers, heads, width)
            total = torch.zeros(shape, dtype=torch.float64, device=device)
            square = torch.zeros((*shape, width), dtype=torch.float64, device=device)
        return cls(identity, 0, total, square)

    @torch.no_grad()
    def update(self, codes_BLHC: Tensor) -> None:
        """Add a batch of images.

        Raises:
            InputError: if the shape is another, or a code is not finite; nothing is added then.
        """
        if codes_BLHC.shape[1:] != self.sum_LHC.shape:
            raise InputError(
                f"expected codes of shape (images, {_listed(self.sum_LHC)}), got "
                f"({_listed(codes_BLHC)}). Moments are of one model: begin new ones for another."
            )
        with torch.autocast(codes_BLHC.device.type, enabled=False):
            codes_BLHC = codes_BLHC.to(self.sum_LHC.device, torch.float64)
            if not codes_BLHC.isfinite().all():
                raise InputError(
                    "expected finite codes, got NaN or infinite ones. Look for damaged weights or "
                    "images, or run the model in float32."
                )
            codes_PBC = codes_BLHC.flatten(1, 2).transpose(0, 1)  # P: pairs of layer and head
            self.square_LHCC += (codes_PBC.mT @ codes_PBC).view_as(self.square_LHCC)
            self.sum_LHC += codes_BLHC.sum(0)
        self.count += len(codes_BLHC)

    def merge(self, other: HeadMoments) -> None:
        """Add the images that other moments of the same identity have seen.

        Raises:
            InputError: if they are of something else.
        """
        _check_same(self, (other.identity, tuple(other.sum_LHC.shape)))
        self.count += other.count
        self.sum_LHC += other.sum_LHC.to(self.sum_LHC.device)
        self.square_LHCC += other.square_LHCC.to(self.square_LHCC.device)

    @property
    def mean_LHC(self) -> Tensor:
        """Mean code."""
        self._check_any()
        return self.sum_LHC / self.count

    @property
    def second_LHCC(self) -> Tensor:
        """Mean of y y^T, not centered."""
        self._check_any()
        return self.square_LHCC / self.count

    def mean_of(self, maps_LHCE: Tensor) -> Tensor:
        """Mean contribution of every head, (L, H, E)."""
        mean_LHE: Tensor = (self.mean_LHC[:, :, None] @ maps_LHCE.to(self.sum_LHC))[:, :, 0]
        return mean_LHE

    def covariance_of(self, maps_LHCE: Tensor, layer: int, head: int) -> Tensor:
        """Covariance (E, E) of the contributions of one head, over n."""
        map_CE = maps_LHCE[layer, head].to(self.sum_LHC)
        mean_C = self.mean_LHC[layer, head]
        covariance: Tensor = map_CE.T @ (
            self.second_LHCC[layer, head] - torch.outer(mean_C, mean_C)
        ) @ map_CE  # fmt: skip
        return covariance

    def save(self, path: Path) -> None:
        """Write an .npz file atomically; loading it and going on equals never having stopped.

        Raises:
            InputError: if the disk is full or the folder cannot be written.
        """
        write_arrays(
            path,
            identity=np.frombuffer(self.identity.encode(), np.uint8),
            count=np.asarray(self.count),
            sum=self.sum_LHC.cpu().numpy(),
            square=self.square_LHCC.cpu().numpy(),
        )

    @classmethod
    def load(cls, path: Path, identity: str) -> HeadMoments:
        """Read a file of `save`.

        Args:
            path: the file.
            identity: what the moments must be of.

        Raises:
            InputError: if the file is missing, damaged, or of something else.
        """
        if not path.is_file():
            raise InputError(f"expected moments of head codes at {path}, found none. Gather them.")
        try:
            with np.load(path, allow_pickle=False) as parts:
                found = bytes(parts["identity"]).decode()
                total, square = (torch.from_numpy(parts[name]) for name in ("sum", "square"))
                count = int(parts["count"])
            if square.shape != (*total.shape, total.shape[-1]) or total.dtype != torch.float64:
                raise ValueError("its sums are of wrong shape or type")
        except BROKEN as error:
            raise InputError(
                f"{path} is not a whole file of moments ({error}). Remove it and gather them again."
            ) from None
        moments = cls(found, count, total, square)
        if found != identity:
            raise InputError(
                f"expected moments of {identity!r} in {path}, got those of {found!r}. Gather them "
                "with this model, or name another file."
            )
        return moments

    def _check_any(self) -> None:
        if not self.count:
            raise InputError(
                "expected moments of at least one image, got none. Gather codes first."
            )


def merged_over_processes(mine: HeadMoments | None) -> HeadMoments | None:
    """The sum over all processes, the same in each; every process must call it.

    Args:
        mine: of this process; None if it saw no image, and so does not know the shape.

    Returns:
        New moments; `mine` without other processes; None if no process saw an image.

    Raises:
        InputError: in every process, if they are not all of the same.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return mine
    labels: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(labels, mine and (mine.identity, tuple(mine.sum_LHC.shape)))
    known = [label for label in labels if label is not None]
    if not known:
        return None
    identity, (layers, heads, width) = known[0]
    device = torch.device("cuda", torch.cuda.current_device()) if _is_nccl() else "cpu"
    merged = HeadMoments.empty(identity, layers, heads, width, device)
    for label in known:
        _check_same(merged, label)
    if mine is not None:
        merged.merge(mine)
    count = torch.tensor(merged.count, device=device)
    for tensor in (count, merged.sum_LHC, merged.square_LHCC):
        dist.all_reduce(tensor)
    merged.count = int(count)
    return merged


def _is_nccl() -> bool:
    return "nccl" in dist.get_backend()


def _check_same(moments: HeadMoments, label: tuple[str, tuple[int, ...]]) -> None:
    mine = moments.identity, tuple(moments.sum_LHC.shape)
    if mine != label:
        raise InputError(
            f"expected moments of {mine[0]!r} and shape {mine[1]}, got those of {label[0]!r} and "
            f"shape {label[1]}. Merge moments of one model only."
        )


def _listed(tensor: Tensor) -> str:
    return ", ".join(map(str, tensor.shape))
