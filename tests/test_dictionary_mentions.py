"""Mentions from annotations, and from lists that a person has."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.annotations import Annotation, annotations_of
from datamodules.dictionary.words import mention
from datamodules.dictionary.words.mention import Mention, mentions_of, part_and_type, read_list
from datamodules.errors import InputError
from datamodules.sources.about import About
from datamodules.sources.table_source import TableSource


def source_of(rows, name="birds"):
    return TableSource(About(name, "", "", "", "", ""), None, annotations_of(rows), None)


def test_rows_that_say_something_become_mentions_in_their_order():
    source = source_of(
        [
            Annotation("a.png", "train", "bill color", "red", object="bird"),
            Annotation("a.png", "train", "bill color", "blue", 0, object="bird"),
            Annotation("b.png", "test", "", "Wet", -1),
            Annotation("c.png", "", "", "lost"),  # in no split
            Annotation("b.png", "test", "", "dry", box=(1, 2, 3, 4)),
        ]
    )
    assert list(mentions_of(source)) == [
        Mention("birds", "train", "a.png", "red", 1, "bill", "color", "bird"),
        Mention("birds", "train", "a.png", "blue", 0, "bill", "color", "bird"),
        Mention("birds", "test", "b.png", "dry", 1),
    ]


def test_a_large_table_is_read_in_pieces(monkeypatch):
    rows = [Annotation(f"{n}", "train", "", f"word{n % 7}", n % 3 - 1) for n in range(50)]
    whole = list(mentions_of(source_of(rows)))
    monkeypatch.setattr(mention, "_CHUNK", 4)
    assert list(mentions_of(source_of(rows))) == whole
    assert [(each.image, each.raw, each.polarity) for each in whole] == [
        (row.image, row.value, row.label) for row in rows if row.label >= 0
    ]


def test_annotations_that_say_nothing_are_refused():
    with pytest.raises(InputError) as caught:
        list(mentions_of(source_of([Annotation("a", "train", "", "red", -1)])))
    assert str(caught.value) == (
        "expected annotations of birds that say what an image shows, got none among 1. Check its "
        "files with `make prepare DATA=birds`."
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bill color", ("bill", "color")),
        ("under tail color", ("under tail", "color")),
        ("Hair Style", ("Hair", "Style")),
        ("color", ("", "color")),
        ("facial hair", ("", "facial hair")),
        ("", ("", "")),
    ],
)
def test_a_name_states_a_part_where_its_last_word_is_a_kind(name, expected):
    assert part_and_type(name) == expected


def test_a_plain_list_holds_a_string_a_line_with_a_count_or_without(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(
        b"\xef\xbb\xbfred\t120\r\n\r\n  pale green \ndark,7\nred, white and blue\n2 door\nx,0\n"
    )
    assert [(each.raw, each.times) for each in read_list(path)] == [
        ("red", 120), ("pale green", 1), ("dark", 7), ("red, white and blue", 1), ("2 door", 1),
        ("x", 0),
    ]  # fmt: skip
    assert next(read_list(path)) == Mention("words.txt", "", "", "red", times=120)


def test_a_table_may_say_everything(tmp_path):
    path = tmp_path / "words.csv"
    path.write_text(
        "image,word,count,type,object,part,split,polarity,note\n"
        'a.png,"red, dark",3,color,bird,bill,train,1,x\n'
        "b.png,wet,,,,,test,0,\n"
        ",dry,,,,,,-1,\n"
        ",old,,,,,,,\n"
    )
    assert list(read_list(path)) == [
        Mention("words.csv", "train", "a.png", "red, dark", 1, "bill", "color", "bird", 3),
        Mention("words.csv", "test", "b.png", "wet", 0),
        Mention("words.csv", "", "", "old"),
    ]


@pytest.mark.parametrize("column", ["word", "raw", "value"])
def test_a_table_is_known_by_its_header_too(column, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(f"{column},label\nred,0\n")
    assert list(read_list(path)) == [Mention("words.txt", "", "", "red", 0)]


def test_one_known_word_is_no_header(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("word\nred\n")
    assert [each.raw for each in read_list(path)] == ["word", "red"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", None, "expected the list of attributes at {path}, found no such file. Give a "
         "list of attributes, one a line."),
        ("a.txt", b"", "expected attributes in {path}, got none. Write one a line, such as 'red' "
         "or 'pale green'."),
        ("a.csv", b"word\n", "expected attributes in {path}, got none. Write one a line, such as "
         "'red' or 'pale green'."),
        ("a.txt", b"red\ngr\xfcn\n", "{path}, line 2: expected UTF-8 text, got the byte b'\\xfc'. "
         "Save the file as UTF-8."),
        ("a.csv", b"word\nred\ngr\xfcn\n", "{path}, line 3: expected UTF-8 text, got the byte "
         "b'\\xfc'. Save the file as UTF-8."),
        ("a.txt", b"red\nblue\tmany\n", "{path}, line 2: expected a count of 0 or more, got 'many'."
         " Correct the line."),
        ("a.txt", b"red\t1\t2\n", "{path}, line 1: expected an attribute, and its count after a "
         "tab if that is known, got 'red\\t1\\t2'. Correct or remove the line."),
        ("a.txt", b"red\n\t3\n", "{path}, line 2: expected an attribute, and its count after a tab "
         "if that is known, got '3'. Correct or remove the line."),
        ("a.csv", b"", "{path}, line 1: expected a header with one of value, raw, word, and at "
         "most one of polarity, label, got nothing. Name the column that holds the attributes "
         "`word`."),
        ("a.csv", b"name,count\nred,1\n", "{path}, line 1: expected a header with one of value, "
         "raw, word, and at most one of polarity, label, got name, count. Name the column that "
         "holds the attributes `word`."),
        ("a.csv", b"word,raw\nred,red\n", "{path}, line 1: expected a header with one of value, "
         "raw, word, and at most one of polarity, label, got word, raw. Name the column that holds "
         "the attributes `word`."),
        ("a.csv", b"word,count\nred,1\nblue\n", "{path}, line 3: expected 2 cells (word, count), "
         "got 1: 'blue'. Correct or remove the row; text with a comma goes between double quotes."),
        ("a.csv", b"word,count\nred,-1\n", "{path}, line 2: expected a count of 0 or more, got "
         "'-1'. Correct the line."),
        ("a.csv", b"word,count\nred,5000000000\n", "{path}, line 2: expected a count of at most "
         "1,000,000,000, got 5,000,000,000."),
        ("a.csv", b"word,label\nred,yes\n", "{path}, line 2: expected 1 (shown), 0 (not shown) or "
         "-1 (unknown), got 'yes'. Correct the row."),
        ("a.csv", b"word,label\nred,-1\n", "expected attributes in {path}, got none. Write one a "
         "line, such as 'red' or 'pale green'."),
    ],
)  # fmt: skip
def test_a_broken_list_is_named_with_its_line(name, data, message, tmp_path):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        list(read_list(path))
    assert str(caught.value) == message.format(path=path)


@given(
    st.lists(
        st.tuples(
            st.text("abc -'", min_size=1).filter(str.strip), st.none() | st.integers(0, 10**9)
        ),
        min_size=1,
    )
)
def test_a_written_list_is_read_back(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("lists") / "list.txt"
    path.write_text(
        "".join(f"{word}\n" if times is None else f"{word}\t{times}\n" for word, times in entries)
    )
    assert [(each.raw, each.times) for each in read_list(path)] == [
        (word.strip(), 1 if times is None else times) for word, times in entries
    ]


def test_a_large_table_is_not_held_twice():
    size = 400_000
    table = source_of([Annotation("a", "train", "", "red")]).annotations
    rows = table.columns._replace(
        **{name: np.repeat(column, size) for name, column in table.columns._asdict().items()}
    )
    source = source_of([Annotation("a", "train", "", "red")])
    object.__setattr__(source, "annotations", type(table)(table.names, table.items, rows))
    tracemalloc.start()
    try:
        assert sum(1 for _ in mentions_of(source)) == size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < sum(column.nbytes for column in rows) * 2
