"""What only a GPU can show: mixed precision, compilation, steps that never wait for it."""

import json

import pytest
import torch

from datamodules.attribute import AttributeDataModule
from lightning_modules.adapter import AttributeAdapter
from lightning_modules.cli import train
from lightning_modules.memory import BaseMemory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


@pytest.fixture
def adapter_of(world):
    def build(**settings):
        data = AttributeDataModule(
            "color", root=world / "data", dictionary=world / "dictionary.json", batch_size=32
        )
        data.prepare_data()
        data.setup()
        adapter = AttributeAdapter(str(world / "tiny"), "random", r=4, **settings)
        adapter.prepare(data)
        adapter.log = lambda *args, **kwargs: None
        batch = {name: value.cuda() for name, value in next(iter(data.train_dataloader())).items()}
        return adapter.cuda(), batch

    return build


@pytest.fixture(scope="module")
def fitted_on_gpu(run, fit_words, world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    done = run(*fit_words, "--trainer.accelerator=gpu", "--trainer.devices=1", "--json", cwd=folder)
    assert done.code == 0, done.err
    return done, folder


def test_training_is_bf16_mixed_where_the_gpu_has_it(fit_words, tmp_path, monkeypatch):
    words = [*map(str, fit_words), "--trainer.accelerator=gpu", "--trainer.devices=1"]
    monkeypatch.chdir(tmp_path)
    precision = train([*words, "--trainer.fast_dev_run=true"]).trainer.precision
    assert precision == ("bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true")


def test_a_delta_trained_on_a_gpu_holds_its_claims(fitted_on_gpu, run, world):
    _, folder = fitted_on_gpu
    done = run(
        "verify", folder / "artifacts/deltas/tiny/glyphs/color", f"--root={world / 'data'}",
        f"--dictionary={world / 'dictionary.json'}", f"--backbone={world / 'tiny'}", cwd=folder,
    )  # fmt: skip
    assert done.code == 0, done.out + done.err


def test_a_gpu_learns_what_a_cpu_learns(fitted_on_gpu, fitted):
    done, _ = fitted_on_gpu
    here = json.loads(done.out.splitlines()[-1])["rows"]
    there = json.loads(fitted.done.out.splitlines()[-1])["rows"]
    assert [row["base"] for row in here] == pytest.approx([r["base"] for r in there], abs=0.051)
    assert [row["adapted"] for row in here] == pytest.approx(
        [row["adapted"] for row in there], abs=0.15
    )


def test_float32_embeddings_equal_those_of_the_cpu(adapter_of):
    adapter, batch = adapter_of()
    with torch.no_grad():
        on_gpu = adapter.encode_image(batch["image"]).cpu()
        on_cpu = adapter.cpu().encode_image(batch["image"].cpu())
    torch.testing.assert_close(on_gpu, on_cpu, atol=1e-4, rtol=0)


def test_a_compiled_step_gives_the_same_loss_and_gradients(adapter_of):
    outcomes = []
    for compiled in (False, True):
        torch.manual_seed(0)
        adapter, batch = adapter_of(compile=compiled)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = adapter.training_step(batch, 0)
        loss.backward()
        norm = torch.stack([p.grad.norm() for p in adapter.parameters() if p.grad is not None])
        outcomes.append((loss.item(), norm.cpu()))
    (loss, norm), (compiled_loss, compiled_norm) = outcomes
    assert compiled_loss == pytest.approx(loss, rel=2e-2)
    torch.testing.assert_close(compiled_norm, norm, rtol=5e-2, atol=1e-4)


def test_a_training_step_never_waits_for_the_gpu(adapter_of):
    adapter, batch = adapter_of(keep_weight=1.0)
    members = adapter.data.members("train")
    width = adapter.value_embedding_VD.shape[1]
    adapter.memory = BaseMemory(members, torch.zeros(len(members), width, device="cuda"))
    with torch.autocast("cuda", dtype=torch.bfloat16):
        adapter.training_step(batch, 0).backward()  # kernels are chosen once
        torch.cuda.set_sync_debug_mode("error")
        try:
            adapter.training_step(batch, 0).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
