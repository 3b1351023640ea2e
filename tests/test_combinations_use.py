"""`CombinationDataModule`: its words, what takes it for an attribute's, and what it refuses."""

from types import SimpleNamespace

import pytest
import torch
from jsonargparse import ArgumentParser

from datamodules.attribute import AttributeDataModule
from datamodules.combinations import CombinationDataModule
from datamodules.errors import InputError
from datamodules.sources.glyphs.world import ATTRIBUTES
from lightning_modules.adapted import AdaptedClip
from lightning_modules.adapter import AttributeAdapter
from lightning_modules.backbone import load_backbone
from lightning_modules.evaluation import evaluate
from lightning_modules.value_text import value_embeddings
from tests.pair_folder import BOTH, entry, open_pairs, rows_of

ROWS = rows_of(("a", "train", "red", "star"), ("b", "validation", "orange", "arrow"))
THREE = (entry("size", ["small", "large"]), *BOTH)
NAMES = ("size", "color", "shape")
THREE_ROWS = rows_of(
    ("a", "train", "small", "orange", "arrow"),
    ("b", "validation", "large", "red", "star"),
    attributes=NAMES,
)


# --- words ----------------------------------------------------------------------------------------


def test_phrases_are_adjectives_in_order_and_the_noun_last(tmp_path):
    data = open_pairs(tmp_path, THREE_ROWS, THREE, ("shape", "size", "color"))
    assert data.values == ("large red star", "small orange arrow")
    assert data.prompts(data.attribute)[1] == [
        "a small orange arrow", "a picture of a small orange arrow",
        "there is a small orange arrow", "a small orange arrow in the image",
    ]  # fmt: skip


def test_a_phrase_without_a_noun_ends_in_object(tmp_path):
    data = open_pairs(tmp_path, THREE_ROWS, THREE, ("color", "size"))
    assert data.values == ("red large object", "orange small object")
    assert data.prompts("color+size")[1][0] == "an orange small object"


def test_words_of_one_attribute_are_those_of_its_own_data_module(tmp_path):
    data = open_pairs(tmp_path, THREE_ROWS, THREE, NAMES)
    plain = AttributeDataModule(
        "color", source="folder", root=tmp_path, dictionary=tmp_path / "dictionary.json"
    )
    plain.setup()
    for name in NAMES:
        assert data.prompts(name) == plain.prompts(name)
        assert data.templates(name) == plain.templates(name)
    assert data.dictionary.names == plain.dictionary.names


def test_templates_name_the_attributes(tmp_path):
    templates = ["a {size} {color} {shape}", "the {shape} is {size} and {color}"]
    data = open_pairs(tmp_path, THREE_ROWS, THREE, ("shape", "size", "color"), templates=templates)
    assert data.prompts(data.attribute) == [
        ["a large red star", "the star is large and red"],
        ["a small orange arrow", "the arrow is small and orange"],
    ]
    assert data.templates(data.attribute) == tuple(templates)
    assert data.prompts("color")[1][0] == "an orange object"


def test_an_attribute_is_a_noun_by_its_own_templates(tmp_path):
    state = entry("state", ["ancient", "wet"], templates=("a {} object", "something {}"))
    thing = entry("thing", ["clay", "town"], templates=("a {}", "there is a {}"))
    items = ("a", "train", "clay", "ancient"), ("b", "validation", "town", "wet")
    names = "thing", "state"
    data = open_pairs(tmp_path, rows_of(*items, attributes=names), [thing, state], names)
    assert data.values == ("ancient clay", "wet town")
    assert data.prompts(data.attribute)[0][0] == "an ancient clay"


def test_an_attribute_named_by_its_end_is_found(tmp_path):
    wing = entry("wing color", ["red", "orange"])
    rows = ROWS.replace(",color,", ",wing color,")
    data = open_pairs(tmp_path, rows, [wing, BOTH[1]], templates=["{color} wings and a {shape}"])
    assert data.attributes == ("wing color", "shape")
    assert data.prompts("wing color+shape")[1] == ["orange wings and an arrow"]


# --- what takes an attribute's data module --------------------------------------------------------


@pytest.fixture(scope="module")
def scored(world):
    """A model, a module of pairs in the shared world, and the rows of its evaluation."""
    data = CombinationDataModule(
        ["color", "shape"], root=world / "data", dictionary=world / "dictionary.json"
    )
    data.setup()
    backbone = load_backbone(str(world / "tiny"), "random")
    clip = AdaptedClip(backbone, backbone.model)
    return SimpleNamespace(data=data, backbone=backbone, clip=clip, rows=evaluate(clip, data))


def test_evaluation_scores_pairs_and_every_attribute(scored):
    assert [(row.attribute, row.split) for row in scored.rows] == [
        (name, split)
        for name in ("color+shape", *ATTRIBUTES)
        for split in ("validation", "test_seen", "test_unseen")
    ]


def test_a_pair_is_right_where_it_is_nearest_of_all_classes(scored):
    data, model = scored.data, scored.backbone.model
    members = data.members("test_unseen")
    articles = ["an" if value[0] in "aeiou" else "a" for value in data.values]
    prompts = [
        [f"{a} {v}", f"a picture of {a} {v}", f"there is {a} {v}", f"{a} {v} in the image"]
        for a, v in zip(articles, data.values, strict=True)
    ]
    with torch.no_grad():
        text = value_embeddings(model, scored.backbone.tokenizer, prompts)
        image = torch.from_numpy(data.source.pixels(64)[members]).permute(0, 3, 1, 2)
        guess = (scored.clip.encode_base(image) @ text.T).argmax(1).numpy()
    truth = data.labels("color+shape").label[members].argmax(1)
    row = next(r for r in scored.rows if (r.attribute, r.split) == ("color+shape", "test_unseen"))
    assert row.base == pytest.approx((guess == truth).mean())
    assert row.num_images == 40


def test_an_adapter_can_be_prepared_for_pairs(scored, world):
    model = AttributeAdapter(pair_balanced=False, keep_weight=0)
    model.prepare(scored.data, load_backbone(str(world / "tiny"), "random"))
    assert model.objective == "softmax"
    batch = next(iter(scored.data.val_dataloader()))
    assert model.logits(batch["image"]).shape == (60, len(scored.data.values))


def test_options_are_read_from_a_config():
    parser = ArgumentParser()
    parser.add_class_arguments(CombinationDataModule, "data")
    given = {
        "attributes": ["color", "shape"], "world": "open", "shots": 4, "shots_of": ["color"],
        "templates": ["a {color} {shape}"],
    }  # fmt: skip
    parsed = parser.parse_object({"data": given}).data.as_dict()
    assert given.items() <= parsed.items()
    data = CombinationDataModule(**parsed)
    assert (data.attributes, data.world, data.shots.train) == (("color", "shape"), "open", 4)


# --- what is refused ------------------------------------------------------------------------------


def message(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize("names", [(), ("color",), ("color", "color")])
def test_fewer_than_two_attributes_are_refused(names):
    assert message(CombinationDataModule, list(names)) == (
        f"--data.attributes is {', '.join(names) or 'empty'}, expected two different ones or more. "
        "Name attributes of the dictionary, such as color and shape."
    )


def test_an_unknown_attribute_lists_the_known_ones(tmp_path):
    assert message(open_pairs, tmp_path, ROWS, names=("color", "mood")).startswith(
        "expected an attribute of the folder dictionary, got 'mood'. Known attributes: color, shape"
    )


@pytest.mark.parametrize("option", ["shots", "validation_shots"])
@pytest.mark.parametrize("count", [0, 17])
def test_shots_out_of_range_are_refused(option, count):
    assert message(CombinationDataModule, ["color", "shape"], **{option: count}) == (
        f"--data.{option} is {count}, expected 1 to 16. Leave it out to take all images."
    )


def test_shots_by_nothing_or_by_another_attribute_are_refused():
    pair = ["color", "shape"]
    assert message(CombinationDataModule, pair, shots=1, shots_of=["size"]) == (
        "--data.shots_of is size, expected some of --data.attributes: color, shape. Leave it out "
        "to draw by all of them."
    )
    assert message(CombinationDataModule, pair, shots_of=["color"]) == (
        "--data.shots_of says by what to draw shots, expected --data.shots or "
        "--data.validation_shots beside it. Add one of them, or leave --data.shots_of out."
    )


@pytest.mark.parametrize(
    ("template", "got"), [("a {color}", "{color}"), ("a {} {shape}", "{}, {shape}"), ("a", "none")]
)
def test_a_template_without_a_place_for_each_attribute_is_refused(template, got):
    assert message(CombinationDataModule, ["color", "shape"], templates=[template]) == (
        "--data.templates: expected the places {color}, {shape} in every template, got "
        f"{got} in {template!r}. Write each attribute's name in braces."
    )


def test_an_attribute_of_several_values_an_image_is_refused(tmp_path):
    several = [entry("color", ["red", "orange"], exclusive=False), BOTH[1]]
    assert message(open_pairs, tmp_path, ROWS, several) == (
        "expected attributes of which an image shows one value each, got 'color': an image may "
        "show several of its values, and so has no one combination. Choose another attribute."
    )


def test_one_combination_is_refused(tmp_path):
    rows = ROWS.replace("orange", "red").replace("arrow", "star")
    assert message(open_pairs, tmp_path, rows) == (
        f"expected two combinations or more of color and shape in the images of {tmp_path}, got 1. "
        "Choose other attributes, or annotate more images with a value of each."
    )


def test_a_split_without_combinations_is_refused(tmp_path):
    items = ("a", "train", "red", "star"), ("b", "train", "orange", "star")
    rows = rows_of(*items, ("c", "validation", "red", ""))
    assert message(open_pairs, tmp_path, rows) == (
        "expected images of the split 'validation' with a value of each of color, shape, got none "
        "of 1. Choose other attributes, or annotate more images with a value of each."
    )
