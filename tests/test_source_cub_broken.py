"""CUB-200-2011: broken files are named with their line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.sources.cub import ABOUT, open_source
from tests.cub_folder import FILES, LABELS, PERCENT, SMALL, write


@pytest.fixture
def root(tmp_path):
    return write(tmp_path / "CUB_200_2011")


def refusal(root):
    with pytest.raises(InputError) as error:
        open_source(root)
    return str(error.value)


def outcome(root):
    """The table, or the message."""
    try:
        return open_source(root).annotations
    except InputError as error:
        return str(error)


MISSING = {
    "images.txt": "the names of the images",
    "image_class_labels.txt": "the species of the images",
    "train_test_split.txt": "the split of the images",
    "bounding_boxes.txt": "the boxes of the birds",
    "classes.txt": "the names of the species",
    "attributes.txt": "the names of the attributes",
}


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_file_is_named(root, name):
    (root / name).unlink()
    assert refusal(root) == (
        f"expected {MISSING[name]} at {root / name}, found no such file. {ABOUT.get}"
    )


def test_without_any_labels_the_ones_of_the_images_are_asked_for(root):
    (root / LABELS).unlink()
    (root / PERCENT).unlink()
    assert refusal(root) == (
        f"expected the attributes of the images at {root / LABELS}, found no such file. {ABOUT.get}"
    )


BAD_LABEL = (
    "{file}, line 1: expected an image of images.txt, an attribute of attributes.txt, 0 or 1, and "
    "a certainty among 1, 2, 3, 4, got {text!r}. Correct or remove the line."
)
BROKEN = {
    "repeated number": (
        "images.txt", "1 a/b.jpg\n2 c/d.jpg\n1 e/f.jpg\n",
        "{file}, line 3: expected every number once, got 1 again, which is at {file}, line 1. "
        "Remove one of the lines.",
    ),
    "repeated image": (
        "images.txt", "1 a/b.jpg\n2 a/b.jpg\n3 e/f.jpg\n",
        "{file}, line 2: image 'a/b.jpg' is number 1 already; expected every image once. Remove "
        "one of the lines.",
    ),
    "path upwards": (
        "images.txt", "1 ../b.jpg\n2 c/d.jpg\n3 e/f.jpg\n",
        "{file}, line 1: expected the path of a file below the image folder, got '../b.jpg'. "
        "Correct the line.",
    ),
    "no number": (
        "images.txt", "one a/b.jpg\n",
        "{file}, line 1: expected a number of 1 or more, got 'one'. Correct the line.",
    ),
    "not UTF-8": (
        "images.txt", b"1 a/b\xe9.jpg\n",
        r"{file}, line 1: expected UTF-8 text, got the byte b'\xe9'. Save the file as UTF-8.",
    ),
    "class of no name": (
        "image_class_labels.txt", "1 1\n2 1\n3 7\n",
        "{file}, line 3: expected a class of {root}/classes.txt, got '7'. Correct one of them.",
    ),
    "image without class": (
        "image_class_labels.txt", "1 1\n3 2\n",
        "expected a line for each of the 3 images in {file}, 1 have none, such as image 2. {get}",
    ),
    "class of no image": (
        "image_class_labels.txt", "1 1\n2 1\n3 2\n4 2\n",
        "{file}, line 4: expected the number of an image of images.txt, got 4. Correct or remove "
        "the line.",
    ),
    "classes out of order": (
        "classes.txt", "1 002.Big_Owl\n2 001.Tiny_Owl\n",
        "{file}, line 1: expected a name that begins with 001. for class 1, got '002.Big_Owl'. "
        "Correct the number or the name.",
    ),
    "a species twice": (
        "classes.txt", "1 001.Tiny_Owl\n2 002.tiny_owl\n",
        "{file}, line 2: 'tiny owl' is class 1 already; expected every species once. Correct one "
        "of the names.",
    ),
    "no split": (
        "train_test_split.txt", "1 1\n2 0\n3 2\n",
        "{file}, line 3: expected 1 (train) or 0 (test), got '2'. Correct the line.",
    ),
    "too many fields": (
        "train_test_split.txt", "1 1\n2 0\n3 0 0\n",
        "{file}, line 3: expected 1 (train) or 0 (test), got '0 0'. Correct the line.",
    ),
    "flat box": (
        "bounding_boxes.txt", "1 1 2 8 6\n2 0 0 4 0\n3 2 0 3 9\n",
        "{file}, line 2: expected x, y, width and height of a box in pixels, width and height "
        "above 0, got '0 0 4 0'. Correct the line.",
    ),
    "short box": (
        "bounding_boxes.txt", "1 1 2 8\n",
        "{file}, line 1: expected 5 fields (image, x, y, width, height), got 4: '1 1 2 8'. Correct "
        "or remove the line.",
    ),
    "attribute without value": (
        "attributes.txt", "1 has_size\n",
        "{file}, line 1: expected a name such as has_wing_color::blue, got 'has_size'. Correct the "
        "line.",
    ),
    "attribute twice": (
        "attributes.txt", "1 has_size::small\n2 has_size::small\n",
        "{file}, line 2: 'has_size::small' is number 1 already; expected every attribute once. "
        "Remove one of the lines.",
    ),
    "label of no image": (LABELS, "9 1 1 4 0\n", BAD_LABEL.replace("{text!r}", "'9 1 1 4 0'")),
    "label of no attribute": (LABELS, "1 9 1 4 0\n", BAD_LABEL.replace("{text!r}", "'1 9 1 4 0'")),
    "neither shown nor not": (LABELS, "1 1 2 4 0\n", BAD_LABEL.replace("{text!r}", "'1 1 2 4 0'")),
    "no such certainty": (LABELS, "1 1 1 5 0\n", BAD_LABEL.replace("{text!r}", "'1 1 1 5 0'")),
    "three fields": (LABELS, "1 1 1\n", BAD_LABEL.replace("{text!r}", "'1 1 1'")),
    "shown and not shown": (
        LABELS, "1 1 1 4 0\n2 1 0 4 0\n1 1 0 4 0\n",
        "{file}, line 3: image '001.Tiny_Owl/T_1.jpg' has label 1 and label 0 for bill shape "
        "'curved'; expected one of them. Remove the row that is wrong.",
    ),
    "unknown certainty": (
        "attributes/certainties.txt", "1 maybe\n",
        "{file}, line 1: expected not visible, guessing, probably, definitely, got 'maybe'. "
        "Correct the line.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_named_with_their_line(root, case):
    name, text, message = BROKEN[case]
    write(root, {name: text})
    expected = message.replace("{file}", str(root / name)).replace("{root}", str(root))
    assert refusal(root) == expected.replace("{get}", ABOUT.get)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("100 49 0\n", "expected a line for each of the 2 classes of classes.txt in {file}, from "
         "class 1 in line 1, got 1 lines. {get}"),
        ("100 49 0\n\n50 75 1\n", "expected a line for each of the 2 classes of classes.txt in "
         "{file}, from class 1 in line 1, got 2 lines. {get}"),
        ("100 49 0\n50 75\n", "{file}, line 2: expected 3 fields (a percentage for each attribute),"
         " got 2: '50 75'. Correct or remove the line."),
        ("100 49 101\n50 75 1\n", "{file}, line 1: expected a percentage from 0 to 100, got '101'. "
         "Correct the line."),
        ("100 49 nan\n50 75 1\n", "{file}, line 1: expected a percentage from 0 to 100, got 'nan'. "
         "Correct the line."),
    ],
)  # fmt: skip
def test_broken_percentages_are_named_with_their_line(root, text, message):
    (root / LABELS).unlink()
    write(root, {PERCENT: text})
    assert refusal(root) == message.format(file=root / PERCENT, get=ABOUT.get)


def test_percentages_need_attributes_without_gaps(root):
    (root / LABELS).unlink()
    write(root, {"attributes.txt": FILES["attributes.txt"].replace("2 has", "4 has")})
    assert refusal(root) == (
        "expected attributes numbered from 1 to 3 in attributes.txt, number 2 is missing; the "
        f"fields of {root / PERCENT} are in that order. {ABOUT.get}"
    )


@st.composite
def damaged(draw):
    """The files, one of them with lines removed, repeated or garbled, or cut short."""
    name = draw(st.sampled_from(sorted(SMALL)))
    lines = SMALL[name].splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines)))
        old = lines[at] if at < len(lines) else b""
        start = draw(st.integers(0, len(old)))
        junk = draw(st.sampled_from([b"", b" ", b"\t", b"0", b"-1", b"\n", b"nan", b"9999999999"])
                    | st.binary(max_size=3))  # fmt: skip
        new = draw(st.sampled_from([[], [old, old], [old[:start] + junk + old[start + 1 :]]]))
        lines[at : at + 1] = new
    content = b"".join(lines)
    return {**SMALL, name: content[: draw(st.sampled_from([None, len(content) // 2]))]}


@settings(max_examples=100, deadline=None)
@given(files=damaged(), by_image=st.booleans())
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, files, by_image):
    root = write(tmp_path_factory.getbasetemp() / "damaged-cub", files)
    if not by_image:
        (root / LABELS).unlink()
    table = outcome(root)
    if isinstance(table, str):
        assert str(root) in table
        return
    assert set(table.columns.label.tolist()) <= {-1, 0, 1}
    assert ((table.columns.weight >= 0) & (table.columns.weight <= 1)).all()
    assert np.isfinite(table.items.box).all()
    assert set(table.splits) <= {"train", "validation", "test"}
