"""False cues, planted into tables of part scores and into drawn images."""

import numpy as np
import pytest

from datamodules.errors import InputError
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import sample
from interpret.ablate import Ablation, ablated_logits
from interpret.heads.planted import PATCH, biased_cue, plant_patch, study_planted
from interpret.heads.spurious import (
    CueLabels,
    choose_spurious,
    cue_and_class_shares,
    judge_removal,
    score_groups,
    with_offset,
)
from interpret.parts import Part, PartScores
from lightning_modules.backbone import load_backbone
from lightning_modules.class_token import read_class_token_only
from tests.part_samples import truth

HEADS = tuple(Part("head", layer, head) for layer in range(3) for head in range(4))
PARTS = (
    *HEADS,
    *(Part("mlp", layer) for layer in range(3)),
    Part("embedding"),
    Part("constant"),
)
KNOWS, BLAMED = HEADS[5], (HEADS[2], HEADS[9])


def planted(seed, count, agreement, classes=("landbird", "waterbird")):
    """One head knows the class, two know the cue and speak louder, all else is noise."""
    labels = truth(seed, count, agreement)
    values = 0.2 * np.random.default_rng(seed + 50).normal(size=(count, len(PARTS), 2))
    rows = np.arange(count)
    values[rows, PARTS.index(KNOWS), labels.label] += 1.0
    for part, size in zip(BLAMED, (0.9, 0.8), strict=True):
        values[rows, PARTS.index(part), labels.cue] += size
    return PartScores(values, PARTS, classes), labels


def test_groups_are_scored_as_by_hand():
    scores, labels = planted(0, 200, 0.7)
    logits = scores.logits_NC
    right = {}
    for n in range(200):
        group = (labels.label[n], labels.cue[n])
        right.setdefault(group, []).append(logits[n].argmax() == labels.label[n])
    found = score_groups(logits, labels)
    means = [np.mean(each) for each in right.values()]
    assert len(means) == 4
    assert found.worst_group == pytest.approx(min(means))
    assert found.group_mean == pytest.approx(np.mean(means))
    assert found.average == pytest.approx(np.mean(logits.argmax(axis=1) == labels.label))


def test_of_two_classes_shares_are_those_of_balanced_differences():
    scores, labels = planted(1, 300, 0.8)
    gap = scores.values[..., 1] - scores.values[..., 0]
    mean = {
        (y, u): gap[(labels.label == y) & (labels.cue == u)].mean(axis=0)
        for y in (0, 1)
        for u in (0, 1)
    }
    cue = mean[0, 1] - mean[0, 0] + mean[1, 1] - mean[1, 0]
    label = mean[1, 0] - mean[0, 0] + mean[1, 1] - mean[0, 1]
    found_cue, found_class = cue_and_class_shares(scores, labels)
    assert np.allclose(found_cue, cue / cue.sum(), atol=1e-12)
    assert np.allclose(found_class, label / label.sum(), atol=1e-12)


def test_shares_do_not_depend_on_how_large_groups_are():
    scores, labels = planted(2, 300, 0.8)
    again = np.concatenate([np.arange(300), np.flatnonzero(labels.label == labels.cue)])
    other = CueLabels(labels.label[again], labels.cue[again])
    for one, two in zip(
        cue_and_class_shares(scores, labels),
        cue_and_class_shares(scores.images(again), other),
        strict=True,
    ):
        assert np.allclose(one, two, atol=1e-12)
        assert one.sum() == pytest.approx(1)


def test_planted_parts_are_found_on_validation_and_their_removal_helps_on_test():
    train, _ = planted(3, 400, 0.95)
    validation, test = planted(4, 800, 0.95), planted(5, 800, 0.5)
    ablation = Ablation("mean", train)
    choice = choose_spurious(*validation, HEADS, ablation)
    assert set(choice.parts) == set(BLAMED)
    assert choice.parts[0] == choice.ranking[0]
    for number, scored in enumerate(choice.path):
        logits = ablated_logits(validation[0], choice.ranking[:number], ablation)
        assert scored == score_groups(logits, validation[1])
    removal = judge_removal(*test, choice.parts, HEADS, ablation)
    assert removal.before.worst_group < 0.3
    assert removal.after.worst_group > 0.7
    assert removal.after.average > removal.before.average + 0.1
    assert max(removal.random) <= removal.after.worst_group
    assert removal.p_random < 0.05
    assert len(removal.random) == 200


def test_nothing_is_removed_where_there_is_no_cue():
    scores, _ = planted(6, 600, 0.5)
    values = scores.values.copy()
    for part in BLAMED:
        values[:, PARTS.index(part)] = 0
    labels = truth(6, 600, 0.5)
    clean = PartScores(values, PARTS, scores.texts)
    choice = choose_spurious(clean, labels, HEADS, Ablation("mean", clean))
    before, after = choice.path[0], choice.path[len(choice.parts)]
    assert KNOWS not in choice.parts
    assert after.worst_group - before.worst_group < 0.05


def test_parts_that_are_ablated_anyway_are_no_candidates():
    train, _ = planted(3, 400, 0.95)
    validation = planted(4, 800, 0.95)
    ablation = Ablation("mean", train)
    always = [*BLAMED[:1], Part("mlp", 0)]
    choice = choose_spurious(*validation, HEADS, ablation, always=always)
    assert set(choice.parts) == set(BLAMED[1:])
    logits = ablated_logits(validation[0], always, ablation)
    assert choice.path[0] == score_groups(logits, validation[1])
    removal = judge_removal(*validation, BLAMED, HEADS, ablation, always=always, num_random=5)
    assert removal.before == choice.path[0]
    logits = ablated_logits(validation[0], {*BLAMED, *always}, ablation)
    assert removal.after == score_groups(logits, validation[1])


def test_what_does_not_fit_is_refused():
    scores, labels = planted(0, 50, 0.9)
    ablation = Ablation("mean", "self")
    always = CueLabels(labels.label, labels.label)
    with pytest.raises(InputError, match=r"got none of class 0 with cue 1\. Add such images"):
        choose_spurious(scores, always, HEADS, ablation)
    with pytest.raises(InputError, match="a class and a cue for each of 50 images, got 49"):
        judge_removal(scores, CueLabels(labels.label[1:], labels.cue[1:]), [], HEADS, ablation)
    with pytest.raises(InputError, match="classes among the 2 texts of the table, got number 2"):
        judge_removal(scores, CueLabels(labels.label + 1, labels.cue), [], HEADS, ablation)
    with pytest.raises(InputError, match="at least 2 candidates to draw as many at random, got 1"):
        judge_removal(scores, labels, BLAMED, HEADS[:1], ablation)
    with pytest.raises(InputError, match="one class and one cue for each image"):
        CueLabels(labels.label, labels.cue[1:])
    with pytest.raises(InputError, match="classes and cues from 0 on"):
        CueLabels(labels.label - 1, labels.cue)
    silent = PartScores(0 * scores.values, PARTS, scores.texts)
    with pytest.raises(InputError, match="answers change with the cue, these do not"):
        cue_and_class_shares(silent, labels)


def test_an_offset_goes_into_the_constant():
    scores, _ = planted(0, 10, 0.9)
    moved = with_offset(scores, np.array([-0.5, 0.5]))
    assert np.allclose(moved.logits_NC - scores.logits_NC, [[-0.5, 0.5]])
    assert np.array_equal(moved.values[:, :-1], scores.values[:, :-1])


def test_a_patch_covers_its_corner_and_nothing_else():
    images = draw(sample(0, "patches", np.arange(6)))
    cue = np.array([0, 1, 0, 1, 1, 0])
    found = plant_patch(images, cue)
    assert np.array_equal(found[:, PATCH:], images[:, PATCH:])
    assert np.array_equal(found[:, :, PATCH:], images[:, :, PATCH:])
    corner = found[:, :PATCH, :PATCH].astype(int)
    assert ((corner[..., 0] > corner[..., 2]).all(axis=(1, 2)) == (cue == 0)).all()
    assert not np.array_equal(images, found)


def test_a_biased_cue_agrees_as_often_as_asked():
    label = np.random.default_rng(0).integers(0, 2, 4000)
    for agreement in (0.5, 0.95):
        cue = biased_cue(label, agreement, seed=1, stream="x")
        assert abs((cue == label).mean() - agreement) < 0.03
        assert np.array_equal(cue[:7], biased_cue(label[:7], agreement, seed=1, stream="x"))


def test_glyph_clip_loses_a_planted_cue():
    """Truth is known: the patch says nothing about the shape of the test images."""
    backbone = load_backbone("glyph-clip")
    read_class_token_only(backbone.model)  # changes no number
    study = study_planted(backbone, num_images=300, num_random=50)
    removal = study.removal
    assert removal.before.worst_group < 0.35
    assert removal.after.worst_group > removal.before.worst_group + 0.15
    assert removal.after.average > removal.before.average
    assert removal.after.worst_group > np.mean(removal.random) + 0.1
    loudest = study.choice.ranking[np.argmax(study.choice.cue_share)]
    color_heads = {Part("head", 1, 0), Part("head", 1, 3), Part("head", 3, 0)}
    assert loudest in color_heads & set(study.choice.parts)
