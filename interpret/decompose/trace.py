"""One pass through a tower, keeping what its sum is made of and no more.

Shape letters: B images or texts, N tokens, R rows that are read, H heads, S keys, W head width,
D stream width, E embedding width, L layers, M layers with an MLP.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from datamodules.errors import InputError
from interpret.taps import Call, check_seen, tap_attention, watch_inputs, watch_outputs
from interpret.towers import Rows, Tower, gain


@dataclass(frozen=True)
class LayerTrace:
    """What one layer added to the rows that are read, each row weighted as the output weights it.

    Args:
        value_BHW: what the heads hand to the output projection, summed over rows.
        weight_B: the sum of the rows' weights, which multiplies the projection's bias.
        post_mean_B: the mean that a LayerNorm after the projection takes away; 0 without one.
        mlp_BD: the MLP's term; None without an MLP.
        source_BHS: attention to every key, summed over rows; None unless tokens were asked for.
        values_BHSW: the values of the keys; None unless tokens were asked for.
        rest_BHW: of `value_BHW`, what no key's value gives: the bias and mean of a LayerNorm before
            the output projection; None without one, or unless tokens were asked for.
    """

    value_BHW: Tensor
    weight_B: Tensor
    post_mean_B: Tensor
    mlp_BD: Tensor | None
    source_BHS: Tensor | None
    values_BHSW: Tensor | None
    rest_BHW: Tensor | None


@dataclass(frozen=True)
class Trace:
    """A pass through a tower, frozen at the LayerNorms' statistics of every image.

    Args:
        output_BE: the tower's own output, not normalized.
        weights_BR: weight of every row in the output: 1 / R, divided by the final LayerNorm's
            standard deviation.
        mean_B: what the final LayerNorm takes away, weighted likewise.
        layers: in order.
        entrance_BD: the stream before the first layer; None if the tower has no such term.
        last_BRD: rows of the stream after the last layer; None if the tower has no stream.
    """

    output_BE: Tensor
    weights_BR: Tensor
    mean_B: Tensor
    layers: tuple[LayerTrace, ...]
    entrance_BD: Tensor | None
    last_BRD: Tensor | None


@dataclass
class _Seen:
    """What hooks saw, at the rows that are read."""

    rows: Rows
    with_tokens: bool
    values: dict[str, Tensor] = field(default_factory=dict)  # (B, R, H, W)
    weights: dict[str, Tensor] = field(default_factory=dict)  # (B, H, R, S)
    sources: dict[str, Tensor] = field(default_factory=dict)  # (B, H, S, W)
    modules: dict[str, Tensor] = field(default_factory=dict)  # (B, R, D)

    def call(self, call: Call) -> None:
        """Keep an attention's answer at the rows that are read."""
        if call.name in self.values:
            raise InputError(
                f"expected one attention call in layer {call.name}, got two. The model was run "
                "more than once, or shares the module between layers."
            )
        self.values[call.name] = self.rows.take(call.output, 2).transpose(1, 2)
        if self.with_tokens:
            self.weights[call.name] = self._pooled_call(call).weights()
            self.sources[call.name] = call.value

    def _pooled_call(self, call: Call) -> Call:
        """The same call for the rows alone: other rows' weights are never built."""
        query, mask, is_causal = self.rows.take(call.query, 2), call.mask, call.is_causal
        if mask is not None or is_causal:
            whole = (*call.query.shape[:3], call.key.shape[2])
            if is_causal:
                mask = torch.ones(whole[2:], dtype=torch.bool, device=query.device).tril()
                is_causal = False
            assert mask is not None
            mask = self.rows.take(mask.expand(whole), 2)
        return Call(
            call.name, query, call.key, call.value, call.output, mask, is_causal, call.scale
        )

    def module(self, name: str, x: Tensor) -> None:
        """Keep a module's input or output at the rows that are read."""
        if name == "last" and x.dim() == 4:
            x = x.flatten(2).transpose(1, 2)
        self.modules[name] = self.rows.take(x)


@torch.no_grad()
def trace(tower: Tower, inputs: Tensor, *, with_tokens: bool = False) -> Trace:
    """Run a tower and keep the terms of its sum.

    Args:
        tower: what to run, in evaluation mode.
        inputs: what the tower takes: preprocessed images (B, 3, height, width) or tokens (B, N).
        with_tokens: also keep attention and values of every key.

    Raises:
        InputError: if the model is in training mode, or an attention bypasses torch's function (a
            compiled model, an unfused one).
    """
    tower.check()
    seen = _Seen(tower.rows(inputs), with_tokens)
    with _watching(tower, seen):
        output_BE = tower.run(inputs)
    check_seen(tower.attentions, seen.values)
    return _pooled(tower, seen, output_BE)


def _watching(tower: Tower, seen: _Seen) -> ExitStack:
    stack = ExitStack()
    try:
        stack.enter_context(tap_attention(tower.attentions, seen.call))
        outputs: dict[str, nn.Module | None] = {"last": tower.last}
        inputs: dict[str, nn.Module | None] = {"entrance": tower.entrance}
        for number, layer in enumerate(tower.layers):
            outputs |= {f"mlp {number}": layer.mlp, f"inner {number}": layer.inner_norm}
            inputs[f"post {number}"] = layer.post_norm
        stack.enter_context(watch_outputs(_present(outputs), seen.module))
        stack.enter_context(watch_inputs(_present(inputs), seen.module))
    except BaseException:
        stack.close()
        raise
    return stack


def _present(modules: Mapping[str, nn.Module | None]) -> dict[str, nn.Module]:
    return {name: module for name, module in modules.items() if module is not None}


def _pooled(tower: Tower, seen: _Seen, output_BE: Tensor) -> Trace:
    dtype = torch.promote_types(output_BE.dtype, torch.float32)
    last = seen.modules.get("last")
    last_BRD = None if last is None else last.to(dtype)
    if last_BRD is None:
        count = next(iter(seen.values.values())).shape[1]
        weights_BR = output_BE.new_full((len(output_BE), count), 1 / count, dtype=dtype)
        mean_B = torch.zeros_like(weights_BR[:, 0])
    else:
        weights_BR, mean_B = _final(tower, last_BRD)
    layers = tuple(
        _layer(tower, seen, number, weights_BR, dtype) for number in range(len(tower.layers))
    )
    entrance = seen.modules.get("entrance")
    return Trace(
        output_BE=output_BE.to(dtype),
        weights_BR=weights_BR,
        mean_B=mean_B,
        layers=layers,
        entrance_BD=None if entrance is None else _sum_rows(weights_BR, entrance.to(dtype)),
        last_BRD=last_BRD,
    )


def _final(tower: Tower, last_BRD: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the rows, and the weighted mean that the final LayerNorm takes away."""
    count = last_BRD.shape[1]
    uniform_BR = last_BRD.new_full(last_BRD.shape[:2], 1 / count)
    if tower.norm is None:
        return uniform_BR, torch.zeros_like(uniform_BR[:, 0])
    normed = last_BRD if tower.norm_first else last_BRD.mean(dim=1, keepdim=True)
    mean_BR, deviation_BR = statistics(normed, tower.norm.eps)
    weights_BR = uniform_BR / deviation_BR
    return weights_BR, (weights_BR * mean_BR).sum(dim=1)


def _layer(
    tower: Tower, seen: _Seen, number: int, weights_BR: Tensor, dtype: torch.dtype
) -> LayerTrace:
    layer, name = tower.layers[number], str(number)
    value_BRHW = seen.values[name].to(dtype)
    own_BR, post_mean_B = weights_BR, torch.zeros_like(weights_BR[:, 0])
    if layer.post_norm is not None:
        written_BRD = seen.modules[f"post {name}"].to(dtype)
        mean_BR, deviation_BR = statistics(written_BRD, layer.post_norm.eps)
        own_BR = weights_BR / deviation_BR
        post_mean_B = (own_BR * mean_BR).sum(dim=1)
    source_BR = own_BR
    if layer.inner_norm is not None:
        flat_BRV = value_BRHW.flatten(2)
        source_BR = own_BR / statistics(flat_BRV, layer.inner_norm.eps)[1]
        value_BRHW = seen.modules[f"inner {name}"].to(dtype).view(value_BRHW.shape)
    mlp = seen.modules.get(f"mlp {name}")
    if mlp is not None:
        mlp = mlp.to(dtype) if layer.mlp_scale is None else mlp.to(dtype) * layer.mlp_scale
    value_BHW = torch.einsum("br,brhw->bhw", own_BR, value_BRHW)
    source_BHS, values_BHSW, rest_BHW = None, None, None
    if seen.with_tokens:
        source_BHS = torch.einsum("br,bhrs->bhs", source_BR, seen.weights[name].to(dtype))
        values_BHSW = _scaled_values(tower, seen, number, dtype)
        if layer.inner_norm is not None:
            rest_BHW = value_BHW - torch.einsum("bhs,bhsw->bhw", source_BHS, values_BHSW)
    return LayerTrace(
        value_BHW=value_BHW,
        weight_B=own_BR.sum(dim=1),
        post_mean_B=post_mean_B,
        mlp_BD=None if mlp is None else _sum_rows(weights_BR, mlp),
        source_BHS=source_BHS,
        values_BHSW=values_BHSW,
        rest_BHW=rest_BHW,
    )


def _scaled_values(tower: Tower, seen: _Seen, number: int, dtype: torch.dtype) -> Tensor:
    """Values of the keys, times the gain of a LayerNorm before the output projection."""
    values_BHSW = seen.sources[str(number)].to(dtype)
    norm = tower.layers[number].inner_norm
    if norm is None:
        return values_BHSW
    heads, width = values_BHSW.shape[1], values_BHSW.shape[3]
    weight, _ = gain(norm, values_BHSW.new_empty(heads * width))
    return values_BHSW * weight.view(heads, 1, width)


def _sum_rows(weights_BR: Tensor, x_BRD: Tensor) -> Tensor:
    return torch.einsum("br,brd->bd", weights_BR, x_BRD)


def statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the last dimension, as LayerNorm takes them (biased)."""
    mean = x.mean(dim=-1)
    deviation = (x.var(dim=-1, unbiased=False) + eps).sqrt()
    return mean, deviation
