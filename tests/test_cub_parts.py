"""CUB-200-2011: where the parts of the birds are."""

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.__main__ import main
from datamodules.errors import InputError
from datamodules.sources.cub import ABOUT, facts, open_source, read_parts
from tests.cub_folder import FILES, write

NAMES, PLACES = "parts/parts.txt", "parts/part_locs.txt"
# Images are numbered 2, 3, 1 in images.txt; 3 parts of 3 images, in no order.
ROWS = ("1 7 10.5 20 1", "2 7 0.0 0.0 0", "3 7 4 5 1", "3 1 0 0 1", "2 1 -3 999.25 1",
        "1 1 0.0 0.0 0", "1 2 1 2 1", "2 2 7.0 8.0 0", "3 2 1e1 2 1")  # fmt: skip
PARTS = {NAMES: "1 back\n7 left eye\n2 under tail\n", PLACES: "\n".join(ROWS) + "\n"}
GONE = (np.nan, np.nan)
POINTS = [
    [(-3, 999.25), GONE, GONE],
    [(0, 0), (4, 5), (10, 2)],
    [GONE, (10.5, 20), (1, 2)],
]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "CUB_200_2011", FILES | PARTS)


def refusal(root):
    with pytest.raises(InputError) as error:
        read_parts(root)
    return str(error.value)


def outcome(root):
    """The parts, or the message."""
    try:
        return read_parts(root)
    except InputError as error:
        return str(error)


def test_points_are_in_the_order_of_the_items_and_nan_where_nothing_is_visible(root):
    parts = read_parts(root)
    assert parts.names == ("back", "left eye", "under tail")
    assert parts.point_NP2.dtype == np.float64
    np.testing.assert_array_equal(parts.point_NP2, POINTS)
    np.testing.assert_array_equal(parts.visible_NP, ~np.isnan(POINTS).any(2))
    assert [name.split("/")[-1] for name in open_source(root).annotations.images] == [
        "Tiny_Owl_0002.jpg", "B_1.jpg", "T_1.jpg",
    ]  # fmt: skip


def test_the_folder_around_it_and_windows_line_ends_change_nothing(root):
    np.testing.assert_array_equal(read_parts(root.parent).point_NP2, POINTS)
    write(root, {name: text.replace("\n", "\r\n") for name, text in (FILES | PARTS).items()})
    parts = read_parts(root)
    assert parts.names == ("back", "left eye", "under tail")
    np.testing.assert_array_equal(parts.point_NP2, POINTS)


BROKEN = {
    "no such image": (
        PLACES, "1 7 1 1 1\n9 7 1 1 1\n",
        "{file}, line 2: expected an image of images.txt and a part of parts.txt, got image '9' "
        "and part '7'. Correct or remove the line.",
    ),
    "no such part": (
        PLACES, "1 3 1 1 1\n",
        "{file}, line 1: expected an image of images.txt and a part of parts.txt, got image '1' "
        "and part '3'. Correct or remove the line.",
    ),
    "the same twice": (
        PLACES, "1 7 1 1 1\n\n2 7 1 1 1\n1 7 1 1 1\n",
        "{file}, line 4: expected every part of an image once, got part 7 of image 1 again, which "
        "is at line 1. Remove one of the lines.",
    ),
    "two missing": (
        PLACES, "\n".join(ROWS[:4] + ROWS[5:8]),
        "expected a line for each of 3 parts of 3 images in {file}, 2 are missing, such as part 1 "
        "of image 2. {get}",
    ),
    "four fields": (
        PLACES, "1 7 1 1\n",
        "{file}, line 1: expected 5 fields (image, part, x, y, visible), got 4: '1 7 1 1'. Correct "
        "or remove the line.",
    ),
    "no number": (
        PLACES, "1 7 1 y 1\n",
        "{file}, line 1: expected x and y in pixels, got '1 y'. Correct the line.",
    ),
    "infinite": (
        PLACES, "1 7 inf 1 1\n",
        "{file}, line 1: expected x and y in pixels, got 'inf 1'. Correct the line.",
    ),
    "not finite, not visible": (
        PLACES, "1 7 nan 1 0\n",
        "{file}, line 1: expected x and y in pixels, got 'nan 1'. Correct the line.",
    ),
    "half visible": (
        PLACES, "1 7 1 1 2\n",
        "{file}, line 1: expected 1 (visible) or 0 (not visible), got '2'. Correct the line.",
    ),
    "repeated part": (
        NAMES, "1 back\n1 tail\n",
        "{file}, line 2: expected every number once, got 1 again, which is at {file}, line 1. "
        "Remove one of the lines.",
    ),
    "repeated name": (
        NAMES, "1 left eye\n2 Left Eye\n",
        "{file}, line 2: 'Left Eye' is part 1 already; expected every part once. Correct one of "
        "the names.",
    ),
    "part without name": (
        NAMES, "1\n",
        "{file}, line 1: expected 2 fields (part, name), got 1: '1'. Correct or remove the line.",
    ),
    "no parts": (NAMES, "\n", "expected the names of the parts in {file}, got none. {get}"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_named_with_their_line(root, case):
    name, text, message = BROKEN[case]
    write(root, {name: text})
    assert refusal(root) == message.format(file=root / name, get=ABOUT.get)


@pytest.mark.parametrize(("name", "what"), [(NAMES, "names"), (PLACES, "places")])
def test_a_missing_file_is_named(root, name, what):
    (root / name).unlink()
    assert refusal(root) == (
        f"expected the {what} of the parts at {root / name}, found no such file. {ABOUT.get}"
    )


@st.composite
def damaged(draw):
    """The files, one of them with lines removed, repeated or garbled."""
    name = draw(st.sampled_from(sorted(PARTS)))
    lines = PARTS[name].encode().splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines)))
        old = lines[at] if at < len(lines) else b""
        start = draw(st.integers(0, len(old)))
        junk = draw(st.sampled_from([b"", b" ", b"0", b"-1", b"\n", b"nan", b"1e999", b"\r"])
                    | st.binary(max_size=3))  # fmt: skip
        new = draw(st.sampled_from([[], [old, old], [old[:start] + junk + old[start + 1 :]]]))
        lines[at : at + 1] = new
    return PARTS | {name: b"".join(lines)}


@settings(max_examples=150, deadline=None)
@given(files=damaged())
def test_damaged_files_end_in_points_or_a_clear_error(tmp_path_factory, files):
    root = write(tmp_path_factory.getbasetemp() / "damaged-parts", FILES | files)
    parts = outcome(root)
    if isinstance(parts, str):
        assert str(root) in parts
        return
    assert parts.point_NP2.shape == (3, len(parts.names), 2)
    np.testing.assert_array_equal(np.isfinite(parts.point_NP2).all(2), parts.visible_NP)
    np.testing.assert_array_equal(np.isnan(parts.point_NP2).any(2), ~parts.visible_NP)


def test_prepare_counts_parts_and_training_does_not_read_them(root, capsys):
    (root / "images/a").mkdir(parents=True)
    (root / "images/a/b.jpg").touch()
    words = ["prepare", "--source", "cub", "--root", str(root), "--no_pixels"]
    assert main(words) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["parts", "3"] in table
    assert ["visible", "points", "6"] in table
    write(root, {PLACES: "1 7 1 1 2\n"})
    assert main(words) == 2
    assert "expected 1 (visible) or 0 (not visible)" in capsys.readouterr().err
    assert len(open_source(root).annotations) == 3
    (root / PLACES).unlink()
    assert facts(root) == {}
    assert main(words) == 0
    assert "visible points" not in capsys.readouterr().out


DATA = os.environ.get("ASPECTRA_DATA")
real = pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")


def same_as_numpy(root):
    """Compare with the columns as NumPy reads them; returns how many points are visible."""
    raw = np.loadtxt(root / PLACES)
    numbers = [int(line.split()[0]) for line in (root / "images.txt").read_text().splitlines()]
    parts = read_parts(root)
    place = np.full((max(numbers) + 1, 16, 3), np.nan)
    place[raw[:, 0].astype(int), raw[:, 1].astype(int)] = raw[:, 2:]
    place = place[numbers, 1:]
    np.testing.assert_array_equal(parts.visible_NP, place[..., 2] == 1)
    seen = parts.visible_NP
    np.testing.assert_array_equal(parts.point_NP2[seen], place[..., :2][seen])
    assert np.isnan(parts.point_NP2[~seen]).all()
    assert len(parts.names) == 15
    return int(seen.sum())


@real
@pytest.mark.parametrize(
    ("folder", "visible"), [("CUB_200_2011", 755), ("CUB_200_2011_crops227", 10_689)]
)
def test_the_parts_of_the_real_photographs(folder, visible):
    assert same_as_numpy(Path(DATA) / folder) == visible


@real
def test_all_official_parts(tmp_path):
    tables = Path(DATA) / "CUB_200_2011_all_annotations"
    write(tmp_path, {
        name: gzip.decompress((tables / f"{name}.gz").read_bytes())
        for name in ("images.txt", PLACES)
    })  # fmt: skip
    shutil.copy(Path(DATA) / "CUB_200_2011" / NAMES, tmp_path / NAMES)
    assert same_as_numpy(tmp_path) == facts(tmp_path)["visible points"] == 141_407
