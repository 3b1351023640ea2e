"""Values of flags, checked where they are read, so that a mistake is told before any work."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import torch


def whole(least: int) -> Callable[[str], int]:
    """A type of flags: whole numbers, none under the least."""

    def read(text: str) -> int:
        if not text.strip().lstrip("+-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of at least {least}, got {text!r}"
            )
        return int(text)

    return read


def nonempty(text: str) -> str:
    """A type of flags: text that is not empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"expected words, got {text!r}")
    return text


def known_device(text: str) -> str:
    """A type of flags: a device that is there, such as cpu, cuda or cuda:1; "" lets us choose."""
    known = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    known += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        known.append("mps")
    if text and text not in known:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(known)}, got {text!r}")
    return text


class Once(argparse.Action):
    """The values of a flag that is given once, and each value once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Keep the values."""
        found = list(values or ())
        if getattr(namespace, self.dest) is not self.default:
            raise argparse.ArgumentError(
                self, "expected the flag once, with all its values, got it twice"
            )
        if again := [each for place, each in enumerate(found) if each in found[:place]]:
            raise argparse.ArgumentError(
                self, f"expected each value once, got {str(again[0])!r} twice"
            )
        setattr(namespace, self.dest, found)
