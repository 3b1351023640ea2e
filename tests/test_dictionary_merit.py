"""Groups and merit: arithmetic by hand on small attributes."""

import numpy as np
import pytest

from datamodules.dictionary import Attribute, Value
from datamodules.dictionary.grouping.groups import grouped
from datamodules.dictionary.merit import judged, ranked, separabilities


def value(text, count, margin=0.0, evidence="anchor", **more):
    return Value(f"v_{text}", text, count, margin=margin, evidence=evidence, **more)


COLOR = Attribute(
    "color",
    (
        value("red", 100, evidence="seed"),
        value("crimson", 60, margin=0.12),
        value("navy", 40, margin=0.05),
    ),
)
MOOD = Attribute("mood", (value("calm", 3, status="reviewed"),))


def test_merit_is_the_geometric_mean_of_its_parts():
    color, mood = judged(
        [COLOR, MOOD], {"color": 0.8, "mood": 0.01}, min_margin=0.05, read_from="annotations"
    )
    # coverage .8, purity (100 + 60) / 200, (3 - 1) / 4 values, median 60 of 50
    assert color.merit.score == pytest.approx((0.8 * 0.8 * 0.5 * 1) ** 0.25, abs=1e-3)
    assert color.merit.purity == 0.8
    assert color.merit.median_count == 60
    assert "held back by" not in " ".join(color.merit.reasons)
    assert mood.merit.score == 0  # one value tells nothing apart
    assert mood.merit.purity == 1
    assert mood.merit.reasons[-1] == "held back by few values"
    assert [each.name for each in ranked([mood, color])] == ["color", "mood"]


@pytest.mark.parametrize(
    ("read_from", "sentences"),
    [
        ("captions", (
            "10 % of the images have captions that speak of it",
            "3 values, 60 captions each in the median",
            "held back by few images whose captions speak of it",
        )),
        ("annotations", (
            "10 % of the annotated mentions are of it", "3 values, 60 mentions each in the median",
            "held back by few annotated mentions of it",
        )),
        ("list", (
            "10 % of the mentions in the list are of it",
            "3 values, 60 mentions each in the median",
            "held back by few mentions in the list of it",
        )),
    ],
)  # fmt: skip
def test_sentences_speak_of_what_was_counted(read_from, sentences):
    (color,) = judged([COLOR], {"color": 0.1}, min_margin=0.05, read_from=read_from)
    first, second, *_, last = color.merit.reasons
    assert (first, second, last) == sentences
    if read_from != "captions":
        assert "image" not in " ".join(color.merit.reasons)


def test_one_value_of_one_mention_is_counted_in_the_singular():
    one = Attribute("mood", (value("calm", 1),))
    (mood,) = judged([one], {"mood": 1.0}, min_margin=0.05, read_from="list")
    assert mood.merit.reasons[1] == "1 value, 1 mention each in the median"


def test_separability_counts_where_a_backbone_was_asked():
    (plain,) = judged([COLOR], {"color": 0.8}, min_margin=0.05, read_from="annotations")
    (apart,) = judged(
        [COLOR], {"color": 0.8}, min_margin=0.05, read_from="captions", separability={"color": 0.5}
    )
    expected = (plain.merit.score**4 * 0.75) ** (1 / 5)
    assert apart.merit.score == pytest.approx(expected, abs=2e-3)
    assert "silhouette of its text features 0.50" in apart.merit.reasons


def naive_silhouette(features, owner):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    distance = 1 - unit @ unit.T
    found = []
    for row in range(len(owner)):
        same = [c for c in range(len(owner)) if owner[c] == owner[row] and c != row]
        others = {o for o in owner if o != owner[row]}
        inside = distance[row, same].mean() if same else None
        outside = min(
            distance[row, [c for c in range(len(owner)) if owner[c] == o]].mean() for o in others
        )
        found.append(0.0 if inside is None else (outside - inside) / max(inside, outside))
    return np.array(found)


def test_separability_is_the_mean_silhouette_of_known_words():
    features = np.random.default_rng(0).standard_normal((7, 5))
    features[2] = 0  # no features: left out
    attributes = [
        Attribute("a", tuple(value(f"a{n}", 1) for n in range(4))),
        Attribute("b", tuple(value(f"b{n}", 1) for n in range(3))),
    ]
    owner = np.array([0, 0, 0, 1, 1, 1])
    expected = naive_silhouette(np.delete(features, 2, axis=0), owner)
    found = separabilities(attributes, features)
    assert found["a"] == pytest.approx(expected[:3].mean(), abs=1e-3)
    assert found["b"] == pytest.approx(expected[3:].mean(), abs=1e-3)
    assert separabilities(attributes[:1], features[:4]) == {}


def test_groups_are_named_by_the_value_nearest_their_weighted_center():
    angle = np.deg2rad([0, 10, 30, 90, 200])
    features = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    values = tuple(
        value(text, count)
        for text, count in (("navy", 1), ("blue", 1000), ("teal", 1), ("red", 5), ("odd", 3))
    )
    done = grouped(Attribute("color", values), features, np.array([1, 1, 1, 0, -1]))
    assert [group.id for group in done.groups] == ["color/blue", "color/red"]
    assert [each.group for each in done.values] == ["color/blue"] * 3 + ["color/red", ""]
    weight = np.log1p([1, 1000, 1])
    center = (weight[:, None] * features[:3]).sum(0)
    center /= np.linalg.norm(center)
    assert done.groups[0].cohesion == pytest.approx((features[:3] @ center).mean(), abs=1e-3)
    assert done.groups[0].medoid == "v_blue"
