"""A large table is parsed once, and anew when anything it came from has changed."""

from types import ModuleType

import pytest
from PIL import Image

from datamodules.annotations import Annotation, Builder, annotations_of
from datamodules.annotations.columnar import load_columns, save_columns
from datamodules.errors import InputError
from datamodules.sources import index
from datamodules.sources.about import About
from datamodules.sources.index import open_indexed
from datamodules.sources.table_source import TableSource

ROWS = [
    Annotation("a.png", "train", "color", "red", 1, 0.25, "bird", (1.0, 2.0, 3.0, 4.5)),
    Annotation("a.png", "train", "color", "bl\u00fc", 0),
    Annotation("b/c.png", "test", "shape", "star", -1),
]


def test_columns_written_and_read_are_the_same(tmp_path):
    table = annotations_of(ROWS)
    save_columns(table, tmp_path / "index.npz")
    again = load_columns(tmp_path / "index.npz")
    assert again.rows == table.rows == tuple(ROWS)
    assert again.splits == ("train", "test")
    assert again.boxes.tolist() == table.boxes.tolist()


def test_a_table_without_rows_survives(tmp_path):
    builder = Builder()
    builder.item("a", "train")
    save_columns(builder.table(), tmp_path / "index.npz")
    assert load_columns(tmp_path / "index.npz").images == ("a",)


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_broken_index_is_named(tmp_path, keep):
    path = tmp_path / "index.npz"
    save_columns(annotations_of(ROWS), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"^expected a whole index of annotations, got .*Remove"):
        load_columns(path)


def test_an_index_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^expected an index of annotations at .*, found none\.$"):
        load_columns(tmp_path / "none.npz")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A source whose readings are counted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(index, "LEAST_ROWS", 3)
    module = ModuleType("birds")
    module.__file__ = str(tmp_path / "birds.py")
    (tmp_path / "birds.py").write_text("1")
    module.ABOUT = About("birds", "some birds", "", "", "", get="Ask for them.")
    module.readings = []
    root = tmp_path / "root" / "inner"
    (root / "b").mkdir(parents=True)
    (root / "labels.txt").write_text("red")
    Image.new("RGB", (4, 4)).save(root / "a.png")

    def open_source(root):
        module.readings.append(root)
        spoken, templates = {"a.png": ["a red bird"]}, {"color": ("a {} bird",)}
        return TableSource(module.ABOUT, root, annotations_of(ROWS), root, spoken, templates)

    module.open_source, module.root = open_source, root
    return module


def test_a_large_table_is_parsed_once(module):
    first, second = (open_indexed(module, module.root) for _ in range(2))
    assert len(module.readings) == 1
    assert second.annotations.rows == first.annotations.rows
    assert (second.root, second.images) == (first.root, first.images)
    assert (second.spoken, second.templates) == (first.spoken, first.templates)
    assert second.states_types
    assert second.data_hash == first.data_hash


def test_a_small_table_has_no_index(module, monkeypatch):
    monkeypatch.setattr(index, "LEAST_ROWS", 4)
    for _ in range(2):
        open_indexed(module, module.root)
    assert len(module.readings) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "labels.txt").write_text("green"),
        lambda root: (root / "more.txt").write_text("red"),
        lambda root: (root / "b/new.png").write_text("picture"),
        lambda root: (root.parent / "beside.txt").write_text("names"),
        lambda root: (root.parent.parent / "birds.py").write_text("2"),
    ],
    ids=["file", "new file", "new picture", "beside the root", "program"],
)
def test_what_has_changed_is_read_anew(module, change):
    open_indexed(module, module.root)
    change(module.root)
    open_indexed(module, module.root)
    open_indexed(module, module.root)
    assert len(module.readings) == 2


def test_a_broken_index_is_made_again(module):
    open_indexed(module, module.root)
    (path,) = module.root.parent.parent.glob("artifacts/data/birds/index-*.npz")
    path.write_bytes(b"x")
    open_indexed(module, module.root)
    open_indexed(module, module.root)
    assert len(module.readings) == 2
