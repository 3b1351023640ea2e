"""Base against adapted: gains and their intervals, against SciPy and the normal distribution."""

import json
import math
import time
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from lightning_modules.comparison import (
    Row,
    compare,
    compare_metric,
    mean_interval,
    render,
    resamples,
    to_json,
    to_markdown,
)

ROWS = [
    Row("validation", "color", "accuracy", 5000, 0.6986, 0.7234, 0.0248, 0.0076, 0.0416),
    Row("test_unseen", "shape|form", "map", 998, 0.5, 0.4912, -0.0088, -0.021, 0.003),
]


def pair(num_images, *, seed=0):
    """Correct or not under two models that often agree."""
    random = np.random.default_rng(seed)
    base = (random.random(num_images) < 0.6).astype(float)
    changed = random.random(num_images) < 0.2
    return base, np.where(changed, random.random(num_images) < 0.8, base)


def test_the_interval_of_the_gain_is_scipys_paired_percentile_bootstrap():
    base, adapted = pair(400)
    row = compare(base, adapted, num_resamples=20000)
    reference = stats.bootstrap(
        (base, adapted),
        lambda b, a, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    # Gains move in steps of 1 / 400; one step either way is the noise of 20,000 resamples.
    assert row.low == pytest.approx(reference.low, abs=0.0026)
    assert row.high == pytest.approx(reference.high, abs=0.0026)
    assert row.gain == pytest.approx(adapted.mean() - base.mean())
    assert (row.base, row.adapted, row.num_images) == (base.mean(), adapted.mean(), 400)


def test_the_interval_of_a_mean_is_the_normal_one_for_many_images():
    scores = np.random.default_rng(2).gamma(4.0, size=3000)
    mean, low, high = mean_interval(scores, num_resamples=10000)
    half = NormalDist().inv_cdf(0.975) * scores.std() / math.sqrt(len(scores))
    assert mean == pytest.approx(scores.mean())
    assert low == pytest.approx(mean - half, abs=0.05 * half)
    assert high == pytest.approx(mean + half, abs=0.05 * half)


def test_pairing_makes_the_interval_of_like_models_narrower():
    base, adapted = pair(1000)
    shuffled = np.random.default_rng(3).permutation(adapted)
    paired, unpaired = compare(base, adapted), compare(base, shuffled)
    assert paired.high - paired.low < 0.8 * (unpaired.high - unpaired.low)


def test_two_thousand_resamples_of_five_thousand_images_take_less_than_a_second():
    base, adapted = pair(5000)
    start = time.perf_counter()
    compare(base, adapted)
    assert time.perf_counter() - start < 1


def test_equal_seeds_give_equal_intervals_and_others_do_not():
    base, adapted = pair(300)
    assert compare(base, adapted, seed=4) == compare(base, adapted, seed=4)
    assert compare(base, adapted, seed=4) != compare(base, adapted, seed=5)


def test_chunks_of_resamples_are_complete_and_cover_all_images():
    chunks = list(resamples(3000, num_resamples=700, seed=0))
    assert len(chunks) == 3
    drawn = np.concatenate(chunks)
    assert drawn.shape == (700, 3000)
    assert (np.bincount(drawn.ravel(), minlength=3000) > 0).all()
    assert len({row.tobytes() for row in drawn}) == 700


def test_images_that_a_model_did_not_score_do_not_count():
    row = compare([1, 0, math.nan, 1], [1, 1, 1, math.nan])
    assert (row.num_images, row.base, row.adapted, row.gain) == (2, 0.5, 1.0, 0.5)


def test_no_images_give_a_row_of_nan_and_one_that_can_be_shown():
    rows = [
        compare([], [], split="empty"),
        compare([math.nan], [1.0], split="empty"),
        compare_metric(lambda *_: 1.0, *[np.zeros((0, 3))] * 4, metric="map", split="empty"),
    ]
    for row in rows:
        assert row.num_images == 0
        assert all(
            math.isnan(each) for each in (row.base, row.adapted, row.gain, row.low, row.high)
        )
    assert render(rows, "Nothing").count("empty") == 3
    assert json.loads(json.dumps(to_json(rows), allow_nan=False))[0]["gain"] is None


def test_equal_gains_everywhere_leave_no_doubt():
    row = compare(np.zeros(50), np.ones(50))
    assert (row.gain, row.low, row.high) == (1.0, 1.0, 1.0)
    assert compare(np.ones(50), np.ones(50)).gain == 0.0


def test_a_metric_of_rows_is_recomputed_on_resampled_pairs():
    random = np.random.default_rng(6)
    label = (random.random((200, 1)) < 0.4).astype(int)
    base = random.normal(size=(200, 1)) + 0.5 * label
    adapted = base + 0.7 * label
    known = random.random((200, 1)) < 0.9

    def precision(scores, label, known):
        return average_precision_score(label[known], scores[known])

    row = compare_metric(
        precision, base, adapted, label, known, metric="map", num_resamples=300, attribute="color"
    )
    kept = known[:, 0]
    reference = stats.bootstrap(
        (label[kept, 0], base[kept, 0], adapted[kept, 0]),
        lambda y, b, a: average_precision_score(y, a) - average_precision_score(y, b),
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=300,
        rng=np.random.default_rng(7),
    ).confidence_interval
    assert row.num_images == kept.sum()
    assert row.gain == pytest.approx(
        precision(adapted, label, known) - precision(base, label, known)
    )
    width = reference.high - reference.low
    assert row.low == pytest.approx(reference.low, abs=0.25 * width)
    assert row.high == pytest.approx(reference.high, abs=0.25 * width)
    assert (row.metric, row.attribute) == ("map", "color")


def test_a_mean_through_a_metric_function_is_the_same_comparison():
    base, adapted = pair(120)
    label, known = np.ones((120, 1)), np.ones((120, 1), dtype=bool)
    row = compare_metric(
        lambda scores, label, known: scores[known].mean(),
        *(base[:, None], adapted[:, None], label, known),
        metric="accuracy",
        num_resamples=500,
    )
    same = compare(base, adapted, num_resamples=500)
    assert (row.low, row.high) == (pytest.approx(same.low), pytest.approx(same.high))


def test_a_resample_without_a_defined_metric_is_left_out():
    scores, label = np.array([[0.1], [0.9]]), np.array([[0], [1]])
    known = np.ones((2, 1), dtype=bool)

    def only_if_both(scores, label, known):
        return scores.max() if label.min() < label.max() else math.nan

    row = compare_metric(
        only_if_both, scores, scores + 1, label, known, metric="map", num_resamples=50
    )
    assert (row.gain, row.low, row.high) == pytest.approx((1.0, 1.0, 1.0))


def test_scores_of_different_images_are_refused():
    with pytest.raises(
        ValueError,
        match=r"expected one score for each image from both models, got shapes \(3,\) and \(2,\)\.",
    ):
        compare([1, 0, 1], [1, 0])
    with pytest.raises(
        ValueError, match=r"in one shape \(images, values\), got \(3, 2\), \(3, 1\)"
    ):
        compare_metric(
            lambda *_: 0.0, *[np.ones((3, width)) for width in (2, 1, 2, 2)], metric="map"
        )


def test_the_table_is_plain_text_that_marks_sure_gains():
    title, empty, header, rule, sure, unsure, end, caption = render(
        ROWS, "Adapters against their base"
    ).splitlines()
    assert (title, empty, end) == ("Adapters against their base", "", "")
    assert header.split("  ")[1] == "split"
    assert set(rule) == {" ", "─"}
    cells = "validation color accuracy 0.699 0.723 * +0.025 +0.008 to +0.042 5,000"
    assert " ".join(sure.split()) == cells
    cells = "test_unseen shape|form map 0.500 0.491 -0.009 -0.021 to +0.003 998"
    assert " ".join(unsure.split()) == cells
    assert len(header) == len(sure) == len(unsure)
    assert caption == "gain = adapted - base, over the same images; * = its interval leaves out 0"


def test_the_markdown_table_has_one_line_a_row_and_escapes_bars():
    assert to_markdown(ROWS) == (
        "| split | attribute | metric | base | adapted | gain | 95 % interval | images |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| validation | color | accuracy | 0.699 | 0.723 | +0.025 | +0.008 to +0.042 | 5,000 |\n"
        "| test_unseen | shape\\|form | map | 0.500 | 0.491 | -0.009 | -0.021 to +0.003 | 998 |\n"
    )


def test_json_holds_every_field_unrounded():
    assert Row(**to_json(ROWS)[1]) == ROWS[1]
