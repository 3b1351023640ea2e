"""A composition trains like any module: compiled, checkpointed, in parallel, saved and resumed."""

import copy
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from datamodules.errors import InputError
from tests.compose_samples import (
    clip,
    compose,
    dense,
    denses,
    images,
    learned,
    lora,
    loras,
    loss_of,
    relative,
)

ROOT = Path(__file__).parents[1]
KINDS = [(loras, "block"), (loras, "head"), (loras, "partition:2"), (denses, "block")]
kinds = pytest.mark.parametrize(("deltas", "granularity"), KINDS)


def test_only_the_coefficients_train():
    composed = compose(loras())
    before = {name: value.clone() for name, value in composed.named_parameters()}
    trainable = {name for name, value in composed.named_parameters() if value.requires_grad}
    assert trainable == {"coefficients"}
    optimizer = torch.optim.SGD([composed.coefficients], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(composed.train().encode_image(images())).backward()
        optimizer.step()
    after = dict(composed.named_parameters())
    moved = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert moved == {"coefficients"}
    assert not any(module.training for module in composed.model.modules())


@kinds
def test_gradient_checkpointing_changes_nothing(deltas, granularity):
    composed = compose(deltas(), granularity)
    expected, gradient = learned(composed, images())
    composed.model.visual.set_grad_checkpointing(True)
    embedding, recomputed = learned(composed, images())
    assert torch.equal(embedding, expected)
    torch.testing.assert_close(recomputed, gradient)


@kinds
def test_two_batches_in_one_step_add_their_gradients(deltas, granularity):
    composed = compose(deltas(), granularity, dtype=torch.float64)
    x = images(6, dtype=torch.float64)
    _, whole = learned(composed, x)
    composed.coefficients.grad = None
    loss = loss_of(composed.encode_image(x[:2])) + loss_of(composed.encode_image(x[2:]))
    loss.backward()
    assert relative(composed.coefficients.grad.flatten(), whole) < 1e-12
    composed.coefficients.grad = None
    for part in x.split(3):
        loss_of(composed.encode_image(part)).backward()
    assert relative(composed.coefficients.grad.flatten(), whole) < 1e-12


def test_inputs_have_their_gradient_whether_coefficients_learn_or_not():
    composed = compose(loras())
    x = images().requires_grad_()
    loss_of(composed.encode_image(x)).backward()
    learning = x.grad.clone()
    composed.coefficients.requires_grad_(False)
    with torch.inference_mode():
        composed.encode_image(images())  # what is merged here must serve below
    x.grad = None
    loss_of(composed.encode_image(x)).backward()
    torch.testing.assert_close(x.grad, learning)


def merged(composed):
    return composed.model.visual.transformer.resblocks[0].mlp.c_fc.merged_OI


@pytest.mark.parametrize("deltas", [loras, denses])
def test_weights_are_merged_once_and_again_when_coefficients_change(deltas):
    composed = compose(deltas())
    low_rank = deltas is loras
    x = images()
    with torch.no_grad():
        first = composed.encode_image(x)
        if low_rank:
            kept = merged(composed)
            composed.encode_image(x)
            assert merged(composed) is kept
        for change in (
            lambda: composed.coefficients.add_(0.1),
            lambda: composed.uniform(0.2),
            lambda: composed.load_state_dict({"coefficients": composed.coefficients + 0.1}),
            lambda: (composed.coefficients.data.add_(0.1), composed.release()),
        ):
            change()
            second = composed.encode_image(x)
            assert relative(second, first) > 1e-3
            exact = compose(deltas(), fill=False)
            exact.assign(composed.named_coefficients())
            assert torch.equal(second, exact.encode_image(x))
            first = second
    learned(composed, x)
    assert not low_rank or merged(composed) is None, "training keeps no merged weights"


@kinds
def test_what_autocast_merges_is_exact_without_it(deltas, granularity):
    composed, fresh = compose(deltas(), granularity), compose(deltas(), granularity)
    with torch.no_grad():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = composed.encode_image(images())
        exact = composed.encode_image(images())
        assert torch.equal(exact, fresh.encode_image(images()))
    assert 1e-5 < relative(rough.float(), exact) < 0.03
    with torch.autocast("cpu", dtype=torch.bfloat16):
        composed.coefficients.grad = None
        loss_of(composed.encode_image(images()).float()).backward()
    assert relative(composed.coefficients.grad.flatten(), learned(fresh, images())[1]) < 0.06


def test_an_optimizer_step_is_seen_by_the_next_evaluation():
    composed = compose(loras())
    optimizer = torch.optim.AdamW([composed.coefficients], lr=0.1)
    with torch.no_grad():
        before = composed.encode_image(images())
    learned(composed, images())
    optimizer.step()
    with torch.no_grad():
        assert relative(composed.encode_image(images()), before) > 1e-3


def test_the_state_is_the_coefficients_alone_also_inside_another_module():
    composed = compose(loras())
    assert set(composed.state_dict()) == {"coefficients"}
    parent = nn.ModuleDict({"composition": composed, "head": nn.Linear(2, 2)})
    state = parent.state_dict()
    assert set(state) == {"composition.coefficients", "head.weight", "head.bias"}
    saved = {name: value.clone() for name, value in state.items()}
    composed.zero()
    parent.load_state_dict(saved, strict=True)
    assert torch.equal(composed.coefficients, saved["composition.coefficients"])
    missing = {name: value for name, value in saved.items() if name.startswith("head")}
    with pytest.raises(RuntimeError, match=r"Missing key\(s\).*\"composition.coefficients\""):
        parent.load_state_dict(missing, strict=True)


def test_states_that_do_not_fit_are_refused():
    composed = compose(loras(), "layer")
    before = composed.coefficients.detach().clone()
    for state, text in (
        ({}, "1 missing: coefficients"),
        (composed.state_dict() | {"more": before}, "1 unexpected: more"),
        (compose(loras()).state_dict(), "1 of wrong shape: coefficients [3, 8] instead of [3, 2]"),
    ):
        with pytest.raises(InputError) as error:
            composed.load_state_dict(state)
        assert str(error.value) == (
            f"the state dict does not fit this composition: {text}. Expected the coefficients "
            "alone, of the same deltas and granularity."
        )
    with pytest.raises(InputError, match="coefficients hold NaN or infinity, expected finite"):
        composed.load_state_dict({"coefficients": before * float("nan")})
    assert torch.equal(composed.coefficients, before)


@kinds
def test_a_copy_lives_on_its_own(deltas, granularity):
    composed = compose(deltas(), granularity)
    composed.encode_image(images())  # leaves tensors with graphs, which cannot be copied
    twin = copy.deepcopy(composed)
    twin.zero()
    with torch.no_grad():
        assert torch.equal(twin.encode_image(images()), clip().encode_image(images()))
        assert not torch.equal(composed.encode_image(images()), twin.encode_image(images()))
    assert learned(twin, images())[1].any()


def test_moving_to_another_precision_moves_everything():
    composed = compose([*loras()[:2], dense("material")])
    learned(composed, images())
    embedding, gradient = learned(composed.double(), images(dtype=torch.float64))
    expected = learned(
        compose([*loras()[:2], dense("material")], dtype=torch.float64), images().double()
    )
    assert gradient.dtype == torch.float64
    assert relative(embedding, expected[0]) < 1e-6


def test_steps_leave_no_memory_behind():
    composed = compose([lora("color"), lora("shape")])

    def tensors():
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    learned(composed, images())
    before = tensors()
    for _ in range(3):
        learned(composed, images())
    assert tensors() <= before


WORKER = """
import sys
import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tests.compose_samples import compose, denses, images, loras, loss_of

class Embed(torch.nn.Module):
    def __init__(self, composition):
        super().__init__()
        self.composition = composition

    def forward(self, x):
        return self.composition.encode_image(x)

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
for name, deltas in (("loras", loras), ("denses", denses)):
    composed = compose(deltas(), "block", dtype=torch.float64)
    parallel = DistributedDataParallel(Embed(composed))
    for _ in range(2):
        composed.coefficients.grad = None
        mine = images(6, torch.float64).chunk(2)[rank]
        (loss_of(parallel(mine)) * 2).backward()
    torch.save(composed.coefficients.grad, f"{folder}/{name}{rank}.pt")
dist.destroy_process_group()
"""


@pytest.mark.ddp
def test_two_processes_have_the_gradient_of_one(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WORKER]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path)],
            env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    errors = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    for name, deltas in (("loras", loras), ("denses", denses)):
        composed = compose(deltas(), "block", dtype=torch.float64)
        _, expected = learned(composed, images(6, torch.float64))
        for rank in range(2):
            gradient = torch.load(tmp_path / f"{name}{rank}.pt", weights_only=True)
            assert relative(gradient.flatten(), expected) < 1e-12
