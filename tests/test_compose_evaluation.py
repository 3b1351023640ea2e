"""Yardsticks and evaluation against scores counted anew from plain models, image by image."""

import json
import math

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from composition.evaluation import answers as answers_module
from composition.evaluation import evaluate, scoring
from composition.solvers import delta_moments, least_squares
from composition.yardsticks import yardsticks
from datamodules.tasks import Task
from lightning_modules.comparison import compare
from lightning_modules.metrics import CompositionalAccuracy
from tests.compose_runs import drawn_delta, open_backbone, open_data, prepared
from tests.pair_folder import entry, write_pairs

PAIR = "color+shape"
SUM = {"color": 1.0, "shape": 1.0}
MODELS = [
    "base", "color alone", "shape alone", "sum", "mean", "best scale", "closed form", "learned",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(world):
    return open_data(world, ("color", PAIR))


@pytest.fixture(scope="module")
def composer(world, data):
    """A composition with drawn coefficients in place of learned ones."""
    composer = prepared(world, data, granularity="block")
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        values = torch.rand(composer.composition.coefficients.shape, generator=draw)
        composer.composition.coefficients.copy_(values)
    return composer


@pytest.fixture(scope="module")
def found(composer, data):
    before = composer.composition.coefficients.detach().clone()
    evaluation = evaluate(composer, data)
    assert torch.equal(composer.composition.coefficients, before), "coefficients are put back"
    return evaluation


@pytest.fixture(scope="module")
def plain(world, data):
    """The scores of a model whose weights are summed, and the truth, of a task's split.

    `coefficient(delta, weight)` scales each update.
    """
    backbone, texts = open_backbone(world), {}
    for name, own in data.tasks.items():
        words = [prompt for row in own.prompts(own.attribute) for prompt in row]
        with torch.no_grad():
            text = backbone.model.encode_text(backbone.tokenizer(words), normalize=True)
        texts[name] = F.normalize(text.view(len(own.values), -1, text.shape[1]).mean(1))

    def logits(task, split, coefficient):
        state = dict(backbone.model.state_dict())
        for name in ("color", "shape"):
            for module, (a, b) in drawn_delta(backbone, name).factors.items():
                update = coefficient(name, f"{module}.weight") * (b @ a)
                state[f"{module}.weight"] = state[f"{module}.weight"] + update
        own = data.tasks[task]
        pixels = own.source.pixels(64)[own.members(split)]
        image = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.25
        visual = {k.removeprefix("visual."): v for k, v in state.items() if k[:7] == "visual."}
        with torch.no_grad():
            image = F.normalize(functional_call(backbone.model.visual, visual, (image,)))
        truth = own.labels(own.attribute).label[own.members(split)].argmax(1)
        return 1 / 0.07 * image @ texts[task].T, truth

    return logits


def named(composer):
    table = composer.composition.named_coefficients()

    def coefficient(delta, weight):
        block = weight.replace("q_proj.weight", "in_proj_weight")
        block = block.replace("k_proj.weight", "in_proj_weight")
        return table[delta][block.replace("v_proj.weight", "in_proj_weight")]

    return coefficient


def score_of(found, model, task, split, metric="accuracy"):
    (each,) = [
        s.value for s in found.scores
        if (s.model, s.task, s.split, s.metric) == (model, task, split, metric)
    ]  # fmt: skip
    return each


RULES = {
    "base": lambda delta, weight: 0.0,
    "color alone": lambda delta, weight: float(delta == "color"),
    "shape alone": lambda delta, weight: float(delta == "shape"),
    "sum": lambda delta, weight: 1.0,
    "mean": lambda delta, weight: 0.5,
}


@pytest.mark.parametrize("model", [*RULES, "best scale", "learned"])
def test_scores_are_those_of_models_that_are_summed_plainly(plain, composer, found, model):
    rules = RULES | {
        "best scale": lambda delta, weight: found.search.scale, "learned": named(composer)
    }  # fmt: skip
    for task in ("glyphs/color", f"glyphs/{PAIR}"):
        for split in ("validation", "test_seen", "test_unseen"):
            logits, truth = plain(task, split, rules[model])
            right = (logits.argmax(1).numpy() == truth).mean()
            assert score_of(found, model, task, split) == pytest.approx(right, abs=1e-6)


def test_models_come_in_order_and_each_says_what_chose_it(found):
    assert list(dict.fromkeys(each.model for each in found.scores)) == MODELS
    assert found.protocol == {
        "selected_on": "validation",
        "reported_on": ["test_seen", "test_unseen"],
        "information": "labelled training images",
        "yardsticks": dict.fromkeys(MODELS[:-1], "no data") | {"best scale": "labelled validation"},
    }
    assert found.left_out == {}


def test_the_best_scale_is_the_best_of_those_tried_on_validation(plain, data, found):
    tried = [scale for scale, _ in found.search.curve]
    assert tried == sorted(set(tried))
    assert set(np.round(np.arange(1, 11) * 0.2, 2)) < set(np.round(tried, 2))
    for scale, score in found.search.curve[::5]:
        right = []
        for task in data.tasks:
            logits, truth = plain(task, "validation", lambda *_, s=scale: s)
            right.append((logits.argmax(1).numpy() == truth).mean())
        assert score == pytest.approx(np.mean(right), abs=1e-6)
    scores = [score for _, score in found.search.curve]
    assert found.search.scale == tried[int(np.argmax(scores))]


@pytest.mark.parametrize("best", [0.05, 0.2, 0.35, 1.0, 1.45, 2.0, 2.05, 3.3, 6.0])
def test_the_search_finds_the_peak_of_a_curve_to_a_twentieth(composer, best):
    def score() -> float:
        return -abs(float(composer.composition.coefficients.detach().mean()) - best)

    kept = composer.composition.coefficients.detach().clone()
    search = yardsticks(composer.composition, composer.basis, score, SUM).search
    assert search.scale == pytest.approx(best)
    assert len(search.curve) <= 14 + 5 * max(0, best - 2) + 1
    assert torch.equal(kept, composer.composition.coefficients)


def test_the_closed_form_is_that_of_the_solver(composer):
    solved = least_squares(composer.basis, "block", moments=delta_moments(composer.basis))
    models = yardsticks(composer.composition, composer.basis, lambda: 0.0, SUM).models
    expected = [list(row.values()) for row in solved.coefficients.values()]
    torch.testing.assert_close(models["closed form"], torch.tensor(expected))
    assert list(models) == MODELS


def test_seen_and_unseen_are_counted_over_all_test_images_together(plain, data, composer, found):
    task, together = f"glyphs/{PAIR}", "test_seen + test_unseen"
    own = data.tasks[task]
    for model, rule in (("sum", RULES["sum"]), ("learned", named(composer))):
        parts = [plain(task, split, rule) for split in own.test_splits]
        logits, truth = torch.cat([x for x, _ in parts]), np.concatenate([y for _, y in parts])
        allowed = own.seen | np.isin(np.arange(len(own.seen)), truth)
        scores = np.where(allowed, logits.numpy(), -np.inf)
        right, is_seen = scores.argmax(1) == truth, own.seen[truth]
        assert 0 < is_seen.mean() < 1
        metric = CompositionalAccuracy(
            torch.from_numpy(own.seen), candidates=torch.from_numpy(allowed)
        )
        metric.update(logits, torch.from_numpy(truth))
        expected = {"seen": right[is_seen].mean(), "unseen": right[~is_seen].mean()} | {
            name: float(metric.compute()[name])
            for name in ("best_seen", "best_unseen", "best_harmonic", "auc")
        }
        got = {name: score_of(found, model, task, together, name) for name in expected}
        assert got == pytest.approx(expected, abs=1e-5)


def test_gains_are_paired_differences_with_their_bootstrap(plain, composer, found):
    assert len(found.gains) == 7 * 2 * 2
    for split in ("test_seen", "test_unseen"):
        right = []
        for rule in (RULES["mean"], named(composer)):
            logits, truth = plain("glyphs/color", split, rule)
            right.append((logits.argmax(1).numpy() == truth).astype(float))
        row = compare(*right)
        (gain,) = [
            g for g in found.gains if (g.model, g.task, g.split) == ("mean", "glyphs/color", split)
        ]
        assert (gain.value, gain.learned) == pytest.approx((right[0].mean(), right[1].mean()))
        numbers = (gain.gain, gain.low, gain.high, gain.num_images)
        assert numbers == pytest.approx((row.gain, row.low, row.high, 40))
    rows = found.rows(against="mean")
    assert [(r.attribute, r.split, r.base) for r in rows] == [
        (g.task, g.split, g.value) for g in found.gains if g.model == "mean"
    ]


def test_images_that_tasks_share_are_embedded_once(composer, data, monkeypatch):
    counts, real = [], answers_module.embed

    def counted(encode, task, members, **options):
        counts.append(len(members))
        return real(encode, task, members, **options)

    monkeypatch.setattr(answers_module, "embed", counted)
    splits = {name: ("validation", *task.test_splits) for name, task in data.tasks.items()}
    asked = answers_module.answers(composer, data, splits, text="once")
    assert counts == [60 + 40 + 40]
    assert list(asked) == [(name, split) for name in splits for split in splits[name]]


# --- other compositions ---------------------------------------------------------------------------


def test_yardsticks_that_a_granularity_lacks_are_named(world, data):
    shared = prepared(world, data, granularity="spectral:4", start="sum")
    total = shared.composition.coefficients.detach().clone()
    found = yardsticks(shared.composition, shared.basis, lambda: math.nan, SUM)
    assert list(found.models) == ["base", "sum", "mean", "best scale", "learned"]
    assert torch.equal(found.models["sum"], total)
    torch.testing.assert_close(found.models["mean"], total / 2)
    assert found.search.scale == 0.05, "nothing is known of any: the smallest"
    assert set(found.left_out) == {"color alone", "shape alone", "closed form"}
    heads = prepared(world, data, granularity="head")
    found = yardsticks(heads.composition, heads.basis, lambda: 0.0, SUM)
    assert set(found.left_out) == {"closed form"}
    one = prepared(world, data, names=("color",))
    found = yardsticks(one.composition, one.basis, lambda: 0.0, {"color": 1.0})
    assert found.left_out == {"sum": "there is one delta", "mean": "there is one delta"}


def test_what_is_forgotten_is_held_against_its_negated_delta(world, data):
    whole = prepared(world, data, granularity="block")
    weights = {"color": -1.0, "shape": 0.0}
    found = yardsticks(whole.composition, whole.basis, lambda: 0.0, weights)
    assert list(found.models) == [
        "base", "color alone", "shape alone", "negated", "best scale", "closed form", "learned",
    ]  # fmt: skip
    row = dict(zip(whole.basis.names, found.models["negated"], strict=True))
    assert (row["color"] == -1).all()
    assert (row["shape"] == 0).all()
    assert torch.equal(found.models["best scale"], 0.05 * found.models["negated"])
    shared = prepared(world, data, granularity="spectral:4", start="sum")
    found = yardsticks(shared.composition, shared.basis, lambda: 0.0, weights)
    assert {"negated", "best scale"} < set(found.left_out)
    assert found.search.curve == ()


def test_coefficients_are_put_back_when_the_search_fails(composer):
    before = composer.composition.coefficients.detach().clone()
    with pytest.raises(ZeroDivisionError):
        yardsticks(composer.composition, composer.basis, lambda: 1 / 0, SUM)
    assert torch.equal(composer.composition.coefficients, before)


def test_several_values_an_image_are_scored_by_average_precision(world, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "_METRIC_RESAMPLES", 20)
    shown = [("red", "red orange", "orange", "")[n % 4] for n in range(40)]
    splits = ["train"] * 20 + ["validation"] * 8 + ["test"] * 12
    rows = "".join(
        f"{n}.png,{split},color,{value},{int(value in words.split())}\n"
        for n, (split, words) in enumerate(zip(splits, shown, strict=True))
        for value in ("red", "orange")
    )
    place = write_pairs(tmp_path, rows, [entry("color", ["red", "orange"], exclusive=False)])
    data = open_data(world, [Task("color", **place), "shape"])
    composer = prepared(world, data, start="sum")
    found = evaluate(composer, data)
    task = data.tasks["folder/color"]
    members = task.members("test")
    with torch.no_grad():
        image = torch.from_numpy(np.array(task.pixels()[members])).permute(0, 3, 1, 2)
        scores = (composer.encode_image(image) @ composer.task_heads[0].text_VD.T).numpy()
    from sklearn.metrics import average_precision_score

    label = task.labels("color").label[members]
    expected = average_precision_score(label, scores)
    assert score_of(found, "learned", "folder/color", "test", "map") == pytest.approx(expected)
    metrics = {(g.task, g.metric) for g in found.gains}
    assert metrics == {("folder/color", "map"), ("glyphs/shape", "accuracy")}


# --- as text --------------------------------------------------------------------------------------


def test_json_holds_every_number(found):
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert set(content) == {"protocol", "scores", "gains", "best_scale", "scales", "left_out"}
    assert len(content["scores"]) == len(found.scores) == 8 * (3 + 3 + 6)
    assert content["gains"][0]["model"] == "base"
    card = found.metrics()
    assert set(card) == {"validation", "test_seen", "test_unseen", "test_seen + test_unseen"}
    assert list(card["test_seen"]) == [*MODELS[:-1], "composed"]
    assert card["test_seen"]["composed"]["accuracy/glyphs/color"] == score_of(
        found, "learned", "glyphs/color", "test_seen"
    )


def test_tables_say_the_same_in_text_and_markdown(found):
    text, markdown = found.to_text(), found.to_markdown()
    lines = text.splitlines()
    assert lines[0] == "glyphs/color: accuracy"
    assert lines[1].split("  ")[0] == "model"
    (base,) = [line for line in lines[:10] if line.startswith("base")]
    gain = next(g for g in found.gains if (g.model, g.split) == ("base", "test_seen"))
    interval = f"{gain.gain:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    assert interval in base
    assert ("* " + interval in base) == (gain.low > 0 or gain.high < 0)
    assert f"| base | {score_of(found, 'base', 'glyphs/color', 'validation'):.3f} |" in markdown
    assert interval in markdown
    assert "best scale: " in text
    title = f"glyphs/{PAIR}: combinations of test_seen + test_unseen, 80 images"
    assert title in text
    assert f"**{title}**" in markdown
    assert "| model | seen | unseen | best seen | best unseen | best harmonic | auc |" in markdown
