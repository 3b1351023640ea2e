"""`LogPredictions`: validation images with what the model says of them (TensorBoard's IMAGES tab).

Shape letters: B images of a batch, S images of the grid, V values of the attribute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightning_modules.callbacks.figures import (
    Prediction,
    confusion_figure,
    prediction_grid,
    render,
)
from lightning_modules.callbacks.surface import (
    as_adapter,
    at_least,
    data_of,
    quota,
    spread,
    tensorboard,
)
from lightning_modules.metrics import true_and_predicted

GRID_TAG, CONFUSION_TAG = "predictions/val", "confusion/val"
MOST_VALUES = 40  # a larger confusion matrix cannot be read


class LogPredictions(L.Callback):
    """Draw a grid of validation images and, for up to 40 values, the confusion matrix.

    If `validation_step` returns {"logits": (B, V)}, these are used; else they are computed again.

    Args:
        num_images: images in the grid, taken evenly from the validation split.
        every_n_epochs: validations between two drawings; the last one is always drawn.
    """

    def __init__(self, num_images: int = 32, every_n_epochs: int = 5) -> None:
        self.num_images = at_least("LogPredictions.num_images", num_images, 1)
        self.every_n_epochs = at_least("LogPredictions.every_n_epochs", every_n_epochs, 1)
        self._num_validations = 0
        self._is_drawn = True
        self._samples: list[dict[str, Tensor]] = []
        self._confusion_VV: Tensor | None = None

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the validation before."""
        num_values = len(data_of(trainer).values)
        self._samples = []
        self._confusion_VV = (
            torch.zeros(num_values, num_values, dtype=torch.int64, device=pl_module.device)
            if num_values <= MOST_VALUES
            else None
        )

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: Mapping[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch and keep a few of its images."""
        if trainer.sanity_checking or dataloader_idx > 0:
            return
        logits_BV = outputs.get("logits") if isinstance(outputs, Mapping) else None
        if logits_BV is None:
            logits_BV = as_adapter(pl_module).logits(batch["image"])
        if self._confusion_VV is not None:
            count(self._confusion_VV, logits_BV, batch["label"], batch["known"])
        rows = spread(len(logits_BV), quota(trainer, self.num_images))
        kept = {key: batch[key] for key in ("image", "label", "known")} | {"logits": logits_BV}
        self._samples.append({key: each[rows.to(each.device)].cpu() for key, each in kept.items()})

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, if it is time."""
        if trainer.sanity_checking:
            return
        if self._confusion_VV is not None:
            # Every process has seen its own share of the split.
            total = trainer.strategy.reduce(self._confusion_VV, reduce_op="sum")
            assert isinstance(total, Tensor)
            self._confusion_VV = total
        self._is_drawn = self._num_validations % self.every_n_epochs == 0
        self._num_validations += 1
        if self._is_drawn:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the last validation, unless that is done."""
        if not self._is_drawn and self._samples:
            self._draw(trainer, pl_module)
            self._is_drawn = True

    def _draw(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if (logger := tensorboard(trainer)) is None or not self._samples:
            return
        data, writer, step = data_of(trainer), logger.experiment, trainer.global_step
        merged = {key: torch.cat([each[key] for each in self._samples]) for key in self._samples[0]}
        rows = spread(len(merged["image"]), self.num_images)
        merged = {key: each[rows] for key, each in merged.items()}
        is_sigmoid = as_adapter(pl_module).objective == "sigmoid"
        shown = predictions(**merged, values=data.values, is_sigmoid=is_sigmoid)
        heading = f"{data.attribute}, step {step:,}"
        title = f"{heading}\ntrue value above, predicted below; wrong in red"
        figure = prediction_grid(shown, title=title)
        writer.add_image(GRID_TAG, render(figure), step, dataformats="HWC")
        if self._confusion_VV is not None and self._confusion_VV.sum() > 0:
            counts_VV = self._confusion_VV.cpu().numpy()
            num_images = counts_VV.sum()
            share = counts_VV.trace() / num_images
            title = f"{heading}: {share:.1%} right\n{num_images:,} images, % of each row"
            figure = confusion_figure(counts_VV, data.values, title=title)
            writer.add_image(CONFUSION_TAG, render(figure), step, dataformats="HWC")


def count(confusion_VV: Tensor, logits_BV: Tensor, label_BV: Tensor, known_BV: Tensor) -> None:
    """Add a batch to the counts, in place: true value by predicted value."""
    true_B, predicted_B = true_and_predicted(logits_BV, label_BV, known_BV)
    cell_B = true_B.clamp(min=0) * confusion_VV.shape[1] + predicted_B
    confusion_VV.view(-1).scatter_add_(0, cell_B, (true_B >= 0).long())


def predictions(
    image: Tensor,
    label: Tensor,
    known: Tensor,
    logits: Tensor,
    *,
    values: Sequence[str],
    is_sigmoid: bool = False,
) -> list[Prediction]:
    """What to write at each image.

    Args:
        image: uint8 (S, 3, H, W).
        label: 1 or 0, (S, V).
        known: whether the label is known, (S, V).
        logits: (S, V).
        values: names of the V values.
        is_sigmoid: whether logits are log odds of each value alone, else of a softmax over all.
    """
    logits = logits.float()
    confidence, predicted = (logits.sigmoid() if is_sigmoid else logits.softmax(dim=1)).max(dim=1)
    result = []
    for row, column in enumerate(predicted.tolist()):
        true = torch.nonzero(label[row].bool() & known[row])[:, 0].tolist()
        is_right = bool(label[row, column]) if known[row, column] else None
        result.append(
            Prediction(
                image=image[row].permute(1, 2, 0).numpy(),
                truth=", ".join(values[each] for each in true),
                predicted=values[column],
                confidence=float(confidence[row]),
                correct=is_right,
            )
        )
    return result
