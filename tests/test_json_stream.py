"""JSON lists read object by object: as the json module reads them, and never as a whole."""

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.sources.json_stream import read_objects


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": expected a JSON list that begins with '[', got the end of the file."),
        ("{}", ": expected a JSON list that begins with '[', got '{'."),
        ("[", ", entry 1: expected an object that begins with '{', got the end of the file."),
        ("[1]", ", entry 1: expected an object that begins with '{', got '1'."),
        ('[{"a": 1},]', ", entry 2: expected an object that begins with '{', got ']'."),
        ('[{"a": 1} {"a": 2}]', ", entry 1: expected ',' or ']' after it, got '{'."),
        ('[{"a": 1}', ", entry 1: expected ',' or ']' after it, got the end of the file."),
        ('[{"a": 1}] x', ": expected nothing after the list, got 'x'."),
        ('[{"a": 1}, {"b": "c', ", entry 2: expected a whole JSON object, got 'Unterminated string "
                                "starting at' at character 18 of the file."),
        ('[{"a": 1 "b": 2}]', ", entry 1: expected a whole JSON object, got \"Expecting ',' "
                              'delimiter" at character 10 of the file.'),
    ],
)  # fmt: skip
def test_a_list_that_is_broken_or_cut_off_is_told_where(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        list(read_objects(path, "numbers"))
    assert str(caught.value) == f"{path}{message} Get the file again."


def test_other_bytes_than_utf8_and_deep_nesting_are_told(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"a": "\xff"}]')
    with pytest.raises(InputError) as caught:
        list(read_objects(path, "numbers"))
    assert str(caught.value) == (
        f"expected UTF-8 text in {path}, got the byte b'\\xff'. Get the file again."
    )
    path.write_text('[{"a": ' + "[" * 100_000)
    with pytest.raises(InputError, match=r"a\.json, entry 1: expected an object of a few levels"):
        list(read_objects(path, "numbers"))
    with pytest.raises(InputError) as caught:
        list(read_objects(tmp_path / "b.json", "numbers", get="Ask."))
    assert str(caught.value) == f"expected numbers at {tmp_path}/b.json, found no such file. Ask."


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(
    entries=st.lists(st.dictionaries(st.text(), VALUES), max_size=6),
    ascii=st.booleans(),
    indent=st.none() | st.integers(0, 3),
    block=st.integers(1, 40),
)
def test_objects_come_as_the_json_module_reads_them(
    tmp_path_factory, entries, ascii, indent, block
):
    path = tmp_path_factory.getbasetemp() / "any.json"
    text = json.dumps(entries, ensure_ascii=ascii, indent=indent)
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datamodules.sources.json_stream._BLOCK", block)
        found = list(read_objects(path, "anything"))
    assert [value for _, value in found] == json.loads(path.read_text())
    assert [place for place, _ in found] == [f"{path}, entry {n + 1}" for n in range(len(entries))]


def test_a_large_file_is_never_in_memory_as_a_whole(tmp_path):
    clock = {"names": ["clock"], "x": 421, "y": 91, "w": 79, "h": 339}
    entry = json.dumps({"image_id": 1, "attributes": [clock] * 160})
    path = tmp_path / "large.json"
    with path.open("w") as stream:
        stream.write("[" + ",\n".join([entry] * 1000) + "]")
    assert path.stat().st_size > 7e6
    tracemalloc.start()
    count = sum(1 for _ in read_objects(path, "attributes"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1000
    assert peak < 3e6
