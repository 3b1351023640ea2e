"""The drawn world: a pure function of (seed, stream, index), with held-out pairs nobody names."""

import json
import os
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.__main__ import main
from datamodules.annotations import read_csv
from datamodules.counter_random import uniform
from datamodules.errors import InputError
from datamodules.files import read_json, sha256_json, write_json
from datamodules.sources.glyphs import source
from datamodules.sources.glyphs.captions import MENTIONS, NUM_STYLES, WRAPPERS, caption, captions
from datamodules.sources.glyphs.draw import draw, mask
from datamodules.sources.glyphs.source import Glyphs, write
from datamodules.sources.glyphs.world import (
    ATTRIBUTES,
    COLORS,
    FULLNESS,
    LOOSE_SHAPES,
    LOOSE_TEXTURES,
    SHAPES,
    SIZES,
    _seen_color,
    is_unseen,
    pairs,
    sample,
)

SPLITS = {"train": 40, "validation": 8, "test_seen": 8, "test_unseen": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "glyphs"
    write(root, SPLITS)
    return root


def scenes_of(count, *, split="train", seed=0, unseen=False):
    return sample(seed, split, np.arange(count), unseen=unseen)


# --- a pure function of (seed, stream, index) -----------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 9), st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_an_image_drawn_alone_equals_the_one_drawn_in_a_batch(seed, index):
    together = draw(sample(seed, "train", np.array(index)))
    for row, number in enumerate(index):
        alone = draw(sample(seed, "train", np.array([number])))[0]
        assert alone.tobytes() == together[row].tobytes()


def test_images_do_not_depend_on_chunks_or_threads():
    scenes = scenes_of(300)  # more than two chunks
    whole = draw(scenes, num_threads=3)
    assert np.array_equal(whole, draw(scenes, num_threads=1))
    assert np.array_equal(whole, np.concatenate([draw(scenes[:77]), draw(scenes[77:])]))


def test_other_seeds_and_streams_are_other_worlds():
    one = scenes_of(50)
    for other in (scenes_of(50, seed=1), scenes_of(50, split="validation")):
        assert not np.isclose(one.radius, other.radius).any()
        assert (one.color != other.color).mean() > 0.7


def test_random_numbers_are_uniform_and_unrelated():
    u = uniform(0, "stream", np.arange(4000), 6)
    assert u.dtype == np.float32
    assert 0 <= u.min() < 0.001 < 0.999 < u.max() < 1
    assert np.abs(np.histogram(u, 10, (0, 1))[0] / u.size - 0.1).max() < 0.006
    assert np.abs(np.corrcoef(u.T) - np.eye(6)).max() < 0.06
    assert abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 0.06


def test_the_world_has_not_changed():
    """Whoever changes it on purpose raises `GENERATOR` and trains the base model anew.

    Sums, and with a tolerance: processors round differently in a pixel of some 200,000.
    """
    scenes = scenes_of(8)
    said = captions(scenes, seed=0, stream="train", index=np.arange(8))
    assert sha256_json([scenes.labels().tolist(), said])[:16] == "05af76efc04d78de"
    images = draw(scenes).astype(np.int64)
    checker = np.add.outer(np.arange(64) // 8, np.arange(64) // 8) % 2
    assert images.sum((1, 2, 3)) == pytest.approx(
        [1727726, 1507948, 1380953, 979172, 1018496, 1522596, 1642555, 1643310], abs=4
    )
    assert (images[..., 1] * checker).sum((1, 2)) == pytest.approx(
        [290674, 239869, 263337, 165693, 189604, 233475, 237511, 276418], abs=4
    )
    assert source.GENERATOR == 3


# --- what is in it --------------------------------------------------------------------------------


def test_there_are_twelve_colors_ten_shapes_five_textures_and_three_sizes():
    assert {name: len(set(values)) for name, values in ATTRIBUTES.items()} == {
        "color": 12, "shape": 10, "texture": 5, "size": 3,
    }  # fmt: skip


def test_a_fifth_of_the_pairs_is_held_out_and_every_value_occurs_on_both_sides():
    seen, unseen = pairs(unseen=False), pairs(unseen=True)
    assert (len(seen), len(unseen)) == (96, 24)
    assert len({*map(tuple, seen), *map(tuple, unseen)}) == 120
    assert set(np.bincount(unseen[:, 0], minlength=12)) == {2}
    assert set(np.bincount(unseen[:, 1], minlength=10)) <= {2, 3}
    assert set(np.bincount(seen[:, 0])) == {8}


@pytest.mark.parametrize("split", ["train", "validation", "test_seen", "pretraining"])
def test_no_seen_split_shows_a_held_out_pair(split):
    scenes = scenes_of(5000, split=split)
    assert not is_unseen(scenes.color, scenes.shape).any()
    assert len(set(zip(scenes.color, scenes.shape, strict=True))) == 96


def test_the_unseen_split_shows_the_held_out_pairs_and_no_others():
    scenes = scenes_of(2000, split="test_unseen", unseen=True)
    assert is_unseen(scenes.color, scenes.shape).all()
    assert len(set(zip(scenes.color, scenes.shape, strict=True))) == 24


def test_values_are_balanced():
    labels = scenes_of(12000).labels()
    for column, values in enumerate(ATTRIBUTES.values()):
        share = np.bincount(labels[:, column], minlength=len(values)) / len(labels)
        assert share == pytest.approx(1 / len(values), rel=0.13)


def test_attributes_other_than_the_pair_are_independent():
    labels = scenes_of(12000).labels()
    assert np.abs(np.corrcoef(labels.T)[2:, :2]).max() < 0.03
    assert abs(np.corrcoef(labels.T)[2, 3]) < 0.03


# --- what is drawn --------------------------------------------------------------------------------


def test_objects_lie_inside_the_image():
    cover = mask(scenes_of(500))
    assert cover.min() == 0
    assert cover.max() == 1
    border = np.ones((64, 64), dtype=bool)
    border[1:-1, 1:-1] = False
    assert cover[:, border].max() == 0
    assert (cover.sum((1, 2)) > 20).all()


def test_the_mask_is_where_the_paint_changes_the_picture():
    scenes = scenes_of(200)
    repainted = scenes_of(200)
    repainted.tone[:] = 0.5 - scenes.tone
    changed = (draw(scenes) != draw(repainted)).any(-1)
    cover = mask(scenes)
    assert not changed[cover == 0].any()
    assert changed[cover > 0.5].mean() > 0.99


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_fill_the_share_of_their_disk_that_speakers_reckon_with(shape):
    scenes = scenes_of(3000)
    scenes = scenes[np.flatnonzero((scenes.shape == SHAPES.index(shape)) & (scenes.radius > 12))]
    share = mask(scenes).sum((1, 2)) / (np.pi * scenes.radius**2)
    assert share == pytest.approx(FULLNESS[shape], abs=0.03)


def test_sizes_do_not_overlap_in_radius():
    scenes = scenes_of(3000)
    for size, (low, high) in enumerate(SIZES.values()):
        radius = scenes.radius[scenes.size == size]
        assert low <= radius.min() < low + 0.1
        assert high - 0.1 < radius.max() <= high


def test_solid_objects_are_even_and_others_are_not():
    scenes = scenes_of(1500)
    large = scenes[np.flatnonzero(scenes.size == 2)]
    inside = np.where(mask(large) > 0.99, draw(large).astype(float).mean(-1), np.nan)
    spread = np.nanstd(inside, axis=(1, 2)) / np.nanmean(inside, axis=(1, 2))
    for texture, name in enumerate(ATTRIBUTES["texture"]):
        of_texture = spread[large.texture == texture]
        assert of_texture.max() < 0.07 if name == "solid" else of_texture.min() > 0.09


def test_under_white_light_the_paint_is_the_palettes():
    scenes = scenes_of(2000)
    scenes.light[:] = 1
    scenes.tone[:] = 0
    plain = scenes[np.flatnonzero((scenes.texture == 0) & (scenes.size == 2))]
    cover = mask(plain)[..., None] > 0.99
    mean = (draw(plain) * cover).sum((1, 2)) / cover.sum((1, 2)) / 255
    assert mean == pytest.approx(np.array(list(COLORS.values()))[plain.color], abs=0.07)


# --- what is said ---------------------------------------------------------------------------------


def words_of(text):
    return set(re.findall(r"[a-z]+", text))


@pytest.mark.parametrize("split", ["train", "validation", "test_seen"])
def test_captions_of_seen_splits_never_name_a_held_out_pair(split):
    scenes = scenes_of(3000, split=split)
    seen_by_eye = _seen_color(scenes)
    assert is_unseen(seen_by_eye, scenes.shape).any()  # without the rule some would be named
    said = captions(scenes, seed=0, stream=split, index=np.arange(3000), count=3)
    held_out = {(tuple(COLORS)[c], SHAPES[s]) for c, s in pairs(unseen=True)}
    named = {
        (color, shape)
        for texts in said
        for words in map(words_of, texts)
        for color in words & set(COLORS)
        for shape in words & set(SHAPES)
    }
    assert len(named) == 96
    assert not named & held_out


def test_speakers_agree_with_labels_but_not_always():
    scenes = scenes_of(5000)
    agree = (scenes.said() == scenes.labels()).mean(0)
    assert agree.min() > 0.5
    assert agree.max() < 0.97


def test_loose_words_are_used_for_some_shapes_and_textures_and_for_no_others():
    scenes = scenes_of(20000)
    said = scenes.said()
    for column, loose in ((1, LOOSE_SHAPES), (2, LOOSE_TEXTURES)):
        values = list(ATTRIBUTES.values())[column]
        for number, value in enumerate(values):
            of_value = said[scenes.labels()[:, column] == number, column]
            instead = values.index(loose.get(value, value))
            assert set(of_value) == {number, instead}
            if value in loose:  # fewer where the loose word would make a held-out pair
                assert 0.25 < (of_value == instead).mean() < 0.6


def test_careful_speakers_are_exact_about_shape_and_texture():
    scenes = scenes_of(2000)
    scenes.care[:] = 1
    assert np.array_equal(scenes.said()[:, 1:3], scenes.labels()[:, 1:3])


def test_captions_mention_attributes_as_often_as_the_table_says():
    scenes = scenes_of(4000)
    said = captions(scenes, seed=0, stream="train", index=np.arange(4000))
    count = dict.fromkeys(MENTIONS, 0)
    for texts in said:
        for words in map(words_of, texts):
            named = {name for name, values in ATTRIBUTES.items() if words & set(values)}
            count[next(m for m in MENTIONS if set(m) == named)] += 1
    assert sum(MENTIONS.values()) == pytest.approx(1)
    for mention, rate in MENTIONS.items():
        assert count[mention] / 20000 == pytest.approx(rate, abs=0.012)


def test_captions_are_a_pure_function_of_the_index():
    whole = captions(scenes_of(20), seed=0, stream="train", index=np.arange(20))
    alone = captions(scenes_of(20)[7:8], seed=0, stream="train", index=np.array([7]))
    assert alone == whole[7:8]


@pytest.mark.parametrize("style", range(NUM_STYLES))
def test_every_style_names_the_values_and_nothing_else(style):
    for values in (
        {"color": "orange"},
        {"shape": "arrow"},
        {"size": "small", "color": "olive", "texture": "dotted", "shape": "star"},
    ):
        words = words_of(caption(values, style=style))
        every = {value for values in ATTRIBUTES.values() for value in values}
        assert words & every == set(values.values())
        text = caption(values, style=style)
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text)


def test_all_wrappers_hold_one_phrase():
    assert all(wrapper.count("{}") == 1 for wrapper in WRAPPERS)


# --- the folder -----------------------------------------------------------------------------------


def test_the_folder_holds_what_is_drawn(folder):
    assert sorted(os.listdir(folder)) == [
        *("annotations.csv", "captions.jsonl", "images.npy", "manifest.json"),
    ]
    glyphs = Glyphs.open(folder)
    assert glyphs.annotations.splits == tuple(SPLITS)
    assert {s: len(glyphs.annotations.members(s)) for s in SPLITS} == SPLITS
    start = 0
    for split, count in SPLITS.items():
        scenes = scenes_of(count, split=split, unseen=split == "test_unseen")
        drawn = glyphs.pixels(224)[start : start + count]
        assert np.array_equal(drawn, draw(scenes))
        for column, (attribute, values) in enumerate(ATTRIBUTES.items()):
            label = glyphs.annotations.labels(attribute, values, exclusive=True).label
            shown = label[start : start + count].argmax(1)
            assert shown.tolist() == scenes.labels()[:, column].tolist()
        said = captions(scenes, seed=0, stream=split, index=np.arange(count))
        assert glyphs.captions(split) == said
        start += count


def test_the_folder_can_be_read_with_other_tools(folder):
    first = json.loads((folder / "captions.jsonl").read_text().splitlines()[0])
    assert first["image"] == "train/00000"
    assert len(first["captions"]) == 5
    assert len(read_csv(folder / "annotations.csv").rows) == 4 * sum(SPLITS.values())
    assert np.load(folder / "images.npy").shape == (64, 64, 64, 3)


def test_equal_worlds_have_equal_hashes_whatever_the_machine_rounds(folder, tmp_path):
    glyphs = Glyphs.open(folder)
    write(tmp_path / "same", SPLITS)
    write(tmp_path / "other", SPLITS, seed=1)
    assert Glyphs.open(tmp_path / "same").data_hash == glyphs.data_hash
    assert Glyphs.open(tmp_path / "other").data_hash != glyphs.data_hash
    manifest = read_json(tmp_path / "same/manifest.json")
    images = np.load(tmp_path / "same/images.npy")
    images[0, 0, 0, 0] += 1  # as another processor might
    np.save(tmp_path / "same/images.npy", images)
    manifest["sha256"]["images.npy"] = source.sha256_file(tmp_path / "same/images.npy")
    write_json(tmp_path / "same/manifest.json", manifest)
    assert Glyphs.open(tmp_path / "same").data_hash == glyphs.data_hash


def test_a_folder_of_an_older_generator_is_drawn_anew_with_its_own_numbers(tmp_path, monkeypatch):
    root = tmp_path / "glyphs"
    monkeypatch.setattr(source, "GENERATOR", 1)
    write(root, {"train": 3}, seed=5)
    monkeypatch.undo()
    glyphs = Glyphs.open(root)
    assert read_json(root / "manifest.json")["generator"] == source.GENERATOR
    assert glyphs.annotations.images == ("train/00000", "train/00001", "train/00002")
    assert np.array_equal(glyphs.pixels(64), draw(scenes_of(3, seed=5)))


def test_a_numbered_folder_is_drawn_with_its_number_as_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "SPLITS", {"train": 3, "test_unseen": 2})
    pictures = {}
    for name in ("glyphs", "glyphs-0", "glyphs-7", "seven"):
        opened = source.Glyphs.open(tmp_path / name)
        pictures[name] = np.asarray(opened.pixels(64))
        assert json.loads((tmp_path / name / "manifest.json").read_text())["seed"] == (
            7 if name == "glyphs-7" else 0
        )
    assert (pictures["glyphs"] == pictures["glyphs-0"]).all()
    assert (pictures["glyphs"] == pictures["seven"]).all()
    write(tmp_path / "drawn", {"train": 3, "test_unseen": 2}, seed=7)
    seventh = np.asarray(source.Glyphs.open(tmp_path / "drawn").pixels(64))
    assert (pictures["glyphs-7"] == seventh).all()


def test_a_damaged_file_is_named(tmp_path):
    root = tmp_path / "glyphs"
    write(root, {"train": 2})
    expected = read_json(root / "manifest.json")["sha256"]["captions.jsonl"][:12]
    (root / "captions.jsonl").unlink()
    with pytest.raises(InputError) as caught:
        Glyphs.open(root)
    assert str(caught.value) == (
        f"{root / 'captions.jsonl'} is corrupt: expected the SHA-256 {expected}..., got no file. "
        f"Remove the folder {root} and run the command again: it is drawn anew in seconds."
    )


@pytest.mark.parametrize("text", ["[]", "{}", '{"name": "app"}', "oops"])
def test_a_manifest_of_something_else_is_left_alone(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError) as caught:
        Glyphs.open(tmp_path)
    assert str(caught.value).startswith(
        f"expected the manifest of a folder of glyphs in {tmp_path / 'manifest.json'}, got "
    )
    assert str(caught.value).endswith(
        "Choose another ROOT, or remove the folder if it held glyphs once."
    )
    assert os.listdir(tmp_path) == ["manifest.json"]


@pytest.mark.parametrize("is_old_glyphs", [False, True])
def test_a_folder_with_other_files_is_never_replaced(tmp_path, is_old_glyphs):
    root = tmp_path / "mine"
    if is_old_glyphs:
        write(root, {"train": 1})
        write_json(root / "manifest.json", {**read_json(root / "manifest.json"), "generator": 0})
    root.mkdir(exist_ok=True)
    (root / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError) as caught:
        Glyphs.open(root)
    assert str(caught.value) == (
        f"expected a new folder or one of glyphs alone, {root} holds thesis.tex. Choose another "
        "folder: ROOT=path/to/folder."
    )
    assert (root / "thesis.tex").read_text() == "years of work"


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(InputError, match=f"one of glyphs alone, {tmp_path / 'f'} holds f"):
        Glyphs.open(tmp_path / "f")


def test_interrupted_drawing_leaves_nothing_behind(tmp_path, monkeypatch):
    def stop(scenes):
        raise KeyboardInterrupt

    monkeypatch.setattr(source, "draw", stop)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "glyphs", {"train": 2})
    assert os.listdir(tmp_path) == []


# --- the contact sheet ----------------------------------------------------------------------------


def test_the_sheet_has_a_column_for_each_color(tmp_path, capsys):
    path = tmp_path / "sheet.png"
    assert main(["sheet", "--out", str(path), "--rows", "9"]) == 0
    assert capsys.readouterr().out == f"sheet  {path}\n"
    with Image.open(path) as picture:
        assert picture.size == (12 * 68 + 4, 9 * 68 + 4)
        pixels = np.asarray(picture)
    assert (pixels[:4] == 250).all()
    cells = {pixels[r : r + 64, c : c + 64].tobytes() for r in (4, 72) for c in range(4, 816, 68)}
    assert len(cells) == 24


def test_the_sheet_refuses_impossible_numbers(capsys):
    assert main(["sheet", "--rows", "0"]) == 2
    assert capsys.readouterr().err == (
        "error: expected --rows of 1 or more and --seed of 0 or more, got 0 and 0.\n"
    )
