"""Published splits, read from the files their authors gave out: real data, see ASPECTRA_DATA."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from datamodules.splits import (
    base_to_new_split,
    few_shot_split,
    proposed_split,
    read_att_splits,
    read_pair_lists,
    read_split_zhou,
)

DATA = Path(os.environ.get("ASPECTRA_DATA", "no folder given"))

# Data set: name in split_zhou, train, validation and test images, and how its parts were made.
COOP = {
    "caltech101": ("Caltech101", 4128, 1649, 2465, "three parts"),
    "dtd": ("DescribableTextures", 2820, 1128, 1692, "three parts"),
    "eurosat": ("EuroSAT", 13500, 5400, 8100, "three parts"),
    "oxford_flowers": ("OxfordFlowers", 4093, 1633, 2463, "three parts"),
    "oxford_pets": ("OxfordPets", 2944, 736, 3669, "hold out"),
    "stanford_cars": ("StanfordCars", 6509, 1635, 8041, "hold out"),
    "ucf101": ("UCF101", 7639, 1898, 3783, "hold out"),
}
# Data set: classes, attributes, trainval, test_seen and test_unseen images (Xian et al., table 2).
XIAN = {
    "APY": (32, 64, 5932, 1483, 7924),
    "AWA1": (50, 85, 19832, 4958, 5685),
    "AWA2": (50, 85, 23527, 5882, 7913),
    "CUB": (200, 312, 7057, 1764, 2967),
    "SUN": (717, 102, 10320, 2580, 1440),
}


def real(*parts):
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(parts)} in the folder ASPECTRA_DATA")
    return path


def coop_items(folder):
    return read_split_zhou(real("coop", f"split_zhou_{COOP[folder][0]}.json"))


@pytest.mark.parametrize("folder", COOP)
def test_coops_files_hold_the_published_numbers_of_images(folder):
    items = coop_items(folder)
    assert [len(items[part]) for part in ("train", "validation", "test")] == [*COOP[folder][1:4]]
    of = {part: Counter(item.label for item in found) for part, found in items.items()}
    for label in of["train"]:
        train, validation = of["train"][label], of["validation"][label]
        if COOP[folder][4] == "three parts":
            total = train + validation + of["test"][label]
            assert (train, validation) == (round(total * 0.5), round(total * 0.2))
        else:
            assert validation == round((train + validation) * 0.2)


@pytest.mark.parametrize("folder", COOP)
def test_coops_few_shot_selections_are_reproduced_image_by_image_and_in_order(folder):
    items = coop_items(folder)
    for shots in (1, 2, 4, 8, 16):
        for seed in (1, 2, 3):
            published = json.loads(
                real("coop", "indices", folder, f"shot_{shots}-seed_{seed}.json").read_text()
            )
            split = few_shot_split(items, shots=shots, seed=seed, source=folder)
            for part, key in (("train", "train"), ("validation", "val")):
                # Their paths begin with folders of the machine they were made on.
                found = [each["impath"] for each in published[key]["data"]]
                wanted = split.members[part]
                assert len(found) == len(wanted)
                assert all(
                    path.endswith(f"/{image}") for path, image in zip(found, wanted, strict=True)
                )


def test_base_classes_of_caltech101_are_the_first_fifty():
    split = base_to_new_split(coop_items("caltech101"), source="caltech101", shots=16, seed=1)
    assert (len(split.settings["base"]), len(split.settings["new"])) == (50, 50)
    assert len(split.members["train"]) == 800
    assert [len(split.members[part]) for part in ("test_base", "test_new")] == [1549, 916]


@pytest.mark.parametrize("name", XIAN)
def test_xians_files_hold_the_published_numbers(name):
    found = read_att_splits(real("xian", name, "att_splits.mat"))
    trainval = len(found.parts["train"]) + len(found.parts["validation"])
    test = len(found.parts["test_seen"]), len(found.parts["test_unseen"])
    assert (len(found.classes), len(found.attribute_AC), trainval, *test) == XIAN[name]
    assert found.original_AC.shape == found.attribute_AC.shape
    np.testing.assert_allclose(np.linalg.norm(found.attribute_AC, axis=0), 1, atol=1e-6)
    everything = {each for part in found.parts.values() for each in part}
    assert everything == set(range(sum(XIAN[name][2:])))


@pytest.mark.parametrize("name", ["AWA1", "AWA2", "SUN"])
def test_train_and_val_of_the_original_files_hold_every_image_of_test_seen(name):
    # Why the reader does not take train_loc and val_loc as they are.
    found = read_att_splits(real("xian", f"original_{name}", "att_splits.mat"))
    assert found.left_out == len(found.parts["test_seen"]) == XIAN[name][3]
    assert len(found.parts["train"]) + len(found.parts["validation"]) == XIAN[name][2]
    assert found.parts["validation"]


def test_xians_cub_has_150_seen_and_50_unseen_birds():
    published = read_att_splits(real("xian", "CUB", "att_splits.mat"))
    with gzip.open(real("CUB_200_2011_all_annotations", "images.txt.gz"), "rt") as lines:
        images = [line.split()[1] for line in lines]
    labels = [published.classes.index(image.split("/")[0]) for image in images]
    split = proposed_split(published, images, labels, source="cub")
    assert (len(split.settings["seen"]), len(split.settings["unseen"])) == (150, 50)
    assert {part: len(found) for part, found in split.members.items()} == {
        "train": 7057,
        "validation": 0,
        "test_seen": 1764,
        "test_unseen": 2967,
    }
    for image in split.members["test_unseen"]:
        assert image.split("/")[0] in split.settings["unseen"]


def test_cgqa_has_the_published_numbers_of_pairs():
    lists = read_pair_lists(real("cgqa", "compositional-split-natural"))
    assert (len(lists.train), len(lists.validation), len(lists.test)) == (5592, 2292, 1811)
    assert (len(lists.unseen_validation), len(lists.unseen_test)) == (1252, 923)
    assert len(lists.all) == 7767
    values, objects = ({pair[index] for pair in lists.all} for index in (0, 1))
    assert (len(values), len(objects)) == (413, 674)
