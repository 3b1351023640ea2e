"""Confirmation of roles: planted ones are found, shuffled ones are not; glyph-clip's own."""

from itertools import permutations

import numpy as np
import pytest

from datamodules.errors import InputError
from datamodules.sources.glyphs.captions import caption
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import ATTRIBUTES, sample
from interpret.ablate import Ablation, drops
from interpret.heads.causal import confirm, dominance
from interpret.heads.figure import roles_figure
from interpret.heads.planted import batches_of
from interpret.heads.roles import find_roles
from interpret.heads.study import LabelledImages, Words, study_roles
from interpret.parts import Asked, Part, PartScores
from interpret.towers import image_tower
from lightning_modules.backbone import load_backbone
from lightning_modules.callbacks.figures import render
from lightning_modules.class_token import read_class_token_only
from lightning_modules.value_text import value_embeddings

NAMES = ("color", "shape", "size")
HEADS = tuple(Part("head", layer, head) for layer in range(4) for head in range(3))
CARRIERS = {"color": (HEADS[4], HEADS[9]), "shape": (HEADS[1], HEADS[7]), "size": (HEADS[2],)}


def planted(seed, count=600):
    """Each attribute of three values is told by its carriers, beside noise of every head."""
    random = np.random.default_rng(seed)
    texts = [f"{name} {v}" for name in NAMES for v in range(3)]
    values = 0.1 * random.normal(size=(count, len(HEADS), len(texts)))
    asked = []
    for number, name in enumerate(NAMES):
        label = random.integers(0, 3, count)
        columns = np.arange(3 * number, 3 * number + 3)
        for carrier in CARRIERS[name]:
            values[np.arange(count), HEADS.index(carrier), columns[label]] += 1
        asked.append(Asked(name, columns, label))
    return PartScores(values, HEADS, tuple(texts)), asked


def test_planted_roles_are_found_and_confirmed():
    found, judged = planted(0), planted(1)
    roles = find_roles(*found, num_resamples=50)
    chosen = {each.attribute: each.top(len(CARRIERS[each.attribute])) for each in roles}
    assert {name: set(heads) for name, heads in chosen.items()} == {
        name: set(heads) for name, heads in CARRIERS.items()
    }
    ablation = Ablation("mean", found[0])
    result = confirm(chosen, lambda parts: drops(judged[0], [parts], judged[1], ablation)[0], HEADS)
    matrix = np.array(result.matrix)
    assert matrix.diagonal().min() > 0.4
    assert np.abs(matrix - np.diag(matrix.diagonal())).max() < 0.02
    assert all(result.diagonal_is_largest.values())
    assert result.p_permutation == pytest.approx(1 / 6)  # the least of three attributes
    assert result.p_random < 0.05
    assert max(result.random_loss) < 0.15
    wrong = dict(zip(NAMES, [chosen["shape"], chosen["size"], chosen["color"]], strict=True))
    result = confirm(wrong, lambda parts: drops(judged[0], [parts], judged[1], ablation)[0], HEADS)
    assert result.dominance < 0
    assert result.p_permutation > 0.5
    assert result.p_random > 0.5


@pytest.mark.parametrize("standardize", [False, True])
def test_dominance_and_its_permutations_are_those_of_a_loop(standardize):
    matrix = np.random.default_rng(0).normal(size=(4, 4)) + 0.7 * np.eye(4)
    own = [Part("head", 0, number) for number in range(4)]

    def by_hand(rows):
        if standardize:
            columns = [(c - np.mean(c)) / np.std(c) for c in rows.T]
            rows = np.array(columns).T
        on = [rows[a, a] for a in range(4)]
        off = [rows[a, b] for a in range(4) for b in range(4) if a != b]
        return sum(on) / 4 - sum(off) / 12

    assert dominance(matrix, standardize=standardize) == pytest.approx(by_hand(matrix))
    result = confirm(
        {name: [head] for name, head in zip("abcd", own, strict=True)},
        lambda parts: matrix[next(iter(parts)).head],
        own,
        standardize=standardize,
        num_sets=8,
    )
    every = [by_hand(matrix[list(order)]) for order in permutations(range(4))]
    expected = np.mean([value >= by_hand(matrix) - 1e-9 for value in every])
    assert result.p_permutation == pytest.approx(expected)


def test_many_attributes_are_permuted_at_random():
    own = [Part("head", 0, number) for number in range(8)]
    result = confirm(
        {str(number): [head] for number, head in enumerate(own)},
        lambda parts: np.eye(8)[next(iter(parts)).head],
        own,
        num_sets=8,
    )
    assert result.p_permutation < 0.002
    assert result.dominance == pytest.approx(8 / np.sqrt(7))  # of the identity


def test_constant_columns_count_nothing():
    assert dominance(np.full((3, 3), 0.2), standardize=True) == 0


def test_what_does_not_fit_is_refused():
    head = Part("head", 0, 0)
    with pytest.raises(InputError, match="heads of at least two attributes, got 1"):
        confirm({"color": [head]}, lambda _: [0.0], [head])
    with pytest.raises(InputError, match="expected 1 to 1 heads of shape, got 0"):
        confirm({"color": [head], "shape": []}, lambda _: [0.0, 0.0], [head])
    with pytest.raises(InputError, match="at least 2 random sets of heads, got 1"):
        confirm({"a": [head], "b": [head]}, lambda _: [0.0, 0.0], [head], num_sets=1)


@pytest.fixture(scope="module")
def study():
    backbone = load_backbone("glyph-clip")
    model, tokenizer = backbone.model, backbone.tokenizer
    read_class_token_only(model)  # changes no number
    words = {
        name: Words(
            values,
            value_embeddings(
                model, tokenizer, [[caption({name: v}, style=s) for s in range(2)] for v in values]
            ),
        )
        for name, values in ATTRIBUTES.items()
    }
    found_on, judged_on = (drawn(backbone, f"head roles/{use}") for use in ("found", "judged"))
    return study_roles(image_tower(model), words, found_on, judged_on, top=2, num_runs=4)


def drawn(backbone, stream, count=100):
    scenes = sample(0, stream, np.arange(count))
    labels = dict(zip(ATTRIBUTES, scenes.labels().T, strict=True))
    return LabelledImages(batches_of(backbone, draw(scenes)), labels)


def test_glyph_clip_has_heads_of_its_own_for_each_attribute(study):
    """Truth is known: what an image shows was drawn."""
    tops = {roles.attribute: roles.top(1)[0] for roles in study.roles}
    assert len(set(tops.values())) == 4
    for roles in study.roles:
        assert roles.accuracy > 0.5
        best = max(roles.roles, key=lambda role: role.class_share)
        assert best.low > np.median([role.high for role in roles.roles])


@pytest.mark.parametrize("kind", ["direct", "total"])
def test_glyph_clips_roles_are_confirmed_by_ablation(study, kind):
    confirmation = getattr(study, kind)
    largest = confirmation.diagonal_is_largest
    assert largest["color"]
    assert largest["shape"]
    assert largest["texture"]
    assert confirmation.p_permutation == pytest.approx(1 / 24)  # the least of four attributes
    least = 1 / (1 + confirmation.num_sets)
    assert confirmation.p_random == pytest.approx(least)  # as low as so few sets can tell


def test_the_last_layers_carry_it_and_the_study_is_written_down(study):
    heads, mlps = study.curves
    for name, whole in heads.whole.items():
        assert heads.accuracy[name][0] > whole - 0.1
        assert heads.accuracy[name][-1] < whole - 0.25
        assert mlps.whole[name] == whole
    for deletion, insertion in study.orders.values():
        assert deletion.z < -1.5
        assert insertion.z > 1.5
    found = study.to_json()
    assert found["direct"]["heads"]["color"] == [str(p) for p in study.direct.heads["color"]]
    assert set(found["single_drops"]) >= {"layer 3 head 3", "mlp 0", "embedding", "constant"}
    assert found["roles"][0]["roles"][0]["head"] == "layer 0 head 0"
    picture = render(roles_figure(study, title="glyph-clip")).astype(int)
    assert min(picture.shape[:2]) > 400
    blue = (picture[..., 2] - picture[..., 0]) > 60  # the darkest share: texture's top head
    assert blue.mean() > 0.005
