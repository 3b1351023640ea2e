"""`LogCharts`: training and validation curves in one chart (TensorBoard's CUSTOM SCALARS tab)."""

from __future__ import annotations

import lightning as L

from lightning_modules.callbacks.surface import tensorboard


class LogCharts(L.Callback):
    """Lay the curves of several splits over one another, once for each log.

    Args:
        quantities: the charts, such as "loss" for the tags loss/train and loss/val.
        splits: the curves of each chart.
    """

    def __init__(
        self,
        quantities: tuple[str, ...] = ("loss", "accuracy", "map"),
        splits: tuple[str, ...] = ("train", "val"),
    ) -> None:
        self.quantities, self.splits = quantities, splits
        self._charted: object = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the layout, unless this log has it."""
        logger = tensorboard(trainer)
        if logger is None or self._charted is logger:
            return
        charts = {
            quantity: ["Multiline", [f"{quantity}/{split}" for split in self.splits]]
            for quantity in self.quantities
        }
        logger.experiment.add_custom_scalars({" and ".join(self.splits): charts})
        self._charted = logger
