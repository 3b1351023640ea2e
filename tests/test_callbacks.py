"""What a run leaves in TensorBoard, and that it stops before bad weights reach the disk."""

import logging
import re
import warnings
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional as F
from torch.utils.data import DataLoader

from datamodules.dictionary import Attribute, Dictionary, Value
from datamodules.errors import InputError
from lightning_modules.callbacks import (
    LogCharts,
    LogDictionary,
    LogHyperparameters,
    LogPredictions,
    LogValueEmbeddings,
    StopOnNaN,
    Throughput,
)
from lightning_modules.callbacks.dictionary_text import attribute_markdown
from lightning_modules.callbacks.hparams import flat
from lightning_modules.callbacks.projector import thumbnails, value_names, word_tile
from lightning_modules.callbacks.surface import quota, spread
from lightning_modules.metrics import attribute_metrics

VALUES = ("red", "green", "light blue")
PIXELS, WIDTH = 16, 8
HPARAM_RECORDS = ("session_start_info", "session_end_info")
# The first and last of each of five batches of four, and seven of these, evenly.
SHOWN = (0, 4, 7, 11, 12, 16, 19)
PROJECTOR_FILES = ("metadata.tsv", "sprite.png", "tensors.tsv")


class TinyData(L.LightningDataModule):
    """Images of one plain color each; the first validation image has no known label."""

    def __init__(self, *, num_train=24, num_val=20, batch_size=4):
        super().__init__()
        self.attribute, self.values, self.exclusive = "color", VALUES, True
        self.num_train, self.num_val, self.batch_size = num_train, num_val, batch_size
        entries = tuple(
            Value(f"v{n}", text, 40 - n, forms={text: 40 - n}, examples=(f"a {text} | thing",))
            for n, text in enumerate(VALUES)
        )
        self.dictionary = Dictionary("tiny", "0" * 64, (Attribute("color", entries, True),))

    def rows(self, numbers):
        true = torch.arange(numbers) % len(VALUES)
        image = torch.full((numbers, 3, PIXELS, PIXELS), 40, dtype=torch.uint8)
        image[torch.arange(numbers), true] = 220
        label = F.one_hot(true, len(VALUES)).to(torch.int8)
        known = torch.ones(numbers, len(VALUES), dtype=torch.bool)
        return [
            dict(zip(("image", "label", "known", "index"), row, strict=True))
            for row in zip(image, label, known, torch.arange(numbers), strict=True)
        ]

    def train_dataloader(self):
        return DataLoader(self.rows(self.num_train), self.batch_size)

    def val_dataloader(self):
        rows = self.rows(self.num_val)
        rows[0]["known"] = torch.zeros(len(VALUES), dtype=torch.bool)
        return DataLoader(rows, self.batch_size)


class TinyAdapter(L.LightningModule):
    """A linear layer on mean colors, with the members that callbacks use."""

    def __init__(self, lr=0.1, lora=None, bad_step=None, returns_logits=True):
        super().__init__()
        self.save_hyperparameters({"lr": lr, "lora": lora or {"r": 4, "target": ["q", "v"]}})
        self.layer = torch.nn.Linear(3, WIDTH)
        self.dropout = torch.nn.Dropout(0.5)
        self.frozen = torch.nn.Parameter(torch.tensor(torch.inf), requires_grad=False)
        self.register_buffer("value_embedding_VD", F.normalize(torch.eye(3, WIDTH), dim=1))
        self.objective, self.metrics = "softmax", attribute_metrics(3, "softmax")
        self.bad_step, self.returns_logits = bad_step, returns_logits

    def encode_image(self, image):
        mean = image.float().mean((2, 3)) / 255
        return F.normalize(self.dropout(self.layer(mean)), dim=1)

    def logits(self, image):
        return 10 * self.encode_image(image) @ self.value_embedding_VD.T

    def training_step(self, batch):
        loss = F.cross_entropy(self.logits(batch["image"]), batch["label"].argmax(1))
        if self.global_step + 1 == self.bad_step:
            loss = loss * torch.nan
        self.log("loss/train", loss)
        return loss

    def validation_step(self, batch):
        logits = self.logits(batch["image"])
        self.log("loss/val", F.cross_entropy(logits, batch["label"].argmax(1)))
        self.metrics.update(logits, batch["label"], batch["known"])
        return {"logits": logits} if self.returns_logits else None

    def on_validation_epoch_end(self):
        self.log("accuracy/val", self.metrics.compute()["accuracy"])
        self.metrics.reset()

    def configure_optimizers(self):
        return torch.optim.SGD(self.layer.parameters(), lr=self.hparams.lr)


def everything():
    return [
        *(LogPredictions(num_images=6, every_n_epochs=2), LogValueEmbeddings(num_images=7)),
        *(LogDictionary(), LogCharts(), LogHyperparameters(), StopOnNaN()),
        Throughput(warm_up=1, every_n_batches=3),
    ]


def trainer_for(folder, callbacks, *, logger=None, **settings):
    settings = {
        "max_epochs": 2,
        "log_every_n_steps": 1,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 1,
    } | settings
    logger = TensorBoardLogger(folder, default_hp_metric=False) if logger is None else logger
    return L.Trainer(accelerator="cpu", devices=1, logger=logger, callbacks=callbacks, **settings)


def fit(folder, callbacks, *, model=None, data=None, **settings):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    L.seed_everything(0, verbose=False)
    trainer = trainer_for(folder, callbacks, **settings)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer.fit(model or TinyAdapter(), datamodule=data or TinyData())
    return trainer


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0, "scalars": 0})
    return events.Reload()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    trainer = fit(folder, everything())
    log = folder / "lightning_logs" / "version_0"
    return SimpleNamespace(trainer=trainer, log=log, events=read(log))


def test_a_run_leaves_exactly_the_promised_tags(run):
    tags = {kind: set(names) for kind, names in run.events.Tags().items() if names}
    assert tags == {
        "scalars": {
            *("loss/train", "loss/val", "accuracy/val", "epoch", "hp/accuracy"),
            "time/throughput (images/s)",
        },
        "images": {"predictions/val", "confusion/val"},
        "tensors": {"dictionary/text_summary", "custom_scalars__config__"},
    }
    hparams = {f"_hparams_/{name}" for name in ("experiment", *HPARAM_RECORDS)}
    assert set(run.events.summary_metadata) == tags["tensors"] | hparams


def test_a_run_leaves_exactly_the_promised_files_and_one_writer(run):
    files = {path.relative_to(run.log).as_posix() for path in run.log.rglob("*") if path.is_file()}
    events = {name for name in files if name.startswith("events.out.tfevents")}
    assert len(events) == 1
    assert files - events == {
        *("hparams.yaml", "projector_config.pbtxt"),
        *(f"00012/values_and_images/{name}" for name in PROJECTOR_FILES),
    }


def test_without_tensorboard_nothing_is_written_and_nothing_fails(tmp_path):
    logger = CSVLogger(tmp_path, name="csv")
    trainer = fit(tmp_path, everything(), logger=logger)
    assert trainer.global_step == 12
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"metrics.csv", "hparams.yaml"}
    fit(tmp_path / "none", everything(), logger=False)
    assert not (tmp_path / "none").exists()


# The grid and the confusion matrix


def test_pictures_are_drawn_every_second_validation_and_at_the_end(tmp_path):
    fit(tmp_path, [LogPredictions(every_n_epochs=2)], max_epochs=4)
    events = read(tmp_path / "lightning_logs" / "version_0")
    for tag in ("predictions/val", "confusion/val"):
        assert [image.step for image in events.Images(tag)] == [6, 18, 24]


class Watch(Callback):
    """Keeps what the confusion matrix counted."""

    def __init__(self, drawer):
        self.drawer, self.counts = drawer, None

    def on_train_end(self, trainer, pl_module):
        self.counts = self.drawer._confusion_VV


@pytest.mark.parametrize("returns_logits", [True, False])
def test_the_confusion_matrix_counts_every_image_once(tmp_path, returns_logits):
    drawer = LogPredictions()
    watch = Watch(drawer)
    model = TinyAdapter(returns_logits=returns_logits)
    trainer = fit(tmp_path, [drawer, watch], model=model)
    assert watch.counts.sum() == 19  # 20 images, of which one has no known label
    share = watch.counts.trace() / watch.counts.sum()
    assert share.item() == pytest.approx(trainer.callback_metrics["accuracy/val"].item())


def test_a_confusion_matrix_too_large_to_read_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_modules.callbacks.predictions.MOST_VALUES", 2)
    fit(tmp_path, [LogPredictions()])
    tags = read(tmp_path / "lightning_logs" / "version_0").Tags()["images"]
    assert tags == ["predictions/val"]


def test_images_come_evenly_from_the_whole_split():
    trainer = SimpleNamespace(num_val_batches=[4])
    assert quota(trainer, 6) == 2
    assert quota(SimpleNamespace(num_val_batches=[float("inf")]), 6) == 6
    assert spread(10, 4).tolist() == [0, 3, 6, 9]
    assert spread(3, 9).tolist() == [0, 1, 2]
    assert spread(0, 9).tolist() == []


# The projector


def test_the_projector_shows_every_value_among_images_of_known_value(run):
    folder = run.log / "00012" / "values_and_images"
    header, *rows = [
        line.split("\t") for line in (folder / "metadata.tsv").read_text().splitlines()
    ]
    assert header == ["value", "kind"]
    assert rows[:3] == [[value, "value"] for value in VALUES]
    names = [VALUES[number % 3] for number in SHOWN]
    assert rows[3:] == [["unknown", "image"], *([name, "image"] for name in names[1:])]
    points = np.loadtxt(folder / "tensors.tsv", delimiter="\t")
    assert points.shape == (10, WIDTH)
    np.testing.assert_allclose(points[:3].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(points[3:].mean(axis=0), 0, atol=1e-6)
    model = run.trainer.lightning_module.eval()
    rows = TinyData().rows(20)
    with torch.no_grad():
        embedding = model.encode_image(torch.stack([rows[number]["image"] for number in SHOWN]))
    np.testing.assert_allclose(points[3:], embedding - embedding.mean(0), atol=1e-5)


def test_the_model_trains_on_as_before_after_embedding(tmp_path):
    model = TinyAdapter()
    model.layer.eval()
    fit(tmp_path, [LogValueEmbeddings()], model=model)
    assert model.dropout.training
    assert not model.layer.training


def test_thumbnails_have_one_size_and_words_stay_inside():
    assert thumbnails(torch.full((2, 3, 224, 224), 7, dtype=torch.uint8)).unique().item() == 7
    small = thumbnails(torch.arange(2, dtype=torch.uint8).repeat(1, 3, 2, 1))
    assert small.shape == (1, 3, 64, 64)
    for word in ("red", "light grayish blue"):
        tile = word_tile(word).float().mean(0)
        assert tile.max() > 200
        assert tile[:, 0].unique().numel() == tile[:, -1].unique().numel() == 1
    assert value_names(torch.tensor([True, True]), torch.tensor([False, True]), "ab") == "b"


# Texts, charts and settings


def test_the_dictionary_is_a_table_that_no_caption_can_break(run):
    (event,) = run.events.Tensors("dictionary/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert text.splitlines() == [
        "**color** in tiny: 3 values, at most one of them in an image.",
        "",
        "| value | captions | spellings | example caption |",
        "| --- | ---: | --- | --- |",
        "| red | 40 | red | a red \\| thing |",
        "| green | 39 | green | a green \\| thing |",
        "| light blue | 38 | light blue | a light blue \\| thing |",
    ]
    value = Value("v", "a<b>", 1200, examples=("two\nlines",))
    last = attribute_markdown(Attribute("x", (value,)), source="y").splitlines()[-1]
    assert last == "| a&lt;b&gt; | 1,200 | a&lt;b&gt; | two lines |"


def test_training_and_validation_share_a_chart_laid_out_once(tmp_path):
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    charts = LogCharts()
    logger = TensorBoardLogger(tmp_path, default_hp_metric=False)
    for _ in range(2):
        fit(tmp_path, [charts], logger=logger, max_epochs=1)
    (event,) = read(logger.log_dir).Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["train and val"]
    assert {chart.title: list(chart.multiline.tag) for chart in layout.category[0].chart} == {
        quantity: [f"{quantity}/train", f"{quantity}/val"]
        for quantity in ("loss", "accuracy", "map")
    }


def test_the_hparams_tab_shows_the_settings_and_the_best_score(run):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    start, experiment = (
        HParamsPluginData.FromString(
            run.events.SummaryMetadata(f"_hparams_/{name}").plugin_data.content
        )
        for name in ("session_start_info", "experiment")
    )
    settings = dict(start.session_start_info.hparams)
    assert set(settings) == {"attribute", "lr", "lora/r", "lora/target"}
    assert settings["attribute"].string_value == "color"
    assert settings["lora/r"].number_value == 4
    assert settings["lora/target"].string_value == "['q', 'v']"
    names = [info.name.tag for info in experiment.experiment.metric_infos]
    assert names == ["hp/accuracy"]
    scores = [event.value for event in run.events.Scalars("accuracy/val")]
    shown = [event.value for event in run.events.Scalars("hp/accuracy")]
    assert shown == np.maximum.accumulate(scores).tolist()


def test_long_settings_are_cut_and_numbers_that_json_lacks_become_text():
    settings = {"a": {"b": {"c": True}}, "path": "x" * 200, "none": None, "inf": float("inf")}
    assert flat(settings) == {
        "a/b/c": True,
        "path": "x" * 100 + "...",
        "none": "None",
        "inf": "inf",
    }


# Speed


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when told to."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("lightning_modules.callbacks.throughput._now", lambda module: clock.now)
    return clock


def test_throughput_leaves_out_warm_up_and_validation(tmp_path, clock):
    class Timed(TinyAdapter):
        def training_step(self, batch):
            clock.now += 500 if self.global_step < 2 else 0.5
            return super().training_step(batch)

        def validation_step(self, batch):
            clock.now += 1000
            return super().validation_step(batch)

    throughput = Throughput(warm_up=2, every_n_batches=3)
    trainer = fit(tmp_path, [throughput], model=Timed(), val_check_interval=3)
    events = read(tmp_path / "lightning_logs" / "version_0")
    found = [(event.step, event.value) for event in events.Scalars("time/throughput (images/s)")]
    assert found == [(5, 8.0), (6, 8.0), (9, 8.0), (12, 8.0)]
    assert trainer.progress_bar_metrics["images/s"] == 8


def test_throughput_counts_the_batches_of_all_processes(clock):
    throughput, logged = Throughput(warm_up=0, every_n_batches=2), []
    logger = SimpleNamespace(log_metrics=lambda metrics, step: logged.append(metrics))
    trainer = SimpleNamespace(world_size=4, is_last_batch=False, loggers=[logger], global_step=2)
    module = SimpleNamespace(log=lambda *args, **options: logged.append((*args, options)))
    throughput.on_train_start(trainer, module)
    throughput.on_train_epoch_start(trainer, module)
    for number in range(2):
        clock.now += 0.25
        throughput.on_train_batch_end(trainer, module, None, {"image": np.zeros(16)}, number)
    assert logged == [
        ("images/s", 256.0, {"prog_bar": True, "logger": False}),
        {"time/throughput (images/s)": 256.0},
    ]


# The safety stop


def test_a_loss_that_is_no_number_names_the_step_and_what_to_do(tmp_path):
    message = (
        "expected a finite training loss, got nan or inf at step 8 (epoch 1). "
        "No checkpoint was written yet. Train again with a lower --model.lr (now 0.1), "
        "or with --trainer.precision 32 (now 32-true)."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        fit(tmp_path, [StopOnNaN()], model=TinyAdapter(bad_step=8))


@pytest.mark.parametrize("every_n_steps", [1, 10])
def test_no_checkpoint_of_bad_weights_is_written_and_the_last_good_one_stays(
    tmp_path, every_n_steps
):
    saver = ModelCheckpoint(
        tmp_path / "good", every_n_train_steps=2, save_top_k=-1, save_last=True, filename="{step}"
    )
    with pytest.raises(InputError) as error:
        fit(
            tmp_path,
            [saver, StopOnNaN(every_n_steps)],
            model=TinyAdapter(bad_step=3),
            enable_checkpointing=True,
        )
    files = sorted((tmp_path / "good").iterdir())
    assert [path.name for path in files] == ["last.ckpt", "step=2.ckpt"]
    for path in files:
        layer = torch.load(path, weights_only=True)["state_dict"]["layer.weight"]
        assert layer.isfinite().all()
    assert f"The last good checkpoint stays: {tmp_path / 'good' / 'last.ckpt'}." in str(error.value)
    if every_n_steps == 1:
        assert "expected a finite training loss, got nan or inf at step 3 (epoch 0)" in str(
            error.value
        )
    else:  # a checkpoint came due before the loss was looked at
        assert str(error.value).startswith(
            "expected finite weights, got nan or inf by step 4 (epoch 0); they were not saved."
        )


def test_a_checkpoint_on_error_is_refused_too(tmp_path):
    saver = ModelCheckpoint(tmp_path / "good", save_on_exception=True, filename="{step}")
    with pytest.raises(InputError, match="they were not saved"):
        fit(
            tmp_path,
            [saver, StopOnNaN(1)],
            model=TinyAdapter(bad_step=3),
            enable_checkpointing=True,
        )
    assert not list((tmp_path / "good").glob("*"))


def test_a_good_run_with_a_frozen_infinity_is_left_alone(tmp_path):
    trainer = fit(tmp_path, [StopOnNaN(1)], max_epochs=1)
    trainer.save_checkpoint(tmp_path / "whole.ckpt")
    assert (tmp_path / "whole.ckpt").is_file()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StopOnNaN(0), "StopOnNaN.every_n_steps is 0, expected at least 1."),
        (lambda: Throughput(-1), "Throughput.warm_up is -1, expected at least 0."),
        (lambda: LogPredictions(0), "LogPredictions.num_images is 0, expected at least 1."),
        (lambda: LogValueEmbeddings(0), "LogValueEmbeddings.num_images is 0, expected at least 1."),
    ],
)
def test_impossible_settings_are_refused_by_name(make, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        make()
