"""CUB-200-2011: the real tables and photographs."""

import gzip
import os
from collections import Counter
from pathlib import Path

import pytest

from datamodules.dictionary.given import stated
from datamodules.prepare.official import look
from datamodules.sources.cub import ABOUT, open_source
from tests.cub_folder import LABELS

DATA = os.environ.get("ASPECTRA_DATA")
real = pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")


def official(tmp_path, *parts):
    """The folder of a part of the real data, linked, with its labels at their official place."""
    root = tmp_path / "CUB_200_2011"
    (root / "attributes").mkdir(parents=True)
    (root / "parts").mkdir()
    for path in (Path(DATA) / parts[0]).iterdir():
        if path.is_file() or path.name == "images":
            (root / path.name).symlink_to(path)
    for folder in ("attributes", "parts"):
        for path in (Path(DATA) / parts[0] / folder).iterdir():
            (root / folder / path.name).symlink_to(path)
    if "labels" in parts:
        derived = Path(DATA) / parts[0] / "attributes_derived" / "image_attribute_labels.txt"
        (root / LABELS).symlink_to(derived)
    if not (root / "attributes.txt").exists():
        (tmp_path / "attributes.txt").symlink_to(Path(DATA) / "attributes.txt")
    return root


@real
def test_the_real_photographs_are_read_completely(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = official(tmp_path, "CUB_200_2011", "labels")
    (tmp_path / "cub_text_c10").symlink_to(Path(DATA) / "cub_text_c10")
    source = open_source(root)
    table = source.annotations
    assert len(table) == len(table.names.images) == 65
    assert {name: len(table.members(name)) for name in table.splits} == {
        "train": 34, "validation": 6, "test": 25,
    }  # fmt: skip
    raw = [line.split() for line in (root / LABELS).read_text().splitlines()]
    assert len(raw) == 10_296 == len(table.columns.label) - 65
    expected = Counter((-1 if code == "1" else int(shown)) for _, _, shown, code, _ in raw)
    expected[1] += 65
    assert Counter(table.columns.label.tolist()) == expected
    assert sum(len(texts) for split in table.splits for texts in source.captions(split)) == 650
    assert len(table.attributes) == 29
    assert len(set(zip(*table.columns[1:3], strict=True))) == 312 + 5
    assert source.pixels(16).shape == (65, 16, 16, 3)
    names = {attribute.name for attribute in stated(source).attributes}
    assert names >= {"species", "color", "bill shape", "size", "wing pattern"}
    assert set(source.templates) == set(table.attributes)
    counts = {each.pattern: len(list(root.glob(each.pattern))) for each in ABOUT.files}
    assert counts.pop("**/images/*/*.jpg") == 65
    assert counts.pop("**/attributes.txt") == 0  # beside it
    assert set(counts.values()) == {1}


@real
def test_the_real_crops_are_read_with_the_attributes_of_their_species(tmp_path, caplog):
    table = open_source(official(tmp_path, "CUB_200_2011_crops227")).annotations
    assert len(table) == 900
    assert len(table.columns.label) == 900 * 313
    assert len(caplog.messages) == 1
    assert {name: len(table.members(name)) for name in table.splits} == {
        "train": 448, "validation": 52, "test": 400,
    }  # fmt: skip
    root = official(tmp_path / "b", "CUB_200_2011_crops227", "labels")
    table = open_source(root).annotations
    assert len(table.columns.label) == 900 + (root / LABELS).read_bytes().count(b"\n")


@real
def test_all_official_tables_are_read(tmp_path):
    root = official(tmp_path, "CUB_200_2011")
    packed = Path(DATA) / "CUB_200_2011_all_annotations"
    for path in packed.rglob("*.gz"):
        table = (root / path.relative_to(packed)).with_suffix("")
        table.unlink()
        table.write_bytes(gzip.decompress(path.read_bytes()))
    (root / LABELS).write_text("1 1 1 4 0\n")
    compared = Counter(each.compared for each in look(ABOUT, root))
    assert compared == {"same": 8, "": 3}  # unknown: photographs, labels, what lies beside the root
    table = open_source(root).annotations
    assert len(table) == 11_788
    assert len(table.members("test")) == 5_794
    assert len(table.members("train")) + len(table.members("validation")) == 5_994
    assert len(table.shown("species")) == 200
