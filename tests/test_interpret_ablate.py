"""Direct ablation against loops over images, parts and texts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid

from datamodules.errors import InputError
from interpret.ablate import (
    Ablation,
    ablated_logits,
    direct_effect,
    drops,
    layer_curve,
    order_curve,
    sweep,
)
from interpret.parts import Asked, Part, PartScores, heads, mlps
from tests.part_samples import HEADS, LAYERS, PARTS, questions, table

subsets = st.sets(st.sampled_from(PARTS))


def by_hand(scores, parts, source):
    """Mean ablation, written out."""
    result = np.zeros((len(scores), len(scores.texts)))
    for n in range(len(scores)):
        for place, part in enumerate(scores.parts):
            for c in range(len(scores.texts)):
                column = source.values[:, place, c]
                result[n, c] += (
                    sum(column) / len(column) if part in parts else scores.values[n, place, c]
                )
    return result


@settings(max_examples=20, deadline=None)
@given(parts=subsets)
def test_mean_ablation_is_that_of_a_loop(parts):
    scores, held_out = table(0, 6), table(1, 9)
    for source, named in ((held_out, held_out), (scores, "self")):
        found = ablated_logits(scores, parts, Ablation("mean", named))
        assert np.allclose(found, by_hand(scores, parts, source), atol=1e-12)


def test_zero_ablation_leaves_the_other_parts():
    scores = table()
    gone = heads(PARTS)
    kept = scores.values[:, scores.index([part for part in PARTS if part.kind != "head"])]
    found = ablated_logits(scores, gone, Ablation("zero", "self"))
    assert np.allclose(found, kept.sum(axis=1), atol=1e-12)


def test_a_replaced_image_lends_all_its_parts_and_never_itself():
    scores = table(0, 7)
    whole = scores.logits_NC
    found = ablated_logits(scores, PARTS, Ablation("resample", "self", seed=3))
    lenders = [int(np.abs(whole - row).sum(axis=1).argmin()) for row in found]
    assert np.allclose(found, whole[lenders], atol=1e-12)  # the whole of one other image
    assert sorted(lenders) == list(range(7))
    assert all(lender != n for n, lender in enumerate(lenders))
    other = table(5, 3)
    found = ablated_logits(scores, PARTS, Ablation("resample", other, seed=3))
    assert {tuple(row) for row in found.round(9)} <= {
        tuple(row) for row in other.logits_NC.round(9)
    }
    again = ablated_logits(scores, PARTS, Ablation("resample", other, seed=3))
    assert np.array_equal(found, again)


@settings(max_examples=30, deadline=None)
@given(first=subsets, second=subsets)
def test_ablations_add_up(first, second):
    scores, ablation = table(), Ablation("mean", table(1))
    one, two, both, none = (
        direct_effect(scores, parts, ablation)
        for parts in (first, second - first, first | second, [])
    )
    assert np.allclose(one + two, both, atol=1e-10)
    assert not none.any()


def test_ablating_all_leaves_constant_scores_and_again_changes_nothing():
    scores, ablation = table(), Ablation("mean", table(1))
    gone = ablated_logits(scores, PARTS, ablation)
    assert np.ptp(gone, axis=0).max() < 1e-12
    half = PARTS[::2]
    place = scores.index(half)
    values = scores.values.copy()
    values[:, place] = ablation.source.values[:, place].mean(axis=0)
    ablated = PartScores(values, scores.parts, scores.texts)
    once, twice = ablated.logits_NC, ablated_logits(ablated, half, ablation)
    assert np.allclose(once, twice, atol=1e-12)


def test_a_part_that_is_its_own_mean_costs_nothing():
    values = table().values.copy()
    values[:, 4] = values[0, 4]
    scores = PartScores(values, PARTS, table().texts)
    assert np.allclose(direct_effect(scores, [PARTS[4]], Ablation("mean", "self")), 0, atol=1e-14)


def test_losses_are_those_of_each_set_alone():
    scores, ablation = table(), Ablation("mean", table(1))
    asked = questions()
    sets = [PARTS[:2], [PARTS[5]], []]
    expected = [
        [
            each.accuracy(scores.logits_NC) - each.accuracy(by_hand(scores, parts, ablation.source))
            for each in asked
        ]
        for parts in sets
    ]
    assert np.allclose(drops(scores, sets, asked, ablation), expected, atol=1e-12)
    found = sweep(scores, asked, ablation)
    assert found.shape == (len(PARTS), 2)
    assert np.allclose(found[[0, 7]], drops(scores, [[PARTS[0]], [PARTS[7]]], asked, ablation))
    assert drops(scores, [], asked, ablation).shape == (0, 2)


@pytest.mark.parametrize(("kind", "select"), [("head", heads), ("mlp", mlps)])
def test_curves_ablate_layer_after_layer_and_keep_the_other_kind(kind, select):
    scores, ablation = table(), Ablation("resample", table(1), seed=2)
    curve = layer_curve(scores, questions(), ablation, kind)
    assert curve.layers == tuple(range(LAYERS))
    for each in questions():
        assert curve.whole[each.name] == each.accuracy(scores.logits_NC)
        for last in range(LAYERS):
            gone = select(PARTS, set(range(last + 1)))
            assert len(gone) == (last + 1) * (HEADS if kind == "head" else 1)
            expected = each.accuracy(ablated_logits(scores, gone, ablation))
            assert curve.accuracy[each.name][last] == expected


def test_single_precision_tables_are_summed_in_double():
    scores = PartScores(table().values.astype(np.float32), PARTS, table().texts)
    assert scores.logits_NC.dtype == direct_effect(scores, PARTS, Ablation("mean", "self")).dtype
    assert scores.logits_NC.dtype == np.float64


def test_what_does_not_fit_is_refused():
    scores = table()
    with pytest.raises(InputError, match="expected ablation by mean, zero, resample, got 'median'"):
        Ablation("median", "self")
    with pytest.raises(
        InputError, match="a table of the same parts and texts, got one of 11 parts"
    ):
        ablated_logits(scores, PARTS, Ablation("mean", table(texts=("a", "b"))))
    empty = scores.images(np.array([], dtype=int))
    with pytest.raises(InputError, match="expected images to take replacements from, got none"):
        ablated_logits(scores, PARTS, Ablation("mean", empty))
    with pytest.raises(InputError, match="expected two images to exchange parts between"):
        ablated_logits(scores.images(np.array([0])), PARTS, Ablation("resample", "self"))
    with pytest.raises(InputError, match="it has no mlp 9"):
        ablated_logits(scores, [Part("mlp", 9)], Ablation("mean", "self"))
    only = PartScores(scores.values[:, -1:], PARTS[-1:], scores.texts)
    with pytest.raises(InputError, match="expected parts of the kind 'head' in the table"):
        layer_curve(only, questions(), Ablation("mean", "self"))


def known(seed, count=400):
    """Heads know color the better the later they come."""
    random = np.random.default_rng(seed)
    values = 0.3 * random.normal(size=(count, len(PARTS), 3))
    label = random.integers(0, 3, count)
    for place in range(6):
        values[np.arange(count), place, label] += 0.15 * place
    return PartScores(values, PARTS, ("red", "green", "blue")), label


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
def test_an_order_is_judged_step_by_step_and_against_random_ones(kind):
    scores, label = known(0)
    asked = Asked.of("color", scores, scores.texts, label)
    ablation, best = Ablation("mean", known(1)[0]), heads(PARTS)[::-1]
    found = order_curve(scores, asked, best, ablation, kind, num_random=200)
    for count, height in enumerate(found.accuracy):
        gone = best[:count] if kind == "deletion" else best[count:]
        assert height == asked.accuracy(ablated_logits(scores, gone, ablation))
    assert found.area == pytest.approx(trapezoid(found.accuracy) / 6)
    worst = order_curve(scores, asked, best[::-1], ablation, kind, num_random=200)
    assert worst.random_area == pytest.approx(found.random_area, abs=0.02)
    good, bad = (-found.z, -worst.z) if kind == "deletion" else (found.z, worst.z)
    assert good > 1.5
    assert bad < -1.5


def test_orders_with_repeats_are_refused_and_one_part_has_one_order():
    scores, asked = table(), questions()[0]
    ablation = Ablation("mean", "self")
    with pytest.raises(InputError, match="each once, got 2, of which 1 are different"):
        order_curve(scores, asked, [PARTS[0], PARTS[0]], ablation)
    with pytest.raises(InputError, match="each once, got 0"):
        order_curve(scores, asked, [], ablation)
    assert order_curve(scores, asked, PARTS[:1], ablation).z == 0
