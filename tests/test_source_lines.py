"""Lines of annotation files: what does no harm, and what each broken line is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.sources.lines import read_lines, safe_path, split_fields, whole_number


def refusal(function, *args, **options):
    with pytest.raises(InputError) as error:
        function(*args, **options)
    return str(error.value)


def test_marks_line_ends_and_blank_lines_do_no_harm(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf1 one\r\n\r\n   \n\t2\tzw\xc3\xb6lf \r\n3 last")
    assert list(read_lines(path, "words")) == [(1, "1 one"), (4, "\t2\tzwölf "), (5, "3 last")]


def test_a_missing_file_is_named_with_what_it_holds_and_where_it_comes_from(tmp_path):
    path = tmp_path / "a.txt"
    assert refusal(list, read_lines(path, "the words", get="Ask at the library.")) == (
        f"expected the words at {path}, found no such file. Ask at the library."
    )
    assert refusal(list, read_lines(path / "b", "words")) == (
        f"expected words at {path / 'b'}, found no such file."
    )
    assert refusal(list, read_lines(tmp_path, "words")) == (
        f"could not read {tmp_path}: Is a directory."
    )


def test_a_byte_that_is_no_text_is_named_with_its_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"1 one\n2 \xe9t\xe9\n")
    assert refusal(list, read_lines(path, "words")) == (
        rf"{path}, line 2: expected UTF-8 text, got the byte b'\xe9'. Save the file as UTF-8."
    )


def test_fields_are_counted(tmp_path):
    path = tmp_path / "a.txt"
    assert split_fields(" 7  left\teye ", path, 3, 3, "x") == ["7", "left", "eye"]
    assert split_fields("7 left  eye", path, 3, 2, "x", at_most=True) == ["7", "left  eye"]
    assert refusal(split_fields, "7 left eye", path, 3, 2, "number, name") == (
        f"{path}, line 3: expected 2 fields (number, name), got 3: '7 left eye'. Correct or remove "
        "the line."
    )
    assert "got 1: '7'" in refusal(split_fields, "7", path, 3, 2, "number, name", at_most=True)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1_0", "٣", "0", "9" * 19, " 1"])
def test_only_plain_digits_make_a_number(text):
    assert refusal(whole_number, text, "a.txt, line 3", "an image", least=1) == (
        f"a.txt, line 3: expected an image of 1 or more, got {text!r}. Correct the line."
    )
    assert whole_number("042", "a.txt, line 3", "an image", least=1) == 42


@pytest.mark.parametrize(
    "name", ["", ".", "/etc/passwd", "../a.jpg", "a/../../b", "a\\b", "a\0b", "x" * 256, "x/" * 600]
)
def test_paths_that_leave_the_folder_are_refused(name):
    assert refusal(safe_path, name, "a.txt, line 3") == (
        "a.txt, line 3: expected the path of a file below the image folder, got "
        f"{name[:80]!r}. Correct the line."
    )


def test_paths_get_their_shortest_spelling():
    assert safe_path("./a b//ü.jpg", "x") == "a b/ü.jpg"


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=60))
def test_any_bytes_are_lines_or_a_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.txt"
    path.write_bytes(content)
    if content.startswith(b"\x1f\x8b"):
        with pytest.raises(InputError, match="is not a whole gzip file"):
            list(read_lines(path, "bytes"))
        return
    try:
        plain = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        with pytest.raises(InputError, match=r"bytes\.txt, line \d+: expected UTF-8 text, got the"):
            list(read_lines(path, "bytes"))
        return
    assert list(read_lines(path, "bytes")) == [
        (number, text.rstrip("\r")) for number, text in enumerate(plain, start=1) if text.strip()
    ]
