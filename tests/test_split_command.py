"""`python -m datamodules split`, and data modules that read what it wrote."""

import json

import pytest
from PIL import Image

from datamodules.__main__ import main
from datamodules.attribute import AttributeDataModule
from datamodules.classes import ClassDataModule
from datamodules.errors import InputError
from datamodules.protocols.protocols import Request, split_source
from datamodules.sources import load_source
from datamodules.splits import Split, draw_shots


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Forty pictures of two colors and two objects, all in train or test but for four."""
    monkeypatch.chdir(tmp_path)
    lines = ["image,split,attribute,value,object"]
    for number in range(40):
        split = "validation" if number < 4 else ("train", "test")[number // 2 % 2]
        color, thing = ("red", "blue")[number % 2], ("car", "cup")[number % 3 % 2]
        Image.new("RGB", (8, 8), number).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{split},color,{color},{thing}")
    (tmp_path / "annotations.csv").write_text("\n".join(lines))
    return tmp_path


def split_of(root, *words):
    arguments = ["split", "--source", "folder", "--root", str(root), "--out", "split.json", *words]
    assert main(arguments) == 0
    return Split.load(root / "split.json")


def test_official_is_the_split_column(root, capsys):
    split = split_of(root, "--protocol", "official", "--json")
    assert {part: len(images) for part, images in split.members.items()} == {
        "validation": 4, "train": 18, "test": 18,
    }  # fmt: skip
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["hash"] == split.hash
    assert found["images"]["train"] == 18


def test_few_shot_takes_shots_of_each_class_as_drawn(root):
    split = split_of(
        root, "--protocol", "few-shot", "--attribute", "color", "--shots", "3", "--seed", "1"
    )
    table = load_source("folder", root).annotations
    color = {row.image: row.value for row in table.rows}
    train, validation = (table.images_of(part) for part in ("train", "validation"))
    expected = draw_shots(
        [color[i] for i in train], [color[i] for i in validation], shots=3, seed=1
    )
    assert split.members["train"] == tuple(train[i] for i in expected.train)
    assert [color[image] for image in split.members["train"]].count("red") == 3
    assert len(split.members["validation"]) == 4
    assert len(split.members["test"]) == 18


def test_a_data_module_uses_the_split_of_a_file(root):
    split = split_of(root, "--protocol", "few-shot", "--attribute", "color", "--shots", "2")
    data = AttributeDataModule(
        "color", source="folder", root=root, split=root / "split.json", image_size=8
    )
    data.prepare_data()
    data.setup()
    images = [data.annotations.images[i] for i in data.members("train")]
    assert sorted(images) == sorted(split.members["train"])
    assert set(data.splits) == {"train", "validation", "test"}


def test_compositional_keeps_unseen_pairs_out_of_train(root):
    table = load_source("folder", root).annotations
    split = split_source(table, "folder", "compositional", Request(attribute="color"))
    pair = {row.image: (row.value, row.object) for row in table.rows}
    seen = {pair[image] for image in split.members["train"]}
    unseen = [tuple(each) for each in split.settings["unseen_test"]]
    assert len(unseen) == 1
    assert unseen[0] not in seen
    assert unseen[0] in {pair[image] for image in split.members["test"]}


def test_base_to_new_and_zero_shot_divide_the_classes(root):
    table = load_source("folder", root).annotations
    split = split_source(table, "folder", "base-to-new", Request(attribute="color"))
    assert (split.settings["base"], split.settings["new"]) == (["red"], ["blue"])
    split = split_source(table, "folder", "zero-shot", Request(attribute="color"))
    assert len(split.settings["unseen"]) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ("few-shot", "--attribute", "color"),
            "--protocol few-shot needs the images a class, got none. Add --shots 16.",
        ),
        (
            ("few-shot", "--attribute", "shape", "--shots", "1"),
            "expected an attribute of folder whose values are the classes, got 'shape'. Name one "
            "with --attribute: color.",
        ),
    ],
)
def test_what_cannot_be_had_is_said(root, capsys, words, text):
    arguments = ["split", "--source", "folder", "--root", str(root), "--protocol", *words]
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: {text}\n"


def test_a_split_of_other_images_is_refused(root):
    Split("mine", None, {"train": ("0.png", "a.png"), "validation": ()}, "birds").save(
        root / "other.json"
    )
    data = AttributeDataModule("color", source="folder", root=root, split=root / "other.json")
    with pytest.raises(InputError) as caught:
        data.prepare_data()
    assert str(caught.value) == (
        "expected a split of these 40 images, got one of birds that names 1 others, such as "
        "'a.png'. Make the split again from this data set."
    )


def test_a_split_without_validation_is_refused(root):
    Split("mine", None, {"train": ("0.png",)}, "folder").save(root / "split.json")
    data = AttributeDataModule("color", source="folder", root=root, split=root / "split.json")
    with pytest.raises(InputError, match=r"split.json, got train: validation is missing\. Make"):
        data.prepare_data()


def test_classes_with_a_few_shots_each(root):
    data = ClassDataModule("folder", root, "color", shots=2, image_size=8, batch_size=4)
    data.prepare_data()
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert sorted(data.target(batch).tolist()) == [0, 0, 1, 1]
    named = [data.values[number] for number in data.target(batch).tolist()]
    color = {row.image: row.value for row in data.source.annotations.rows}
    assert named == [color[data.annotations.images[i]] for i in batch["index"].tolist()]
    again = ClassDataModule("folder", root, "color", shots=2, shots_seed=2, image_size=8)
    again.prepare_data()
    again.setup()
    assert set(again.members("train")) != set(data.members("train"))


def test_classes_that_a_source_does_not_name_are_asked_for(root):
    with pytest.raises(InputError) as caught:
        ClassDataModule("folder", root)
    assert str(caught.value) == (
        "folder does not say which attribute its classes are. Name one with --data.attribute."
    )
