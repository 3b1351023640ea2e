"""The progress bar for bytes: counted in KiB, so that a file of a few lines shows none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from datamodules.progress import progress

_STEP = 256  # KiB that move the bar: it costs more to draw than a small file to read


@contextmanager
def byte_progress(name: str, num_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; yields a function to call with bytes done, from any thread.

    Args:
        name: what is being done, such as "downloading images.tgz".
        num_bytes: how many there are; 0 where that is unknown, which shows no bar.
    """
    lock, done, shown = threading.Lock(), 0, 0  # bytes, KiB
    with progress(f"{name} (KiB)", num_bytes // 1024) as advance:

        def count(num_bytes: int) -> None:
            nonlocal done, shown
            with lock:
                done += num_bytes
                if done // 1024 - shown >= _STEP:
                    advance(done // 1024 - shown)
                    shown = done // 1024

        yield count
        advance(done // 1024 - shown)
