"""Progress bars with a rate: for loops of our own, and Lightning's without its run number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as Remaining
from rich.text import Text

from lightning_modules.quiet import is_first_process


class _Rate(ProgressColumn):
    """Things a second."""

    def render(self, task: Task) -> Text:
        """The rate so far."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


@contextmanager
def progress(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, gone when it is done; yields a function that takes how many are new.

    Args:
        text: what is counted.
        total: how many there are.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
    bar = Progress(*columns, Remaining(), transient=True)
    bar.disable = not (is_first_process() and bar.console.is_terminal)
    with bar:
        task = bar.add_task(text, total=total)
        yield lambda new: bar.update(task, advance=new)


class TrainingProgress(RichProgressBar):
    """Lightning's bar, whose numbers are all of this training."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> Any:
        """The numbers beside the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
