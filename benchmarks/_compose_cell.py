"""Steps of all forms of a composition, timed side by side: one cell of `compose_step`, and a loop.

Shape letters: K deltas, P blocks.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

import composition.linear
from benchmarks import _compose_peers as peers
from benchmarks._compose_model import Batch, count_tokens, draw_batch, tower_of, weight_shapes
from benchmarks._compose_peers import Block, Form
from benchmarks._timing import autocast, median_ratio, peak_beyond, take_turns
from composition import Basis, Composition
from lightning_modules.delta import Delta

FORCED = ("activation", "factored", "contraction")
Row = dict[str, Any]


def compose(clip: nn.Module, deltas: Sequence[Delta], **options: bool) -> Composition:
    """Deltas on a copy of the base, with coefficients from 0 to 0.5, all on the base's device."""
    composed = Composition(Basis.from_deltas(deltas, copy.deepcopy(clip)), "block", **options)
    composed.to(next(clip.parameters()).device)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        composed.coefficients.copy_(0.5 * torch.rand(composed.coefficients.shape, generator=draw))
    return composed


def ours(composed: Composition) -> Form:
    """The composition as it is."""
    leaf = composed.coefficients
    return Form(composed.encode_image, [leaf], list(composed.parameters()), leaf)


def our_forms(composed: Composition) -> dict[str, Form]:
    """The composition as it is, and with each form forced."""

    def forced(form: str, images: Tensor) -> Tensor:
        with mock.patch.object(composition.linear, "choose_form", new=partial(_always, form)):
            return composed.encode_image(images)

    chosen = ours(composed)
    ways = {form: replace(chosen, embed=partial(forced, form)) for form in FORCED}
    return {"ours": chosen, **ways}


def _always(form: str, *_: int, **__: Any) -> str:
    return form


def step(form: Form, batch: Batch, precision: str) -> None:
    """Forward, loss, backward."""
    clear(form)
    with autocast(precision, batch.images.device):
        embedding = form.embed(batch.images)
    batch.loss(embedding).backward()  # type: ignore[no-untyped-call]


def clear(form: Form) -> None:
    """Forget the gradients."""
    for leaf in form.learned:
        leaf.grad = None


def gradient_error(form: Form, exact_KP: Tensor) -> float | None:
    """Largest deviation of the coefficients' gradient over its largest entry."""
    if form.coefficients is None or form.coefficients.grad is None:
        return None
    return float((form.coefficients.grad - exact_KP).abs().max() / exact_KP.abs().max())


def measure_cell(
    clip: nn.Module,
    deltas: Sequence[Delta],
    dense: dict[str, Block],
    batch: Batch,
    precision: str,
    rounds: int,
) -> tuple[Row, list[Row]]:
    """One number of deltas and of tokens.

    Args:
        clip: the base, on the device; it stays as it is.
        deltas: LoRA deltas.
        dense: their dense updates, or those of more deltas; empty where these do not fit, which
            leaves out the forms that need them.
        batch: what a step sees.
        precision: "float32", or "bfloat16" by autocast.
        rounds: turns that are timed.

    Returns:
        What holds for the cell, and a row for each form.
    """
    device = batch.images.device
    composed = compose(clip, deltas)
    factors = peers.factor_blocks(deltas, clip)
    forms = {
        "floor": peers.floor(clip),
        "floor_to_tokens": peers.floor_to_tokens(clip),
        **our_forms(composed),
        "weights": peers.weights(clip),
    }
    if dense:
        dense = {n: b._replace(held=b.held[: len(deltas)]) for n, b in dense.items()}
        forms["dense_sum"] = _summed(clip, dense, composed)
        forms["rebuilt"] = _summed(clip, factors, composed)
    exact_KP = _exact(_summed(clip, factors, composed, again=True), batch)
    runs = {name: partial(step, form, batch, precision) for name, form in forms.items()}
    errors, peaks = {}, {}
    for name, form in forms.items():
        runs[name]()
        errors[name] = gradient_error(form, exact_KP)
        clear(form)
        peaks[name] = peak_beyond(runs[name], device) + count_bytes(form.held)
        clear(form)
    taken = take_turns(runs, rounds, device)
    over = {name: median_ratio(each, taken["floor"]) for name, each in taken.items()}
    tokens = count_tokens(clip, batch)
    where = {"precision": precision, "deltas": len(deltas), "tokens": tokens}
    steps: list[Row] = [
        {
            **where,
            "form": name,
            "ms": 1000 * statistics.median(each.device for each in taken[name]),
            "over_floor": over[name].device,
            "over_floor_wall": over[name].wall,
            "gradient_error": errors[name],
            "peak_mib": peaks[name] / 2**20 if device.type == "cuda" else None,
        }
        for name in forms
    ]
    overhead = _overhead(clip, composed, batch, precision, rounds)
    return {**where, "composed_over_plain": overhead, **basis_size(composed, clip)}, steps


def basis_size(composed: Composition, clip: nn.Module) -> dict[str, float]:
    """Bytes of the factors, and of the same deltas dense and in the same precision."""
    factors = count_bytes(list(composed.terms.parameters()))
    weights = [clip.get_parameter(name) for name in weight_shapes(clip)]
    dense = len(composed.delta_names) * count_bytes(weights)
    return {
        "factors_mb": factors / 1e6,
        "dense_mb": dense / 1e6,
        "dense_over_factors": dense / factors,
    }


def count_bytes(tensors: Sequence[Tensor]) -> int:
    """What tensors hold."""
    return sum(tensor.nbytes for tensor in tensors)


def _summed(
    clip: nn.Module, blocks: dict[str, Block], composed: Composition, **options: bool
) -> Form:
    return peers.summed(clip, blocks, composed.coefficients, composed.block_names, **options)


def _exact(form: Form, batch: Batch) -> Tensor:
    step(form, batch, "float32")
    assert form.coefficients is not None
    assert form.coefficients.grad is not None
    return form.coefficients.grad


def _overhead(
    clip: nn.Module, composed: Composition, batch: Batch, precision: str, rounds: int
) -> float:
    """The composed forward pass in evaluation mode over the plain one."""
    towers: dict[str, Callable[[Tensor], Tensor]]
    towers = {"composed": composed.encode_image, "plain": tower_of(clip)}
    runs = {name: partial(_infer, tower, batch, precision) for name, tower in towers.items()}
    device = batch.images.device
    take_turns(runs, 1, device)  # the first call merges
    taken = take_turns(runs, rounds, device)
    return median_ratio(taken["composed"], taken["plain"]).device


def _infer(tower: Callable[[Tensor], Tensor], batch: Batch, precision: str) -> None:
    with torch.no_grad(), autocast(precision, batch.images.device):
        tower(batch.images)


def measure_loop(
    clip: nn.Module,
    deltas: Sequence[Delta],
    tokens: int,
    precision: str,
    *,
    compiling: Sequence[bool] = (False, True),
    steps: int = 50,
) -> list[Row]:
    """Steps a second of the floor and of ours, plain and compiled: batches, step, AdamW."""
    batch, rows = draw_batch(clip, tokens), []
    for compiled in compiling:
        torch.compiler.reset()
        frozen, composed = peers.floor(clip), compose(clip, deltas)
        if compiled:
            for tower in (frozen.embed, tower_of(composed.model)):
                assert isinstance(tower, nn.Module)
                tower.compile()
        for name, form in {"floor": frozen, "ours": ours(composed)}.items():
            seconds, peak = _loop(form, batch, precision, steps)
            rows.append(
                {
                    "precision": precision,
                    "deltas": len(deltas),
                    "images": len(batch.images),
                    "form": name,
                    "compiled": compiled,
                    "steps_per_second": 1 / seconds,
                    "peak_mib": peak / 2**20,
                }
            )
    return rows


def _loop(form: Form, batch: Batch, precision: str, steps: int) -> tuple[float, int]:
    """Seconds of a step after the warm-up, and bytes on the GPU at most."""
    device, on_gpu = batch.images.device, batch.images.device.type == "cuda"
    kept = [torch.randn(batch.images.shape, pin_memory=on_gpu) for _ in range(4)]
    optimizer = torch.optim.AdamW(form.learned, lr=1e-4)

    def run(number: int) -> None:
        for index in range(number):
            images = kept[index % len(kept)].to(device, non_blocking=True)
            step(form, batch._replace(images=images), precision)
            optimizer.step()
        if on_gpu:
            torch.cuda.synchronize(device)

    run(5)  # kernels are chosen, graphs compiled
    clear(form)
    peak = peak_beyond(partial(run, 2), device) + count_bytes(form.held)
    start = time.perf_counter()
    run(steps)
    return (time.perf_counter() - start) / steps, peak
