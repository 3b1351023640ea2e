"""`ClassDataModule`: the splits of a source by what its images show, whole or few shots a class."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from datamodules.annotations import Annotations
from datamodules.attribute import AttributeDataModule
from datamodules.batches import Batch
from datamodules.errors import InputError
from datamodules.protocols.protocols import Request, split_source
from datamodules.sources import about_source
from datamodules.splits.apply import in_parts


class ClassDataModule(AttributeDataModule):
    """Images with one class each, such as a bird's species; see `AttributeDataModule` for batches.

    Args:
        source: name of the data set.
        root: its folder.
        attribute: whose values are the classes; "" takes the one that the source names.
        shots: training images a class, from 1 to 16, drawn as CoOp draws them; None takes all.
        shots_seed: of that draw; CoOp reports 1, 2 and 3.
        dictionary: the dictionary's file; `artifacts/dictionary/<source>.json`, built if missing.
        batch_size: images of one training step, over all processes together.
        num_workers: processes that fetch batches; by default none, but a thread beside a GPU.
        image_size: pixels a side that images are decoded to.
        split: file of a split to use in place of the source's own; the shots are drawn from it.
        max_images: see `AttributeDataModule`; after the shots are drawn.
        crops: see `AttributeDataModule`.
        seed: seed of the order of the images, 0 or more.

    Raises:
        InputError: if the source names no class attribute and none is given.
    """

    def __init__(
        self,
        source: str,
        root: Path | None = None,
        attribute: str = "",
        shots: int | None = None,
        shots_seed: int = 1,
        dictionary: Path | None = None,
        batch_size: int = 128,
        num_workers: int | None = None,
        image_size: int = 224,
        split: Path | None = None,
        max_images: int | None = None,
        crops: int = 1,
        seed: int = 0,
    ) -> None:
        name = attribute or about_source(source).class_attribute
        if not name:
            raise InputError(
                f"{source} does not say which attribute its classes are. Name one with "
                "--data.attribute."
            )
        super().__init__(
            name, source=source, root=root, dictionary=dictionary, batch_size=batch_size,
            num_workers=num_workers, image_size=image_size, split=split, max_images=max_images,
            crops=crops, seed=seed,
        )  # fmt: skip
        self.shots, self.shots_seed = shots, shots_seed

    @property
    def annotations(self) -> Annotations:
        """What is known of the items, with the shots as the training split; after `setup`."""
        if self._annotations is None and self.shots is not None:
            whole = super().annotations
            request = Request(attribute=self.attribute, shots=self.shots, seed=self.shots_seed)
            chosen = split_source(whole, self.source_name, "few-shot", request)
            self._annotations, self.split_hash = in_parts(whole, chosen), chosen.hash
        return super().annotations

    @staticmethod
    def target(batch: Batch) -> Tensor:
        """The number of each image's class, int64 (B,)."""
        return batch["label"].argmax(dim=1)
