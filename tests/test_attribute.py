"""`AttributeDataModule`: the images that speak of one attribute, in batches, with their prompts."""

import multiprocessing
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import agreement
from datamodules import attribute as module
from datamodules.annotations import Annotations
from datamodules.attribute import AttributeDataModule
from datamodules.dictionary import Attribute, Dictionary, Value
from datamodules.dictionary.given import words_hash
from datamodules.errors import InputError
from datamodules.prompts import ADJECTIVE, NOUN
from datamodules.sources import SOURCES, load_source
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.source import Glyphs, write
from datamodules.sources.glyphs.world import ATTRIBUTES, sample

SPLITS = {"train": 200, "validation": 40, "test_seen": 30, "test_unseen": 30}
CAPTION = {"shape": "a red {}", "color": "a {} star", "texture": "a {} star", "size": "a {} star"}


def entry(name, values, *, exclusive=True):
    found = [Value(f"v_{v}", v, 9, examples=(CAPTION.get(name, "{}").format(v),)) for v in values]
    return Attribute(name, tuple(found), exclusive=exclusive)


def save_dictionary(path, source, attributes, *, name=None, data_hash=None):
    data_hash = data_hash or words_hash(source)
    Dictionary(name or source.name, data_hash, tuple(attributes)).save(path)
    return path


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory):
    """A small folder of glyphs and its dictionary."""
    root = tmp_path_factory.mktemp("attribute") / "glyphs"
    write(root, SPLITS)
    path = root.parent / "dictionary.json"
    attributes = [entry(name, sorted(values)) for name, values in ATTRIBUTES.items()]
    save_dictionary(path, Glyphs.open(root), [*attributes, entry("mood", ["calm"])])
    return SimpleNamespace(root=root, dictionary=path)


@pytest.fixture
def make(glyphs):
    def make(attribute="color", **options):
        data = AttributeDataModule(
            attribute, **{"root": glyphs.root, "dictionary": glyphs.dictionary, **options}
        )
        data.prepare_data()
        data.setup("fit")
        return data

    return make


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder; returns a function that writes its rows and opens the data module."""
    monkeypatch.chdir(tmp_path)

    def open_folder(rows, attributes, attribute="color", **options):
        root = tmp_path / "mine"
        root.mkdir(exist_ok=True)
        (root / "annotations.csv").write_text("image,split,attribute,value,label\n" + rows)
        source = load_source("folder", root)
        for number, image in enumerate(source.annotations.images):
            Image.new("L", (12, 12), number).save(root / image)
        path = save_dictionary(tmp_path / "dictionary.json", source, attributes)
        data = AttributeDataModule(
            attribute, source="folder", root=root, dictionary=path, image_size=8, **options
        )
        data.prepare_data()
        data.setup()
        return data

    return open_folder


COLORS = [entry("color", ["red", "blue"], exclusive=False)]
ROWS = (
    "a.png,train,color,red,1\na.png,train,color,blue,0\nb.png,train,shape,star,1\n"
    "c.png,train,color,mauve,1\nd.png,train,color,blue,-1\ne.png,train,color,blue,1\n"
    "f.png,validation,color,red,1\ng.png,test,color,red,1\nh.png,other,shape,star,1\n"
)

# --- batches --------------------------------------------------------------------------------------


def test_a_batch_has_these_shapes_and_types(make):
    batch = next(iter(make(batch_size=16).train_dataloader()))
    assert {name: (tuple(x.shape), x.dtype) for name, x in batch.items()} == {
        "image": ((16, 3, 64, 64), torch.uint8),
        "label": ((16, 12), torch.int8),
        "known": ((16, 12), torch.bool),
        "weight": ((16,), torch.float32),
        "index": ((16,), torch.int64),
    }


@pytest.mark.parametrize("attribute", list(ATTRIBUTES))
def test_images_and_labels_are_those_of_the_world(make, attribute):
    data = make(attribute)
    scenes = sample(0, "train", np.arange(SPLITS["train"]))
    truth = np.array(ATTRIBUTES[attribute])[getattr(scenes, attribute)]
    for batch in data.train_dataloader():
        index = batch["index"].numpy()  # training images come first in the file
        assert np.array_equal(batch["image"].permute(0, 2, 3, 1), draw(scenes[index]))
        assert (batch["label"].sum(1) == 1).all()
        assert batch["known"].all()
        shown = [data.values[i] for i in batch["label"].argmax(1)]
        assert shown == truth[index].tolist()


def test_an_epoch_shows_each_training_image_once(make):
    loader = make(batch_size=40).train_dataloader()
    shown = torch.cat([batch["index"] for batch in loader])
    assert sorted(shown.tolist()) == list(range(200))


def test_evaluation_shows_every_image_of_its_split(make):
    data = make()
    assert data.test_splits == ("test_seen", "test_unseen")
    loaders = [data.val_dataloader(), *data.test_dataloader()]
    start = SPLITS["train"]
    for loader, split in zip(loaders, ("validation", "test_seen", "test_unseen"), strict=True):
        shown = torch.cat([batch["index"] for batch in loader]).tolist()
        assert shown == list(range(start, start + SPLITS[split])) == data.members(split).tolist()
        start += SPLITS[split]


def test_workers_change_nothing(make):
    alone, helped = (make(num_workers=n, batch_size=50).train_dataloader() for n in (0, 2))
    for a, b in zip(alone, helped, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["index"], b["index"])


def test_processes_share_a_batch(make):
    parts = []
    for rank in range(2):
        data = make(batch_size=50)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        parts.append([batch["index"].tolist() for batch in data.train_dataloader()])
    alone = [batch["index"].tolist() for batch in make(batch_size=50).train_dataloader()]
    assert [sorted(a + b) for a, b in zip(*parts, strict=True)] == [sorted(x) for x in alone]


def test_a_batch_can_be_changed_without_harm(make):
    data = make(batch_size=200)
    for _ in range(2):
        batch = next(iter(data.train_dataloader()))
        assert (batch["label"].sum(1) == 1).all()
        batch["label"].zero_()
        batch["image"].zero_()


# --- what is in it --------------------------------------------------------------------------------


def test_values_exclusiveness_and_splits_are_at_hand(make):
    data = make("size")
    assert data.values == ("large", "medium", "small")
    assert data.exclusive is True
    assert data.splits == tuple(SPLITS)
    assert np.array_equal(data.image(7), draw(sample(0, "train", np.array([7])))[0])


def test_shapes_are_nouns_and_colors_adjectives(make):
    data = make()
    assert data.templates("shape") == NOUN
    assert data.templates("color") == ADJECTIVE
    assert data.prompts("shape")[0] == [
        "an arrow", "a picture of an arrow", "there is an arrow", "an arrow in the image",
    ]  # fmt: skip
    assert [len(texts) for texts in data.prompts("color")] == [4] * 12


def test_labels_are_computed_once(make, monkeypatch):
    calls = []
    original = Annotations.labels

    def counted(self, attribute, values, **options):
        calls.append(attribute)
        return original(self, attribute, values, **options)

    monkeypatch.setattr(Annotations, "labels", counted)
    data = make()
    for _ in range(2):
        data.train_dataloader(), data.val_dataloader(), data.test_dataloader()
        data.members("train"), data.labels("shape")
    assert sorted(calls) == ["color", "shape"]


def test_the_source_is_opened_once(make, monkeypatch):
    calls = []
    monkeypatch.setattr(
        module, "load_source", lambda *args: calls.append(args) or load_source(*args)
    )
    data = make()
    data.setup("test")
    assert len(calls) == 1


def test_another_process_sets_up_without_preparing(glyphs):
    data = AttributeDataModule("color", root=glyphs.root, dictionary=glyphs.dictionary)
    data.setup()
    assert len(data.members("train")) == 200


def test_only_images_that_speak_of_the_attribute_are_members(folder):
    data = folder(ROWS, COLORS)
    images = data.source.annotations.images
    assert [images[i] for i in data.members("train")] == ["a.png", "e.png"]
    batch = next(iter(data.train_dataloader()))
    known = dict(zip(batch["index"].tolist(), batch["known"].tolist(), strict=True))
    assert known == {images.index("a.png"): [True, True], images.index("e.png"): [False, True]}
    assert batch["image"].shape == (2, 3, 8, 8)


def test_splits_that_do_not_speak_of_the_attribute_are_not_reported(folder):
    data = folder(ROWS, COLORS)
    assert data.splits == ("train", "validation", "test", "other")
    assert data.test_splits == ("test",)
    assert len(data.test_dataloader()) == 1


@pytest.mark.parametrize("name", ["../x", "type", "a.b", "train"])
def test_names_of_attributes_are_data(folder, name):
    rows = f"a.png,train,{name},red,1\nb.png,validation,{name},blue,1\n"
    data = folder(rows, [entry(name, ["red", "blue"])], attribute=name)
    assert data.values == ("red", "blue")
    assert next(iter(data.val_dataloader()))["label"].tolist() == [[0, 1]]


def build_slowly(folder, root, log):
    from pathlib import Path

    def build(path, *args, **options):
        with Path(log).open("a") as stream:
            stream.write("built\n")
        save_dictionary(path, Glyphs.open(root), [entry("color", ATTRIBUTES["color"])])

    agreement.build_file = build
    agreement.default_path = lambda source, root: folder / f"{source}.json"
    AttributeDataModule("color", root=root).prepare_data()


def test_two_runs_on_a_fresh_machine_make_data_and_dictionary_once(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "datamodules.sources.glyphs.source.SPLITS", {"train": 250, "validation": 50}
    )
    args = tmp_path / "dictionary", tmp_path / "glyphs", tmp_path / "log"
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=build_slowly, args=args) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert (tmp_path / "log").read_text() == "built\n"
    assert len(Glyphs.open(tmp_path / "glyphs").annotations.images) == 300


# --- what is refused ------------------------------------------------------------------------------


def message(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("batch_size", 0, 1), ("num_workers", -1, 0), ("image_size", 0, 1), ("seed", -1, 0)],
)
def test_impossible_numbers_are_refused_at_once(option, value, least):
    assert message(AttributeDataModule, "color", **{option: value}) == (
        f"--data.{option} is {value}, expected at least {least}."
    )


def test_an_unknown_attribute_lists_the_known_ones(make):
    assert message(make, "colour") == (
        "expected an attribute of the glyphs dictionary, got 'colour'. Known attributes: color, "
        "shape, texture, size, mood. Choose one of these, or rebuild with `make dictionary "
        "DATA=glyphs`."
    )


def test_an_attribute_that_nobody_annotated_is_refused(make):
    assert message(make, "mood") == (
        "expected images of the split 'train' annotated with values of 'mood', got none of 200. "
        "The source annotates: color, shape, texture, size; the dictionary holds of these: color, "
        "shape, texture, size. Choose one of both, or rename the attribute in the annotations."
    )


def test_an_attribute_spelled_otherwise_in_the_annotations_is_told(folder):
    text = message(folder, ROWS.replace("color", "Colour"), COLORS)
    assert text.endswith(
        "The source annotates: Colour, shape; the dictionary holds of these: none. Choose one of "
        "both, or rename the attribute in the annotations."
    )


def test_a_batch_that_processes_cannot_share_is_refused(make):
    data = make(batch_size=50)
    data.trainer = SimpleNamespace(global_rank=0, world_size=4)
    assert message(data.train_dataloader) == (
        "--data.batch_size is 50, expected a multiple of the 4 processes that share it. Choose "
        "another batch size or number of devices."
    )


def test_a_dictionary_that_is_not_there_is_named(make, tmp_path):
    path = tmp_path / "none.json"
    assert message(make, dictionary=path) == (
        f"--data.dictionary is {path}, found no such file. Leave it out to use "
        "artifacts/dictionary/glyphs.json, or build it with: make dictionary DATA=glyphs "
        f"ARGS=--out={path}"
    )


def test_a_dictionary_of_another_source_is_refused(make, glyphs, tmp_path):
    path = save_dictionary(tmp_path / "d.json", Glyphs.open(glyphs.root), [], name="cub")
    assert message(make, dictionary=path) == (
        f"expected the dictionary of glyphs, but {path} was built from cub. Build it: make "
        "dictionary DATA=glyphs."
    )


def test_a_dictionary_of_other_captions_is_refused(make, glyphs, tmp_path):
    source = Glyphs.open(glyphs.root)
    path = save_dictionary(tmp_path / "d.json", source, [], data_hash="0123456789abcdef")
    hash_ = words_hash(source)
    assert message(make, dictionary=path) == (
        f"expected a dictionary of the captions in {glyphs.root} ({hash_[:12]}), {path} is of "
        f"others (0123456789ab). Build it with: make dictionary DATA=glyphs ROOT={glyphs.root} "
        f"ARGS=--out={path}"
    )


def test_a_source_without_validation_is_refused(folder, tmp_path):
    assert message(folder, "a.png,train,color,red,1\nb.png,test,color,red,1\n", COLORS) == (
        f"expected the splits train and validation in {tmp_path / 'mine'}, got train, test: "
        "validation is missing. Name it in the split column."
    )


def test_a_broken_image_is_named_before_training(folder, tmp_path):
    data = folder(ROWS, COLORS)
    path = tmp_path / "mine/e.png"
    path.write_bytes(path.read_bytes()[:40])
    assert message(data.prepare_data).startswith(f"expected a whole image in {path}")


def test_an_unknown_source_is_refused():
    assert message(AttributeDataModule("color", source="birds").prepare_data).startswith(
        f"expected a data set among {', '.join(SOURCES)}, got 'birds'."
    )
