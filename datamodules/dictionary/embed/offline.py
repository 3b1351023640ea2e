"""Loading models without asking a hub, whatever their files refer to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


@contextmanager
def offline() -> Iterator[None]:
    """The hub's client refuses to connect, and the loaders keep quiet, while the block runs."""
    from huggingface_hub import constants

    loader_logging: Any = import_module("transformers.utils.logging")
    hub, disabled = constants.HF_HUB_OFFLINE, logging.root.manager.disable
    bar = loader_logging.is_progress_bar_enabled()
    # Set on the module: its environment variable is read once, long before this.
    constants.HF_HUB_OFFLINE = True
    loader_logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = hub
        logging.disable(disabled)
        if bar:
            loader_logging.enable_progress_bar()
