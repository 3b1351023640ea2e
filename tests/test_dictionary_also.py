"""Other attributes that a value could be of: found by the build, kept by files and edits."""

from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from datamodules.dictionary import Dictionary, build_dictionary
from datamodules.dictionary.anchoring.anchors import decide
from datamodules.dictionary.build import build
from datamodules.dictionary.edits import Edits, apply_edits
from datamodules.dictionary.explain import explain
from datamodules.dictionary.fronts import from_captions, from_mentions
from datamodules.dictionary.settings import CaptionSettings, LikenessSettings, Settings, TypeSpec
from datamodules.dictionary.words.mention import Mention
from datamodules.dictionary.words.vocabulary import count
from datamodules.errors import InputError
from datamodules.sources.glyphs.captions import captions
from datamodules.sources.glyphs.world import sample

NAMES = ("hue", "stuff", "form", "bulk", "mood", "deed", "age", "site")
TYPES = tuple(
    TypeSpec(name, (name,), tuple(f"{name}{letter}" for letter in "abc")) for name in NAMES
)
SETTINGS = {
    mode: Settings(mode=mode, types=TYPES, likeness=LikenessSettings(rules=()))
    for mode in ("anchored", "hdbscan")
}
MIXED = tuple(f"mix{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")


class Drawn:
    """Seeds and names of a type lie around an axis, mixed words between two axes."""

    name, content_hash = "drawn", "0" * 64

    def encode(self, texts):
        return np.array([self._row(text) for text in texts], dtype=np.float32)

    def known(self, texts):
        return np.array([text != "unheard" for text in texts])

    def _row(self, text):
        rng = np.random.default_rng(list(text.encode()))
        row = 0.1 * rng.normal(size=12)
        if text in MIXED:
            first, second = rng.choice(len(NAMES), size=2, replace=False)
            row[first] += 1
            row[second] += rng.uniform(0.5, 1)
        elif text != "unheard":
            row[[text.startswith(name) for name in NAMES].index(True)] += 1
        return row


def front():
    words = [word for kind in TYPES for word in kind.seeds] + [*MIXED, "unheard"]
    mentions = [Mention("s", "", "", word, times=90 - n) for n, word in enumerate(words)]
    return from_mentions(count(mentions), Settings(types=TYPES), Drawn())


@cache
def built(mode="anchored"):
    return build("mixed", front(), data_hash="x", settings=SETTINGS[mode])


def values(dictionary):
    return [(each, value) for each in dictionary.attributes for value in each.values]


def slow_scores():
    """Ridge regression by scikit-learn, then smoothing as one linear system."""
    found, typing = front(), LikenessSettings()
    names = [number for number, word in enumerate(found.anchors) if word in NAMES]
    texts = [*found.keys(), *(found.anchors[number] for number in names)]
    rows = np.vstack([found.features_CD, found.anchor_rows_AD[names]])
    seeds = [texts.index(word) for kind in TYPES for word in kind.anchors]
    target = np.kron(np.eye(len(NAMES)), np.ones((4, 1)))
    model = Ridge(alpha=typing.ridge, fit_intercept=False).fit(
        rows[seeds], target - target.mean(axis=0)
    )
    scores = model.predict(rows)
    weights = np.zeros((len(texts), len(texts)))
    for row in range(len(texts)):
        cosine = rows[row] @ rows.T
        cosine[row] = -np.inf
        near = np.argsort(-cosine)[: typing.neighbors]
        weights[row, near] = np.maximum(cosine[near], 0) ** 2
    total = weights.sum(axis=1, keepdims=True)
    weights = np.where(total > 0, weights / np.where(total > 0, total, 1), np.eye(len(texts)))
    half = typing.smoothing
    return texts, np.linalg.solve(np.eye(len(texts)) - half * weights, (1 - half) * scores)


def test_a_list_says_nothing_of_images_and_names_what_typed_it():
    dictionary, likeness = built(), LikenessSettings()
    assert dictionary.read_from == "list"
    assert {(each.exclusive, each.overlap) for each in dictionary.attributes} == {(None, None)}
    assert dictionary.settings == {
        "mode": "anchored", "min_count": 5, "seed": 0,
        "grouping": {"groups": "hdbscan", "pca": 10, "min_cluster_size": 3},
        "likeness": {**asdict(likeness), "rules": []},
    }  # fmt: skip
    told = (replace(TYPES[0], exclusive=True), *TYPES[1:])
    again = build(
        "mixed", front(), data_hash="x", settings=replace(SETTINGS["anchored"], types=told)
    )
    assert [each.exclusive for each in again.attributes] == [True] + [None] * 7
    word = TYPES[0].seeds[0]
    assert explain(dictionary, word)[0] == f"{word!r} is a value of hue, listed 90 times"
    assert "'unheard' is no value, listed 40 times" in explain(dictionary, "unheard")
    with pytest.raises(InputError, match=r"Near spellings: none\.$"):  # no word is too rare
        explain(dictionary, "zzz")


def test_seeds_are_checked_by_the_regression_that_types_words():
    found = front()
    rows = dict(zip(found.anchors, found.anchor_rows_AD, strict=True))
    kinds = [[*kind.seeds, *kind.names] for kind in TYPES]
    right = []
    for number, kind in enumerate(TYPES):
        for seed in kind.seeds:
            others = [(word, n) for n, words in enumerate(kinds) for word in words if word != seed]
            target = np.eye(len(TYPES))[[n for _, n in others]]
            model = Ridge(alpha=LikenessSettings().ridge, fit_intercept=False).fit(
                [rows[word] for word, _ in others], target - target.mean(axis=0)
            )
            right.append(model.predict(rows[seed][None])[0].argmax() == number)
    expected = {"regression": round(np.mean(right), 3)}
    assert built().scores["anchored"]["seed_accuracy"] == expected


def test_types_that_reach_the_threshold_are_listed_best_first():
    scores_CT = np.random.default_rng(0).random((50, 6))
    typed = decide(scores_CT, {3: (5, "seed")}, min_score=0.6, min_margin=0.1)
    for scores, near in zip(scores_CT.tolist(), typed.near_C, strict=True):
        least = max(0.6, max(scores) - 0.2)
        by_hand = sorted((number for number in range(6) if scores[number] >= least),
                         key=lambda number: -scores[number])  # fmt: skip
        if scores != scores_CT[3].tolist():
            assert list(near) == by_hand
    even = decide(np.full((1, 3), 0.5), {}, min_score=0.5, min_margin=0.1)
    assert even.near_C == ((0, 1, 2),)


def test_also_is_every_other_type_whose_score_is_enough_and_not_surely_lower():
    texts, scores_WT = slow_scores()
    typing = LikenessSettings()
    assert np.abs(scores_WT - typing.min_score).min() > 1e-4  # nothing hangs on the last digits
    number = 0
    for attribute, value in values(built()):
        own = NAMES.index(attribute.name)
        scores = scores_WT[texts.index(value.text)]
        least = max(typing.min_score, scores[own] - 2 * typing.min_margin)
        others = [n for n in np.argsort(-scores).tolist() if n != own and scores[n] >= least]
        assert value.also == tuple(NAMES[n] for n in others), value.text
        number += bool(others)
    assert number >= 3


def test_also_of_words_in_captions_is_by_the_mean_of_the_nearest_seeds():
    index = np.arange(300)
    told = captions(sample(0, "train", index), seed=0, stream="train", index=index)
    settings = Settings(captions=CaptionSettings(min_score=0.2, min_margin=0.4))
    dictionary = build_dictionary("glyphs", told, data_hash="x", settings=settings)
    words = from_captions(told, settings, seed=0)
    row_of = {key: row for row, key in enumerate(words.keys())}
    cosines = words.features_CD @ words.features_CD.T
    number = 0
    for attribute, value in values(dictionary):
        row, scores, least = row_of[value.text], {}, max(0.2, value.score - 0.8)
        for kind in settings.types:
            seeds = [row_of[seed] for seed in kind.seeds if seed in row_of]
            near = sorted((cosines[row, seed] for seed in seeds if seed != row), reverse=True)[:3]
            if near and kind.name != attribute.name and np.mean(near) >= least:
                scores[kind.name] = np.mean(near)
        assert value.also == tuple(sorted(scores, key=lambda name: -scores[name])), value.text
        number += bool(scores)
    assert number >= 3


def test_a_word_that_reaches_one_threshold_but_leads_too_little_is_between():
    texts, scores_WT = slow_scores()
    reasons = {each.text: each.reason for each in built().unassigned}
    assert reasons.pop("unheard") == "no vector"
    for text, reason in reasons.items():
        enough = scores_WT[texts.index(text)].max() >= LikenessSettings().min_score
        assert reason == ("between two attributes" if enough else "far from every seed")
    assert "between two attributes" in reasons.values()


def test_hdbscan_alone_names_no_other_attribute():
    pure = built("hdbscan")
    assert pure.attributes
    assert not any(value.also for _, value in values(pure))


def test_also_survives_its_file_and_rebuilding_gives_equal_bytes(tmp_path):
    built().save(tmp_path / "one.json")
    again = build("mixed", front(), data_hash="x", settings=SETTINGS["anchored"])
    again.save(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert Dictionary.load(tmp_path / "one.json") == built()


def test_a_value_moved_to_one_of_them_keeps_the_others_alone():
    attribute, value = next(pair for pair in values(built()) if pair[1].also)
    target = value.also[0]
    edited = apply_edits(built(), Edits(move={value.text: target}))
    moved_to, moved = edited.find(value.text)
    assert (moved_to.name, moved.evidence) == (target, "edit")
    assert moved.also == value.also[1:]
    renamed = apply_edits(built(), Edits(rename={target: "tone"}))
    assert renamed.find(value.text)[1].also == ("tone", *value.also[1:])
    assert attribute.name not in moved.also
    loose = next(each for each in built().unassigned if each.reason == "between two attributes")
    taken = apply_edits(built(), Edits(move={loose.text: "form"}))
    assert taken.find(loose.text)[1].also == ()  # a person has decided


@pytest.mark.parametrize("some", [True, False])
def test_explain_names_the_others_in_a_sentence(some):
    _, value = next(pair for pair in values(built()) if bool(pair[1].also) is some)
    lines = [line for line in explain(built(), value.text) if "could also" in line]
    sentence = f"  could also be a value of {' or '.join(value.also)}: its score is high enough"
    assert lines == ([sentence] if some else [])
