"""A progress bar with a rate, on stderr, for work that takes more than a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_FEW = 500  # no bar for less


@contextmanager
def progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; yields a function to call with how many were done.

    Args:
        name: what is being done, such as "drawing glyphs".
        total: how many there are.
    """
    # Only where a bar may be needed: `--help` must stay quick.
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeRemainingColumn

    columns: list[Any] = [
        *Progress.get_default_columns()[:3],
        TextColumn("{task.fields[rate]}/s"),
        TimeRemainingColumn(),
    ]
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=total < _FEW
    ) as bar:
        task = bar.add_task(name, total=total, rate="...")

        def advance(count: int) -> None:
            bar.advance(task, count)
            speed = bar.tasks[task].speed
            bar.update(task, rate=f"{speed:,.0f}" if speed else "...")

        yield advance
