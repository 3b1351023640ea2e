"""Moments of head codes equal NumPy's over all images, however the images are cut up."""

import os
import subprocess
import sys
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.errors import InputError
from interpret.gather import GatherMoments
from interpret.moments import HeadMoments

ROOT = Path(__file__).parents[1]
LAYERS, HEADS, WIDTH, EMBEDDING = 2, 3, 4, 7


def codes_of(count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, LAYERS, HEADS, WIDTH, generator=draw) + 3


def moments_of(codes, identity="clip", batch=5):
    moments = HeadMoments.empty(identity, *codes.shape[1:])
    for part in codes.split(batch):
        moments.update(part)
    return moments


def same(one, other):
    assert (one.identity, one.count) == (other.identity, other.count)
    torch.testing.assert_close(one.sum_LHC, other.sum_LHC, rtol=1e-14, atol=1e-12)
    torch.testing.assert_close(one.square_LHCC, other.square_LHCC, rtol=1e-14, atol=1e-12)


def test_mean_and_covariance_of_contributions_are_those_of_numpy():
    codes = codes_of(23)
    maps = torch.randn(LAYERS, HEADS, WIDTH, EMBEDDING, generator=torch.Generator().manual_seed(1))
    moments = moments_of(codes)
    contributions = np.einsum("nlhk,lhkd->nlhd", codes.double(), maps.double())
    assert moments.count == 23
    np.testing.assert_allclose(moments.mean_of(maps), contributions.mean(0), atol=1e-12)
    for layer, head in np.ndindex(LAYERS, HEADS):
        expected = np.cov(contributions[:, layer, head].T, ddof=0)
        np.testing.assert_allclose(moments.covariance_of(maps, layer, head), expected, atol=1e-11)


def test_half_precision_codes_lose_nothing_more():
    codes = codes_of(64).half()
    same(moments_of(codes), moments_of(codes.double()))


def test_means_far_above_the_deviation_leave_the_variance_of_what_float32_holds():
    codes = (codes_of(4000) * 1e-3 + 10).float()  # mean / deviation: 10,000
    found = moments_of(codes, batch=256)
    variance = found.second_LHCC.diagonal(dim1=-2, dim2=-1) - found.mean_LHC.square()
    expected = codes.double().var(0, correction=0)
    np.testing.assert_allclose(variance, expected, rtol=1e-5)


def test_the_order_and_size_of_batches_and_merges_do_not_matter():
    codes = codes_of(30)
    whole = moments_of(codes)
    same(moments_of(codes.flip(0), batch=1), whole)
    first, second, third = (moments_of(part) for part in codes.split([4, 15, 11]))
    third.merge(first)
    third.merge(second)
    same(third, whole)


def test_a_saved_state_goes_on_as_if_it_had_never_stopped(tmp_path):
    codes = codes_of(20)
    path = tmp_path / "deep/moments.npz"
    moments = HeadMoments.empty("clip", LAYERS, HEADS, WIDTH)
    for part in codes.split(5):
        moments.update(part)
        moments.save(path)
        moments = HeadMoments.load(path, "clip")
    whole = moments_of(codes)
    assert moments.count == 20
    assert torch.equal(moments.square_LHCC, whole.square_LHCC)
    assert torch.equal(moments.sum_LHC, whole.sum_LHC)
    bits = path.read_bytes()
    moments.save(path)
    assert path.read_bytes() == bits


def test_moments_of_another_model_are_refused(tmp_path):
    path = tmp_path / "moments.npz"
    moments_of(codes_of(3), "ViT-B-16 abc").save(path)
    with pytest.raises(InputError) as error:
        HeadMoments.load(path, "ViT-B-16 def")
    assert str(error.value) == (
        f"expected moments of 'ViT-B-16 def' in {path}, got those of 'ViT-B-16 abc'. Gather them "
        "with this model, or name another file."
    )
    with pytest.raises(InputError, match="Merge moments of one model only"):
        moments_of(codes_of(3), "a").merge(moments_of(codes_of(3), "b"))
    with pytest.raises(InputError, match=r"and shape \(2, 3, 4\), got those of 'a' and shape \(1,"):
        moments_of(codes_of(3), "a").merge(moments_of(codes_of(3)[:, :1], "a"))


def test_a_missing_or_damaged_file_is_named(tmp_path):
    path = tmp_path / "moments.npz"
    with pytest.raises(InputError, match=r"expected moments of head codes at .*, found none"):
        HeadMoments.load(path, "clip")
    moments_of(codes_of(3)).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"is not a whole file of moments \(.*\). Remove it"):
        HeadMoments.load(path, "clip")


def test_codes_that_do_not_fit_or_are_not_finite_add_nothing():
    moments = moments_of(codes_of(4))
    before = moments.square_LHCC.clone()
    with pytest.raises(InputError) as error:
        moments.update(codes_of(4)[..., :2])
    assert str(error.value) == (
        "expected codes of shape (images, 2, 3, 4), got (4, 2, 3, 2). Moments are of one model: "
        "begin new ones for another."
    )
    bad = codes_of(4)
    bad[2, 1, 0, 3] = torch.nan
    with pytest.raises(InputError, match="expected finite codes, got NaN or infinite ones"):
        moments.update(bad)
    assert moments.count == 4
    assert torch.equal(moments.square_LHCC, before)


def test_without_images_there_is_no_mean():
    with pytest.raises(InputError, match="expected moments of at least one image, got none"):
        _ = HeadMoments.empty("clip", 1, 1, 1).mean_LHC


class Images(Dataset):
    """Images that are their own codes."""

    def __len__(self):
        return 22

    def __getitem__(self, number):
        return {"image": codes_of(22)[number], "index": number}


class Toy(L.LightningModule):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return None


def validate(callback, folder, **settings):
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback], default_root_dir=folder, **settings,
    )  # fmt: skip
    trainer.validate(Toy(), DataLoader(Images(), batch_size=4), verbose=False)
    return trainer


def scaled(images):
    return images * 2


def test_any_validation_run_gathers_them(tmp_path):
    path = tmp_path / "moments.npz"
    callback = GatherMoments(scaled, "clip", path)
    for _ in range(2):  # the second run begins anew
        validate(callback, tmp_path)
    whole = moments_of(codes_of(22) * 2)
    same(callback.moments, whole)
    found = HeadMoments.load(path, "clip")
    same(found, whole)
    callback.moments.merge(found)  # in no inference mode any more
    assert callback.moments.count == 44


def test_a_batch_without_images_says_what_it_has(tmp_path):
    callback = GatherMoments(scaled, "clip", tmp_path / "moments.npz", key="pixels")
    with pytest.raises(InputError) as error:
        validate(callback, tmp_path)
    assert str(error.value) == (
        "expected images under 'pixels' in a batch, got image, index. Name theirs with `key`."
    )


def test_a_place_that_cannot_be_written_is_found_before_the_run(tmp_path):
    with pytest.raises(InputError, match="could not write"):
        GatherMoments(scaled, "clip", tmp_path)


WORKER = """
import os, socket, sys
from pathlib import Path
from torch import multiprocessing
from datamodules.errors import InputError
from interpret.gather import GatherMoments
from interpret.moments import merged_over_processes
from tests.test_interpret_moments import codes_of, moments_of, scaled, validate

def work(rank, folder, port):
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_PORT": str(port)}
    callback = GatherMoments(scaled, "clip", folder / "moments.npz")
    assert validate(callback, folder, devices=2, strategy="ddp").global_rank == rank
    callback.moments.save(folder / f"callback{rank}.npz")
    mine = moments_of(codes_of(23)[:9] if rank else codes_of(23)[9:])
    merged_over_processes(mine).save(folder / f"both{rank}.npz")
    merged_over_processes(mine if rank else None).save(folder / f"one{rank}.npz")
    assert merged_over_processes(None) is None
    try:
        merged_over_processes(moments_of(codes_of(2), "b" if rank else "a"))
    except InputError as error:
        assert "got those of 'b'" in str(error)
    else:
        raise SystemExit(3)

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
# Forked, so that what is slow to import is imported once.
multiprocessing.start_processes(
    work, (Path(sys.argv[1]), port), nprocs=2, start_method="fork"
)
"""


@pytest.mark.ddp
def test_two_processes_have_the_moments_of_one(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_PORT", "NODE_RANK"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("moments", "callback0", "callback1"):
        same(HeadMoments.load(tmp_path / f"{name}.npz", "clip"), moments_of(codes_of(22) * 2))
    for rank in range(2):
        same(HeadMoments.load(tmp_path / f"both{rank}.npz", "clip"), moments_of(codes_of(23)))
        same(HeadMoments.load(tmp_path / f"one{rank}.npz", "clip"), moments_of(codes_of(23)[:9]))
