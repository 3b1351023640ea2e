"""Objectives against sums done by hand or by NumPy: losses, pseudo-labels, views, choices."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from composition.objectives import Entropy, FixMatch, Negation, Scored, SelfLabels, Supervised
from composition.objectives import fixmatch as fixmatch_module
from composition.objectives.fixmatch import trusted_labels
from composition.objectives.objective import by_image
from composition.objectives.views import strong_view, weak_view
from datamodules.errors import InputError

NAMES = ("color", "shape")
EXPERTS = {name: (name,) for name in NAMES}


def drawn(rows, columns, seed):
    return np.random.default_rng(seed).normal(0, 3, (rows, columns))


class Fake:
    """A model whose answers are given: `views` are what each call of `scored` finds in turn."""

    def __init__(self, *views, training=(), experts=None, progress=0.0, base=None):
        self.task_heads = [
            SimpleNamespace(name=name, chance=0.25, loss=lambda logits, labels: logits.mean())
            for name in NAMES
        ]
        self.views, self.training, self.experts = list(views), training, experts
        self.progress, self.epoch, self.base = progress, 3, base
        self.asked = []

    def scored(self, image, parts):
        logits = self.views.pop(0)
        rows = zip(self.task_heads, logits, parts, strict=True)
        return [Scored(head, torch.from_numpy(each), part) for head, each, part in rows]

    def training_logits(self, task, deltas):
        self.asked.append((task, tuple(deltas)))
        index, logits = self.training[task]
        return torch.from_numpy(index), torch.from_numpy(logits)

    def base_scores(self):
        return self.base


def batch(*indices):
    """Images of each task by number; labels are poison."""
    parts = [{"index": torch.as_tensor(each), "label": None, "known": None} for each in indices]
    image = torch.zeros(sum(map(len, indices)), 3, 6, 6, dtype=torch.uint8)
    return {"image": image, "parts": parts}


def softmax(x):
    each = np.exp(x - x.max(1, keepdims=True))
    return each / each.sum(1, keepdims=True)


# --- losses ---------------------------------------------------------------------------------------


def test_supervised_is_the_mean_of_the_tasks_however_many_images_they_have():
    one, two = drawn(5, 3, 0), drawn(2, 4, 1)
    loss = Supervised().loss(Fake([one, two]), batch(range(5), range(2)))
    assert float(loss) == pytest.approx((one.mean() + two.mean()) / 2)


def test_entropy_is_that_of_the_answers_in_nats():
    one, two = drawn(5, 3, 0), drawn(2, 4, 1)
    expected = [-(softmax(x) * np.log(softmax(x))).sum(1).mean() for x in (one, two)]
    loss = Entropy().loss(Fake([one, two]), batch(range(5), range(2)))
    assert float(loss) == pytest.approx(np.mean(expected))
    even = Entropy().loss(Fake([np.zeros((3, 4))] * 2), batch(range(3), range(3)))
    assert float(even) == pytest.approx(np.log(4))


def test_self_labels_are_cross_entropies_to_each_experts_answers():
    index = [np.array([7, 2, 4]), np.array([1, 3])]
    answers = [drawn(3, 3, 2), drawn(2, 4, 3)]
    now = [drawn(2, 3, 4), drawn(2, 4, 5)]
    model = Fake(now, training=list(zip(index, answers, strict=True)))
    objective = SelfLabels({"color": ("color",), "shape": ("shape", "outline")})
    objective.begin(model)
    assert model.asked == [(0, ("color",)), (1, ("shape", "outline"))]
    loss = objective.loss(model, batch([4, 7], [3, 1]))
    expected = [
        -(softmax(answer[rows]) * np.log(softmax(x))).sum(1).mean()
        for answer, rows, x in zip(answers, ([2, 0], [1, 0]), now, strict=True)
    ]
    assert float(loss) == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("progress", [0.0, 0.5])
def test_fixmatch_is_its_two_equations(progress, monkeypatch):
    random = np.random.default_rng(6)
    zero_shot = 2 * random.normal(size=(8, 3))
    index, rows = np.arange(8) + 10, np.array([0, 3, 4, 5, 6, 7])
    weak = 4 * random.normal(size=(6, 3))
    # Sure beyond any doubt, sure by a little, and in doubt.
    weak[2:5] = [[9, 0, 0], [0, np.log(2 * 0.93 / 0.07), 0], [1, 1, 0]]
    strong = random.normal(size=(6, 3))
    monkeypatch.setattr(
        fixmatch_module, "trusted_labels", lambda x: torch.tensor([2, 1, -1, 0, -1, -1, -1, -1])
    )
    model = Fake(
        [weak, weak], [strong, strong], training=[(index, zero_shot)] * 2, progress=progress
    )
    objective = FixMatch()
    objective.begin(model)
    assert model.asked == [(0, ()), (1, ())]
    loss = objective.loss(model, batch(rows + 10, rows + 10))
    trusted, total, rest, others = {0: 2, 1: 0}, 0.0, 0.0, 0
    for row in range(6):
        log_p = np.log(softmax(strong[row : row + 1])[0])
        if row in trusted:
            total -= log_p[trusted[row]]
            continue
        p, others = softmax(weak[row : row + 1])[0], others + 1
        if p.max() >= 0.9 + 0.1 * progress:
            sharp = p**2 / (p**2).sum()
            rest -= (sharp * log_p).sum()
    assert others == 4
    assert float(loss) == pytest.approx(total / 2 + rest / 4)


def test_a_batch_without_trusted_images_has_a_loss(monkeypatch):
    model = Fake([np.zeros((2, 3))] * 2, [drawn(2, 3, 1)] * 2, training=[(np.arange(2),) * 2] * 2)
    objective = FixMatch()
    objective._trusted = dict.fromkeys(NAMES, torch.tensor([-1, -1]))
    assert float(objective.loss(model, batch([0, 1], [0, 1]))) == 0


def test_negation_is_least_where_what_is_shown_is_no_likelier_than_chance():
    kept, shown = drawn(4, 3, 1), np.eye(4)[[2, 0]]
    losses = {}
    for name, x in (
        ("even", np.ones((2, 4))), ("right", shown * 8), ("wrong", shown * -8),
        ("half", np.array([[0.0, 0.0, 2.0, 2.0], [0.0, 9.0, 0.0, 0.0]])),
    ):  # fmt: skip
        own = batch(range(4), range(2))
        own["parts"][1]["label"] = torch.from_numpy(shown)
        losses[name] = float(Negation(["shape"], EXPERTS).loss(Fake([kept, x]), own)) - kept.mean()
        above = np.log((softmax(x) * shown).sum(1)) - np.log(1 / 4)
        assert losses[name] == pytest.approx(2 * np.maximum(above, 0).mean(), abs=1e-6)
    assert losses["even"] == losses["wrong"] == pytest.approx(0, abs=1e-6)
    assert losses["right"] > losses["half"] > 0


# --- pseudo-labels and tables ---------------------------------------------------------------------


def test_trusted_are_the_images_that_score_highest_for_a_class():
    p = torch.tensor(
        [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.5, 0.4], [0.3, 0.4, 0.3],
         [0.2, 0.2, 0.6], [0.9, 0.05, 0.05]]
    )  # fmt: skip
    # n = 7 // 3 = 2: class 0 takes images 6 and 0, class 1 images 3 and 2 or 4, class 2 5 and 3.
    # Images 2 and 4 tie for class 1 at .4, so make 4 a little surer; 3 is nearer to class 1.
    p[4] = torch.tensor([0.29, 0.41, 0.3])
    assert trusted_labels(p.log()).tolist() == [0, -1, -1, 1, 1, 2, 0]


def test_of_few_images_each_class_trusts_one_and_of_many_a_hundred():
    assert trusted_labels(torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 1.0]])).tolist() == [0, 1]
    logits = torch.linspace(-1, 1, 600)[:, None] * torch.tensor([[1.0, -1.0]])
    found = trusted_labels(logits)
    assert [(found == label).sum().item() for label in (-1, 0, 1)] == [400, 100, 100]
    assert (found[-100:] == 0).all()
    assert (found[:100] == 1).all()


def test_a_table_holds_rows_by_image_number():
    table = by_image(torch.tensor([4, 1]), torch.tensor([[5.0, 6.0], [7.0, 8.0]]), -1)
    assert table.tolist() == [[-1, -1], [7, 8], [-1, -1], [-1, -1], [5, 6]]


# --- views ----------------------------------------------------------------------------------------


def test_a_strong_view_hides_a_square_behind_the_mean_color():
    torch.manual_seed(0)
    plain = torch.zeros(16, 3, 24, 24, dtype=torch.uint8)
    plain[:, 0], plain[:, 1, :12] = 90, 200
    strong = strong_view(plain)
    torch.manual_seed(0)
    weak = weak_view(plain)
    assert strong.dtype == torch.uint8
    for before, after in zip(weak, strong, strict=True):
        changed = (before != after).any(0)
        rows, columns = changed.any(1).nonzero()[:, 0], changed.any(0).nonzero()[:, 0]
        assert len(columns) == 8
        assert len(rows) in range(1, 9)
        assert changed.sum() == len(rows) * 8, "a square"
        mean = before.float().mean((1, 2)).to(torch.uint8)
        assert (after[:, changed] == mean[:, None]).all()
    assert len({tuple(x.flatten().tolist()) for x in strong}) > 10, "each at its own place"


# --- which epoch is chosen ------------------------------------------------------------------------


def negation(base):
    objective = Negation(["shape"], EXPERTS | {"size": ()})
    model = Fake(base=base)
    model.task_heads.append(SimpleNamespace(name="size", chance=0.25))
    objective.begin(model)
    return lambda **scores: objective.selection(model, scores)


def test_negation_chooses_the_least_of_the_forgotten_that_keeps_the_control():
    select = negation({"color": 0.8, "shape": 0.7, "size": 0.5})
    assert select(color=0.8, shape=0.65, size=0.5) == pytest.approx(-0.4)
    assert select(color=0.76, shape=0.35, size=0.475) == pytest.approx(-0.1)
    assert select(color=0.8, shape=0.1, size=0.5) == 0, "less than chance is no better than chance"
    # color lost 25 % of the base's score, 20 points more than it may.
    assert select(color=0.6, shape=0.25, size=0.5) == pytest.approx(-(1 + 0.2))
    worst = select(color=0.8, shape=1.0, size=0.5)
    assert worst > select(color=0.75, shape=0.25, size=0.5) > select(color=0.6, shape=0.25, size=0)


def test_plain_arithmetic_adds_or_takes_away_what_is_forgotten():
    assert Supervised().arithmetic(["color", "size"]) == {"color": 1.0, "size": 1.0}
    objective = Negation(["shape"], EXPERTS)
    assert objective.arithmetic(["color", "shape"]) == {"color": 0.0, "shape": -1.0}
    assert objective.arithmetic(["hue", "size"]) == {"hue": -1.0, "size": -1.0}


def test_a_control_that_the_base_cannot_tell_has_nothing_to_lose():
    select = negation({"color": 0.0, "shape": 0.7, "size": 0.5})
    assert select(color=0.0, shape=0.35, size=0.5) == pytest.approx(-0.1)


def test_labels_choose_by_the_mean_score_and_without_labels_the_last_epoch_is_taken():
    model, scores = Fake(), {"color": 0.5, "shape": 0.9}
    assert Supervised().selection(model, scores) == pytest.approx(0.7)
    for objective in (Entropy(), FixMatch(), SelfLabels({"color": ("color",)})):
        assert objective.selection(model, scores) == model.epoch
        assert not objective.uses_labels
        assert objective.information == "unlabelled training images"


# --- what is refused ------------------------------------------------------------------------------


def message(call, *args):
    with pytest.raises(InputError) as caught:
        call(*args)
    return str(caught.value)


def test_what_cannot_be_forgotten_is_refused():
    assert message(Negation, ["mood", "color"], EXPERTS) == (
        "--model.forget names mood, expected some of the tasks: color, shape."
    )
    assert message(Negation, [], EXPERTS) == (
        "--model.forget is empty, expected the tasks to be forgotten."
    )
    assert message(Negation, ["shape", "color"], EXPERTS) == (
        "--model.forget names every task (color, shape), so none is left as the control that shows "
        "what else is lost. Add a task that is to be kept."
    )


def test_a_task_without_an_expert_is_refused():
    assert message(SelfLabels, {"color": ("color",), "size": (), "shape": ()}) == (
        "objective self-labels: expected a delta of each task's own attributes, found none for "
        "shape, size. Add one to --model.deltas, or choose another objective."
    )
