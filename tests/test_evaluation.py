"""The comparison of base and adapter against counts made by hand."""

import json
import math

import numpy as np
import pytest
import torch

from datamodules.attribute import AttributeDataModule
from lightning_modules.adapted import AdaptedClip
from lightning_modules.backbone import load_backbone
from lightning_modules.commands import broken_claims, measure
from lightning_modules.comparison import Row
from lightning_modules.delta import load_delta
from lightning_modules.embedding import embed
from lightning_modules.evaluation import card_metrics, evaluate
from lightning_modules.report import report
from lightning_modules.value_text import value_embeddings


@pytest.fixture(scope="module")
def data(world):
    module = AttributeDataModule("color", root=world / "data", dictionary=world / "dictionary.json")
    module.setup()
    return module


@pytest.fixture(scope="module")
def rows(fitted, world, data):
    backbone = load_backbone(str(world / "tiny"), "random")
    return measure(load_delta(fitted.delta, backbone=backbone), backbone, data)


def test_rows_come_by_attribute_then_split_its_own_attribute_first(rows):
    assert [(row.attribute, row.split) for row in rows] == [
        (attribute, split)
        for attribute in ("color", "shape", "texture", "size")
        for split in ("validation", "test_seen", "test_unseen")
    ]


def test_base_accuracy_is_what_the_plain_model_gets_right(rows, world, data):
    backbone = load_backbone(str(world / "tiny"), "random", split=False)
    model = backbone.model
    members = data.source.annotations.members("test_seen")
    images = torch.from_numpy(data.source.pixels(64)[members]).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (backbone.mean, backbone.std))
    for attribute in ("color", "shape"):
        with torch.no_grad():
            text = value_embeddings(model, backbone.tokenizer, data.prompts(attribute))
            guess = (model.encode_image((images - mean) / std) @ text.T).argmax(1).numpy()
        truth = data.labels(attribute).label[members].argmax(1)
        row = next(r for r in rows if (r.attribute, r.split) == (attribute, "test_seen"))
        assert row.base == pytest.approx(np.mean(guess == truth))
        assert row.num_images == len(members)


def test_model_without_an_adapter_gains_nothing(world, data):
    backbone = load_backbone(str(world / "tiny"), "random")
    rows = evaluate(AdaptedClip(backbone, backbone.model), data, attributes=["shape"])
    assert {row.attribute for row in rows} == {"shape"}
    assert all((row.gain, row.low, row.high) == (0, 0, 0) for row in rows)


def test_value_embeddings_of_the_adapted_text_tower_are_used_for_the_adapted_model(world, data):
    backbone = load_backbone(str(world / "tiny"), "random")
    clip = AdaptedClip(backbone, backbone.model)
    text = clip.encode_values(data.prompts("color"))
    rows = evaluate(clip, data, attributes=["color"], text={"color": -text})
    assert any(row.gain != 0 for row in rows)


def test_embeddings_come_in_the_order_asked_for(world, data):
    members = np.array([7, 3, 11])
    mean = embed(
        lambda image: image.float().mean((2, 3)), data, members, device=torch.device("cpu")
    )
    expected = data.source.pixels(64)[members].reshape(3, -1, 3).mean(1)
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-5)


def test_value_embedding_is_the_mean_of_its_prompts(world, data):
    backbone = load_backbone(str(world / "tiny"), "random")
    prompts = [["a red thing", "something red"], ["a blue thing"]]
    with torch.no_grad():
        found = value_embeddings(backbone.model, backbone.tokenizer, prompts)
        for row, texts in zip(found, prompts, strict=True):
            each = [backbone.model.encode_text(backbone.tokenizer([text]))[0] for text in texts]
            mean = torch.stack([one / one.norm() for one in each]).mean(0)
            torch.testing.assert_close(row, mean / mean.norm(), atol=1e-6, rtol=1e-5)


def row(attribute, split, base, adapted):
    return Row(split, attribute, "accuracy", 10, base, adapted, adapted - base, 0, 0)


def test_card_names_other_attributes_behind_the_metric():
    rows = [row("color", "test", 0.5, 0.9), row("shape", "test", 0.4, 0.3)]
    assert card_metrics(rows, "color") == {
        "test": {
            "base": {"accuracy": 0.5, "accuracy/shape": 0.4},
            "adapted": {"accuracy": 0.9, "accuracy/shape": 0.3},
        }
    }


def test_broken_claims_name_split_model_and_both_numbers():
    claimed = {"test": {"base": {"accuracy": 0.5}, "adapted": {"accuracy": 0.9, "map": None}}}
    found = {"test": {"base": {"accuracy": 0.504}, "adapted": {"accuracy": 0.7}}}
    lines = broken_claims(claimed, found, 0.005)
    assert lines == ["test adapted accuracy: claimed 0.9000, found 0.7000"]
    assert broken_claims(claimed, {}, 0.005) == [
        "test base accuracy: claimed 0.5000, found nan",
        "test adapted accuracy: claimed 0.9000, found nan",
    ]
    assert broken_claims({}, found, 0.005) == [
        "the delta claims nothing: its card holds no metrics"
    ]


def test_report_ends_with_one_json_object_that_has_no_nan(capsys):
    lost = row("color", "test", 0.5, math.nan)
    report([lost], "title", {"delta": "d"}, as_json=True, more={"holds": True})
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["rows"][0]["adapted"] is None
    assert (last["delta"], last["holds"]) == ("d", True)
