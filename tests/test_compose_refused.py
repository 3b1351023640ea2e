"""What a composition is refused for, in one clear sentence each."""

import pytest

from datamodules.errors import InputError
from datamodules.tasks import Task
from tests.compose_runs import open_data, prepared
from tests.pair_folder import entry, write_pairs


def refusal(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


def colors(world, folder, shown, *, exclusive=True):
    """Tasks of images that show these colors, split by split."""
    rows = "".join(
        f"{split}{n}.png,{split},color,{value}\n"
        for split, values in shown.items()
        for n, value in enumerate(values)
    )
    header = "image,split,attribute,value\n"
    attribute = entry("color", ["red", "blue"], exclusive=exclusive)
    place = write_pairs(folder, rows, [attribute], header)
    return open_data(world, [Task("color", **place)], image_size=8)


def test_training_images_of_one_class_are_refused(world, tmp_path):
    both = {"validation": ["red", "blue"], "test": ["red", "blue"]}
    data = colors(world, tmp_path, {"train": ["red", "red"], **both})
    assert refusal(prepared, world, data) == (
        "task folder/color: expected training images that differ in what they show, got 2 that all "
        "show red. There is nothing to tell apart: add images of other values, or choose another "
        "attribute."
    )


def test_a_control_that_asks_about_what_is_forgotten_is_refused(world):
    place = {"root": world / "data", "dictionary": world / "dictionary.json"}
    again = Task("color", name="the same", **place)
    pair = Task("color+shape", name="both", **place)
    negation = {"objective": "negation", "forget": ("glyphs/color",)}
    for control, name in ((again, "the same"), (pair, "both")):
        assert refusal(prepared, world, open_data(world, ["color", control]), **negation) == (
            f"--model.forget glyphs/color: the task {name}, a control, asks about color of glyphs "
            "too, which cannot be forgotten and kept at once. Leave that task out, or forget it as "
            "well."
        )
    data = open_data(world, ["color", again, "shape"])
    prepared(world, data, objective="negation", forget=("glyphs/color", "the same"))
