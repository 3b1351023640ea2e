"""Footprints against loops over images and models with cut weights, and on planted deltas."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from datamodules.errors import InputError
from interpret.adapters import (
    Question,
    Settings,
    Sides,
    cross,
    difference,
    figure,
    measure,
    name_changes,
    random_delta,
    restricted,
    sites,
)
from interpret.adapters.intervals import bootstrap, shuffled
from interpret.parts import Part
from interpret.pools import TextPool
from lightning_modules.callbacks.figures import render
from lightning_modules.comparison import mean_interval
from tests.compose_samples import clip, dense, images, lora

COUNT = 24
QUICK = Settings(num_random=2, num_random_runs=1, num_resamples=20, num_shuffles=20, batch_size=10)


def question(name="color", values=3, seed=0, label=None):
    draw = torch.Generator().manual_seed(seed)
    text_VE = F.normalize(torch.randn(values, 24, generator=draw), dim=-1)
    label_N = np.random.default_rng(seed).integers(values, size=COUNT) if label is None else label
    return Question(name, tuple(f"value {n}" for n in range(values)), text_VE, label_N)


@pytest.fixture(scope="module")
def questions():
    color = question()
    color.label_N[[3, 9]] = -1
    return {"color": color, "size": question("size", 2, seed=1)}


@pytest.fixture(scope="module")
def delta():
    return lora("color", 2, scale=0.8)


@pytest.fixture(scope="module")
def footprint(delta, questions):
    return measure(clip(), delta, images(COUNT), questions, QUICK)


def adapted(delta, keep=None):
    model = clip()
    found = sites(model, delta)
    (delta if keep is None else restricted(delta, found, keep)).apply(model)
    return model


@torch.no_grad()
def logits(model, asked):
    image_NE = F.normalize(model.encode_image(images(COUNT)), dim=-1).double()
    return float(model.logit_scale.exp()) * image_NE @ asked.text_VE.double().T


def accuracy(model, asked):
    known = asked.label_N >= 0
    return (logits(model, asked).argmax(1).numpy() == asked.label_N)[known].mean()


def surprise(model, asked):
    known = np.flatnonzero(asked.label_N >= 0)
    log_NV = logits(model, asked).log_softmax(1).numpy()
    return np.mean([log_NV[n, asked.label_N[n]] for n in known])


@pytest.fixture(scope="module")
def changes(delta):
    return difference(Sides(adapted(delta), clip()), images(COUNT)).parts_BPE.double().numpy()


# --- scores ---------------------------------------------------------------------------------------


def test_energy_and_mean_share_are_those_of_loops_over_images(footprint, changes):
    square = np.array([[float(part @ part) for part in image] for image in changes])
    assert footprint.scores["energy"].value == pytest.approx(
        square.mean(0) / square.mean(0).sum(), rel=1e-5
    )
    mean = changes.mean(0)
    expected = np.array([float(part @ part) for part in mean]) / square.mean(0)
    assert footprint.scores["mean_share"].value == pytest.approx(expected, rel=1e-4)


def test_covariance_shares_are_those_of_the_change_of_scores_and_sum_to_one(
    footprint, changes, questions
):
    texts = questions["color"].text_VE.double().numpy()
    texts = texts - texts.mean(0)
    parts, whole = changes @ texts.T, changes.sum(1) @ texts.T
    expected = [
        sum(np.cov(parts[:, place, v], whole[:, v], bias=True)[0, 1] for v in range(len(texts)))
        for place in range(parts.shape[1])
    ]
    expected = np.array(expected) / sum(whole[:, v].var() for v in range(len(texts)))
    found = footprint.scores["covariance"].value
    assert found == pytest.approx(expected, abs=1e-5)
    assert found.sum() == pytest.approx(1)
    label = questions["color"].label_N
    means = [np.stack([x[label == v].mean(0) for v in range(3)]) for x in (parts, whole)]
    means = [each - each.mean(0) for each in means]
    expected = np.einsum("lpv,lv->p", *means) / np.square(means[1]).sum()
    assert footprint.scores["class_share"].value == pytest.approx(expected, abs=1e-5)


def test_revert_and_keep_are_what_models_with_cut_weights_lose_and_win(footprint, delta, questions):
    asked, parts = questions["color"], footprint.parts
    acting = [part for part in parts if part.kind in {"head", "mlp"}]
    base, whole = clip(), adapted(delta)
    assert footprint.accuracy == pytest.approx(
        {"base": accuracy(base, asked), "adapted": accuracy(whole, asked)}
    )
    for part in acting:
        place = parts.index(part)
        without, alone = adapted(delta, set(acting) - {part}), adapted(delta, {part})
        found = {name: float(each.value[place]) for name, each in footprint.scores.items()}
        assert found["revert"] == pytest.approx(accuracy(whole, asked) - accuracy(without, asked))
        assert found["keep"] == pytest.approx(accuracy(alone, asked) - accuracy(base, asked))
        expected = surprise(whole, asked) - surprise(without, asked)
        assert found["revert_nats"] == pytest.approx(expected, abs=1e-4)
        expected = surprise(alone, asked) - surprise(base, asked)
        assert found["keep_nats"] == pytest.approx(expected, abs=1e-4)
    for name in ("revert", "keep", "revert_nats", "keep_nats"):
        assert np.isnan(footprint.scores[name].value[len(acting) :]).all()


def test_separation_is_eta_squared_with_the_delta_less_without(footprint, delta, questions):
    asked = questions["color"]
    texts = asked.text_VE.double().numpy()
    texts = texts - texts.mean(0)
    found = difference(Sides(adapted(delta), clip()), images(COUNT))
    sides = []
    for side in (found.base, found.adapted):
        heads = side.heads_BLHE.flatten(1, 2).double().numpy() @ texts.T
        known = asked.label_N >= 0
        scores, label = heads[known], asked.label_N[known]
        between = sum(
            (label == v).sum() * (scores[label == v].mean(0) - scores.mean(0)) ** 2
            for v in range(3)
        )
        sides.append(between.sum(1) / ((scores - scores.mean(0)) ** 2).sum((0, 2)))
    value = footprint.scores["separation"].value[: len(sides[0])]
    assert value == pytest.approx(sides[1] - sides[0], abs=1e-5)
    assert footprint.roles["separation"][: len(sides[0])] == pytest.approx(sides[0], abs=1e-5)


# --- planted --------------------------------------------------------------------------------------


def test_a_delta_of_one_head_is_found_in_it(questions):
    planted = Part("head", 1, 0)
    whole = lora("color", 2, ("v_proj", "out_proj"), scale=3.0)
    delta = restricted(whole, sites(clip(), whole), {planted})
    found = measure(clip(), delta, images(COUNT), questions, replace(QUICK, num_random=1))
    assert found.top("energy", 1) == found.top("covariance", 1) == (planted,)
    place = found.parts.index(planted)
    assert found.scores["energy"].value[place] > 0.5
    gain = found.accuracy["adapted"] - found.accuracy["base"]
    for name in ("keep", "revert"):
        values = found.scores[name].value
        assert values[place] == pytest.approx(gain)
        others = [n for n, part in enumerate(found.parts) if part.layer == 1 and n != place]
        assert np.nan_to_num(values[others]) == pytest.approx(0)
    assert found.numbers["heads for 90 %"].value <= found.numbers["heads for 90 %"].random[0]


# --- how sure -------------------------------------------------------------------------------------


def test_bootstrap_intervals_are_those_of_the_comparison_of_models():
    values = np.random.default_rng(0).normal(size=40)

    def mean(items):
        return {"mean": values[items].mean(), "never": np.array([np.nan])}

    found = bootstrap(mean, 40, num_resamples=300, seed=4)
    _, low, high = mean_interval(values, num_resamples=300, seed=4)
    assert (float(found["mean"].low), float(found["mean"].high)) == pytest.approx((low, high))
    assert np.isnan(found["never"].low).all()


def test_shuffled_labels_reach_what_has_nothing_to_do_with_labels_and_not_what_has():
    label = np.repeat([0, 1, -1], 20)
    random = np.random.default_rng(0)
    knows, not_so = label + 0.1 * random.normal(size=60), random.normal(size=60)

    def apart(label_N):
        def gap(x):
            return x[label_N == 1].mean() - x[label_N == 0].mean()

        return {"gap": np.array([gap(knows), gap(not_so), np.nan])}

    p = shuffled(apart, label, num_shuffles=199, seed=0)["gap"]
    assert p[0] == pytest.approx(1 / 200)
    assert 0.02 < p[1] <= 1
    assert np.isnan(p[2])


def test_intervals_and_random_deltas_stand_beside_every_score(footprint, delta, questions):
    for name, score in footprint.scores.items():
        told = ~np.isnan(score.value)
        assert (score.interval.low[told] <= score.interval.high[told]).all()
        with_runs = name.startswith(("revert", "keep"))
        assert score.random.shape == (1 if with_runs else 2, len(footprint.parts))
        unlabelled = {"energy", "mean_share", "covariance", "class_share"}
        assert (score.p is None) == (name in unlabelled)
    low, high = footprint.scores["energy"].interval.low, footprint.scores["energy"].interval.high
    inside = (low <= footprint.scores["energy"].value) & (footprint.scores["energy"].value <= high)
    assert inside.mean() > 0.7
    other = difference(Sides(adapted(random_delta(delta, clip(), 1)), clip()), images(COUNT))
    square = other.parts_BPE.square().sum(-1).mean(0).numpy()
    expected = square / square.sum()
    assert footprint.scores["energy"].random[1] == pytest.approx(expected, rel=1e-4)
    ticks = []
    again = measure(clip(), delta, images(COUNT), questions, QUICK, ticks.append)
    assert sum(ticks) == QUICK.ticks(6, COUNT)
    assert again.to_json() == footprint.to_json()


def test_numbers_over_heads_follow_from_the_scores(footprint):
    from scipy.stats import spearmanr

    energy = footprint.scores["energy"].value[:4]
    share = energy / energy.sum()
    numbers = footprint.numbers
    assert numbers["effective heads"].value == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    falling = np.sort(share)[::-1]
    needed = next(n for n in range(1, 5) if falling[:n].sum() >= 0.9)
    assert numbers["heads for 90 %"].value == needed
    expected = spearmanr(energy, footprint.roles["covariance"][:4]).statistic
    assert numbers["energy ~ covariance"].value == pytest.approx(expected)
    assert footprint.others["color"]["energy"] == pytest.approx(expected)
    assert set(footprint.others) == {"color", "size"}


def test_a_footprint_is_json_a_table_and_a_picture(footprint):
    told = json.loads(json.dumps(footprint.to_json(), allow_nan=False))
    assert [row["part"] for row in told["parts"]] == [str(part) for part in footprint.parts]
    assert told["parts"][-1]["scores"]["keep"]["value"] is None
    assert len(told["parts"][0]["scores"]["energy"]["random"]) == 2
    lines = footprint.lines(3)
    assert lines[0].split()[:3] == ["part", "energy", "covariance"]
    assert str(footprint.parts[int(footprint.scores["energy"].value.argmax())]) in lines[1]
    drawn = figure([footprint] * 2, title="two")
    titles = [axis.get_title() for axis in drawn.axes]
    assert len(titles) == 12
    energy = drawn.axes[titles.index("energy share")]
    shown = np.asarray(energy.images[0].get_array())
    value = footprint.scores["energy"].value
    assert shown[1, :2] == pytest.approx(value[2:4])
    assert shown[:, 3] == pytest.approx(value[4:6])
    assert render(drawn).std() > 1
    with pytest.raises(InputError, match="expected footprints of one architecture"):
        figure([], title="none")


def test_what_cannot_be_measured_is_refused(delta, questions):
    other = replace(delta, card=replace(delta.card, attribute="shape"))
    with pytest.raises(InputError, match="expected a question about 'shape'"):
        measure(clip(), other, images(COUNT), questions, QUICK)
    with pytest.raises(InputError, match="to restrict to heads, got 'color', which is dense"):
        measure(clip(), dense("color"), images(COUNT), questions, QUICK)
    with pytest.raises(InputError, match="expected 0 to 2 deltas at random to run"):
        Settings(num_random=2, num_random_runs=3)
    with pytest.raises(InputError, match="at least 1 resample"):
        Settings(num_shuffles=0)


# --- across attributes ----------------------------------------------------------------------------


def test_crossing_is_the_accuracy_that_each_attribute_loses_without_an_adapters_heads(
    delta, questions
):
    size = lora("size", 2, scale=0.5, seed=3)
    heads = {"color": [Part("head", 1, 0)], "size": [Part("head", 0, 1), Part("head", 1, 1)]}
    model = clip()
    found = cross(model, [delta, size], heads, images(COUNT), questions, num_random=3)
    every = [Part("head", n, h) for n in (0, 1) for h in (0, 1)] + [Part("mlp", 0), Part("mlp", 1)]
    for row, each in enumerate([delta, size]):
        kept = set(every) - set(heads[each.card.attribute])
        for column, name in enumerate(["color", "size"]):
            whole = accuracy(adapted(each), questions[name])
            lost = whole - accuracy(adapted(each, kept), questions[name])
            assert found.matrix[row][column] == pytest.approx(lost, abs=1e-9)
            gain = whole - accuracy(clip(), questions[name])
            assert found.gain[row][column] == pytest.approx(gain, abs=1e-9)
    (a, b), (c, d) = found.matrix
    assert found.dominance == pytest.approx((a + d) / 2 - (b + c) / 2)
    assert len(found.random_dominance) == 3
    assert json.loads(json.dumps(found.to_json()))["heads"]["color"] == ["layer 1 head 0"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, clip().state_dict()[name])
    with pytest.raises(InputError, match="expected heads of, and a question about, 'size'"):
        cross(model, [delta, size], {"color": heads["color"]}, images(COUNT), questions)


# --- texts ----------------------------------------------------------------------------------------


@torch.no_grad()
def test_changes_are_named_and_their_mean_shift_apart(delta, changes):
    draw = torch.Generator().manual_seed(3)
    pool = TextPool("tests", tuple(f"text {n}" for n in range(12)))
    text_TE = F.normalize(torch.randn(12, 24, generator=draw), dim=-1)
    sides = Sides(adapted(delta), clip())
    batches = images(2 * COUNT).split(20)
    found = name_changes(sides, batches, pool, text_TE, "a change", num_texts=3)
    own = torch.cat([difference(sides, batch).parts_BPE for batch in batches]).double().numpy()
    whole = own.sum(1)
    mean = whole.mean(0)
    share = float(mean @ mean) / np.square(whole).sum(1).mean()
    assert float(found.whole.shift_share_LH) == pytest.approx(share, rel=1e-4)
    centered = F.normalize(text_TE - text_TE.mean(0), dim=-1).double().numpy()
    scores = centered @ mean / np.linalg.norm(mean)
    (ends,) = found.whole.shift
    assert ends.positive[0].text == f"text {scores.argmax()}"
    assert ends.negative[0].text == f"text {scores.argmin()}"
    head = np.square(own[:, 3].mean(0)).sum() / np.square(own[:, 3]).sum(1).mean()
    assert float(found.heads.shift_share_LH[1, 1]) == pytest.approx(head, rel=1e-4)
    variance = own[:, 3].var(0).sum()
    assert float(found.heads.span.variance_LH[1, 1]) == pytest.approx(variance, rel=1e-4)
    told = json.loads(json.dumps(found.heads.to_json(), allow_nan=False))
    assert len(told["heads"]) == 4
    assert told["heads"][0]["shift"]["towards"][0]["score"] > 0
    with pytest.raises(InputError, match="expected images to compare the models on, got none"):
        name_changes(sides, [], pool, text_TE, "a change")
