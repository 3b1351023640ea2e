"""What a composition holds: factors once, or none of them, wherever model and deltas lie."""

import weakref
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from composition import Basis, Composition
from composition.basis import Differences
from composition.export.folded import composed_delta
from composition.solvers.jacobian import choose_mode, jacobian
from composition.terms import HostUpdates, Streamed
from datamodules.errors import InputError
from lightning_modules.delta import load_delta, save_delta
from tests.compose_samples import (
    LORA,
    card,
    clip,
    compose,
    dense,
    denses,
    images,
    learned,
    lora,
    loras,
    reference,
    relative,
)

PATH = "visual.transformer.resblocks.0"


class Held(TorchDispatchMode):
    """Counts the bytes of tensors that are made while this is on, as long as they live."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.known, self.older = set(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # What comes in and was not made here was there before.
        self.older |= {x.data_ptr() for x in storages((args, kwargs))} - self.known
        out = func(*args, **kwargs)
        for each in storages(out):
            self.note(each)
        return out

    def note(self, storage):
        place, size = storage.data_ptr(), storage.nbytes()
        if size and place not in self.known | self.older:
            self.known.add(place)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self.drop, place, size)

    def drop(self, place, size):
        self.known.discard(place)
        self.now -= size


def storages(tree):
    found = [x for x in tree_leaves(tree) if isinstance(x, torch.Tensor)]
    return [x.untyped_storage() for x in found if x.device.type == "cpu"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Twenty-four deltas of rank 4 on disk."""
    root = tmp_path_factory.mktemp("deltas")
    for k in range(24):
        save_delta(root / f"{k:02}", lora(f"{k:02}", 4, seed=k))
    return sorted(root.iterdir())


def stored(folders):
    return [load_delta(folder, stored=True) for folder in folders]


def bytes_of(folder):
    return sum(tensor.nbytes for pair in load_delta(folder).factors.values() for tensor in pair)


def test_a_tensor_is_counted_while_it_lives():
    before = torch.ones(100)
    with Held() as held:
        x = torch.ones(100)
        assert (held.now, held.most) == (400, 400)
        y = x[:50] + 1
        assert (held.now, held.most) == (600, 600)
        del x
        assert (held.now, held.most) == (200, 600)
        before.view(25, 4)
        del y
    assert (held.now, held.most) == (0, 600)


@pytest.mark.parametrize("granularity", LORA)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_streamed_factors_are_autograd_through_the_dense_sum(
    granularity, dtype, bound, monkeypatch
):
    monkeypatch.setattr("composition.terms._PIECE", 3)
    composed = compose(loras(), granularity, dtype=dtype, stream=True)
    assert list(composed.terms.parameters()) == []
    embedding, gradient = learned(composed, images(dtype=dtype))
    expected = reference(loras(), granularity, composed, images(), dtype)
    assert relative(embedding, expected[0]) < bound
    assert relative(gradient, expected[1]) < bound
    with torch.no_grad():
        assert relative(composed.encode_image(images(dtype=dtype)), expected[0]) < bound


@pytest.mark.parametrize("granularity", ["block", "head"])
def test_low_rank_and_dense_deltas_stream_together(granularity):
    deltas = [*loras(), *denses()]
    deltas = [replace(d, card=replace(d.card, attribute=f"{k}")) for k, d in enumerate(deltas)]
    composed = compose(deltas, granularity, dtype=torch.float64, stream=True)
    embedding, gradient = learned(composed, images(dtype=torch.float64))
    expected = reference(deltas, granularity, composed, images(), torch.float64)
    assert relative(embedding, expected[0]) < 1e-12
    assert relative(gradient, expected[1]) < 1e-12


@pytest.mark.parametrize("granularity", ["block", "head"])
def test_streamed_factors_under_autocast_are_close_and_gradients_are_float32(granularity):
    composed = compose(loras(), granularity, stream=True)
    embedding, gradient = learned(composed, images())
    composed.coefficients.grad = None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = composed.encode_image(images())
        half.float().sub(torch.linspace(-1, 1, 24)).pow(2).sum().backward()
    assert composed.coefficients.grad.dtype == torch.float32
    assert 1e-5 < relative(half.float(), embedding) < 0.03
    assert relative(composed.coefficients.grad.flatten(), gradient) < 0.06


def test_pieces_hold_every_direction_once_and_no_delta_in_two():
    directions = Basis.from_deltas(loras(), clip()).factors.directions[f"{PATH}.attn.q_proj"]
    whole = directions.read()
    for most, sizes in ((1, [2, 3, 1]), (4, [2, 4]), (5, [5, 1]), (99, [6])):
        pieces = list(directions.pieces(most))
        assert [len(piece.A_RI) for _, piece in pieces] == sizes
        assert torch.equal(torch.cat([piece.A_RI for _, piece in pieces]), whole.A_RI)
        assert torch.equal(torch.cat([piece.B_OR for _, piece in pieces], dim=1), whole.B_OR)
        for places, piece in pieces:
            assert torch.equal(whole.owner_R[places], piece.owner_R)


@pytest.mark.parametrize("make", [lora, dense])
def test_a_stored_delta_is_the_delta(make, tmp_path):
    save_delta(tmp_path / "d", make("color"))
    whole, lazy = load_delta(tmp_path / "d"), load_delta(tmp_path / "d", stored=True)
    assert lazy.card == whole.card
    assert list(lazy.factors) == list(whole.factors)
    for name, pair in whole.factors.items():
        assert all(map(torch.equal, lazy.factors[name], pair))
    assert list(lazy.differences) == list(whole.differences)
    for name, update in whole.differences.items():
        assert torch.equal(lazy.differences[name], update)
    (got, expected) = (learned(compose([each]), images()) for each in (lazy, whole))
    assert all(map(torch.equal, got, expected))


def test_stored_numbers_keep_their_precision(tmp_path):
    types = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)
    tensors = {str(k): torch.arange(6).view(2, 3).to(dtype) for k, dtype in enumerate(types)}
    tensors |= {"none": torch.empty(0, 3), "one": torch.tensor(2.5)}
    save_delta(tmp_path / "d", replace(dense("color"), differences=tensors))
    found = load_delta(tmp_path / "d", stored=True).differences
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("removed", [False, True])
def test_a_file_that_changes_while_it_is_in_use_is_refused(removed, tmp_path):
    save_delta(tmp_path / "d", lora("color"))
    composed = compose([load_delta(tmp_path / "d", stored=True)], stream=True)
    path = tmp_path / "d" / "adapter_model.safetensors"
    content = path.read_bytes()
    path.unlink()
    if not removed:
        path.write_bytes(content + b"more")
    with pytest.raises(InputError) as error:
        composed.encode_image(images())
    assert str(error.value) == (
        f"{path} was changed or removed while it was in use. Expected the file to stay as it was "
        "when it was opened: run the command again."
    )


def test_a_composition_needs_its_factors_once_and_little_more(folders):
    each, beyond = bytes_of(folders[0]), {}
    for count in (4, 24):
        deltas, model = stored(folders[:count]), clip()
        with Held() as held:
            composed = Composition(Basis.from_deltas(deltas, model))
        factors = sum(tensor.nbytes for tensor in composed.terms.parameters())
        assert factors == count * each
        beyond[count] = held.most - factors
        assert held.now < 1.06 * factors + each
    assert beyond[24] < beyond[4] + 2 * each


def test_deltas_in_memory_are_stacked_into_the_composition_and_nowhere_else(folders):
    deltas, model = [load_delta(folder) for folder in folders], clip()
    with Held() as held:
        basis = Basis.from_deltas(deltas, model)
        assert held.now < bytes_of(folders[0])
        composed = Composition(basis)
    factors = sum(tensor.nbytes for tensor in composed.terms.parameters())
    assert factors <= held.now < 1.05 * factors


def test_memory_of_a_streamed_step_does_not_grow_with_the_number_of_deltas(folders, monkeypatch):
    monkeypatch.setattr("composition.terms._PIECE", 8)
    each, most = bytes_of(folders[0]), {}
    for count in (4, 24):
        deltas, model = stored(folders[:count]), clip()
        with Held() as held:
            composed = compose(deltas, model=model, stream=True)
            learned(composed, images())
            with torch.no_grad():
                composed.encode_image(images())
        most[count] = held.most
    assert most[24] < most[4] + 2 * each, "20 deltas more"


def test_what_is_made_of_a_streamed_composition_is_what_it_is_resident():
    ways = [compose(loras(), "head", stream=stream) for stream in (False, True)]
    one, other = (composed_delta(each, card("sum")) for each in ways)
    assert one.card.kind == other.card.kind == "lora"
    for name, factor in one.factors.items():
        assert all(map(torch.equal, factor, other.factors[name]))
    modes = [choose_mode(each, 1000) for each in ways]
    assert modes == ["forward", "reverse"]
    rows = [jacobian(each, each.encode_image, images(), "reverse") for each in ways]
    torch.testing.assert_close(*rows)


def devices(composed):
    return {tensor.device.type for tensor in (*composed.parameters(), *composed.buffers())}


@pytest.mark.parametrize("stream", [False, True])
def test_moved_before_or_after_composing_all_lies_on_one_device(stream):
    deltas = [*loras(), dense("state", lambda name: "ln_1" in name)]
    after = compose(deltas, stream=stream).to("meta")
    assert devices(after) == {"meta"}
    basis = Basis.from_deltas(deltas, clip())
    basis.model.to("meta")  # no GPU is needed to tell where tensors are made
    before = Composition(basis, stream=stream)
    assert devices(before) == {"meta"}
    for tower in (*after.towers, *before.towers):
        assert tower.places.device.type == "meta"


def test_updates_are_page_locked_when_they_first_go_to_a_gpu(monkeypatch):
    updates, locked, sent = (torch.ones(2), torch.zeros(2)), [], []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: locked.append(x) or x.clone())
    monkeypatch.setattr(torch.Tensor, "to", lambda x, *args, **kwargs: sent.append(x) or x)
    host = HostUpdates(updates)
    host.fetch(torch.device("cpu"), torch.float32, 0)
    assert locked == []
    for m in (0, 1, 0):
        host.fetch(torch.device("cuda"), torch.float32, m)
    assert [each.data_ptr() for each in locked] == [each.data_ptr() for each in updates]
    assert sent[-1].data_ptr() == sent[2].data_ptr(), "the locked copy is sent again"


def test_updates_in_files_are_not_page_locked(tmp_path, monkeypatch):
    save_delta(tmp_path / "d", dense("color"))
    basis = Basis.from_deltas([load_delta(tmp_path / "d", stored=True)], clip())
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: pytest.fail("page-locked"))
    monkeypatch.setattr(torch.Tensor, "to", lambda x, *args, **kwargs: x)
    streamed = Streamed(basis.differences["visual.proj"], "whole")
    streamed.host.fetch(torch.device("cuda"), torch.float32, 0)
    assert isinstance(basis.differences["visual.proj"], Differences)
