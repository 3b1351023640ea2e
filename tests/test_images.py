"""Pictures become squares, whatever camera or program wrote them; broken ones are named."""

import io
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.errors import InputError
from datamodules.images import cache, cached, decode, decode_boxes, write_pixels

ROOT = Path(__file__).parents[1]
ORIENTATION = 0x0112


def save(path, picture, **options):
    picture.save(path, **options)
    return path


def flat(color, size=(40, 30), mode="RGB"):
    return Image.new(mode, size, color)


def halves(size=(40, 30)):
    """Left half red, right half blue."""
    picture = flat((255, 0, 0), size)
    picture.paste((0, 0, 255), (size[0] // 2, 0, *size))
    return picture


# --- one picture ----------------------------------------------------------------------------------


def test_a_picture_becomes_the_square_of_its_centre(tmp_path):
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = np.random.default_rng(0).integers(0, 256, (10, 10, 3))
    square = decode(save(tmp_path / "a.png", Image.fromarray(wide)), 10)
    assert square.dtype == np.uint8
    assert np.array_equal(square, wide[:, 10:20])
    tall = decode(save(tmp_path / "b.png", Image.fromarray(wide.transpose(1, 0, 2))), 10)
    assert np.array_equal(tall, wide[:, 10:20].transpose(1, 0, 2))


@pytest.mark.parametrize("shape", [(90, 121), (121, 90), (64, 64), (33, 200), (7, 9)])
def test_pictures_are_what_open_clip_would_have_made_of_them(tmp_path, shape):
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    # What open_clip's image_transform does when it does not train.
    expected = CenterCrop(32)(Resize(32, interpolation=InterpolationMode.BICUBIC)(picture))
    assert np.array_equal(decode(save(tmp_path / "a.png", picture), 32), np.asarray(expected))


@pytest.mark.parametrize(
    ("picture", "color"),
    [
        (flat(100, mode="L"), (100, 100, 100)),
        (flat(1, mode="1"), (255, 255, 255)),
        (flat((10, 20, 30, 255), mode="RGBA"), (10, 20, 30)),
        (flat((10, 20, 30)).quantize(4), (10, 20, 30)),
        (flat((0, 255, 255, 0), mode="CMYK"), (255, 0, 0)),
        (Image.fromarray(np.full((9, 9), 40000, dtype=np.uint16)), (155, 155, 155)),
    ],
    ids=["gray", "black and white", "alpha", "palette", "CMYK", "16 bit"],
)
def test_every_mode_becomes_rgb(tmp_path, picture, color):
    path = save(tmp_path / ("a.tif" if picture.mode == "CMYK" else "a.png"), picture)
    assert decode(path, 4).reshape(-1, 3).tolist() == [list(color)] * 16


def test_a_camera_held_upright_gives_an_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the camera was turned: rotate by 90 degrees clockwise
    path = save(tmp_path / "a.jpg", halves(), exif=exif, quality=95)
    top, bottom = decode(path, 8)[[0, -1]].reshape(2, -1, 3).mean(1)
    assert top == pytest.approx([255, 0, 0], abs=6)
    assert bottom == pytest.approx([0, 0, 255], abs=6)


def truncated(format):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, format)
    return stream.getvalue()[: len(stream.getvalue()) // 2]


@pytest.mark.parametrize(
    "data",
    [
        truncated("PNG"),
        truncated("JPEG"),
        b"these are words",
        b"",
        b"\x89PNG\r\n\x1a\n" + b"x" * 40,
    ],
    ids=["PNG", "JPEG", "text", "empty", "header"],
)
def test_a_broken_picture_is_named(tmp_path, data):
    path = tmp_path / "broken.png"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        decode(path, 8)
    text = str(caught.value)
    assert text.startswith(f"expected a whole image in {path}, got a file that cannot be decoded (")
    assert text.endswith("). Replace it, or remove its rows from the annotations.")


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        decode(tmp_path / "none.png", 8)
    assert str(caught.value) == (
        f"expected an image at {tmp_path / 'none.png'}, found no such file. Put it there, or "
        "remove its rows from the annotations."
    )


# --- all of them, decoded once --------------------------------------------------------------------


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "in").mkdir()
    return [
        save(tmp_path / f"in/{number}.png", flat((number, 0, 255 - number))) for number in range(12)
    ]


def test_pictures_come_in_the_order_of_their_names(paths, tmp_path):
    pixels = cached(paths, 6, tmp_path / "cache")
    assert pixels.shape == (12, 6, 6, 3)
    assert pixels[:, 3, 3, 0].tolist() == list(range(12))
    assert not pixels.flags.writeable


def test_they_are_decoded_once(paths, tmp_path, monkeypatch):
    first = cached(paths, 6, tmp_path / "cache")
    monkeypatch.setattr(cache, "decode_boxes", None)
    assert np.array_equal(cached(paths, 6, tmp_path / "cache"), first)


def test_another_size_and_a_changed_file_are_decoded_anew(paths, tmp_path):
    cached(paths, 6, tmp_path / "cache")
    assert cached(paths, 8, tmp_path / "cache").shape == (12, 8, 8, 3)
    save(paths[3], flat((200, 200, 200)))
    os.utime(paths[3], ns=(1, 1))
    assert cached(paths, 6, tmp_path / "cache")[3, 0, 0].tolist() == [200, 200, 200]


def test_a_broken_picture_leaves_no_cache(paths, tmp_path):
    paths[7].write_bytes(b"words")
    with pytest.raises(InputError, match=f"expected a whole image in {paths[7]}"):
        cached(paths, 6, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("[!.]*"))
    save(paths[7], flat((7, 0, 0)))
    assert cached(paths, 6, tmp_path / "cache")[7, 0, 0, 0] == 7


def decode_slowly(paths, folder, log, number):
    original = cache.decode_boxes

    def slow(path, *args):
        with log.open("a") as stream:
            stream.write(f"{number} {path.name}\n")
        time.sleep(0.02)
        return original(path, *args)

    cache.decode_boxes = slow
    cached(paths, 6, folder)


def test_of_two_processes_one_decodes_and_both_read_the_same(paths, tmp_path):
    context = multiprocessing.get_context("fork")
    args = paths, tmp_path / "cache", tmp_path / "log"
    both = [context.Process(target=decode_slowly, args=(*args, n)) for n in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    lines = (tmp_path / "log").read_text().split("\n")[:-1]
    assert sorted(line.split()[1] for line in lines) == sorted(path.name for path in paths)
    assert cached(paths, 6, tmp_path / "cache")[:, 0, 0, 0].tolist() == list(range(12))


KILLED = """
import os, sys
from pathlib import Path
from datamodules.images import cached

os.replace = lambda *names: os._exit(9)
cached([Path(name) for name in sys.argv[2:]], 6, Path(sys.argv[1]))
"""


def test_a_process_killed_while_decoding_does_not_block_the_next(paths, tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "cache"), *map(str, paths)]
    assert subprocess.run(command, cwd=ROOT).returncode == 9
    assert cached(paths, 6, tmp_path / "cache")[:, 0, 0, 0].tolist() == list(range(12))
    assert not list((tmp_path / "cache").glob(".partial-*"))


def test_a_cache_that_cannot_be_written_is_named(paths, tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(
        InputError, match=r"^could not write .*cache.*Free space or choose a folder"
    ):
        cached(paths, 6, tmp_path / "cache")


def test_blocks_become_one_array(tmp_path):
    whole = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
    write_pixels(tmp_path / "a.npy", [whole[:3], whole[3:]], whole.shape, name="writing")
    assert np.array_equal(np.load(tmp_path / "a.npy"), whole)
    assert os.listdir(tmp_path) == ["a.npy"]


# --- boxes ----------------------------------------------------------------------------------------


@pytest.fixture
def chart(tmp_path):
    """A picture of 40 x 20 whose red is the column and whose green is the row."""
    row, column = np.mgrid[:20, :40]
    pixels = np.stack([column, row, 0 * row], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "chart.png")
    return tmp_path / "chart.png"


@pytest.mark.parametrize(
    ("box", "left", "top", "side"),
    [
        ((10, 5, 8, 8), 10, 5, 8),
        ((10, 5, 8, 4), 10, 3, 8),  # grown to a square around its centre
        ((0, 0, 8, 2), 0, 0, 8),  # moved inside at the border
        ((36, 16, 8, 8), 32, 12, 8),  # what reaches over the border is cut off
    ],
)
def test_a_box_is_cut_out_as_the_square_around_it(chart, box, left, top, side):
    part = decode_boxes(chart, side, np.array([box], float))[0]
    assert part[0, 0].tolist() == [left, top, 0]
    assert part[-1, -1].tolist() == [left + side - 1, top + side - 1, 0]


def test_boxes_of_one_picture_are_cut_from_one_decoding(chart, tmp_path, monkeypatch):
    opened = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or original(path))
    boxes = np.array([(0, 0, 8, 8), (20, 0, 8, 8), (0, 0, 0, 0)], float)
    pixels = cached([chart] * 3, 8, tmp_path / "cache", boxes=boxes)
    assert opened == [chart]
    assert pixels[:, 0, 0, 0].tolist() == [
        0,
        20,
        11,
    ]  # the centre of the whole picture begins at 10


def test_other_boxes_are_another_cache(chart, tmp_path):
    one = cached([chart], 8, tmp_path / "cache", boxes=np.array([(0.0, 0, 8, 8)]))
    other = cached([chart], 8, tmp_path / "cache", boxes=np.array([(20.0, 0, 8, 8)]))
    assert one[0, 0, 0, 0] != other[0, 0, 0, 0]


@pytest.mark.parametrize("box", [(40, 0, 5, 5), (0, 20, 5, 5), (-9, 0, 9, 5), (0, -9, 5, 9)])
def test_a_box_outside_the_picture_is_named(chart, box):
    with pytest.raises(InputError) as caught:
        decode_boxes(chart, 8, np.array([box], float))
    x, y, width, height = box
    assert str(caught.value) == (
        f"expected boxes inside the image {chart} of 40 x 20 pixels, got x {x}, y {y}, width "
        f"{width}, height {height}. Correct the box, or check that the annotations belong to "
        "these images."
    )
