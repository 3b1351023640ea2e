"""Seeing, and replacing, what every attention of a model computes.

open_clip, timm and this project's own modules all end in one function,
`torch.nn.functional.scaled_dot_product_attention`. Standing in for it while a model runs shows
queries, keys, values and results of any tower without a fork of its code, and costs no arithmetic.

Shape letters: B images or texts, H heads, Q queries, S keys, W head width.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import InputError

_LOCK = threading.Lock()


@dataclass(frozen=True)
class Call:
    """One call of scaled-dot-product attention.

    Args:
        name: of the attention module that made it, as given to `tap_attention`.
        query: (B, H, Q, W).
        key: (B, H, S, W).
        value: (B, H, S, W).
        output: (B, H, Q, W); the weights times the values.
        mask: boolean (True is seen) or additive, of a shape that spreads to (B, H, Q, S).
        is_causal: whether later keys are hidden.
        scale: factor on the products; None is W ** -0.5.
    """

    name: str
    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    mask: Tensor | None = None
    is_causal: bool = False
    scale: float | None = None

    def weights(self) -> Tensor:
        """Attention weights (B, H, Q, S); each row sums to 1."""
        scale = self.query.shape[-1] ** -0.5 if self.scale is None else self.scale
        scores_BHQS = (self.query * scale) @ self.key.transpose(-2, -1)
        if self.is_causal:
            seen_QS = torch.ones(scores_BHQS.shape[-2:], dtype=torch.bool, device=self.key.device)
            scores_BHQS = scores_BHQS.masked_fill(~seen_QS.tril(), float("-inf"))
        if self.mask is not None and self.mask.dtype == torch.bool:
            scores_BHQS = scores_BHQS.masked_fill(~self.mask, float("-inf"))
        elif self.mask is not None:
            scores_BHQS = scores_BHQS + self.mask
        return scores_BHQS.softmax(dim=-1)


See = Callable[[Call], Tensor | None]


@contextmanager
def tap_attention(modules: Mapping[str, nn.Module], see: See) -> Iterator[None]:
    """Show every attention call of some modules to a function, while the context lasts.

    Calls outside those modules pass unseen. Afterwards the function, torch's fast path and the
    modules' hooks are as they were. Compiled models bypass Python and cannot be tapped.

    Args:
        modules: name -> attention module. A module that calls attention twice is seen twice.
        see: gets each `Call`; a tensor it returns takes the place of the output.

    Raises:
        RuntimeError: if another tap is open; taps do not nest and serve one thread.
    """
    if not _LOCK.acquire(blocking=False):
        raise RuntimeError("another attention tap is open: close it first, taps do not nest.")
    current: list[str] = []
    original = F.scaled_dot_product_attention
    had_fastpath = torch.backends.mha.get_fastpath_enabled()

    @functools.wraps(original)
    def tapped(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        **options: Any,
    ) -> Tensor:
        output = original(query, key, value, attn_mask, dropout_p, is_causal, **options)
        if not current:
            return output
        scale = options.get("scale")
        call = Call(current[-1], query, key, value, output, attn_mask, is_causal, scale)
        replaced = see(call)
        return output if replaced is None else replaced

    def leave(*_: Any) -> None:
        current.pop()

    with ExitStack() as stack:
        stack.callback(_LOCK.release)
        for name, module in modules.items():
            enter = functools.partial(_enter, current, name)
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave, always_call=True).remove)
        F.scaled_dot_product_attention = tapped  # type: ignore[assignment]
        stack.callback(setattr, F, "scaled_dot_product_attention", original)
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(torch.backends.mha.set_fastpath_enabled, had_fastpath)
        yield


def _enter(current: list[str], name: str, *_: Any) -> None:
    current.append(name)


def check_seen(names: Iterable[str], seen: Container[str]) -> None:
    """See that attention modules made the calls that were to be seen or replaced.

    Args:
        names: as given to `tap_attention`: numbers of layers.
        seen: names of those that called.

    Raises:
        InputError: if one did not.
    """
    if missing := [name for name in names if name not in seen]:
        raise InputError(
            "expected every attention to call torch's scaled_dot_product_attention, got no call "
            f"from layers {', '.join(missing)}. Use the model uncompiled and with fused attention."
        )


@contextmanager
def watch_outputs(
    modules: Mapping[str, nn.Module], see: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Show the output of some modules to a function, while the context lasts.

    Args:
        modules: name -> module whose output is a tensor, or a tuple that begins with one.
        see: gets name and output of every call.
    """
    with ExitStack() as stack:
        for name, module in modules.items():
            hook = functools.partial(_show_output, see, name)
            stack.callback(module.register_forward_hook(hook).remove)
        yield


@contextmanager
def watch_inputs(
    modules: Mapping[str, nn.Module], see: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Show the first argument of some modules to a function, while the context lasts.

    Args:
        modules: name -> module.
        see: gets name and first argument of every call.
    """
    with ExitStack() as stack:
        for name, module in modules.items():
            hook = functools.partial(_show_input, see, name)
            stack.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
        yield


def _show_output(
    see: Callable[[str, Tensor], None], name: str, _: nn.Module, __: Any, output: Any
) -> None:
    see(name, output[0] if isinstance(output, tuple) else output)


def _show_input(
    see: Callable[[str, Tensor], None], name: str, _: nn.Module, args: Any, kwargs: Any
) -> None:
    see(name, args[0] if args else next(iter(kwargs.values())))
