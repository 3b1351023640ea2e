"""What a command prints: our own notes, a line each, and of the libraries' lines those that help.

A line stays if a user can act on it. What is left out here is an advert, a fact without a choice,
or a warning about something that is meant to be so.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_ROOMS = ("datamodules", "lightning_modules", "composition", "interpret")
_LIBRARIES = ("lightning", "lightning.fabric", "lightning.pytorch")

_ADVERTS = (
    "litlogger",
    "litmodels",
    "`Trainer.fit` stopped",
    "Loading `train_dataloader` to estimate",
    "Seed set to",
    "GPU available: ",  # our own first line says where the model is
    "TPU available: ",
    "HPU available: ",
    "LOCAL_RANK: ",
    "Initializing distributed: ",
    "distributed_backend=",
    "Restoring states from the checkpoint",  # "Restored all states" follows
    "You are using a CUDA device",  # float32 on purpose: training is bf16-mixed there
)
_WARNINGS = (
    "LightningCLI's args parameter is intended",  # our own front doors pass the arguments on
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # Lightning's to mend
    "Found \\d+ module\\(s\\) in eval mode",  # the frozen base is meant to be
    "The number of training batches",  # small data is allowed
    "The '\\w+_dataloader' does not have many workers",  # whole batches come from one array
    "The dirpath has changed from",  # a moved checkpoint is allowed
    "Checkpoint directory .* exists and is not empty",  # a resumed run goes on in its own folder
    "It is recommended to use .* when logging on epoch level",  # torchmetrics has synchronised
    "torch.distributed.nn.functional.all_gather is deprecated",  # Lightning's to mend
)


def is_first_process() -> bool:
    """Whether this process is the one that speaks; several are started for several devices."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, the lines above are left out and our own notes go to stderr; put back after."""
    import lightning.pytorch  # noqa: F401  # its handlers must exist before they are filtered

    handlers = [each for name in _LIBRARIES for each in logging.getLogger(name).handlers]
    notes = logging.StreamHandler()
    notes.setFormatter(logging.Formatter("note: %(message)s"))
    rooms = [logging.getLogger(name) for name in _ROOMS]
    before = [(room.level, room.propagate) for room in rooms]
    with warnings.catch_warnings():
        for text in _WARNINGS:
            warnings.filterwarnings("ignore", message=f".*{text}")
        for handler in handlers:
            handler.addFilter(_is_news)
        for room in rooms:
            room.addHandler(notes)
            room.setLevel(logging.INFO if is_first_process() else logging.ERROR)
            room.propagate = False
        try:
            yield
        finally:
            for handler in handlers:
                handler.removeFilter(_is_news)
            for room, (level, propagate) in zip(rooms, before, strict=True):
                room.removeHandler(notes)
                room.setLevel(level)
                room.propagate = propagate


def _is_news(record: logging.LogRecord) -> bool:
    return not any(advert in record.getMessage() for advert in _ADVERTS)
