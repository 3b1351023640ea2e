"""The table of annotations: what a file says is what is known, and nothing more."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.annotations import Annotation, Builder, annotations_of, csv_text, read_csv
from datamodules.errors import InputError

HEADER = "image,split,attribute,value,label,weight\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "annotations.csv"


def read(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path)


def message(path, text):
    with pytest.raises(InputError) as caught:
        read(path, text)
    return str(caught.value)


# --- what is read ---------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(
    lambda text: text == text.strip()
)


@st.composite
def tables(draw):
    """Rows that do not contradict each other."""
    images = draw(st.lists(words, min_size=1, max_size=4, unique=True))
    split = {image: draw(st.sampled_from(["train", "validation", "a, b"])) for image in images}
    places = st.tuples(st.sampled_from(images), words, words)
    rows = []
    for image, attribute, value in draw(st.lists(places, min_size=1, max_size=9)):
        label = 1 if len(value) % 2 else -1
        weight = draw(st.floats(0, 1e6))
        rows.append(Annotation(image, split[image], attribute, value, label, weight))
    return rows


@given(tables())
def test_a_table_written_and_read_is_the_same(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "round-trip.csv"
    assert read(path, csv_text(rows)).rows == tuple(rows)


def test_label_and_weight_may_be_left_out(path):
    text = "value,image,attribute,note,split\nred,a.png,color,mine,train\n"
    assert read(path, text).rows == (Annotation("a.png", "train", "color", "red", 1, 1.0),)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEADER + "a,train,color,red,1,1\n",
        HEADER.replace("\n", "\r\n") + "a,train,color,red,1,1\r\n",
        HEADER + "\n  \n a , train,color ,red,,\n,,,,,\n\n",
        (HEADER + "a,train,color,red,1,1").replace(",", " , "),
        HEADER + '"a","train","color","red","1","1"\n',
    ],
    ids=["byte order mark", "CRLF", "blank rows", "spaces", "quotes"],
)
def test_what_spreadsheets_write_can_be_read(path, text):
    assert read(path, text).rows == (Annotation("a", "train", "color", "red"),)


def test_images_and_splits_keep_the_order_of_the_file(path):
    table = read(path, HEADER + "b,train,color,red,,\na,test,shape,star,,\nb,train,shape,ring,,\n")
    assert table.images == ("b", "a")
    assert table.splits == ("train", "test")
    assert table.attributes == ("color", "shape")
    assert table.members("train").tolist() == [0]
    assert table.members("test").tolist() == [1]
    assert table.members("none").tolist() == []


# --- what is known --------------------------------------------------------------------------------

TABLE = annotations_of(
    [
        Annotation("a", "train", "color", "red"),
        Annotation("a", "train", "color", "blue", 0),
        Annotation("b", "train", "color", "Dark-Grey", 1, 0.5),
        Annotation("c", "train", "color", "blue", 0, 0.25),
        Annotation("d", "train", "color", "red", -1),
        Annotation("e", "train", "shape", "red"),
        Annotation("f", "train", "color", "mauve"),
    ]
)
VALUES = ("red", "blue", "dark gray")


def test_values_that_may_be_shown_together_are_known_only_where_a_row_says_so():
    labels = TABLE.labels("color", VALUES, exclusive=False)
    known = [[1, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    label = [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert labels.known.astype(int).tolist() == known
    assert labels.label.tolist() == label
    assert (labels.label.dtype, labels.known.dtype, labels.weight.dtype) == (
        np.int8, np.bool_, np.float32,
    )  # fmt: skip


def test_one_exclusive_value_rules_out_the_others():
    labels = TABLE.labels("color", VALUES, exclusive=True)
    known = [[1, 1, 1], [1, 1, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert labels.known.astype(int).tolist() == known
    assert np.array_equal(labels.label, TABLE.labels("color", VALUES, exclusive=False).label)


def test_weights_are_those_of_the_rows_that_count():
    weight = TABLE.labels("color", VALUES, exclusive=False).weight
    assert weight.tolist() == [1, 0.5, 0.25, 1, 1, 1]


def test_the_largest_weight_of_an_image_counts_in_any_order():
    rows = [Annotation("a", "train", "color", v, 1, w) for v, w in (("red", 0.2), ("blue", 0.7))]
    for order in (rows, rows[::-1]):
        labels = annotations_of(order).labels("color", ("red", "blue"), exclusive=False)
        assert labels.weight.tolist() == pytest.approx([0.7])


def test_an_attribute_nobody_annotated_is_unknown():
    labels = TABLE.labels("size", ("small",), exclusive=True)
    assert not labels.known.any()
    assert not labels.label.any()


def test_values_without_letters_are_told_apart():
    table = annotations_of(
        [
            Annotation("a", "train", "sign", "+"),
            Annotation("b", "train", "sign", "-"),
            Annotation("c", "train", "sign", "2012"),
        ]
    )
    labels = table.labels("sign", ("+", "-", "2012", "2013"), exclusive=False)
    assert labels.label.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


def test_merged_spellings_count_as_their_value():
    table = annotations_of(
        [
            Annotation("a", "train", "", "grey"),
            Annotation("b", "train", "", "silver"),
            Annotation("c", "train", "", "red"),
        ]
    )
    values = ("gray", "red")
    assert table.labels("color", values, exclusive=False).label.tolist() == [[1, 0], [0, 0], [0, 1]]
    merged = table.labels("color", values, exclusive=False, spellings={"silver": "gray"})
    assert merged.label.tolist() == [[1, 0], [1, 0], [0, 1]]


@given(st.permutations(range(len(TABLE.rows))), st.booleans())
def test_labels_do_not_depend_on_the_order_of_rows(order, exclusive):
    shuffled = annotations_of([TABLE.rows[i] for i in order])
    one = TABLE.labels("color", VALUES, exclusive=exclusive)
    other = shuffled.labels("color", VALUES, exclusive=exclusive)
    at = [shuffled.images.index(image) for image in TABLE.images]
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a, b[at])


# --- what is refused ------------------------------------------------------------------------------


def test_a_missing_file_says_what_it_should_hold(path):
    with pytest.raises(InputError) as caught:
        read_csv(path)
    assert str(caught.value) == (
        f"expected the annotations at {path}, found no such file. It is a CSV file with the "
        "columns image, split, attribute, value."
    )


def test_a_folder_or_a_path_below_a_file_is_no_traceback(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(InputError, match=r"expected the annotations at .*found no such file"):
        read_csv(tmp_path / "f" / "annotations.csv")
    with pytest.raises(InputError, match=re.escape(f"could not read {tmp_path}: Is a directory.")):
        read_csv(tmp_path)


def test_bytes_that_are_not_utf8_are_named(path):
    assert message(path, HEADER.encode() + b"a,train,color,caf\xe9,1,1\n") == (
        f"expected UTF-8 text in {path}, got b'\\xe9'. Save it as UTF-8."
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "",
            "line 1: expected a header with image, split, attribute, value, got nothing; missing: "
            "image, split, attribute, value. Add the columns.",
        ),
        (
            "image;split;attribute;value\na;train;color;red\n",
            "line 1: expected a header with image, split, attribute, value, got "
            "image;split;attribute;value; missing: image, split, attribute, value. Add the "
            "columns.",
        ),
        (
            "image,split,value\n",
            "line 1: expected a header with image, split, attribute, value, got image, split, "
            "value; missing: attribute. Add the columns.",
        ),
        (
            "image,split,attribute,value,value\n",
            "line 1: expected each column once, got image, split, attribute, value, value; twice: "
            "value. Remove one.",
        ),
        (
            HEADER + "a,train,color,red\n",
            "line 2: expected 6 cells (image, split, attribute, value, label, weight), got 4: "
            "'a,train,color,red'. Correct or remove the row; text with a comma goes between double "
            "quotes.",
        ),
        (
            HEADER + "\n\na,,color,red,1,1\n",
            "line 4: expected a value for split, got none. Correct or remove the row.",
        ),
        (
            HEADER + '"a\nb",train,color,red,2,1\n',
            "line 3: expected label 1, 0 or -1 (unknown), got '2'. Correct the row.",
        ),
        (
            HEADER + "a,train,color,red,1,heavy\n",
            "line 2: expected a number as weight, got 'heavy'. Correct the row.",
        ),
        (
            HEADER + "a,train,color,red,1,-1\n",
            "line 2: expected a weight of 0 or more, got '-1'. Correct the row.",
        ),
        (
            HEADER + "a,train,color,red,1,nan\n",
            "line 2: expected a weight of 0 or more, got 'nan'. Correct the row.",
        ),
        (
            HEADER + "a,train,color,red,1,1\nb,train,color,red,1,1\na,test,shape,ring,1,1\n",
            "line 4: image 'a' is in the splits 'train' and 'test'; expected every image in one "
            "split, else the same image trains and tests. Correct one of its rows.",
        ),
        (
            HEADER + "a,train,color,grey,1,1\na,train,color,Gray,0,1\n",
            "line 3: image 'a' has label 1 and label 0 for color 'Gray'; expected one of them. "
            "Remove the row that is wrong.",
        ),
    ],
)
def test_a_broken_row_is_named_with_its_line(path, text, expected):
    assert message(path, text) == f"{path}, {expected}"


def test_a_quote_that_never_ends_is_named(path):
    text = HEADER + 'a,train,color,red,1,1\nb,train,color,"red,1,1\n'
    assert message(path, text).startswith(f"{path}, line 3: expected a row of CSV, got ")


def test_a_header_alone_is_not_enough(path):
    assert message(path, HEADER) == (
        f"expected annotations in {path}, got a header only. Add rows."
    )


def test_rows_from_a_program_may_contradict_each_other_as_little():
    rows = [Annotation("a", "train", "color", "red", label) for label in (1, 0)]
    with pytest.raises(InputError, match=r"^image 'a' has label 1 and label 0 for color 'red'"):
        annotations_of(rows)


def test_an_unknown_label_contradicts_nothing():
    rows = [Annotation("a", "train", "color", "red", label) for label in (1, -1, 1)]
    labels = annotations_of(rows).labels("color", ("red",), exclusive=False)
    assert labels.label.tolist() == [[1]]


# --- items: boxes and objects ---------------------------------------------------------------------


def test_boxes_and_objects_of_one_image_are_items_of_their_own(path):
    table = read(
        path,
        "image,split,attribute,value,object,box\n"
        "a,train,color,red,car,1 2 30 40\n"
        "a,train,color,blue,sky,\n"
        "a,train,shape,long,car,1 2 30 40\n",
    )
    assert table.images == ("a", "a")
    assert table.objects == ("car", "sky")
    assert table.boxes.tolist() == [[1, 2, 30, 40], [0, 0, 0, 0]]
    assert table.images_of("train") == ("a",)
    labels = table.labels("color", ("red", "blue"), exclusive=True)
    assert labels.label.tolist() == [[1, 0], [0, 1]]
    assert csv_text(table.rows).splitlines()[1] == "a,train,color,red,1,1,car,1 2 30 40"


@pytest.mark.parametrize(
    "box", ["1 2 3", "1 2 0 4", "1 2 3 -4", "1 2 nan 4", "a b c d", "1 2 inf 4"]
)
def test_a_box_that_is_none_is_named_with_its_line(path, box):
    assert message(path, f"image,split,attribute,value,box\na,train,color,red,{box}\n") == (
        f"{path}, line 2: expected a box as 'x y width height' in pixels, with a width and a "
        f"height above 0, got {box!r}. Correct the row."
    )


def test_values_shown_come_with_their_counts():
    assert TABLE.shown("color") == {"red": 1, "Dark-Grey": 1, "mauve": 1}
    rows = [Annotation(image, "train", "c", value) for image, value in ("ax", "by", "cy")]
    assert annotations_of(rows).shown("c") == {"y": 2, "x": 1}
    assert annotations_of(rows).shown("c", "test") == {}


def test_rows_of_little_weight_can_count_as_unknown():
    labels = TABLE.labels("color", VALUES, exclusive=False, min_weight=0.5)
    assert labels.known.any(axis=1).tolist() == [True, True, False, False, False, False]


def test_images_can_be_put_into_other_splits():
    table = TABLE.with_splits({"a": "test", "c": "train"})
    assert table.splits == ("test", "train")
    assert table.members("test").tolist() == [0]
    assert table.members("train").tolist() == [2]
    assert TABLE.splits == ("train",)


def test_an_image_without_rows_is_an_item_too():
    builder = Builder()
    builder.item("a", "train")
    builder.add("b", "test", "color", "red")
    table = builder.table()
    assert (table.images, len(table.rows)) == (("a", "b"), 1)
    builder.add("a", "test", "color", "red")
    with pytest.raises(InputError, match=r"^image 'a' is in the splits 'train' and 'test'"):
        builder.table()
