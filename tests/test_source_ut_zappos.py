"""UT-Zap50K: shoes by category, brand and material, in the full and the compositional form."""

import gzip
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from datamodules.errors import InputError
from datamodules.sources.hashed_parts import hashed_part
from datamodules.sources.ut_zappos import ABOUT, open_source

PATHS = (
    "Boots/Knee High/J. Crew%2E/300.5.jpg",
    "Shoes/Oxfords/Bostonian/100627.72.jpg",
    "Shoes/Oxfords/Bostonian/100627.80.jpg",
)
META = """CID,Category,SubCategory,HeelHeight,Insole,Closure,Gender,Material,ToeStyle
100627-72,Shoes,Oxfords,,,Lace up,Men,Leather;Suede,Capped Toe;Round Toe
300-5,Boots,Boots Knee High,2in - 2 3/4in,Padded,Zipper,Women,Leather,
999-9,Shoes,Oxfords,,,,Men,,
"""
METADATA = "metadata_compositional-split-natural.t7"
RECORDS = [
    {"image": "Faux.Leather_Shoes.Flats/1.2.jpg", "_image": "Shoes/Flats/A/1.2.jpg",
     "attr": "Faux.Leather", "obj": "Shoes.Flats", "set": "train"},
    {"image": "Suede_Sandals/3.4.jpg", "_image": "Sandals/Flat/B/3.4.jpg", "attr": "Suede",
     "obj": "Sandals", "set": "val"},
    {"image": "Suede_Boots.Mid-Calf/5.6.jpg", "_image": "Boots/Mid-Calf/B/5.6.jpg",
     "attr": "Suede", "obj": "Boots.Mid-Calf", "set": "test"},
]  # fmt: skip


def outcome(root):
    """The source, or what is wrong with it."""
    try:
        return open_source(root)
    except InputError as problem:
        return str(problem)


def images(folder, names=PATHS):
    for level, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 9), 50 * level).save(folder / name)


def listed(root, names=PATHS):
    (root / "ut-zap50k-data").mkdir(exist_ok=True)
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    savemat(root / "ut-zap50k-data/image-path.mat", {"imagepath": cells})
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "ut-zap50k-images")
    (tmp_path / "ut-zap50k-data").mkdir()
    (tmp_path / "ut-zap50k-data/meta-data.csv").write_text(META)
    return tmp_path


def values(source, image):
    rows = [row for row in source.annotations.rows if row.image == image]
    return [(row.attribute, row.value) for row in rows]


def test_paths_and_the_table_say_the_attributes(root):
    source = open_source(root)
    assert source.annotations.images == PATHS
    assert values(source, PATHS[0]) == [
        ("category", "boots"), ("subcategory", "knee high"), ("brand", "J. Crew."),
        ("heel height", "2in - 2 3/4in"), ("insole", "padded"), ("closure", "zipper"),
        ("gender", "women"), ("material", "leather"),
    ]  # fmt: skip
    assert values(source, PATHS[1])[3:] == [
        ("closure", "lace up"), ("gender", "men"), ("material", "leather"), ("material", "suede"),
        ("toe style", "capped toe"), ("toe style", "round toe"),
    ]  # fmt: skip
    assert len(values(source, PATHS[2])) == 3
    assert set(source.annotations.objects) == {"shoe"}
    assert source.states_types
    assert source.pixels(8)[:, 4, 4, 0].tolist() == [0, 50, 100]


@pytest.mark.parametrize("name", ["ut-zap50k-images-square", "_images", "."])
def test_the_images_may_lie_in_several_places(tmp_path, name):
    images(tmp_path / name)
    source = open_source(tmp_path)
    assert source.annotations.images == PATHS
    assert source.images == tmp_path / name


def test_without_images_their_paths_are_read_from_the_list(tmp_path):
    source = open_source(listed(tmp_path))
    assert source.annotations.images == PATHS
    with pytest.raises(InputError) as caught:
        source.pixels(8)
    assert str(caught.value) == (
        f"expected 3 images of UT-Zap50K below {tmp_path}/ut-zap50k-images, 3 are missing, such as "
        f"{PATHS[0]}. {ABOUT.get}"
    )


def test_the_colors_of_one_product_stay_in_one_split(tmp_path):
    names = [f"Shoes/Flats/A/{n}.{k}.jpg" for n in range(500) for k in range(2)]
    table = open_source(listed(tmp_path, names)).annotations
    for split in table.splits:
        for name in table.images_of(split):
            assert hashed_part(name.split("/")[-1].split(".")[0]) == split
    assert len(table.images_of("train")) % 2 == 0
    assert 700 < len(table.images_of("train")) < 880


def test_the_compositional_form_has_pairs_and_its_own_splits(tmp_path):
    torch.save(RECORDS, tmp_path / METADATA)
    source = open_source(tmp_path)
    table = source.annotations
    assert {split: table.images_of(split) for split in table.splits} == {
        "train": ("Faux.Leather_Shoes.Flats/1.2.jpg",),
        "validation": ("Suede_Sandals/3.4.jpg",),
        "test": ("Suede_Boots.Mid-Calf/5.6.jpg",),
    }
    assert table.objects == ("shoes flats", "sandals", "boots mid-calf")
    assert [values(source, record["image"]) for record in RECORDS] == [
        [("material", "faux leather"), ("category", "shoes"), ("subcategory", "flats")],
        [("material", "suede"), ("category", "sandals"), ("subcategory", "sandals")],
        [("material", "suede"), ("category", "boots"), ("subcategory", "mid-calf")],
    ]
    assert source.images == tmp_path / "images"


def test_the_compositional_form_finds_the_images_of_the_full_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(RECORDS, tmp_path / METADATA)
    images(tmp_path / "ut-zap50k-images", [record["_image"] for record in RECORDS])
    assert open_source(tmp_path).pixels(8)[:, 4, 4, 0].tolist() == [0, 50, 100]
    images(tmp_path / "images", [record["image"] for record in RECORDS][::-1])
    assert open_source(tmp_path).pixels(8)[:, 4, 4, 0].tolist() == [100, 50, 0]


def test_nothing_is_a_clear_error(tmp_path):
    assert outcome(tmp_path) == (
        f"expected images in {tmp_path}/ut-zap50k-images, their paths at "
        f"{tmp_path}/ut-zap50k-data/image-path.mat or pairs at {tmp_path}/{METADATA}, found none "
        f"of them. {ABOUT.get}"
    )
    (tmp_path / "Shoes").mkdir()
    assert outcome(tmp_path) == f"expected images of UT-Zap50K, got none. {ABOUT.get}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Shoes/Flats/1.2.jpg", "expected a path 'category/subcategory/brand/image.jpg', got "
                                "'Shoes/Flats/1.2.jpg'. Correct the file."),
        ("../Flats/A/1.2.jpg", "expected the path of a file below the image folder, got "
                               "'../Flats/A/1.2.jpg'. Correct the line."),
        (PATHS[0], "expected every image once, got 'Boots/Knee High/J. Crew%2E/300.5.jpg' again "
                   "({path}, imagepath, entry 1). Remove one of them."),
        (np.array([7.0]), "expected a path, got [7.0]. Correct the file."),
    ],
)  # fmt: skip
def test_broken_paths_are_named(tmp_path, name, message):
    path = listed(tmp_path, [*PATHS[:1], name]) / "ut-zap50k-data/image-path.mat"
    assert outcome(tmp_path) == f"{path}, imagepath, entry 2: {message.format(path=path)}"


def test_a_broken_table_is_named(root):
    path = root / "ut-zap50k-data/meta-data.csv"
    path.write_text(META + "100627-72,Shoes,Oxfords,,,,,,\n")
    assert outcome(root) == (
        f"{path}, line 5: expected every CID once, got '100627-72' again (line 2). Remove one of "
        "them."
    )
    path.write_text(META + "1-2,Shoes\n")
    assert outcome(root).startswith(f"{path}, line 5: expected 9 cells (CID, Category,")
    path.write_text(META.replace("CID", "ID"))
    assert outcome(root).startswith(f"{path}, line 1: expected a header with CID, got ID, Category")


def test_a_truncated_image_is_named(root):
    path = root / "ut-zap50k-images" / PATHS[1]
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"expected a whole image in .*100627\.72\.jpg, got"):
        open_source(root).pixels(8)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), name=st.sampled_from(["image-path.mat", "meta-data.csv"]))
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, data, name):
    root = tmp_path_factory.getbasetemp() / "damaged-zap"
    root.mkdir(exist_ok=True)
    listed(root)
    (root / "ut-zap50k-data/meta-data.csv").write_text(META)
    path = root / "ut-zap50k-data" / name
    raw = path.read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
        middle = data.draw(
            st.sampled_from((b"", raw[first:second] * 2, b"\xff", b"\n", b",", b"/"))
        )
        raw = raw[:first] + middle + raw[data.draw(st.sampled_from((first, second))) :]
    path.write_bytes(raw)
    source = outcome(root)
    if isinstance(source, str):
        assert str(root) in source or source.startswith("expected images of UT-Zap50K, got none.")
        return
    table = source.annotations
    assert len(table) == len(table.names.images)
    assert set(table.names.attributes) >= {"category", "subcategory", "brand"}
    assert all(value.strip() for value in table.names.values)


DATA = os.environ.get("ASPECTRA_DATA")
real = pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")


@real
def test_the_real_paths_are_read_completely(tmp_path):
    (path,) = (Path(DATA) / "ut_zap50k").glob("image_paths*.txt.gz")
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    names = [line.removeprefix("images/utzap/") for line in lines]
    table = open_source(listed(tmp_path, names)).annotations
    assert len(table) == len(names) == 29_721
    for place, attribute in enumerate(("category", "subcategory")):
        assert table.shown(attribute) == Counter(name.split("/")[place].lower() for name in names)
    brands = Counter(name.split("/")[2].replace("%2E", ".") for name in names)
    assert table.shown("brand") == brands
