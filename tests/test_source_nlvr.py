"""NLVR: objects of three boxes, their colors and shapes, and the sentences that are true."""

import itertools
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.errors import InputError
from datamodules.sources.nlvr import ABOUT, open_source

COLORS = {"Yellow": (255, 255, 0), "Black": (0, 0, 0), "#0099ff": (0, 153, 255)}


def thing(kind="square", color="Black", size=20, x=40, y=60):
    return {"y_loc": y, "type": kind, "color": color, "x_loc": x, "size": size}


BOXES = [
    [thing(), thing("circle", "Yellow", 10, 5, 7)],
    [],
    [thing("triangle", "#0099ff", 30, 70, 70)],
]


def example(identifier="12-0", label="true", boxes=BOXES, sentence="A square is black. ", **more):
    return {
        "sentence": sentence, "label": label, "identifier": identifier, "directory": "3",
        "evals": {"r1": "true"}, "structured_rep": boxes,
    } | more  # fmt: skip


def write(root, **parts):
    for part, examples in parts.items():
        (root / part).mkdir(parents=True, exist_ok=True)
        text = "".join(f"{json.dumps(each)}\n" for each in examples)
        (root / part / f"{part}.json").write_text(text)
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(
        tmp_path / "nlvr",
        train=[example(), example("12-1", "false", BOXES[::-1])],
        dev=[example("7-0")],
        test=[example("7-0")],
    )


def error(root):
    with pytest.raises(InputError) as caught:
        open_source(root)
    return str(caught.value)


def test_every_object_is_an_item_with_color_shape_and_size(root):
    table = open_source(root).annotations
    rows = [row for row in table.rows if row.image == "train/images/3/train-12-0-0.png"]
    assert [(row.box, row.attribute, row.value) for row in rows] == [
        ((40, 60, 20, 20), "color", "black"),
        ((40, 60, 20, 20), "shape", "square"),
        ((40, 60, 20, 20), "size", "medium"),
        ((5, 7, 10, 10), "color", "yellow"),
        ((5, 7, 10, 10), "shape", "circle"),
        ((5, 7, 10, 10), "size", "small"),
        ((370, 70, 30, 30), "color", "blue"),
        ((370, 70, 30, 30), "shape", "triangle"),
        ((370, 70, 30, 30), "size", "large"),
    ]
    assert {row.object for row in rows} == {""}
    assert open_source(root).states_types


def test_official_parts_are_the_splits_and_true_sentences_the_captions(root):
    source = open_source(root)
    assert source.annotations.splits == ("train", "validation", "test")
    assert source.captions("train") == [["A square is black."], []]
    assert source.annotations.images_of("test") == ("test/images/3/test-7-0-0.png",)


def drawn(path, boxes):
    pixels = np.full((100, 400, 4), 255, np.uint8)
    for left, shapes in zip((0, 150, 300), boxes, strict=True):
        for each in shapes:
            y, x, side = each["y_loc"], left + each["x_loc"], each["size"]
            pixels[y : y + side, x : x + side, :3] = COLORS[each["color"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, "RGBA").save(path)


def test_crops_show_the_color_that_is_annotated(root):
    for part, name, boxes in (
        ("train", "12-0", BOXES), ("train", "12-1", BOXES[::-1]), ("dev", "7-0", BOXES),
        ("test", "7-0", BOXES),
    ):  # fmt: skip
        drawn(root / f"{part}/images/3/{part}-{name}-0.png", boxes)
    source = open_source(root)
    pixels = source.pixels(16)
    color_of = dict(zip(("yellow", "black", "blue"), COLORS.values(), strict=True))
    shown = [row.value for row in source.annotations.rows if row.attribute == "color"]
    assert len(shown) == len(pixels) == 12
    for crop, color in zip(pixels, shown, strict=True):
        assert (crop == color_of[color]).all()


def test_a_tenth_of_train_is_validation_where_dev_is_missing(tmp_path):
    examples = [example(f"{n}-{m}", sentence=f"{n}", boxes=[[thing(x=n % 80, y=n // 80)], [], []])
                for n in range(300) for m in range(2)]  # fmt: skip
    table = open_source(write(tmp_path, train=examples)).annotations
    assert 2 * 10 < len(table.images_of("validation")) < 2 * 52
    split_of = {name: split for split in table.splits for name in table.images_of(split)}
    for n in range(300):
        assert len({split_of[f"train/images/3/train-{n}-{m}-0.png"] for m in range(2)}) == 1


def test_without_train_dev_is_divided_and_equal_pictures_stay_together(tmp_path, caplog):
    boxes = [[[thing(x=n % 80, y=n // 80)], [thing("circle")], []] for n in range(400)]
    examples = [example(f"{n}-{m}", boxes=boxes[n]) for n in range(400) for m in range(2)]
    # Every fourth picture comes again under another number, its boxes in another order.
    orders = itertools.cycle(itertools.permutations(range(3)))
    again = [
        example(f"{1000 + n}-0", boxes=[boxes[n][k] for k in next(orders)])
        for n in range(0, 400, 4)
    ]
    table = open_source(write(tmp_path, dev=[*examples, *again])).annotations
    split_of = {name: split for split in table.splits for name in table.images_of(split)}

    def split(number, position=0):
        return split_of[f"dev/images/3/dev-{number}-{position}-0.png"]

    assert all(split(n) == split(n, 1) for n in range(400))
    assert all(split(n) == split(1000 + n) for n in range(0, 400, 4))
    counts = Counter(split(n) for n in range(400))
    assert counts["train"] > 280
    assert min(counts["validation"], counts["test"]) > 16
    assert caplog.messages == [
        "NLVR: there is no train/train.json; the examples of dev are divided by hash into train, "
        "validation and test. Figures do not compare with published ones."
    ]


def test_nothing_is_a_clear_error(tmp_path):
    assert error(tmp_path) == (
        f"expected examples in {tmp_path}/train/train.json, {tmp_path}/dev/dev.json, "
        f"{tmp_path}/test/test.json, got none. {ABOUT.get}"
    )


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (example(), "expected every identifier once, got '12-0' again (line 1). Remove one of "
                    "them."),
        (example("1-0", "maybe"), "expected 'true' or 'false' as 'label', got 'maybe'. Correct the "
                                  "file."),
        (example("1-0", directory="../.."), "expected the path of a file below the image folder, "
         "got 'train/images/../../train-1-0-0.png'. Correct the line."),
        (example("1-0", boxes=BOXES[:2]), None),
        (example("1-0", boxes=[[7], [], []]), "expected objects in the boxes of 'structured_rep', "
                                              "got 7. Correct the file."),
        (example("1-0", boxes=[[thing(color="Red")], [], []]),
         "expected one of black, yellow, #0099ff as 'color', got 'Red'. Correct the file."),
        (example("1-0", boxes=[[thing("star")], [], []]),
         "expected one of circle, square, triangle as 'type', got 'star'. Correct the file."),
        (example("1-0", boxes=[[thing(size=11)], [], []]),
         "expected one of 10, 20, 30 as 'size', got 11. Correct the file."),
        (example("1-0", boxes=[[thing(x=101)], [], []]),
         "expected 'x_loc' and 'y_loc' inside a box, from 0 to 100, got (101.0, 60.0). Correct the "
         "file."),
        (example("1-0", sentence=None), "expected a text as 'sentence', got none. Correct the "
                                        "file."),
        ([1], "expected a JSON object, got [1]. Correct the file."),
    ],
)  # fmt: skip
def test_broken_lines_are_named(root, second, message):
    write(root, train=[example(), second])
    if message is None:
        assert error(root).startswith(
            f"{root}/train/train.json, line 2: expected 3 boxes as 'structured_rep', got [[{{"
        )
    else:
        assert error(root) == f"{root}/train/train.json, line 2: {message}"


def test_a_line_that_is_cut_off_is_named(root):
    path = root / "dev/dev.json"
    path.write_text(path.read_text() + '{"sentence": "a')
    assert error(root).startswith(
        f"{path}, line 2: expected a JSON object, got a line that is none (Unterminated string"
    )


def outcome(root):
    """The source, or what is wrong with it."""
    try:
        return open_source(root)
    except InputError as problem:
        return str(problem)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, data):
    root = write(tmp_path_factory.getbasetemp() / "damaged-nlvr", dev=[example(), example("3-1")])
    path = root / "dev/dev.json"
    raw = path.read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
        middle = data.draw(st.sampled_from((b"", raw[first:second] * 2, b"\xff", b"\n", b"9")))
        raw = raw[:first] + middle + raw[data.draw(st.sampled_from((first, second))) :]
    path.write_bytes(raw)
    source = outcome(root)
    if isinstance(source, str):
        assert str(root) in source
        return
    table = source.annotations
    assert set(table.names.attributes) <= {"color", "shape", "size"}
    assert (table.items.box >= 0).all()
    assert (table.items.box <= 430).all()


DATA = os.environ.get("ASPECTRA_DATA")
real = pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")


@real
def test_the_real_examples_are_read_completely_and_their_crops_show_their_colors(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    root = Path(DATA) / "nlvr"
    text = (root / "dev/dev.json").read_text()
    source = open_source(root)
    table = source.annotations
    assert len(table.names.images) == text.count('"identifier"') == 420
    assert len(table) == text.count('"x_loc"') == 3725
    assert table.shown("color") == {
        name: text.count(f'"color": "{word}"')
        for name, word in (("blue", "#0099ff"), ("black", "Black"), ("yellow", "Yellow"))
    }
    said = sum(len(texts) for split in table.splits for texts in source.captions(split))
    assert said == text.count('"label": "true"') == 234
    assert {path.name for path in (root / "dev/images").rglob("*-0.png")} >= {
        Path(name).name for name in table.names.images
    }
    center = source.pixels(16)[:, 10, 8].astype(int)
    color_of = dict(zip(("yellow", "black", "blue"), COLORS.values(), strict=True))
    shown = [color_of[row.value] for row in table.rows if row.attribute == "color"]
    assert np.abs(center - shown).max() < 40
