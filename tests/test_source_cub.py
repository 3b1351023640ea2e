"""CUB-200-2011: certainties, brackets, captions, and the fallback to the species."""

import shutil

import numpy as np
import pytest

from datamodules.errors import InputError
from datamodules.sources.cub import ABOUT, open_source
from tests.cub_folder import FILES, LABELS, with_images, write


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return with_images(write(tmp_path / "CUB_200_2011"))


def rows_of(source, image):
    return {
        (row.attribute, row.value): (row.label, round(row.weight, 4))
        for row in source.annotations.rows
        if row.image == image
    }


def test_certainty_becomes_weight_and_what_was_not_visible_is_unknown(root):
    source = open_source(root)
    assert rows_of(source, "001.Tiny_Owl/T_1.jpg") == {
        ("species", "Tiny Owl"): (1, 1.0),
        ("bill shape", "curved"): (1, 1.0),
        ("color", "grey"): (0, 0.6667),
        ("size", "small"): (-1, 0.0),
    }
    assert rows_of(source, "001.Tiny_Owl/Tiny_Owl_0002.jpg") == {
        ("species", "Tiny Owl"): (1, 1.0),
        ("bill shape", "curved"): (1, 0.3333),
        ("color", "grey"): (1, 0.6667),
        ("size", "small"): (0, 1.0),
    }
    assert rows_of(source, "002.Big_Owl/B_1.jpg") == {("species", "Big Owl"): (1, 1.0)}


def test_items_are_birds_in_their_boxes_in_the_official_split(root):
    table = open_source(root).annotations
    assert table.images[0] == "001.Tiny_Owl/Tiny_Owl_0002.jpg"
    assert set(table.objects) == {"bird"}
    np.testing.assert_array_equal(table.boxes, [[0, 0, 4, 4], [2.5, 0, 3, 9], [1, 2, 8, 6]])
    assert table.images_of("test") == table.images[:2]
    assert {row.split for row in table.rows if row.image == table.images[2]} <= {
        "train", "validation",
    }  # fmt: skip


def test_windows_line_ends_and_the_other_places_of_the_names_change_nothing(root, tmp_path):
    expected = open_source(root)
    write(root, {name: text.replace("\n", "\r\n") for name, text in FILES.items()})
    assert open_source(root).data_hash == expected.data_hash
    for place in (tmp_path, root / "attributes"):
        shutil.move(next(tmp_path.rglob("attributes.txt")), place / "attributes.txt")
        assert open_source(root).data_hash == expected.data_hash
    assert open_source(tmp_path).data_hash == expected.data_hash  # the folder that holds ROOT


@pytest.mark.parametrize("place", ["text_c10", "../text_c10", "../cub_text_c10"])
def test_captions_go_to_their_images(root, place):
    write(root / place, {"001.Tiny_Owl/T_1.txt": "a tiny owl.\n\n  it is grey \n"})
    source = open_source(root)
    of = source.annotations.images_of
    said = {
        image: texts
        for split in source.annotations.splits
        for image, texts in zip(of(split), source.captions(split), strict=True)
    }
    assert said == {
        "001.Tiny_Owl/T_1.jpg": ["a tiny owl.", "it is grey"],
        "001.Tiny_Owl/Tiny_Owl_0002.jpg": [],
        "002.Big_Owl/B_1.jpg": [],
    }


def test_without_labels_of_images_those_of_the_species_stand_in(root, caplog):
    (root / LABELS).unlink()
    source = open_source(root)
    owl = {
        ("species", "Tiny Owl"): (1, 1.0),
        ("bill shape", "curved"): (1, 1.0),
        ("color", "grey"): (0, 0.02),
        ("size", "small"): (0, 1.0),
    }
    assert rows_of(source, "001.Tiny_Owl/T_1.jpg") == owl
    assert rows_of(source, "001.Tiny_Owl/Tiny_Owl_0002.jpg") == owl
    assert rows_of(source, "002.Big_Owl/B_1.jpg") == {
        ("species", "Big Owl"): (1, 1.0),
        ("bill shape", "curved"): (1, 0.0),
        ("color", "grey"): (1, 0.5),
        ("size", "small"): (0, 0.97),
    }
    assert caplog.messages == [
        f"{root / LABELS} is missing: every bird gets the attributes of its species."
    ]


def test_brackets_stay_where_they_alone_tell_values_apart(root):
    write(root, {"attributes.txt": "1 has_size::small_(5_in)\n2 has_size::small_(9_in)\n"
                 "3 has_shape::small_(x)\n"})  # fmt: skip
    values = {(row.attribute, row.value) for row in open_source(root).annotations.rows}
    assert values >= {("size", "small (5 in)"), ("size", "small (9 in)"), ("shape", "small")}


def test_certainties_are_read_by_name(root):
    write(root, {"attributes/certainties.txt": "4 not visible\n3 guessing\n2 probably\n"
                 "1 definitely\n"})  # fmt: skip
    rows = rows_of(open_source(root), "001.Tiny_Owl/T_1.jpg")
    assert rows["bill shape", "curved"] == (-1, 0.0)
    assert rows["color", "grey"] == (0, 0.3333)


def test_pixels_are_the_birds_and_a_broken_picture_is_named(root):
    source = open_source(root)
    assert source.pixels(4).shape == (3, 4, 4, 3)
    image = root / "images" / "001.Tiny_Owl/T_1.jpg"
    image.write_bytes(image.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"expected a whole image in .*T_1\.jpg, got a file that "):
        open_source(root).pixels(4)
    image.unlink()
    with pytest.raises(InputError) as error:
        open_source(root).pixels(4)
    assert str(error.value) == (
        f"expected 3 images of Caltech-UCSD Birds-200-2011 below {root / 'images'}, 1 are missing, "
        f"such as 001.Tiny_Owl/T_1.jpg. {ABOUT.get}"
    )


def test_a_box_outside_its_image_is_named(root):
    write(root, {"bounding_boxes.txt": "1 1 2 8 6\n2 20 20 4 4\n3 2 0 3 9\n"})
    with pytest.raises(InputError, match=r"expected boxes inside the image .* got x 20, y 20"):
        open_source(root).pixels(4)
