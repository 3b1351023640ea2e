"""`EndTogether`: when one process of a run on several devices fails, none of the others lives on.

Left alone, the others wait in a collective for the one that is gone, for minutes or for ever, or
fail with a message about sockets that hides the cause.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from subprocess import Popen
from typing import Any

import lightning as L

from lightning_modules.failures import explain

GRACE = 4.0  # seconds that later processes leave the first one to speak for all
_POLL = 0.25
_EXIT = 2  # a process that has told its user what to mend


class EndTogether(L.Callback):
    """On the first process: watch those that Lightning started, and end when one of them does."""

    def __init__(self) -> None:
        self._armed = threading.Event()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Start to watch, if there are others."""
        if children(trainer) and not self._armed.is_set():
            self._armed.set()
            threading.Thread(target=self._watch, args=(children(trainer),), daemon=True).start()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """End the others, unless one of them is the cause: then its message is the one to read."""
        others = children(trainer)
        if others and explain(exception) is None:
            time.sleep(GRACE)  # the watch ends this process here if another one was first
        self._armed.clear()
        for each in others:
            each.kill()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Stop watching."""
        self._armed.clear()

    def _watch(self, others: list[Popen[bytes]]) -> None:
        while self._armed.is_set():
            for number, each in enumerate(others, start=1):
                code = each.poll()
                if code and self._armed.is_set():
                    _end(others, number, code)
            time.sleep(_POLL)


def children(trainer: L.Trainer) -> list[Popen[bytes]]:
    """The processes that this one started; none where torchrun or SLURM did."""
    launcher: Any = trainer.strategy.launcher
    return [each for each in getattr(launcher, "procs", ()) if isinstance(each, Popen)]


def farewell(number: int, code: int) -> str:
    """What to say of a process that ended; "" where it has spoken for itself."""
    if code == _EXIT:
        return ""
    if code < 0:
        return (
            f"process {number} was ended by signal {-code} (9 is often a lack of memory). Look at "
            "the machine, then go on with --ckpt_path last."
        )
    return f"process {number} ended with exit code {code}; its own message stands above."


def _end(others: list[Popen[bytes]], number: int, code: int) -> None:
    """End everything at once: the main thread may hang where no exception reaches it."""
    for each in others:
        each.kill()
    if text := farewell(number, code):
        sys.stderr.write(f"error: {text}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_EXIT)
