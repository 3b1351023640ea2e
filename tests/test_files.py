"""Files are whole or absent, and names of attributes are safe as names of files."""

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules import files
from datamodules.errors import InputError
from datamodules.names import safe_name

ROOT = Path(__file__).parents[1]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fail_with(error):
    def function(*args, **kwargs):
        raise error

    return function


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path):
    data = bytes(range(256)) * 5000  # more than one block
    (tmp_path / "f").write_bytes(data)
    assert files.sha256_file(tmp_path / "f") == hashlib.sha256(data).hexdigest()


def test_canonical_json_ignores_the_order_of_keys_and_refuses_nan():
    assert files.canonical_json({"b": 1, "a": "é"}) == '{\n  "a": "é",\n  "b": 1\n}\n'
    assert files.sha256_json({"b": 1, "a": 2}) == files.sha256_json({"a": 2, "b": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.canonical_json(float("nan"))


def test_writes_replace_what_was_there_and_make_folders(tmp_path):
    path = tmp_path / "a/b/f.json"
    for value in ({"x": 1}, {"x": [2.5, None]}):
        files.write_json(path, value)
        assert json.loads(path.read_bytes()) == value == files.read_json(path)
    assert os.listdir(path.parent) == ["f.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_process_killed_while_writing_leaves_the_old_file_whole(tmp_path, call):
    path = tmp_path / "f"
    path.write_text("old")
    code = (
        f"import os; from pathlib import Path; from datamodules import files\n"
        f"os.{call} = lambda *args: os._exit(9)\n"
        f"files.write_text(Path({str(path)!r}), 'new' * 1000)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 9
    assert path.read_text() == "old"
    files.write_text(path, "new")  # and the next write clears what the killed one left
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["f"]


def test_a_full_disk_is_told_and_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_text("old")
    monkeypatch.setattr(files.os, "fsync", fail_with(FULL))
    with pytest.raises(InputError) as caught:
        files.write_text(path, "new")
    assert str(caught.value) == (
        f"could not write {path}: No space left on device. Nothing that was there before is lost. "
        "Free space or choose a folder you may write to, then run the command again."
    )
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_json_that_is_missing_or_broken_is_named_with_its_line(tmp_path):
    missing = tmp_path / "none.json"
    with pytest.raises(InputError) as caught:
        files.read_json(missing)
    assert str(caught.value) == f"expected a JSON file at {missing}, found none."
    broken = tmp_path / "broken.json"
    broken.write_text('{\n  "a": 1,\n  oops\n}')
    with pytest.raises(InputError, match=re.escape(f"expected JSON in {broken}, line 3 is not")):
        files.read_json(broken)


def fill(path, text, then=lambda folder: None):
    with files.new_folder(path) as folder:
        (folder / "inner").mkdir()
        (folder / "inner/f").write_text(text)
        then(folder)


def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "a/folder"
    fill(path, "old")
    (path / "left over").touch()
    fill(path, "new")
    assert (path / "inner/f").read_text() == "new"
    assert os.listdir(path) == ["inner"]
    assert os.listdir(path.parent) == ["folder"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no"), FULL])
def test_a_failure_while_filling_a_folder_leaves_the_old_one(tmp_path, error):
    path = tmp_path / "folder"
    fill(path, "old")

    def fail(folder):
        (folder / "half").touch()
        raise error

    with pytest.raises(InputError if error is FULL else type(error)):
        fill(path, "new", then=fail)
    assert (path / "inner/f").read_text() == "old"
    assert os.listdir(tmp_path) == ["folder"]


KILLED_AT_A_RENAME = """
import os, sys
from pathlib import Path
from datamodules import files

path, allowed = Path(sys.argv[1]), int(sys.argv[2])
replace = os.replace

def replace_or_die(*names):
    global allowed
    allowed -= 1
    replace(*names) if allowed >= 0 else os._exit(9)

os.replace = replace_or_die
with files.new_folder(path) as folder:
    (folder / "f").touch()
"""


@pytest.mark.parametrize("allowed", [0, 1])
def test_a_process_killed_at_a_rename_loses_no_folder(tmp_path, allowed):
    path = tmp_path / "folder"
    fill(path, "old")
    command = [sys.executable, "-c", KILLED_AT_A_RENAME, str(path), str(allowed)]
    assert subprocess.run(command, cwd=ROOT).returncode == 9

    def stop(folder):
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):  # the next write brings the old one back first
        fill(path, "new", then=stop)
    assert (path / "inner/f").read_text() == "old"


@pytest.mark.parametrize("name", ["color", "wing_color", "size2", "x"])
def test_plain_names_stay_as_they_are(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name", ["type", "train", "a.b", "../x", "", "..", "CON/", "Ä", "a b", "2"]
)
def test_other_names_carry_a_hash_of_what_was_typed(name):
    digest = hashlib.sha256(name.encode()).hexdigest()
    assert re.fullmatch(rf"[a-z][a-z0-9_]*_{digest[:4]}", safe_name(name))


def test_names_of_torch_modules_are_no_names_of_attributes():
    from torch import nn

    for name in {*dir(nn.ModuleDict()), *dir(nn.ParameterDict())}:
        assert safe_name(name) != name
        nn.ModuleDict({safe_name(name): nn.Identity()})


@given(st.text())
def test_every_name_is_one_short_plain_component(name):
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,99}", safe_name(name))


@given(st.text(alphabet="aAbB._ /-", max_size=5), st.text(alphabet="aAbB._ /-", max_size=5))
def test_different_names_stay_different(one, other):
    assert (safe_name(one) == safe_name(other)) == (one == other)


def test_a_name_that_looks_like_a_changed_one_is_changed_too():
    assert safe_name(safe_name("type")) != safe_name("type")


def test_a_long_name_still_fits_a_file_system():
    names = {safe_name("a" * 300), safe_name("a" * 301)}
    assert len(names) == 2
    assert max(map(len, names)) <= 100


def test_a_folder_in_the_place_of_a_json_file_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        files.read_json(tmp_path)
    assert str(caught.value) == f"could not read {tmp_path}: Is a directory."


def test_json_that_is_nested_without_end_is_named(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 200_000)
    with pytest.raises(InputError, match=r"^expected JSON in .*deep\.json, line 1 is not"):
        files.read_json(path)


def test_json_lines_break_only_down_to_a_depth():
    value = {"b": [{"x": [1, 2], "a": None}, {}], "a": {"é": 1.5}, "c": []}
    assert files.json_lines(value, depth=2) == (
        '{\n  "a": {\n    "é": 1.5\n  },\n  "b": [\n    {"a": null, "x": [1, 2]},\n    {}\n  ],\n'
        '  "c": []\n}\n'
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.json_lines([float("nan")], depth=1)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=12,
    ),
    st.integers(0, 4),
)
def test_json_lines_hold_the_same_value_in_one_way(value, depth):
    text = files.json_lines(value, depth=depth)
    assert json.loads(text) == value
    assert files.json_lines(json.loads(text), depth=depth) == text
