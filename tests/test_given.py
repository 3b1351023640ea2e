"""A data set that states its types is taken at its word."""

import numpy as np
import pytest
from PIL import Image

from datamodules.annotations import Annotation, annotations_of
from datamodules.attribute import AttributeDataModule
from datamodules.dictionary.given import stated, words_hash
from datamodules.errors import InputError
from datamodules.sources.about import About
from datamodules.sources.table_source import TableSource

ABOUT = About("birds", "some birds", "", "", "", get="Ask for them.")


def source_of(rows, tmp_path, **more):
    return TableSource(ABOUT, tmp_path, annotations_of(rows), tmp_path, **more)


def row(image, attribute, value, label=1, split="train", weight=1.0):
    return Annotation(image, split, attribute, value, label, weight)


def test_attributes_and_values_are_those_of_the_training_split(tmp_path):
    rows = [
        row("a", "color", "Red"), row("b", "color", "red"), row("c", "color", "red"),
        row("d", "color", "blue"), row("e", "color", "green", split="test"),
        row("f", "color", "pink", label=0), row("a", "bill shape", "curved"),
    ]  # fmt: skip
    dictionary = stated(source_of(rows, tmp_path))
    assert dictionary.names == ("color", "bill shape")
    red, blue = dictionary.attribute("color").values
    assert (red.text, red.count, red.forms, red.evidence) == (
        "red",
        3,
        {"red": 2, "Red": 1},
        "given",
    )
    assert (blue.text, blue.count) == ("blue", 1)
    assert dictionary.data_hash == words_hash(source_of(rows, tmp_path))
    assert dictionary.settings["mode"] == "given"


def test_values_exclude_each_other_where_hardly_an_item_shows_two(tmp_path):
    rows = [row(f"{n}", "color", ("red", "blue")[n % 2]) for n in range(100)]
    assert stated(source_of(rows, tmp_path)).attribute("color").exclusive
    both = [*rows, *(row(f"{n}", "color", ("blue", "red")[n % 2]) for n in range(3))]
    attribute = stated(source_of(both, tmp_path)).attribute("color")
    assert (attribute.exclusive, attribute.overlap) == (False, 0.03)
    alone = [row("a", "smiling", "smiling"), row("b", "smiling", "smiling", label=0)]
    assert not stated(source_of(alone, tmp_path)).attribute("smiling").exclusive


def test_the_end_of_a_name_is_enough_where_it_is_the_only_one(tmp_path):
    rows = [row("a", "hair color", "black"), row("a", "eye shape", "round")]
    dictionary = stated(source_of(rows, tmp_path))
    assert dictionary.attribute("color").name == "hair color"
    two = stated(source_of([*rows, row("a", "bill color", "red")], tmp_path))
    with pytest.raises(InputError, match=r"got 'color'\. Known attributes: hair color, eye shape"):
        two.attribute("color")
    with pytest.raises(InputError, match="got 'olor'"):
        dictionary.attribute("olor")


def test_a_training_split_that_shows_nothing_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        stated(source_of([row("a", "color", "red", split="test")], tmp_path))
    assert str(caught.value) == (
        "expected values that at least 1 training images of birds show, got none. Its splits are: "
        "test."
    )


def test_missing_images_are_counted_and_say_where_to_get_them(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    rows = [row("a.png", "color", "red"), row("b.png", "color", "red"), row("c.png", "color", "x")]
    with pytest.raises(InputError) as caught:
        source_of(rows, tmp_path).pixels(8)
    assert str(caught.value) == (
        f"expected 3 images of some birds below {tmp_path}, 2 are missing, such as b.png. Ask for "
        "them."
    )


def test_other_annotations_captions_or_images_have_another_hash(tmp_path):
    rows = [row("a.png", "color", "red"), row("b.png", "color", "red", split="test")]
    first = source_of(rows, tmp_path).data_hash
    assert source_of(rows, tmp_path).data_hash == first
    hashes = {first, source_of(rows[:1], tmp_path).data_hash}
    hashes.add(source_of(rows, tmp_path, spoken={"a.png": ["a red thing"]}).data_hash)
    hashes.add(source_of([rows[0]._replace(label=0), rows[1]], tmp_path).data_hash)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    hashes.add(source_of(rows, tmp_path).data_hash)
    assert len(hashes) == 5


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = []
    for number in range(20):
        name, split = f"{number}.png", "train" if number < 15 else "validation"
        Image.fromarray(np.full((6, 6, 3), number, np.uint8)).save(tmp_path / name)
        weight = 1.0 if number % 5 else 0.3
        rows.append(row(name, "bill color", ("red", "blue")[number % 2], 1, split, weight))
    source = source_of(rows, tmp_path, templates={"bill color": ("a bird with a {} bill",)})
    monkeypatch.setattr("datamodules.attribute.load_source", lambda name, root: source)
    monkeypatch.setattr("datamodules.sources.load_source", lambda name, root: source)

    def open_data(**options):
        data = AttributeDataModule("color", source="birds", batch_size=4, image_size=8, **options)
        data.prepare_data()
        data.setup()
        return data

    return open_data


def test_a_data_module_reads_such_a_source(opened):
    data = opened()
    assert data.attribute == "bill color"
    assert data.exclusive
    assert data.prompts("bill color") == [["a bird with a red bill"], ["a bird with a blue bill"]]
    batch = next(iter(data.val_dataloader()))
    assert batch["image"][:, 0, 0, 0].tolist() == [15, 16, 17, 18, 19]
    red, blue = (data.values.index(value) for value in ("red", "blue"))
    assert batch["label"][:, red].tolist() == [0, 1, 0, 1, 0]
    assert batch["label"][:, blue].tolist() == [1, 0, 1, 0, 1]


def test_labels_of_little_weight_can_be_left_out(opened):
    assert len(opened(min_weight=0.5).members("train")) == 12
