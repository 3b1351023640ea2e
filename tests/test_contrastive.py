"""Pre-training on captions: the loss, the start, one fit, and what is shipped."""

import csv
import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from datamodules.files import sha256_file
from datamodules.sources.glyphs.lessons import lesson
from lightning_modules.backbone import load_backbone
from lightning_modules.contrastive import (
    ContrastivePretraining,
    group_loss,
    smooth_start,
    zero_shot_metrics,
)

ARCHITECTURE = {
    "model_cfg": {
        "embed_dim": 16,
        "quick_gelu": False,
        "vision_cfg": {
            "image_size": 64, "patch_size": 16, "width": 48, "layers": 1, "head_width": 16,
        },
        "text_cfg": {
            "context_length": 24, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1,
        },
    },
    "preprocess_cfg": {
        "size": 64, "mode": "RGB", "mean": [0.45] * 3, "std": [0.25] * 3,
        "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def architecture(tmp_path_factory):
    path = tmp_path_factory.mktemp("architecture") / "tiny.json"
    path.write_text(json.dumps(ARCHITECTURE))
    return path


@pytest.fixture
def model(architecture):
    torch.manual_seed(0)
    return ContrastivePretraining(architecture)


def test_group_loss_equals_a_loop_over_images_and_captions():
    generator = torch.Generator().manual_seed(0)
    image = F.normalize(torch.randn(6, 8, generator=generator), dim=1)
    text = F.normalize(torch.randn(3, 8, generator=generator), dim=1)
    target = torch.tensor([0, 1, 1, 2, 0, 1])
    comparable = torch.ones(6, 3, dtype=torch.bool)
    comparable[0, 2] = comparable[3, 0] = False
    scale = 7.0
    logit = (scale * image @ text.T).double()
    to_text = []
    for i in range(6):
        others = [u for u in range(3) if comparable[i, u]]
        to_text.append(-(logit[i, target[i]] - logit[i, others].logsumexp(0)))
    to_image = []
    for u in range(3):
        others = [i for i in range(6) if comparable[i, u]]
        own = [i for i in range(6) if target[i] == u]
        terms = [-(logit[i, u] - logit[others, u].logsumexp(0)) for i in own]
        to_image.append(sum(terms) / len(terms))
    expected = (sum(to_text) / 6 + sum(to_image) / 3) / 2
    found = group_loss(image, text, target, comparable, torch.tensor(scale))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_smooth_start_makes_orthogonal_filters_of_equal_size(model):
    filters = model.model.visual.conv1.weight.detach().double().flatten(1)
    gram = filters @ filters.T
    waves = 48
    diagonal = gram[:waves, :waves].diagonal()
    torch.testing.assert_close(diagonal, torch.full_like(diagonal, 0.25), atol=1e-5, rtol=0)
    luma = torch.arange(0, waves, 3)  # gray, red-green and blue-yellow of one wave share its plane
    for start in range(3):
        part = gram[luma + start][:, luma + start]
        off = part - torch.diag(part.diagonal())
        assert off.abs().max() < 1e-5


def test_smooth_start_places_patches_on_a_sine_grid(model):
    place = model.model.visual.positional_embedding.detach()
    assert (place[0] == 0).all()
    grid = place[1:]
    distance = torch.cdist(grid, grid)
    assert distance[0, 1] < distance[0, 2]
    torch.testing.assert_close(distance[0, 1], distance[5, 6], atol=1e-5, rtol=1e-4)
    norms = grid.norm(dim=1)
    torch.testing.assert_close(norms, torch.full_like(norms, 0.5 * np.sqrt(48 / 2)))


def test_smooth_start_changes_nothing_else(architecture):
    import open_clip

    torch.manual_seed(0)
    plain = open_clip.CLIP(**ARCHITECTURE["model_cfg"])
    before = {name: value.clone() for name, value in plain.visual.state_dict().items()}
    smooth_start(plain.visual)
    after = plain.visual.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"conv1.weight", "positional_embedding"}


def test_learning_one_batch_lowers_its_loss(model):
    batch = lesson(1, 0, 32, 0.5)
    model.log = lambda *args, **kwargs: None
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(25):
        loss = model.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.8 * losses[0]


def test_logit_scale_is_held_below_a_hundred(model):
    with torch.no_grad():
        model.model.logit_scale.fill_(10)
    model.on_train_batch_end(None, None, 0)
    assert float(model.model.logit_scale.exp()) == pytest.approx(100, rel=1e-5)


def test_shipped_state_forgets_token_rows_that_no_caption_touched(model):
    model.touched[7] = True
    state = model.shipped_state()["token_embedding.weight"]
    assert torch.equal(state[7], model.model.token_embedding.weight[7])
    assert (state[:7] == 0).all()
    assert (state[8:] == 0).all()


def test_zero_shot_metrics_are_those_of_validation():
    metrics = {"accuracy/val/color": torch.tensor(0.51234), "loss/train": torch.tensor(3.0)}
    assert zero_shot_metrics(metrics) == {"color": 0.5123}


@pytest.fixture(scope="module")
def shipped(architecture, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    done = run(
        "base", "--model.architecture", architecture, "--trainer.max_steps=3",
        "--trainer.val_check_interval=3", "--trainer.accelerator=cpu", "--data.batch_size=8",
        "--data.num_validation=40", "--trainer.enable_progress_bar=false", "--out=tiny-clip",
        cwd=folder,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "base       tiny-clip"
    return folder / "tiny-clip"


def test_base_command_ships_half_precision_weights_with_recipe_and_log(shipped):
    assert sorted(path.name for path in shipped.iterdir()) == [
        "log.csv", "open_clip_config.json", "open_clip_model.safetensors", "recipe.json",
    ]  # fmt: skip
    recipe = json.loads((shipped / "recipe.json").read_text())
    assert recipe["sha256"] == sha256_file(shipped / "open_clip_model.safetensors")
    assert recipe["sha256_config"] == sha256_file(shipped / "open_clip_config.json")
    assert recipe["fingerprint"] == load_backbone(str(shipped)).fingerprint
    assert recipe["settings"]["trainer"]["max_steps"] == 3
    assert set(recipe["validation_accuracy"]) == {"color", "shape", "texture", "size"}


def test_log_holds_the_validation_accuracies(shipped):
    with (shipped / "log.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    recipe = json.loads((shipped / "recipe.json").read_text())
    last = {
        name.removeprefix("accuracy/val/"): round(float(value), 4)
        for name, value in rows[-1].items()
        if name != "step"
    }
    assert last == recipe["validation_accuracy"]


def test_base_run_leaves_its_checkpoint_and_nothing_half_written(shipped):
    assert list(shipped.parent.rglob("last.ckpt"))
    assert not [path for path in shipped.parent.rglob("*") if path.name.startswith(".partial")]
