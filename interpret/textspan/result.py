"""What TextSpan found, and its files.

Shape letters: L layers, H heads, C width of a code, E embedding width, S texts chosen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import InputError
from datamodules.files import write_json
from interpret.arrays import BROKEN, write_arrays


class Picked(NamedTuple):
    """One text of a head.

    Args:
        text: the text.
        share: of the head's variance that its direction explains next to those before.
        correlation: over images, of the head's score on the whole text with that on the direction;
            far below 1, the direction is what earlier ones left of the text, not what it says.
    """

    text: str
    share: float
    correlation: float


@dataclass(frozen=True)
class TextSpan:
    """Texts and directions of every head, float64.

    Args:
        method: how they were chosen.
        identity: what the moments were of.
        num_images: how many images the moments were of.
        pool: all texts that there were to choose from.
        index_LHS: number of the text, best first; -1 where nothing was left to explain.
        share_LHS: of the head's variance that each direction explains.
        correlation_LHS: see `Picked`.
        direction_LHSE: orthonormal, each towards its text; 0 where there is none.
        variance_LH: total variance of the contributions; 0 if they are all the same.
        rank_LH: directions that the texts were projected onto.
        mean_LHE: mean contributions.
    """

    method: str
    identity: str
    num_images: int
    pool: tuple[str, ...]
    index_LHS: Tensor
    share_LHS: Tensor
    correlation_LHS: Tensor
    direction_LHSE: Tensor
    variance_LH: Tensor
    rank_LH: Tensor
    mean_LHE: Tensor

    @property
    def explained_LHS(self) -> Tensor:
        """Share of the variance that the first texts explain together, in [0, 1], rising."""
        return self.share_LHS.cumsum(-1)

    def texts(self, layer: int, head: int) -> tuple[Picked, ...]:
        """The texts of one head, in order."""
        rows = zip(
            self.index_LHS[layer, head].tolist(),
            self.share_LHS[layer, head].tolist(),
            self.correlation_LHS[layer, head].tolist(),
            strict=True,
        )
        return tuple(Picked(self.pool[index], *rest) for index, *rest in rows if index >= 0)

    def replaced(self, maps_LHCE: Tensor, num_texts: int | None = None) -> tuple[Tensor, Tensor]:
        """Maps and offsets that replace heads by their texts.

            c -> mean + (c - mean) U U^T = y (M U U^T) + (mean - mean U U^T)

        Args:
            maps_LHCE: the maps that the directions were found with.
            num_texts: directions to take; None takes all.

        Returns:
            Maps (L, H, C, E) and offsets (L, H, E) for the same codes, float64.
        """
        direction_LHSE = self.direction_LHSE[:, :, :num_texts]
        maps_LHCE = (maps_LHCE.to(direction_LHSE) @ direction_LHSE.mT) @ direction_LHSE
        inside_LHE = ((self.mean_LHE[:, :, None] @ direction_LHSE.mT) @ direction_LHSE)[:, :, 0]
        return maps_LHCE, self.mean_LHE - inside_LHE

    def to_json(self) -> dict[str, Any]:
        """Texts of all heads with shares and correlations, as JSON can hold them."""
        layers, heads = self.variance_LH.shape
        return {
            "method": self.method,
            "identity": self.identity,
            "num_images": self.num_images,
            "num_texts_in_pool": len(self.pool),
            "heads": [
                {
                    "layer": layer,
                    "head": head,
                    "rank": int(self.rank_LH[layer, head]),
                    "variance": float(self.variance_LH[layer, head]),
                    "explained": float(self.share_LHS[layer, head].sum()),
                    "texts": [each._asdict() for each in self.texts(layer, head)],
                }
                for layer in range(layers)
                for head in range(heads)
            ],
        }

    def save(self, path: Path) -> None:
        """Write all of it to an .npz file, atomically, and the texts to a .json file beside it.

        Raises:
            InputError: if the disk is full or the folder cannot be written.
        """
        head = {name: getattr(self, name) for name in _HEAD}
        write_arrays(
            path.with_suffix(".npz"),
            head=np.frombuffer(json.dumps(head).encode(), np.uint8),
            **{name: getattr(self, name).cpu().numpy() for name in _TENSORS},
        )
        write_json(path.with_suffix(".json"), self.to_json())

    @classmethod
    def load(cls, path: Path) -> TextSpan:
        """Read the .npz file of `save`.

        Raises:
            InputError: if the file is missing or damaged.
        """
        path = path.with_suffix(".npz")
        if not path.is_file():
            raise InputError(f"expected the texts of heads at {path}, found none.")
        try:
            with np.load(path, allow_pickle=False) as parts:
                fields: dict[str, Any] = json.loads(bytes(parts["head"]))
                fields |= {name: torch.from_numpy(parts[name]) for name in _TENSORS}
            return cls(**fields | {"pool": tuple(fields["pool"])})
        except (*BROKEN, TypeError) as error:
            raise InputError(
                f"{path} is not a whole file of texts of heads ({error}). Remove it and make it "
                "again."
            ) from None


_HEAD = ("method", "identity", "num_images", "pool")
_TENSORS = tuple(name for name in TextSpan.__dataclass_fields__ if name not in _HEAD)
