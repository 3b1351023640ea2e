"""`CombinationDataModule`: classes that are a value of each of several attributes."""

import csv
import random
from collections import Counter, defaultdict
from itertools import chain, product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules.combinations import CombinationDataModule
from datamodules.combined_values import class_numbers, possible_classes, shown_classes
from datamodules.dictionary import Dictionary
from datamodules.dictionary.given import words_hash
from datamodules.sources.glyphs.source import Glyphs, write
from datamodules.sources.glyphs.world import ATTRIBUTES, COLORS, SHAPES, pairs
from datamodules.splits.split import Split
from tests.pair_folder import entry, open_pairs, rows_of

SPLITS = {"train": 1100, "validation": 120, "test_seen": 120, "test_unseen": 240}
# In another order than the world's, as counts in captions give it.
VALUES = {name: sorted(values, key=lambda v: v[::-1]) for name, values in ATTRIBUTES.items()}
PAIR = "color", "shape"


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory):
    """Glyphs, their dictionary, and annotations.csv as a plain reader finds it, by image."""
    root = tmp_path_factory.mktemp("combinations") / "glyphs"
    write(root, SPLITS)
    path = root.parent / "dictionary.json"
    attributes = tuple(entry(*each) for each in VALUES.items())
    Dictionary("glyphs", words_hash(Glyphs.open(root)), attributes).save(path)
    shown, splits = defaultdict(dict), defaultdict(dict)
    with (root / "annotations.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            shown[row["image"]][row["attribute"]] = row["value"]
            splits[row["split"]][row["image"]] = True
    splits = {split: list(images) for split, images in splits.items()}
    return SimpleNamespace(root=root, dictionary=path, shown=shown, splits=splits)


@pytest.fixture
def make(glyphs):
    def make(*attributes, **options):
        data = CombinationDataModule(
            list(attributes), root=glyphs.root, dictionary=glyphs.dictionary, **options
        )
        data.setup()
        return data

    return make


def images_of(data, split):
    return [data.annotations.images[i] for i in data.members(split)]


def shown_in(data, split):
    """The number of the class that each image of a split shows."""
    return data.labels(data.attribute).label[data.members(split)].argmax(1).tolist()


# --- classes --------------------------------------------------------------------------------------


def test_the_world_holds_120_pairs_of_which_96_are_seen(make):
    data = make(*PAIR)
    assert len(data.values) == 120
    assert (data.parts.shape, data.parts.dtype) == ((120, 2), np.int64)
    assert data.seen.sum() == 96
    unseen = {(list(COLORS)[c], SHAPES[s]) for c, s in pairs(unseen=True).tolist()}
    named = {(VALUES["color"][c], VALUES["shape"][s]) for c, s in data.parts[~data.seen].tolist()}
    assert named == unseen


def test_classes_come_in_the_order_of_the_product(make):
    data = make(*PAIR)
    assert list(data.values) == [f"{c} {s}" for c, s in product(VALUES["color"], VALUES["shape"])]
    assert data.parts.tolist() == [list(each) for each in product(range(12), range(10))]
    turned = make("shape", "color")
    assert turned.attribute == "shape+color"
    assert turned.values[1] == f"{VALUES['color'][1]} {VALUES['shape'][0]}"


def test_labels_are_those_of_the_annotations_file(make, glyphs):
    data = make(*PAIR)
    labels = data.labels("color+shape")
    assert labels.label.sum(1).tolist() == [1] * sum(SPLITS.values())
    assert labels.known.all()
    for image, number in zip(data.annotations.images, labels.label.argmax(1), strict=True):
        assert data.values[number] == "{color} {shape}".format(**glyphs.shown[image])


def test_only_the_unseen_split_shows_unseen_pairs(make):
    data = make(*PAIR)
    assert data.test_splits == ("test_seen", "test_unseen")
    for split in data.splits:
        seen = data.seen[shown_in(data, split)]
        assert (~seen).all() if split == "test_unseen" else seen.all()


def test_a_closed_world_holds_what_is_shown_and_an_open_one_all(make, glyphs):
    names = ("size", "color", "shape")
    shown = {tuple(of[name] for name in names) for of in glyphs.shown.values()}
    train = {tuple(glyphs.shown[image][name] for name in names) for image in glyphs.splits["train"]}
    everything = set(product(*map(VALUES.get, names)))
    assert len(everything) == 360 > len(shown)
    for world, expected in (("closed", shown), ("open", everything)):
        data = make(*names, world=world)
        named = [
            tuple(VALUES[name][v] for name, v in zip(names, row, strict=True))
            for row in data.parts.tolist()
        ]
        assert len(named) == len(expected)
        assert set(named) == expected
        assert {each for each, seen in zip(named, data.seen, strict=True) if seen} == train


def test_how_often_a_combination_is_shown_is_kept(make, glyphs):
    data = make(*PAIR)
    count = Counter("{color} {shape}".format(**shown) for shown in glyphs.shown.values())
    entry = data.dictionary.attribute("color+shape")
    assert {value.text: value.count for value in entry.values} == count


def test_items_that_lack_an_attribute_or_show_two_values_take_no_part(tmp_path):
    items = [
        ("a", "train", "red", "star"), ("b", "train", "red", ""), ("c", "train", "", "arrow"),
        ("d", "train", "red orange", "star"), ("e", "train", "orange", "star"),
        ("f", "validation", "red", "star"), ("g", "test", "orange", "arrow"),
        ("h", "other", "red", ""),
    ]  # fmt: skip
    data = open_pairs(tmp_path, rows_of(*items))
    assert data.values == ("red star", "orange star", "orange arrow")
    assert data.seen.tolist() == [True, True, False]
    assert images_of(data, "train") == ["a.png", "e.png"]
    assert data.test_splits == ("test",)
    labels = data.labels("color+shape")
    named = dict(zip(data.annotations.images, labels.label.tolist(), strict=True))
    assert named["d.png"] == [0, 0, 0]
    assert named["g.png"] == [0, 0, 1]
    assert labels.known.any(1).tolist() == [1, 0, 0, 0, 1, 1, 1, 0]
    assert labels.known.all(1).tolist() == labels.known.any(1).tolist()


def test_images_of_no_split_make_no_class(tmp_path):
    items = [("a", "train", "red", "star"), ("b", "validation", "orange", "star")]
    path = tmp_path / "split.json"
    Split("mine", None, {"train": ("a.png",), "validation": ("b.png",)}, "folder").save(path)
    rows = rows_of(*items, ("c", "train", "red", "arrow"))
    assert open_pairs(tmp_path, rows).values == ("red star", "red arrow", "orange star")
    data = open_pairs(tmp_path, rows, split=path)
    assert data.values == ("red star", "orange star")
    assert data.labels("color+shape").known.any(1).tolist() == [True, True, False]


def test_the_least_sure_attribute_says_how_sure_a_combination_is(tmp_path):
    lines = rows_of(("a", "train", "red", "star"), ("b", "validation", "orange", "star"))
    weights = iter([0.5, 0.7, 3, 2])
    lines = "".join(f"{line[:-1]},{next(weights)}\n" for line in lines.splitlines(keepends=True))
    data = open_pairs(tmp_path, lines, header="image,split,attribute,value,label,weight\n")
    np.testing.assert_allclose(data.labels("color+shape").weight, [0.5, 2])


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 2), st.integers(-1, 1)), min_size=1))
def test_classes_are_found_as_a_table_finds_them(rows):
    number = np.array(rows, np.int64)
    whole = sorted({row for row in rows if min(row) >= 0})
    classes = shown_classes(number)
    assert [tuple(row) for row in classes.tolist()] == whole
    for parts in (classes, classes[::2], possible_classes([4, 3, 2])) if whole else ():
        table = {tuple(row): c for c, row in enumerate(parts.tolist())}
        assert class_numbers(number, parts).tolist() == [table.get(row, -1) for row in rows]


# --- shots ----------------------------------------------------------------------------------------


def drawn(glyphs, split, names, shots, seed):
    """The images that CoOp's rule draws, by lists of images and Python's generator alone."""
    groups = defaultdict(list)
    for image in glyphs.splits[split]:
        groups[tuple(glyphs.shown[image][name] for name in names)].append(image)
    state = random.Random(seed)
    of = [state.sample(each, shots) if len(each) >= shots else each for each in groups.values()]
    return sorted(chain(*of))


@pytest.mark.parametrize(
    ("shots", "of", "seed"),
    [(16, None, 1), (4, None, 2), (3, ["color"], 1), (2, ["shape", "color"], 3)],
)
def test_shots_are_drawn_as_the_literature_draws_them(make, glyphs, shots, of, seed):
    data = make(*PAIR, shots=shots, shots_of=of, shots_seed=seed)
    assert sorted(images_of(data, "train")) == drawn(glyphs, "train", of or PAIR, shots, seed)
    assert images_of(data, "validation") == glyphs.splits["validation"]
    assert [len(data.members(split)) for split in data.test_splits] == [120, 240]


def test_images_without_a_combination_are_not_drawn(tmp_path):
    items = [("a", "train", "red", ""), ("b", "train", "red", "star"), ("c", "train", "red", "")]
    rows = rows_of(*items, ("d", "validation", "orange", "star"))
    for seed in range(4):
        data = open_pairs(tmp_path, rows, shots=1, shots_of=["color"], shots_seed=seed)
        assert [data.annotations.images[i] for i in data.annotations.members("train")] == ["b.png"]


def test_sixteen_shots_are_at_most_16_of_each_seen_pair_and_leave_the_classes(make):
    data, whole = make(*PAIR, shots=16), make(*PAIR)
    everything = Counter(shown_in(whole, "train"))
    assert Counter(shown_in(data, "train")) == {c: min(n, 16) for c, n in everything.items()}
    assert len(everything) == 96
    assert len(data.members("train")) <= 16 * 96
    assert max(everything.values()) > 16
    assert data.values == whole.values
    assert np.array_equal(data.seen, whole.seen)


def test_validation_has_shots_of_its_own(make, glyphs):
    data = make(*PAIR, validation_shots=1, shots_seed=2)
    assert sorted(images_of(data, "validation")) == drawn(glyphs, "validation", PAIR, 1, 2)
    assert images_of(data, "train") == glyphs.splits["train"]


def test_every_draw_has_a_hash_of_its_own(make):
    options = {}, {}, {"shots_seed": 2}, {"shots": 3}, {"validation_shots": 1}
    hashes = [make(*PAIR, **({"shots": 2} | each)).split_hash for each in options]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4
    assert make(*PAIR).split_hash == "official"


def test_images_are_limited_after_the_shots(make, glyphs):
    data = make(*PAIR, shots=1, max_images=50)
    assert [len(data.members(split)) for split in data.splits] == [50] * 4
    assert set(images_of(data, "train")) < set(drawn(glyphs, "train", PAIR, 1, 1))
    assert (len(data.values), data.seen.sum()) == (120, 96)
    assert data.pixels().shape == (200, 64, 64, 3)
    for image, row in zip(data.annotations.images, data.labels(data.attribute).label, strict=True):
        assert data.values[row.argmax()] == "{color} {shape}".format(**glyphs.shown[image])


# --- batches --------------------------------------------------------------------------------------


def test_batches_are_those_of_an_attribute(make, glyphs):
    data = make(*PAIR, shots=2, batch_size=32)
    loader = data.train_dataloader()
    assert len(loader) == 192 // 32
    seen = []
    for batch in loader:
        assert batch["image"].shape == (32, 3, 64, 64)
        assert batch["label"].dtype == torch.int8
        assert (batch["label"].sum(1) == 1).all()
        for image, row, index in zip(*(batch[n] for n in ("image", "label", "index")), strict=True):
            shown = glyphs.shown[data.annotations.images[index]]
            assert data.values[row.argmax()] == f"{shown['color']} {shown['shape']}"
            assert np.array_equal(image.permute(1, 2, 0), data.source.pixels(64)[index])
        seen += batch["index"].tolist()
    assert sorted(seen) == data.members("train").tolist()
