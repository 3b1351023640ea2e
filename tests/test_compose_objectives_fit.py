"""Objectives at work: what they do to answers, and that some never look at a label."""

import numpy as np
import pytest
import torch

from composition.heads import TaskHead
from datamodules.annotations import Labels
from datamodules.tasks import Task
from tests.compose_runs import fit, open_data, prepared
from tests.pair_folder import entry, write_pairs

LABEL_FREE = ("entropy", "fixmatch", "self-labels")


def entropies(composer, data):
    """Mean entropy of the answers on the validation split of each task."""
    found = {}
    for head in composer.task_heads:
        task = data.tasks[head.name]
        pixels = np.array(task.pixels()[task.members("validation")])
        with torch.no_grad():
            image = composer.encode_image(torch.from_numpy(pixels).permute(0, 3, 1, 2))
            p = head(image, composer.scale).softmax(1)
        found[head.name] = float(-(p * p.log()).sum(1).mean())
    return found


@pytest.fixture(scope="module")
def data(world):
    return open_data(world)


def test_negation_makes_answers_even_where_it_forgets(world, data):
    composer = prepared(
        world, data, objective="negation", forget=["glyphs/shape"], start="sum", granularity="block"
    )
    before = entropies(composer, data)["glyphs/shape"]
    seen = fit(composer, data, epochs=5)
    assert entropies(composer, data)["glyphs/shape"] > before + 0.02
    base, scores = prepared(world, data, start="zero"), composer.base_scores()
    for name, task in data.tasks.items():
        head = next(head for head in base.task_heads if head.name == name)
        pixels = np.array(task.pixels()[task.members("validation")])
        with torch.no_grad():
            image = base.encode_image(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        truth = task.labels(task.attribute).label[task.members("validation")].argmax(1)
        right = (image @ head.text_VD.T).argmax(1).numpy() == truth
        assert scores[name] == pytest.approx(right.mean(), abs=1e-6)
    last = seen.scores[-1]
    own = {name: last[f"accuracy/val/{name}"] for name in data.tasks}
    left = max(own["glyphs/shape"] - 1 / 10, 0)
    lost = 0.95 - own["glyphs/color"] / scores["glyphs/color"]
    expected = -left - (1 + lost if lost > 0 else 0)
    assert last["score/val"] == pytest.approx(expected, abs=1e-5)


def test_entropy_makes_answers_surer(world, data):
    composer = prepared(world, data, objective="entropy", granularity="block")
    before = entropies(composer, data)
    seen = fit(composer, data, epochs=4)
    after = entropies(composer, data)
    assert sum(after.values()) < sum(before.values()) - 0.02
    assert [each["score/val"] for each in seen.scores] == [0, 1, 2, 3], "the last epoch is taken"


def test_self_labels_come_near_the_experts(world, data):
    composer = prepared(world, data, objective="self-labels", start="zero", granularity="block")
    losses = fit(composer, data, epochs=6).losses
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    alone = prepared(world, data, objective="self-labels")
    alone.composition.one_hot("color")
    head, task = alone.task_heads[0], data.tasks["glyphs/color"]
    pixels = np.array(task.pixels()[task.members("train")])
    with torch.no_grad():
        image = alone.encode_image(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        expected = head(image, alone.scale)
    alone.composition.zero()
    index, logits = alone.training_logits(0, ["color"])
    assert index.tolist() == task.members("train").tolist()
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    assert not alone.composition.coefficients.any(), "coefficients are put back"


def poisoned(data):
    """Every label of every task another one; what is known stays."""
    for task in data.tasks.values():
        label, known, weight = task.labels(task.attribute)
        task._labels[task.attribute] = Labels(np.roll(label, 1, axis=1), known, weight / 3)
    return data


@pytest.mark.parametrize("objective", LABEL_FREE)
def test_objectives_without_labels_never_read_one(world, objective):
    learned = []
    for data in (open_data(world), poisoned(open_data(world))):
        composer = prepared(world, data, objective=objective, start="sum")
        start = composer.composition.coefficients.detach().clone()
        fit(composer, data, epochs=2)
        assert not torch.equal(composer.composition.coefficients, start)
        learned.append(composer.composition.coefficients.detach())
    assert torch.equal(*learned)


def test_the_poison_is_read_where_labels_count(world):
    learned = []
    for data in (open_data(world), poisoned(open_data(world))):
        composer = prepared(world, data)
        fit(composer, data, epochs=1)
        learned.append(composer.composition.coefficients.detach())
    assert not torch.equal(*learned)


# --- tasks of which an image may show several values ----------------------------------------------


@pytest.fixture(scope="module")
def several(world, tmp_path_factory):
    """A task of two colors that a picture may show both of, beside one of glyphs."""
    folder = tmp_path_factory.mktemp("several")
    shown = ("red", "red orange", "orange", "red")
    splits = ["train"] * 24 + ["validation"] * 8 + ["test"] * 8
    rows = "".join(
        f"{n}.png,{split},color,{value},{int(value in shown[n % 4].split())}\n"
        for n, split in enumerate(splits)
        for value in ("red", "orange")
    )
    place = write_pairs(folder, rows, [entry("color", ["red", "orange"], exclusive=False)])
    return open_data(world, [Task("color", **place), "color"])


def test_log_odds_start_at_the_share_of_true_values(world, several):
    composer = prepared(world, several, names=("color", "shape"))
    head = composer.task_heads[0]
    task = several.tasks["folder/color"]
    assert (head.objective, head.main_metric) == ("sigmoid", "map")
    fit(composer, several, epochs=2)
    label, known = task.labels("color")[:2]
    members = task.members("train")
    wanted = label[members][known[members]].mean()
    _, logits = composer.training_logits(0, ())
    believed = logits.sigmoid()[torch.from_numpy(known[members])].mean()
    assert float(believed) == pytest.approx(wanted, abs=1e-5)
    assert float(composer.task_heads[1].bias) == 0


def test_chance_is_one_of_the_values_or_the_mean_share_of_positives(world, several):
    heads = prepared(world, several, names=("color", "shape")).task_heads
    task = several.tasks["folder/color"]
    label, known = (x[task.members("validation")] for x in task.labels("color")[:2])
    assert known.all()
    assert heads[0].chance == pytest.approx(np.mean([6 / 8, 4 / 8])) == label.mean()
    assert heads[1].chance == pytest.approx(1 / 12)
    assert isinstance(heads[0], TaskHead)
