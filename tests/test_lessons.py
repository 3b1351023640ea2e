"""Lessons of pre-training: every positive is true, and no held-out pair is ever said or denied."""

import re
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.captions import CaptionDataModule, CaptionStream
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.lessons import easier, lesson
from datamodules.sources.glyphs.world import ATTRIBUTES, COLORS, SHAPES, is_unseen, sample

B = 128


@cache
def batch(step, hard):
    return lesson(1, step, B, hard)


def scenes_of(step, count=B):
    return sample(1, "pretraining", np.arange(step * B, step * B + count))


def named(text, attribute):
    """The value of `attribute` that a caption names, as its index, else None."""
    words = set(re.findall(r"[a-z]+", text))
    found = [i for i, value in enumerate(ATTRIBUTES[attribute]) if value in words]
    assert len(found) <= 1
    return found[0] if found else None


def is_held_out(color, shape):
    return bool(is_unseen(np.asarray(color), np.asarray(shape)))


CASES = [(5, 0.0), (5, 0.5), (700, 1.0), (701, 1.0), (702, 1.0), (703, 1.0)]


@pytest.mark.parametrize(("step", "hard"), CASES)
def test_equal_captions_are_the_same_target(step, hard):
    for group in batch(step, hard).groups:
        assert len(set(group.texts)) == len(group.texts)
        assert group.target.dtype == torch.int64
        assert set(group.target.tolist()) == set(range(len(group.texts)))


@pytest.mark.parametrize(("step", "hard"), CASES)
def test_the_target_is_what_is_said_of_the_image(step, hard):
    for group in batch(step, hard).groups:
        said = scenes_of(step, round(B * hard)).said()
        for row, target in enumerate(group.target.tolist()[: len(said)]):
            for column, attribute in enumerate(ATTRIBUTES):
                assert named(group.texts[target], attribute) in {None, said[row, column]}


@pytest.mark.parametrize(("step", "hard"), [(5, 0.0), (6, 0.0), (5, 0.5)])
def test_easy_shapes_are_called_by_their_exact_name(step, hard):
    group, shape = batch(step, hard).groups[0], scenes_of(step).shape
    for row in range(round(B * hard), B):
        assert named(group.texts[group.target[row]], "shape") == shape[row]


@pytest.mark.parametrize(("step", "hard"), CASES)
def test_captions_of_a_group_name_the_same_attributes_in_the_same_words(step, hard):
    values = {value for values in ATTRIBUTES.values() for value in values}
    for group in batch(step, hard).groups:
        frames = {
            " ".join("_" if word in values else word for word in text.replace("an ", "a ").split())
            for text in group.texts
        }
        assert len(frames) == 1


@pytest.mark.parametrize(("step", "hard"), CASES)
def test_every_positive_is_compared(step, hard):
    for group in batch(step, hard).groups:
        rows = torch.arange(len(group.target))
        assert group.comparable.shape == (len(rows), len(group.texts))
        assert group.comparable[rows, group.target].all()


@pytest.mark.parametrize(("step", "hard"), [(5, 0.5), *((step, 1.0) for step in range(700, 712))])
def test_exactly_the_held_out_pairs_are_left_out_of_the_comparison(step, hard):
    """A caption of one of color and shape, with what is true or said of the other one."""
    for group in batch(step, hard).groups:
        scenes = scenes_of(step, round(B * hard))  # easy shapes are black or white
        described = scenes.labels(), scenes.said()
        for column, text in enumerate(group.texts):
            color, shape = named(text, "color"), named(text, "shape")
            for row in range(len(scenes)):
                held_out = (color is None) != (shape is None) and any(
                    is_held_out(
                        known[row, 0] if color is None else color,
                        known[row, 1] if shape is None else shape,
                    )
                    for known in described
                )
                assert bool(group.comparable[row, column]) == (not held_out)


@pytest.mark.parametrize("step", range(710, 730))
def test_no_caption_of_pre_training_names_a_held_out_pair(step):
    for group in lesson(1, step, 64, 1.0).groups:
        for text in group.texts:
            color, shape = named(text, "color"), named(text, "shape")
            assert color is None or shape is None or not is_held_out(color, shape)


def test_first_lessons_name_shapes_alone():
    for step in range(8):
        groups = batch(step, 0.0).groups
        assert len(groups) == 1
        assert all(named(text, "shape") is not None for text in groups[0].texts)
        for attribute in set(ATTRIBUTES) - {"shape"}:
            assert all(named(text, attribute) is None for text in groups[0].texts)


def test_later_lessons_add_one_attribute_alone_and_several_together():
    alone, together = set(), set()
    for step in range(700, 740):
        groups = lesson(1, step, 32, 1.0).groups
        assert len(groups) == 3
        mentions = [
            tuple(a for a in ATTRIBUTES if named(group.texts[0], a) is not None) for group in groups
        ]
        assert mentions[0] == ("shape",)
        alone.add(mentions[1])
        together.add(mentions[2])
    assert alone == {("color",), ("texture",), ("size",)}
    assert all(len(mention) > 1 for mention in together)
    assert len(together) >= 5


def test_groups_of_the_full_world_are_about_its_images_only():
    groups = batch(5, 0.5).groups
    assert [len(group.target) for group in groups] == [B, B // 2, B // 2]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**5), st.sampled_from([0.0, 0.3, 1.0]))
def test_a_lesson_is_a_pure_function_of_its_step(step, hard):
    one, other = lesson(1, step, 16, hard), lesson(1, step, 16, hard)
    assert torch.equal(one.image, other.image)
    for a, b in zip(one.groups, other.groups, strict=True):
        assert a.texts == b.texts
        assert torch.equal(a.target, b.target)
        assert torch.equal(a.comparable, b.comparable)


def test_no_image_is_shown_twice():
    images = torch.cat([lesson(1, step, 64, 1.0).image for step in (5, 6, 7)])
    assert len({image.numpy().tobytes() for image in images}) == len(images)


def test_the_full_world_is_drawn_as_it_is():
    shown = lesson(1, 9, B, 1.0).image.permute(0, 2, 3, 1)
    assert np.array_equal(shown.numpy(), draw(scenes_of(9)))


def test_the_easiest_scene_is_a_large_plain_black_or_white_shape_in_the_middle():
    scenes = scenes_of(3)
    easy = easier(scenes, np.ones(B, dtype=np.float32))
    assert np.array_equal(easy.shape, scenes.shape)
    assert easy.radius == pytest.approx(22)
    assert easy.center == pytest.approx(32)
    assert easy.light == pytest.approx(1)
    assert (easy.texture == 0).all()
    assert (easy.ground[:, 1] == 0).all()
    paint = np.array(list(COLORS.values()))[easy.color] + easy.tone
    assert set(np.round(paint.ravel(), 2)) == {0.12, 0.87}
    assert (scenes_of(3).ground[:, 1] > 0).all()  # and the scenes given are left as they were
    assert (scenes.ground[:, 1] > 0).all()


def test_ease_zero_changes_nothing():
    scenes = scenes_of(3)
    assert np.array_equal(draw(easier(scenes, np.zeros(B, dtype=np.float32))), draw(scenes))


# --- the data module ------------------------------------------------------------------------------


def stream(data, start, stride, count):
    batches = iter(CaptionStream(data, start=start, stride=stride, num_steps=100))
    return [next(batches).image for _ in range(count)]


def test_two_processes_draw_what_one_would_have_drawn():
    data = CaptionDataModule(batch_size=4)
    alone = [lesson(data.seed, step, 4, data.hard_share(step / 200)).image for step in range(6)]
    even, odd = stream(data, 0, 2, 3), stream(data, 1, 2, 3)
    for step in range(6):
        assert torch.equal(alone[step], (odd if step % 2 else even)[step // 2])


def test_a_resumed_stream_goes_on_where_it_stopped():
    data = CaptionDataModule(batch_size=4)
    assert torch.equal(stream(data, 0, 1, 5)[3], stream(data, 3, 1, 1)[0])


def test_workers_share_the_steps():
    data = CaptionDataModule(batch_size=2)
    steps = CaptionStream(data, start=0, stride=1, num_steps=100)
    loader = iter(torch.utils.data.DataLoader(steps, batch_size=None, num_workers=2))
    for expected in stream(data, 0, 1, 4):
        assert torch.equal(next(loader).image, expected)


def test_the_full_world_comes_step_by_step():
    data = CaptionDataModule(first_lesson=0.1, transition=0.4)
    shares = [data.hard_share(p) for p in (0, 0.1, 0.3, 0.5, 1)]
    assert shares == pytest.approx([0, 0, 0.5, 1, 1])


def test_validation_images_carry_their_true_labels():
    data = CaptionDataModule(num_validation=300)
    images, labels = map(torch.cat, zip(*data.val_dataloader(), strict=True))
    scenes = sample(0, "validation", np.arange(300))
    assert images.dtype == torch.uint8
    assert images.shape == (300, 3, 64, 64)
    assert np.array_equal(labels, scenes.labels())
    assert len(set(labels[:, 1].tolist())) == len(SHAPES)
