"""Fits of coefficients on the shared world without a command line: data, deltas, a short run."""

from pathlib import Path

import lightning as L
import torch

from composition.composer import Composer
from datamodules.tasks import Task, TasksDataModule
from lightning_modules.backbone import load_backbone
from lightning_modules.checkpoints import AtomicCheckpointIO
from lightning_modules.delta import Delta, DeltaCard, Factor
from lightning_modules.lora import linear_modules

TASKS = ("color", "shape")


def open_backbone(world):
    return load_backbone(str(world / "tiny"), "random")


def open_data(world, attributes=TASKS, **options):
    """Tasks of the glyphs of the world, after `setup`."""
    place = {"root": world / "data", "dictionary": world / "dictionary.json"}
    tasks = [each if isinstance(each, Task) else Task(each, **place) for each in attributes]
    data = TasksDataModule(tasks, **{"image_size": 64, "batch_size": 64} | options)
    data.prepare_data()
    data.setup()
    return data


def drawn_delta(backbone, attribute, *, rank=2, size=0.3, towers=("visual.",)):
    """A LoRA delta of random numbers on every Linear module of some towers."""
    draw = torch.Generator().manual_seed(sum(map(ord, attribute)))
    factors = {
        name: Factor(
            size * torch.randn(rank, linear.in_features, generator=draw),
            size * torch.randn(linear.out_features, rank, generator=draw),
        )
        for name, linear in linear_modules(backbone.model).items()
        if name.startswith(towers)
    }
    card = DeltaCard(
        attribute=attribute, values=("one", "two"), templates=("a {}",), backbone=backbone.name,
        pretrained=backbone.pretrained, fingerprint=backbone.fingerprint,
        quick_gelu=backbone.quick_gelu, scale=1.0,
    )  # fmt: skip
    return Delta(card, factors=factors)


def prepared(world, data, *, names=TASKS, deltas=None, **settings):
    """A composer of drawn deltas, ready to be fitted."""
    backbone = open_backbone(world)
    settings = {"granularity": "layer", "lr": 0.05, "warmup_steps": 1} | settings
    composer = Composer(**settings)
    deltas = deltas or [drawn_delta(backbone, name) for name in names]
    composer.prepare(data, backbone, {Path(delta.card.attribute): delta for delta in deltas})
    return composer


def trainer(epochs=2, **options):
    quiet = {
        "accelerator": "cpu", "max_epochs": epochs, "logger": False, "num_sanity_val_steps": 0,
        "enable_checkpointing": False, "enable_progress_bar": False, "log_every_n_steps": 1,
        "enable_model_summary": False, "use_distributed_sampler": False,
        "plugins": [AtomicCheckpointIO()],
    }  # fmt: skip
    return L.Trainer(**quiet | options)


class Losses(L.Callback):
    """Remembers the loss of every step and the scores of every validation."""

    def __init__(self):
        self.losses, self.scores = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, *args):
        self.losses.append(float(outputs["loss"]))

    def on_validation_end(self, trainer, pl_module):
        self.scores.append({k: float(v) for k, v in trainer.callback_metrics.items()})


def fit(composer, data, epochs=2, **options):
    """Fit; what was seen on the way."""
    seen = Losses()
    callbacks = [seen, *options.pop("callbacks", ())]
    path = options.pop("ckpt_path", None)
    trainer(epochs, callbacks=callbacks, **options).fit(composer, data, ckpt_path=path)
    return seen
