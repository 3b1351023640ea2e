"""`LogHyperparameters`: the settings of a run beside its best score (TensorBoard's HPARAMS tab)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import lightning as L

from lightning_modules.callbacks.surface import data_of, tensorboard

_LONGEST = 100  # characters of a setting that the tab can show


class LogHyperparameters(L.Callback):
    """Write the settings once, with the best validation score so far as `hp/<quantity>`.

    Use `TensorBoardLogger(default_hp_metric=False)`: its own `hp_metric` would stay at -1. The
    settings are written after the first validation, so that no made-up score is ever shown.

    Args:
        monitor: the logged score to show; "accuracy/val" is shown as "hp/accuracy".
        mode: whether more ("max") or less ("min") of it is better.
    """

    def __init__(self, monitor: str = "accuracy/val", mode: Literal["max", "min"] = "max") -> None:
        self.monitor, self.mode = monitor, mode
        self.tag = f"hp/{monitor.split('/')[0]}"
        self._best: float | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the scores of another run."""
        self._best = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the settings once, and the score whenever it is the best so far."""
        score = trainer.callback_metrics.get(self.monitor)
        logger = tensorboard(trainer)
        if trainer.sanity_checking or logger is None or score is None or score.isnan():
            return
        value, is_first = float(score), self._best is None
        best = value if self._best is None else self._better(value, self._best)
        if is_first:
            settings = {"attribute": data_of(trainer).attribute, **pl_module.hparams}
            logger.log_hyperparams(flat(settings), {self.tag: best}, trainer.global_step)
        else:
            logger.log_metrics({self.tag: best}, trainer.global_step)
        self._best = best

    def _better(self, one: float, other: float) -> float:
        return max(one, other) if self.mode == "max" else min(one, other)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Settings as scalars and short texts, which is all that the HPARAMS tab can show.

    Example:
        >>> flat({"lr": 0.1, "lora": {"r": 8, "target_modules": ["q_proj", "v_proj"]}})
        {'lr': 0.1, 'lora/r': 8, 'lora/target_modules': "['q_proj', 'v_proj']"}
    """
    result: dict[str, bool | int | float | str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            result |= flat(value, f"{name}/")
        elif isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            result[name] = value
        else:
            result[name] = text if len(text := str(value)) <= _LONGEST else f"{text[:_LONGEST]}..."
    return result
