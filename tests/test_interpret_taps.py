"""The tap on attention: what it shows, replaces, and leaves behind."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from interpret.taps import Call, tap_attention, watch_inputs, watch_outputs
from tests import interpret_towers as towers


def _attention():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64).eval()


def _weights(call):
    return (call.weights() @ call.value - call.output).abs().max()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": torch.tensor([[True, False, True]] * 3)},
        {"attn_mask": torch.tensor([[0.0, float("-inf"), -1.0]] * 3, dtype=torch.float64)},
    ],
    ids=["plain", "causal", "scaled", "boolean", "additive"],
)
def test_weights_times_values_are_the_output(options):
    class Plain(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x + 1, x * 2, **options)

    module, calls = Plain(), []
    x = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    with tap_attention({"it": module}, calls.append):
        output = module(x)
    assert torch.equal(output, module(x))
    (call,) = calls
    assert call.name == "it"
    assert torch.equal(call.output, output)
    assert _weights(call) < 1e-14
    torch.testing.assert_close(call.weights().sum(-1), torch.ones(2, 3, 3, dtype=torch.float64))


def test_only_the_named_modules_are_seen():
    first, second, calls = _attention(), _attention(), []
    x = torch.randn(1, 3, 8, dtype=torch.float64)
    with tap_attention({"second": second}, calls.append):
        first(x, x, x, need_weights=False)
        second(x, x, x, need_weights=False)
    assert [call.name for call in calls] == ["second"]


def test_what_the_function_returns_takes_the_outputs_place():
    attention = _attention()
    x = torch.randn(1, 3, 8, dtype=torch.float64)
    with tap_attention({"it": attention}, lambda call: torch.zeros_like(call.output)):
        output, _ = attention(x, x, x, need_weights=False)
    assert torch.equal(output, attention.out_proj.bias.expand_as(output))


def test_taps_do_not_nest_and_end_after_an_error():
    attention = _attention()
    original = F.scaled_dot_product_attention
    with (
        pytest.raises(RuntimeError, match="another attention tap is open: close it first"),
        tap_attention({"it": attention}, lambda _: None),
        tap_attention({"it": attention}, lambda _: None),
    ):
        pass

    def fail(call: Call) -> None:
        raise KeyError(call.name)

    x = torch.randn(1, 3, 8, dtype=torch.float64)
    with pytest.raises(KeyError), tap_attention({"it": attention}, fail):
        attention(x, x, x, need_weights=False)
    assert F.scaled_dot_product_attention is original
    assert not attention._forward_hooks
    assert not attention._forward_pre_hooks
    with tap_attention({"it": attention}, lambda _: None):
        attention(x, x, x, need_weights=False)


def test_gradients_run_through_weights_that_are_put_in_place():
    model, seen = towers.clip(dtype=torch.float64), []

    def explicit(call):
        weights = call.weights().requires_grad_()
        seen.append(weights)
        return weights @ call.value

    blocks = model.visual.transformer.resblocks
    images = towers.images("", torch.float64)
    with tap_attention({str(i): block.attn for i, block in enumerate(blocks)}, explicit):
        output = model.visual(images)
    torch.testing.assert_close(output, model.visual(images), rtol=0, atol=1e-12)
    found = torch.autograd.grad(output.sum(), seen)
    assert all(bool(each.any()) for each in found)


def test_watched_modules_show_what_goes_in_and_what_comes_out():
    linear, seen = nn.Linear(2, 3), {}
    x = torch.randn(4, 2)
    with (
        watch_inputs({"in": linear}, seen.__setitem__),
        watch_outputs({"out": linear}, seen.__setitem__),
    ):
        output = linear(x)
    assert torch.equal(seen["in"], x)
    assert torch.equal(seen["out"], output)
    seen.clear()
    linear(x)
    assert not seen
