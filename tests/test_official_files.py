"""Files of a data set against the official ones, whose sums are known."""

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from datamodules.__main__ import main
from datamodules.errors import InputError
from datamodules.prepare.official import look
from datamodules.sources import SOURCES, about_source, folder
from datamodules.sources.about import Files

CSV = "image,split,attribute,value\na.png,train,color,red\n"
LIST = "a\nb\n"


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


KINDS = (
    Files("annotations.csv", 1, "annotations", sha256=sha256(CSV)),
    Files("**/list.txt", 1, "a list", False, sha256(LIST)),
    Files("images/*", 9, "the images", False),
)
ABOUT = replace(folder.ABOUT, files=KINDS)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "own"
    (root / "lists/list.txt").parent.mkdir(parents=True)
    (root / "lists/list.txt").write_text(LIST)
    (root / "annotations.csv").write_text(CSV)
    return root


def found(root):
    return [(each.count, each.compared, each.differing) for each in look(ABOUT, root)]


def test_unchanged_files_are_the_same_and_of_others_nothing_is_said(root):
    assert found(root) == [(1, "same", ()), (1, "same", ()), (0, "", ())]
    (root / "images/folder").mkdir(parents=True)  # a folder is no file
    (root / "images/a").write_text(LIST)
    (root / "annotations.csv").unlink()
    assert found(root) == [(0, "", ()), (1, "same", ()), (1, "", ())]


def test_windows_line_ends_are_no_difference(root):
    (root / "lists/list.txt").write_bytes(LIST.replace("\n", "\r\n").encode())
    assert found(root)[1] == (1, "same", ())


@pytest.mark.parametrize("text", ["a\n", "a\nb", "a\n\nb\n", "a\rb\r", ""])
def test_a_changed_file_is_named(root, text):
    (root / "lists/list.txt").write_bytes(text.encode())
    assert found(root)[1] == (1, "differs", ("lists/list.txt",))


def test_of_two_files_the_one_that_differs_is_named(root):
    (root / "list.txt").write_text("other")
    assert found(root)[1] == (2, "differs", ("list.txt",))


def test_a_file_that_cannot_be_read_is_told(root, monkeypatch):
    path = root / "annotations.csv"

    def denied(self, *args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(InputError) as caught:
        look(ABOUT, root)
    assert str(caught.value) == f"could not read {path}: Permission denied."


def test_prepare_says_which_official_files_differ(root, monkeypatch, capsys):
    monkeypatch.setattr(folder, "ABOUT", ABOUT)
    words = ["prepare", "--source", "folder", "--root", str(root), "--no_pixels", "--json"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert re.search(r"^annotations\.csv +1 +1 +same +annotations$", out, re.MULTILINE)
    assert re.search(r"^images/\* +0 +9 +the images$", out, re.MULTILINE)
    assert "differs" not in out
    (root / "lists/list.txt").write_text("a\n")
    assert main(words) == 0
    out = capsys.readouterr().out
    assert re.search(r"^\*\*/list\.txt +1 +1 +differs +a list$", out, re.MULTILINE)
    assert (
        "\ndiffers from the official release: lists/list.txt. Such a copy can be used, but figures "
        "on it are not comparable with published ones.\n"
    ) in out
    told = json.loads(out.splitlines()[-1])
    assert told["compared"] == {"annotations.csv": "same", "**/list.txt": "differs"}
    assert told["differing"] == ["lists/list.txt"]


@pytest.mark.parametrize("name", SOURCES)
def test_known_sums_are_of_single_files(name):
    for each in about_source(name).files:
        if each.sha256:
            assert re.fullmatch("[0-9a-f]{64}", each.sha256)
            assert each.count == 1
            assert "*" not in each.pattern.removeprefix("**/")


DATA = os.environ.get("ASPECTRA_DATA")


@pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")
@pytest.mark.parametrize(
    ("name", "place", "same"),
    [
        ("cgqa", "cgqa", 3),
        ("lfw", "lfw", 2),
        ("waterbirds", "waterbird_complete95_forest2water2", 1),
        ("cars", "", 2),
    ],
)
def test_real_official_files_are_the_same(tmp_path, name, place, same):
    root = Path(DATA) / place
    if name == "cars":
        root, devkit = tmp_path, tmp_path / "devkit"
        devkit.mkdir()
        for path in ("devkit/cars_meta.mat", "devkit_official_full/cars_train_annos.mat"):
            (devkit / Path(path).name).symlink_to(Path(DATA) / "stanford_cars" / path)
    compared = [each.compared for each in look(about_source(name), root)]
    assert (compared.count("same"), compared.count("differs")) == (same, 0)
