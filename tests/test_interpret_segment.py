"""Segmentation scores against loops over pixels and scikit-learn; how masks reach the square."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import average_precision_score

from datamodules.errors import InputError
from datamodules.images import masked_files
from interpret.heatmap import enlarge, stretch
from interpret.segment import SegmentationScores, above, prepare


@pytest.fixture
def judged():
    """Maps in [0, 1], some values equal, and masks that they partly follow."""
    random = np.random.default_rng(0)
    masks = random.random((7, 9, 11)) < 0.3
    maps = np.round(0.6 * random.random(masks.shape) + 0.4 * masks, 2).astype(np.float32)
    return stretch(torch.from_numpy(maps)), torch.from_numpy(masks)


def in_batches(maps, masks, size, **options):
    metric = SegmentationScores(**options)
    for batch in zip(maps.split(size), masks.split(size), strict=True):
        metric.update(*batch)
    return {name: value.item() for name, value in metric.compute().items()}


def by_hand(maps, masks, threshold=None):
    """The scores from plain loops over images and pixels."""
    right = total = 0
    both, either = np.zeros(2), np.zeros(2)
    precisions = []
    for heat, mask in zip(maps.numpy().astype(float), masks.numpy(), strict=True):
        limit = heat.mean() if threshold is None else threshold
        for value, truth in zip(heat.ravel(), mask.ravel(), strict=True):
            found = value > limit
            right += found == truth
            total += 1
            for side in (0, 1):
                both[side] += found == side and truth == side
                either[side] += found == side or truth == side
        scores = np.stack([1 - heat, heat]).astype(np.float32).ravel()
        precisions.append(average_precision_score(np.stack([~mask, mask]).ravel(), scores))
    return {"pix_acc": right / total, "miou": (both / either).mean(), "map": np.mean(precisions)}


# --- scores ---------------------------------------------------------------------------------------


def test_scores_are_those_of_loops_over_pixels_and_of_scikit_learn(judged):
    assert in_batches(*judged, 7) == pytest.approx(by_hand(*judged), rel=1e-6)
    fixed = in_batches(*judged, 7, threshold=0.5)
    assert fixed == pytest.approx(by_hand(*judged, 0.5), rel=1e-6)
    assert fixed["miou"] != pytest.approx(in_batches(*judged, 7)["miou"], abs=1e-3)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 7), st.permutations(range(7)))
def test_any_batch_size_and_any_order_give_the_same(size, order):
    random = torch.Generator().manual_seed(0)
    maps, masks = torch.rand(7, 6, 5, generator=random), torch.rand(7, 6, 5, generator=random) < 0.4
    order = list(order)
    found = in_batches(maps[order], masks[order], size)
    assert found == pytest.approx(in_batches(maps, masks, 7), rel=1e-6)


def test_metrics_of_two_halves_merge_into_that_of_the_whole(judged):
    maps, masks = judged
    first, second = SegmentationScores(), SegmentationScores()
    first.update(maps[:3], masks[:3])
    second.update(maps[3:], masks[3:])
    first.merge_state(second)
    merged = {name: value.item() for name, value in first.compute().items()}
    assert merged == pytest.approx(in_batches(maps, masks, 7), rel=1e-6)


def test_a_perfect_map_scores_one_and_its_opposite_nothing(judged):
    _, masks = judged
    assert set(in_batches(masks.float(), masks, 2).values()) == {1.0}
    wrong = in_batches((~masks).float(), masks, 2)
    assert (wrong["pix_acc"], wrong["miou"]) == (0.0, 0.0)
    assert wrong["map"] == pytest.approx(0.5)  # all at one threshold: half of the 2HW are positive


def test_unions_are_summed_over_images_before_they_divide():
    maps, masks = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool)
    maps[0, 0, 0], masks[0, 0, 0] = 1, True  # a small object, found
    maps[1, 0], masks[1, 1:] = 1, True  # a large one, missed
    # Object: 1 of 1 + 16. Background: 15 of 15 + 0 of 16. A mean over images would be 0.5 for both.
    assert in_batches(maps, masks, 1)["miou"] == pytest.approx((1 / 17 + 15 / 31) / 2)


def test_no_image_gives_nan():
    assert all(value.isnan() for value in SegmentationScores().compute().values())


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (torch.zeros(2, 4, 5, dtype=torch.bool), "got (2, 4, 4) and (2, 4, 5). Enlarge the maps"),
        (torch.zeros(2, 4, 4), "expected boolean masks, true on the object, got torch.float32"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks, message):
    with pytest.raises(InputError, match=re.escape(message)):
        SegmentationScores().update(torch.zeros(2, 4, 4), masks)


# --- from a map to a mask -------------------------------------------------------------------------


def test_a_constant_map_is_all_background_whatever_its_number_rounds_to():
    for number in (0.0, 0.1, 1 / 3, 1.0):
        assert not above(torch.full((1, 7, 13), number)).any()


def test_the_threshold_itself_is_background():
    assert above(torch.tensor([[0.25, 0.75], [0.5, 0.5]])).tolist() == [[False, True], [False] * 2]
    assert above(torch.tensor([[0.25, 0.5, 0.75]]), 0.5).tolist() == [[False, False, True]]


@pytest.mark.parametrize("threshold", ["otsu", 1.0, -0.1, float("nan")])
def test_another_threshold_is_refused(threshold):
    with pytest.raises(InputError, match='expected a threshold of "mean" or a number'):
        SegmentationScores(threshold=threshold)


def test_maps_are_stretched_one_by_one_without_their_negative_part():
    maps = torch.tensor([[[-5.0, 1.0, 3.0]], [[2.0, 4.0, 6.0]], [[-1.0, -2.0, -3.0]]])
    expected = [[[0, 1 / 3, 1]], [[0, 0.5, 1]], [[0, 0, 0]]]
    torch.testing.assert_close(stretch(maps), torch.tensor(expected))
    with pytest.raises(InputError, match="got NaN or infinity"):
        stretch(torch.tensor([[[torch.nan, 0.0]]]))


def test_a_patch_is_enlarged_around_its_own_center():
    maps = torch.zeros(1, 1, 4, 4)
    maps[0, 0, 1, 2] = 1
    large = enlarge(maps, (32, 32))[0, 0]
    weight = large / large.sum()
    center = [(weight.sum(axis) * (torch.arange(32) + 0.5)).sum().item() for axis in (1, 0)]
    assert center == pytest.approx([12, 20])


# --- how image and mask come to the square --------------------------------------------------------


def bar(width, height, left, right):
    """A black image with a white upright bar, and the mask of the bar."""
    mask = np.zeros((height, width), dtype=bool)
    mask[:, left:right] = True
    return np.repeat(np.where(mask, 255, 0).astype(np.uint8)[..., None], 3, axis=2), mask


def test_aligned_masks_lie_on_their_object_and_those_of_the_paper_beside_it():
    image, mask = bar(200, 100, 120, 140)
    pixels, aligned = prepare(image, mask, 50)
    shows = pixels[..., 0] > 127
    assert pixels.shape == (50, 50, 3)
    assert (shows == aligned).mean() > 0.99
    _, squashed = prepare(image, mask, 50, "paper")
    assert np.flatnonzero(aligned[0]).tolist() == list(range(35, 45))
    assert np.flatnonzero(squashed[0]).tolist() == list(range(30, 35))


@pytest.mark.parametrize("protocol", ["paper", "aligned"])
def test_protocols_agree_on_square_images(protocol):
    image, mask = bar(96, 96, 30, 60)
    _, found = prepare(image, mask, 48, protocol)
    assert (found == mask[::2, ::2]).all()


def test_a_mask_of_another_size_and_another_protocol_are_refused():
    image, mask = bar(20, 10, 3, 6)
    message = "expected the mask of an image to be 20 x 10 pixels as the image is, got 19 x 10."
    with pytest.raises(InputError, match=re.escape(message)):
        prepare(image, mask[:, 1:], 8)
    with pytest.raises(InputError, match="among paper, aligned, got 'exact'"):
        prepare(image, mask, 8, "exact")


# --- two folders ----------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    for folder in (images / "cats", masks / "cats"):
        folder.mkdir(parents=True)
    image, mask = bar(20, 10, 3, 6)
    Image.fromarray(image).save(images / "cats" / "tom.jpg")
    Image.fromarray(image).save(images / "kitty.png")
    Image.fromarray(mask.astype(np.uint8)).save(masks / "cats" / "tom.png")  # 0 and 1
    Image.fromarray(image).convert("RGBA").save(masks / "kitty.png")  # opaque black around
    Image.fromarray(image).save(masks / "further.png")
    return images, masks


def test_images_are_paired_with_masks_by_name(folders):
    pairs = masked_files(*folders)
    assert [pair.name for pair in pairs] == ["cats/tom", "kitty"]
    for pair in pairs:
        image, mask = pair.read()
        assert (image.shape, mask.dtype) == ((10, 20, 3), bool)
        assert np.flatnonzero(mask.all(0)).tolist() == [3, 4, 5]
        assert mask.sum() == 30


def test_masks_of_labels_count_every_label_but_0(folders):
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[2, 2], labels[3, 3] = 1, 2
    palette = Image.fromarray(labels).convert("P")
    palette.putpalette([255, 255, 255, 0, 0, 0, 9, 9, 9])  # label 1 is painted black
    palette.save(folders[1] / "kitty.png")
    Image.fromarray(labels.astype(np.uint16)).save(folders[1] / "cats" / "tom.png")
    for pair in masked_files(*folders):
        assert np.argwhere(pair.read()[1]).tolist() == [[2, 2], [3, 3]]


def test_a_mask_of_a_turned_photograph_is_compared_with_the_upright_one(folders):
    image, _ = bar(20, 10, 3, 6)
    turned = Image.fromarray(image).rotate(90, expand=True)
    exif = turned.getexif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    turned.save(folders[0] / "cats" / "tom.jpg", exif=exif)
    found, cover = masked_files(*folders)[0].read()
    assert found.shape == (10, 20, 3)
    assert ((found[..., 0] > 127) == cover).mean() > 0.9


def _wrong_size(images, masks):
    Image.fromarray(np.full((10, 21), 9, np.uint8)).save(masks / "kitty.png")


def _no_object(images, masks):
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(masks / "kitty.png")


def _no_mask(images, masks):
    (masks / "cats" / "tom.png").unlink()


def _torn(images, masks):
    data = (masks / "kitty.png").read_bytes()
    (masks / "kitty.png").write_bytes(data[: len(data) // 2])


def _two_of_a_name(images, masks):
    Image.new("RGB", (2, 2)).save(masks / "kitty.bmp")


def _empty(images, masks):
    for path in list(images.rglob("*.*")):
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_wrong_size, r"mask of \S+kitty.png to be 20 x 10 pixels .* got 21 x 10\. Check that"),
        (_no_object, r"expected an object in the mask \S+kitty.png, got 0 in every pixel"),
        (
            _no_mask,
            r"each of the 2 images in \S+images, found none for 1 of them, such as cats/tom",
        ),
        (_torn, r"expected a mask in \S+kitty.png, got a file that cannot be decoded"),
        (_two_of_a_name, r"one file a name in \S+masks, got kitty.bmp and kitty.png"),
        (_empty, r"expected images in \S+images, found no image file"),
    ],
)
def test_folders_that_do_not_fit_are_refused(folders, damage, message):
    damage(*folders)
    with pytest.raises(InputError, match=message):
        [pair.read() for pair in masked_files(*folders)]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"expected a folder of images at \S+nowhere, found none"):
        masked_files(tmp_path / "nowhere", tmp_path)
