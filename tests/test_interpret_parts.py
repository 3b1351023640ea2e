"""The table of part scores: its names, its file, and that it sums to the model's own cosines."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from datamodules.errors import InputError
from interpret.parts import (
    Asked,
    Part,
    PartScores,
    all_but_last_layers,
    heads,
    mlps,
    score_parts,
)
from interpret.plain import plain
from interpret.towers import image_tower
from tests.compose_samples import clip, images
from tests.part_samples import PARTS, TEXTS, questions, table


def test_sets_of_parts():
    assert [str(part) for part in heads(PARTS, {1})] == ["layer 1 head 0", "layer 1 head 1"]
    assert len(heads(PARTS)) == 6
    assert mlps(PARTS, {0, 2}) == (Part("mlp", 0), Part("mlp", 2))
    assert {part.layer for part in all_but_last_layers(PARTS, 2)} == {0}
    assert all_but_last_layers(PARTS, 3) == () == all_but_last_layers([Part("constant")], 1)


def test_names_are_read_back():
    assert [Part.parse(str(part)) for part in PARTS] == list(PARTS)


@pytest.mark.parametrize("name", ["layer 1", "head 1", "mlp", "mlp x", "", "layer 1 head 2 head 3"])
def test_other_names_are_refused(name):
    with pytest.raises(InputError) as error:
        Part.parse(name)
    assert str(error.value) == (
        'expected a part such as "layer 3 head 1", "mlp 3", "embedding" or "constant", got '
        f"{name!r}."
    )


def test_a_file_gives_the_same_table(tmp_path):
    found = table()
    found.save(tmp_path / "deep" / "scores.npz")
    again = PartScores.load(tmp_path / "deep" / "scores.npz")
    assert np.array_equal(again.values, found.values)
    assert (again.parts, again.texts) == (found.parts, found.texts)


def test_files_that_hold_something_else_are_named(tmp_path):
    for content in (None, b"", b"no zip", None):
        path = tmp_path / "x.npz"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=f"{re.escape(str(path))}, got none that can be read"):
            PartScores.load(path)
    np.savez(tmp_path / "y.npz", values=np.zeros(3))
    with pytest.raises(InputError, match="expected an npz file with values, parts, texts"):
        PartScores.load(tmp_path / "y.npz")


def test_tables_that_do_not_fit_are_refused():
    values = np.zeros((4, len(PARTS), len(TEXTS)))
    with pytest.raises(InputError, match=r"expected scores \(images, 11 parts, 4 texts\), got \(4"):
        PartScores(values, PARTS, TEXTS[:4])
    with pytest.raises(InputError, match="every part and every text once"):
        PartScores(values, (*PARTS[:-1], PARTS[0]), TEXTS)
    with pytest.raises(InputError, match="expected finite scores"):
        PartScores(values * np.nan, PARTS, TEXTS)
    with pytest.raises(InputError, match="has no layer 9 head 0"):
        table().index([Part("head", 9, 0)])
    with pytest.raises(InputError, match="it has no pink"):
        table().columns(["red", "pink"])


def test_unknown_labels_do_not_count_and_wrong_ones_are_refused():
    color, _ = questions()
    scores = table()
    logits = scores.values.sum(axis=1)
    right = [logits[n, :3].argmax() == label for n, label in enumerate(color.label) if label >= 0]
    assert color.accuracy(scores.logits_NC) == np.mean(right)
    assert Asked.of("color", scores, ["blue", "red"], np.zeros(40, int)).columns.tolist() == [2, 0]
    with pytest.raises(InputError, match=r"labels of color from -1 \(unknown\) to 2, got 0 to 3"):
        Asked("color", color.columns, np.array([0, 3]))
    with pytest.raises(InputError, match="a label of color for each of 40 images, got 39"):
        Asked("color", color.columns, color.label[1:]).check(scores)
    with pytest.raises(InputError, match="an image whose color is known"):
        Asked("color", color.columns, np.full(40, -1)).check(scores)
    with pytest.raises(InputError, match="at least two values of color"):
        Asked("color", np.array([0]), color.label)


@pytest.mark.parametrize("convention", ["separate", "shared"])
def test_parts_of_a_model_sum_to_its_cosines(convention):
    model = clip(torch.float64)
    draw = torch.Generator().manual_seed(0)
    texts = F.normalize(torch.randn(3, 24, generator=draw, dtype=torch.float64), dim=-1)
    pixels = images(5, torch.float64)
    scores = score_parts(
        image_tower(model), pixels.split(2), texts, ["a", "b", "c"], convention=convention
    )
    assert [str(part) for part in scores.parts] == [
        "layer 0 head 0", "layer 0 head 1", "layer 1 head 0", "layer 1 head 1", "mlp 0", "mlp 1",
        "embedding", "constant",
    ]  # fmt: skip
    expected = F.normalize(model.encode_image(pixels), dim=-1) @ texts.T
    assert np.abs(scores.logits_NC - expected.numpy()).max() < 1e-12


def test_a_model_without_images_has_no_table():
    with pytest.raises(InputError, match="expected images to score, got none"):
        score_parts(image_tower(clip()), [], torch.ones(1, 24), ["a"])


def test_results_become_plain_json():
    asked = Asked("color", np.array([0, 2]), np.array([1, -1]))
    found = plain(
        {
            "part": PARTS[0],
            "asked": [asked],
            3: (float("nan"), np.float64("inf"), np.float32(0.5), 2),
            "table": torch.tensor([[1.0, float("nan")]]),
            "none": None,
        }
    )
    assert found == {
        "part": "layer 0 head 0",
        "asked": [{"name": "color", "columns": [0, 2], "label": [1, -1]}],
        "3": [None, None, 0.5, 2],
        "table": [[1.0, None]],
        "none": None,
    }
