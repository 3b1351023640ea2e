"""A world small enough to train in seconds, shared by all tests that need a trained adapter."""

import contextlib
import io
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
SPLITS = {"train": 128, "validation": 60, "test_seen": 40, "test_unseen": 40}
EPOCHS = 4
TINY_CLIP = {
    "model_cfg": {
        "embed_dim": 32,
        "quick_gelu": False,
        "vision_cfg": {
            "image_size": 64, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16,
        },
        "text_cfg": {
            "context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1,
        },
    },
    "preprocess_cfg": {
        "size": 64, "mode": "RGB", "mean": [0.45] * 3, "std": [0.25] * 3,
        "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0,
    },
}  # fmt: skip


def pytest_configure(config):
    # Tables are drawn for the terminal's width: a fixed one keeps them whole when captured.
    os.environ.setdefault("COLUMNS", "200")


@contextlib.contextmanager
def inside(folder):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def command(*words, cwd):
    """`python -m lightning_modules WORDS` in this process, see `call`."""
    from lightning_modules.__main__ import main

    return call(main, *words, cwd=cwd)


def call(main, *words, cwd):
    """A room's front door in this process: code, out, err and `error:` lines."""
    out, err = io.StringIO(), io.StringIO()
    with inside(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as leave:
            code = leave.code
    errors = re.findall(r"^error: (.*)$", err.getvalue(), re.MULTILINE)
    return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue(), errors=errors)


@pytest.fixture(scope="session")
def run():
    return command


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Drawn images, a dictionary of them and a tiny CLIP with random weights, in one folder."""
    from datamodules.dictionary import Attribute, Dictionary, Value
    from datamodules.files import sha256_json
    from datamodules.sources import load_source
    from datamodules.sources.glyphs.source import write
    from datamodules.sources.glyphs.world import ATTRIBUTES

    folder = tmp_path_factory.mktemp("world")
    write(folder / "data", SPLITS)
    captions = load_source("glyphs", folder / "data").captions("train")

    def attribute(name, values):
        entries = (Value(f"{name}-{v}", v, 1, examples=(f"a {v} thing",)) for v in values)
        return Attribute(name, tuple(entries), exclusive=True)

    attributes = tuple(attribute(*entry) for entry in ATTRIBUTES.items())
    Dictionary("glyphs", sha256_json(captions), attributes).save(folder / "dictionary.json")
    (folder / "tiny").mkdir()
    (folder / "tiny/open_clip_config.json").write_text(json.dumps(TINY_CLIP))
    return folder


@pytest.fixture(scope="session")
def fit_words(world):
    """The command line of a run of a few seconds; later words win."""
    return (
        "fit", "--config", ROOT / "configs/train.yaml", "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false", f"--trainer.max_epochs={EPOCHS}",
        "--trainer.log_every_n_steps=1", "--trainer.num_sanity_val_steps=1",
        "--data.attribute=color", f"--data.root={world / 'data'}", "--data.batch_size=32",
        f"--data.dictionary={world / 'dictionary.json'}", f"--model.backbone={world / 'tiny'}",
        "--model.pretrained=random", "--model.r=4", "--model.warmup_steps=2", "--model.lr=2e-3",
        "--model.keep_weight=1",
    )  # fmt: skip


@pytest.fixture(scope="session")
def fitted(world, fit_words):
    """One finished run: `done` (code, out, err), `run` and `delta` folders; it ran in `world`."""
    done = command(*fit_words, "--json", cwd=world)
    assert done.code == 0, done.err
    return SimpleNamespace(
        done=done,
        run=world / "runs/train/color/version_0",
        delta=world / "artifacts/deltas/tiny/glyphs/color",
    )


@pytest.fixture
def only_this_machine(monkeypatch):
    """No proxy stands between a test and the server beside it."""
    from tests.file_server import forget_proxies

    forget_proxies(monkeypatch)


@pytest.fixture
def server():
    """A server of one file, see `tests.file_server`."""
    from tests.file_server import serving

    with serving() as running:
        yield running


@pytest.fixture
def target(tmp_path):
    """Where the server's file is to go."""
    return tmp_path / "data.bin"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless Chromium."""
    from tests import chromium

    with chromium.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """Pages of dictionaries by name, see `tests.dictionary_samples`."""
    from tests.dictionary_samples import write_pages

    return write_pages(tmp_path_factory.mktemp("pages"))
