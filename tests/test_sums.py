"""Lists of sums: as the common programs write them, and what is wrong with other ones."""

import hashlib
import json
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.__main__ import main
from datamodules.errors import InputError
from datamodules.prepare.sums import check_sums, read_sums

SHA256, MD5 = hashlib.sha256(b"x").hexdigest(), hashlib.md5(b"x").hexdigest()


def listed(tmp_path, text):
    path = tmp_path / "SUMS"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path):
    with pytest.raises(InputError) as caught:
        read_sums(path)
    return str(caught.value)


def outcome(path):
    """The list, or the message."""
    try:
        return read_sums(path)
    except InputError as error:
        return str(error)


def test_both_sums_and_both_marks_are_read(tmp_path):
    text = f"{SHA256}  a b/c.jpg\r\n\n{MD5.upper()} *./d//e \n{MD5}  *f\n{SHA256} * g\n"
    assert read_sums(listed(tmp_path, text)) == {
        "a b/c.jpg": SHA256, "d/e ": MD5.upper(), "*f": MD5, " g": SHA256,
    }  # fmt: skip


@pytest.mark.parametrize("program", ["sha256sum", "md5sum"])
@pytest.mark.parametrize("mark", ["--binary", "--text"])
def test_what_the_programs_write_is_read_and_fits(tmp_path, program, mark):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    root = tmp_path / "root"
    names = ["a.jpg", "two words/ü.txt", "*star", "deep/er/ b"]
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes([number]))
    done = subprocess.run([program, mark, *names], cwd=root, capture_output=True, check=True)
    table = read_sums(listed(tmp_path, done.stdout))
    assert list(table) == names
    check_sums(root, table)
    (root / "*star").write_bytes(b"x")
    with pytest.raises(InputError, match=re.escape("got 1 with the wrong sum: *star (expected ")):
        check_sums(root, table)


BROKEN = (
    "{file}, line 2: expected a sum and a path as sha256sum or md5sum write them, got {text!r}. "
    "Correct or remove the line."
)


@pytest.mark.parametrize(
    "text",
    [
        "abc  a.jpg",
        f"{SHA256}",
        f"{SHA256}  ",
        f"{SHA256} a.jpg",
        f"{SHA256}\ta.jpg",
        f"{'0' * 40}  a.jpg",
        f"{'g' * 32}  a.jpg",
        f" {MD5}  a.jpg",
        f"\\{MD5}  a\\nb",
        f"MD5 (a.jpg) = {MD5}",
    ],
)
def test_a_broken_line_is_named(tmp_path, text):
    path = listed(tmp_path, f"{MD5}  good\n{text}\n")
    assert refusal(path) == BROKEN.format(file=path, text=text[:80])


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../a", "a way up (..)"),
        ("a/../../b", "a way up (..)"),
        ("/etc/passwd", "an absolute path"),
        ("C:/x", "a drive letter"),
        ("a\\b", "a backslash"),
        ("a\0b", "a control character"),
        ("x" * 256, "a name that is too long"),
        ("./", "the root"),
    ],
)
def test_a_path_that_leads_out_of_the_root_is_refused(tmp_path, name, fault):
    path = listed(tmp_path, f"{MD5}  good\n{MD5}  {name}\n")
    assert refusal(path) == (
        f"{path}, line 2: expected the path of a file below the root, got {fault}: {name[:80]!r}. "
        "Correct or remove the line."
    )


def test_a_file_listed_twice_is_refused(tmp_path):
    path = listed(tmp_path, f"{MD5}  a\n{MD5}  b\n{SHA256}  ./a\n")
    assert refusal(path) == (
        f"{path}, line 3: expected every file once, got 'a' again, which is at line 1. Remove one "
        "of the lines."
    )


def test_a_list_without_lines_or_that_is_not_there_is_told(tmp_path):
    path = listed(tmp_path, "\n")
    assert refusal(path) == f"expected sums and paths in {path}, got none. Name another file."
    path.unlink()
    assert refusal(path) == f"expected a list of sums at {path}, found no such file."


LINES = st.one_of(
    st.binary(max_size=50),
    st.tuples(
        st.sampled_from([MD5, SHA256, MD5[1:]]),
        st.sampled_from(["  ", " *", " ", "\t"]),
        st.text(max_size=6) | st.sampled_from(["../a", "/a", "a", "./a", "a/b", "."]),
    ).map(lambda each: "".join(each).encode(errors="replace")),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=5))
def test_any_list_ends_in_paths_below_the_root_or_a_clear_error(tmp_path_factory, lines):
    path = listed(tmp_path_factory.getbasetemp(), b"\n".join(lines))
    root = (path.parent / "no such root").resolve()
    table = outcome(path)
    if isinstance(table, str):
        assert str(path) in table
        return
    assert table
    for name, digest in table.items():
        assert (root / name).resolve().is_relative_to(root)
        assert name == str((root / name).relative_to(root))
        assert digest in (MD5, SHA256)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/annotations.csv").write_text(
        "image,split,attribute,value\na.png,train,c,red\n"
    )
    return tmp_path / "own"


def test_prepare_compares_every_file_of_the_list(root, capsys):
    csv = root / "annotations.csv"
    sums = listed(root.parent, f"{hashlib.sha256(csv.read_bytes()).hexdigest()} *annotations.csv\n")
    words = ["prepare", "--source", "folder", "--root", str(root), "--no_pixels", "--sums", "SUMS"]
    assert main([*words, "--json"]) == 0
    out = capsys.readouterr().out
    assert "sums  1 files as in SUMS\n" in out
    assert json.loads(out.splitlines()[-1])["sums"] == 1
    sums.write_text(f"{sums.read_text()}{MD5}  a.png\n")
    assert main(words) == 2
    assert capsys.readouterr().err.strip() == (
        f"error: expected 2 files in {root} as the list of sums has them, got 1 missing: a.png. "
        "Get these files again, or name the list of this copy."
    )


def test_prepare_reads_the_list_before_anything_else(root, capsys):
    listed(root.parent, "nonsense\n")
    words = ["prepare", "--source", "folder", "--root", str(root / "none"), "--sums", "SUMS"]
    assert main([*words, "--download"]) == 2
    assert capsys.readouterr().err.startswith("error: SUMS, line 1: expected a sum and a path as ")
