"""Shares, concentration and keywords against loops, pairs of values, SciPy and counts by hand."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, f_oneway, spearmanr

from datamodules.errors import InputError
from interpret.heads.concentration import (
    effective_number,
    gini,
    rank_correlation,
    selectivity,
)
from interpret.heads.keywords import scan_keywords
from interpret.heads.roles import find_roles
from interpret.heads.shares import (
    class_shares,
    covariance_shares,
    separation,
    share_intervals,
)
from interpret.parts import Asked, Part, PartScores
from tests.part_samples import PARTS, TEXTS, questions, table

COLOR = np.array([0, 1, 2])


def test_shares_sum_to_one_and_pool_all_pairs_of_values():
    scores = table()
    covariance, variance = np.zeros(len(PARTS)), 0.0
    for a, b in combinations(COLOR, 2):
        part = scores.values[:, :, a] - scores.values[:, :, b]
        covariance += [np.cov(column, part.sum(axis=1))[0, 1] for column in part.T]
        variance += part.sum(axis=1).var(ddof=1)
    found = covariance_shares(scores, COLOR)
    assert np.allclose(found, covariance / variance, atol=1e-12)
    assert abs(found.sum() - 1) < 1e-12


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), factor=st.floats(0.1, 9))
def test_shares_ignore_order_scale_and_what_all_values_or_images_get(seed, factor):
    scores = table(seed)
    random = np.random.default_rng(seed)
    values = factor * scores.values[random.permutation(len(scores))]
    values += random.normal(size=(1, len(PARTS), len(TEXTS)))  # the same for every image
    values += random.normal(size=(len(scores), len(PARTS), 1))  # the same for every value
    other = PartScores(values, PARTS, TEXTS)
    assert np.allclose(covariance_shares(other, COLOR), covariance_shares(scores, COLOR), atol=1e-9)


def test_a_part_that_says_all_has_all_of_it():
    values = np.zeros((40, len(PARTS), len(TEXTS)))
    values[:, 3] = table().values[:, 3]
    scores = PartScores(values, PARTS, TEXTS)
    found = covariance_shares(scores, COLOR)
    assert found[3] == pytest.approx(1)
    assert not np.delete(found, 3).any()
    with pytest.raises(
        InputError, match=r"got no variance\. Use more images, or texts that differ"
    ):
        covariance_shares(scores.images(np.array([0])), COLOR)
    with pytest.raises(InputError, match="images to take covariances over, got none"):
        covariance_shares(scores.images(np.array([], dtype=int)), COLOR)


def test_class_shares_are_those_of_the_means_of_values():
    color, _ = questions()
    scores = table()
    part = scores.values[:, :, COLOR] - scores.values[:, :, COLOR].mean(axis=2, keepdims=True)
    mean = np.stack([part[color.label == v].mean(axis=0) for v in range(3)])
    mean -= mean.mean(axis=0)
    whole = mean.sum(axis=1)
    expected = [(mean[:, p] * whole).sum() / (whole**2).sum() for p in range(len(PARTS))]
    found = class_shares(scores, color)
    assert np.allclose(found, expected, atol=1e-12)
    assert found.sum() == pytest.approx(1)


def test_separation_of_two_values_follows_from_the_f_statistic():
    _, shape = questions()
    scores = table()
    found = separation(scores, shape)
    gap = scores.values[:, :, 3] - scores.values[:, :, 4]
    for place in range(len(PARTS)):
        groups = [gap[shape.label == v, place] for v in range(2)]
        f, within = f_oneway(*groups).statistic, sum(map(len, groups)) - 2
        assert found[place] == pytest.approx(f / (f + within), abs=1e-12)


def test_intervals_are_those_of_resampled_tables():
    scores = table(count=25)
    low, high = share_intervals(scores, COLOR, num_resamples=60, seed=4)
    draws = np.random.default_rng(4).multinomial(25, np.full(25, 1 / 25), size=60)
    shares = [
        covariance_shares(scores.images(np.repeat(np.arange(25), counts)), COLOR)
        for counts in draws
    ]
    expected = np.quantile(shares, [0.025, 0.975], axis=0)
    assert np.allclose([low, high], expected, atol=1e-10)


def test_intervals_shrink_with_images_and_hold_the_share():
    widths = []
    for count in (50, 800):
        scores = table(count=count)
        low, high = share_intervals(scores, COLOR, num_resamples=200)
        share = covariance_shares(scores, COLOR)
        assert ((low <= share) & (share <= high)).all()
        widths.append((high - low).mean())
    assert widths[1] < 0.4 * widths[0]  # sixteen times the images: a quarter


def test_concentration_of_equal_and_of_single_shares():
    assert effective_number(np.full(4, 0.25)) == pytest.approx(4)
    assert effective_number(np.array([0, 1.0, 0, -0.3])) == pytest.approx(1)
    assert effective_number(np.array([0.5, 0.25, 0.25])) == pytest.approx(2**1.5)
    assert gini(np.full(5, 0.2)) == pytest.approx(0)
    assert gini(np.array([0, 0, 3.0, 0])) == pytest.approx(0.75)
    x = np.array([0.1, 0.5, 0.9, 2.0])
    pairs = sum(abs(a - b) for a in x for b in x)
    assert gini(x) == pytest.approx(pairs / (2 * len(x) ** 2 * x.mean()))
    for function in (effective_number, gini):
        with pytest.raises(InputError, match="no part carries this attribute"):
            function(np.array([0.0, -1.0]))


def test_selectivity_is_a_heads_share_among_its_own_roles():
    found = selectivity(np.array([[0.2, -1.0, 0.0], [0.6, 0.5, -0.1]]))
    assert np.allclose(found, [[0.25, 0, 0], [0.75, 1, 0]])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
@settings(max_examples=50, deadline=None)
def test_rank_correlation_is_spearmans(pairs):
    one, other = np.array(pairs, dtype=float).T
    found = rank_correlation(one, other)
    if len(set(one)) < 2 or len(set(other)) < 2:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)


HEADS = {
    Part("head", 0, 0): ["a red thing", "REDS and blues", "a redder sky", "an infrared photo"],
    Part("head", 0, 1): ["a round box", "light  blue sky", "two boxes", "striped"],
    Part("head", 1, 0): ["a dog", "a cat", "a mouse", "a house"],
}


def test_keywords_are_whole_words_or_phrases_in_singular_or_plural():
    found = scan_keywords(HEADS, {"color": ["red", "light blue"], "shape": ["box", "round"]})
    texts = {(role.attribute, role.head): role.texts for role in found}
    first, second, third = HEADS
    assert texts["color", first] == ("a red thing", "REDS and blues")
    assert texts["color", second] == ("light  blue sky",)
    assert texts["shape", second] == ("a round box", "two boxes")
    assert texts["shape", first] == texts["color", third] == ()
    assert len(found) == 6


def test_keyword_rates_are_tested_against_the_rate_of_all_heads():
    random = np.random.default_rng(0)
    rates = [0.9, 0.5, 0.2, 0.2, 0.1, 0.2]
    heads = {
        Part("head", 0, number): ["red" if u < rate else "dog" for u in random.random(20)]
        for number, rate in enumerate(rates)
    }
    found = scan_keywords(heads, {"color": ["red"], "animal": ["dog"]})
    total = sum(line == "red" for lines in heads.values() for line in lines)
    for role in found:
        mean = total / 120 if role.attribute == "color" else 1 - total / 120
        assert role.mean_rate == pytest.approx(mean)
        assert (role.rate, role.num_texts) == (role.count / 20, 20)
        expected = binomtest(role.count, 20, mean, alternative="greater").pvalue
        assert role.p == pytest.approx(expected, rel=1e-9)
    p = sorted(role.p for role in found)
    for role in found:  # Benjamini and Hochberg, written out
        q = min(min(1, len(p) * p[k] / (k + 1)) for k in range(len(p)) if p[k] >= role.p)
        assert role.q == pytest.approx(q, rel=1e-9)
    assert [role.q for role in found] == sorted(role.q for role in found)
    best = next(role for role in found if role.attribute == "color")
    assert best.head == Part("head", 0, 0)
    assert best.q < 0.01


def test_scans_without_texts_or_words_are_refused():
    with pytest.raises(InputError, match="texts of every head, got none of layer 0 head 0"):
        scan_keywords({Part("head", 0, 0): []}, {"color": ["red"]})
    with pytest.raises(InputError, match="words for the attribute 'color', got none"):
        scan_keywords(HEADS, {"color": [" "]})
    with pytest.raises(InputError, match="heads with texts and attributes with words"):
        scan_keywords({}, {"color": ["red"]})


def test_roles_gather_the_scores_of_heads_alone():
    scores, asked = table(), questions()
    color, shape = find_roles(scores, asked, num_resamples=50)
    at = scores.index([role.head for role in color.roles])
    share = covariance_shares(scores, COLOR)
    assert [role.head for role in color.roles] == [p for p in PARTS if p.kind == "head"]
    assert [role.share for role in color.roles] == pytest.approx(share[at])
    assert color.others == pytest.approx(1 - share[at].sum())
    assert color.accuracy == asked[0].accuracy(scores.logits_NC)
    assert color.num_images == (asked[0].label >= 0).sum()
    for one, other in zip(color.roles, shape.roles, strict=True):
        total = one.selectivity + other.selectivity
        assert total == pytest.approx(1 if max(one.share, other.share) > 0 else 0)
        assert one.low <= one.share <= one.high
    ranked = sorted(color.roles, key=lambda role: -role.class_share)
    assert color.top(2) == (ranked[0].head, ranked[1].head)
    spearman = spearmanr([r.share for r in color.roles], [r.separation for r in color.roles])
    assert color.agreement["separation"] == pytest.approx(spearman.statistic)
    with pytest.raises(InputError, match="expected 1 to 6 top heads, got 7"):
        color.top(7)
    rest = PartScores(scores.values[:, 6:], PARTS[6:], TEXTS)
    with pytest.raises(InputError, match="expected a table with heads"):
        find_roles(rest, [Asked("color", COLOR, asked[0].label)])
