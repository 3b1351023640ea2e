"""Pools of texts: read from any file, a dictionary or class descriptors, and encoded."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from datamodules.dictionary import Attribute, Dictionary, Value
from datamodules.errors import InputError
from interpret.pools import (
    TextPool,
    descriptor_pool,
    dictionary_pool,
    encode_pool,
    read_pool,
)
from lightning_modules.backbone import load_backbone

BASE = Path(__file__).parents[1] / "artifacts/base/glyph-clip"
LINES = (
    "# what to look for\n\n  A photo of a red car \nblue sky\n\n#1 place\nA PHOTO  of a red car\n"
)
AGAIN = "blue Sky\nBLUE SKY\ntwo\ntwo\nthree\nthree\nfour\nfour\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "texts.txt"


def value(text, example=""):
    return Value(f"v_{text}", text, 1, examples=(example,) if example else ())


DICTIONARY = Dictionary(
    "glyphs",
    "hash",
    (
        Attribute("color", (value("red", "a red thing"), value("light", "a light thing"))),
        Attribute("weight", (value("light"), value("heavy")), templates=("it is {}", "{}")),
        Attribute("mood", (value("sad"),), selected=False),
    ),
)


def test_a_file_is_a_text_a_line_without_blank_lines_and_comments(path):
    path.write_bytes(b"\xef\xbb\xbf" + LINES.replace("A PHOTO  of a red car\n", "").encode())
    pool = read_pool(path)
    assert pool == TextPool(str(path), ("A photo of a red car", "blue sky", "#1 place"))
    assert len(pool) == 3


def test_texts_that_differ_in_case_or_blanks_alone_are_refused_with_their_lines(path):
    path.write_text(LINES)
    with pytest.raises(InputError) as error:
        read_pool(path)
    assert str(error.value) == (
        f"expected each text once in {path}, got 'A photo of a red car' in lines 3, 7. Remove "
        "them, or pass --on_duplicate drop."
    )
    path.write_text(AGAIN)
    with pytest.raises(InputError) as error:
        read_pool(path)
    assert (
        "got 'blue Sky' in lines 1, 2; 'two' in lines 3, 4; 'three' in lines 5, 6 and 1 more."
        in (str(error.value))
    )


def test_texts_that_come_again_are_dropped_or_kept_if_so_asked(path, caplog):
    path.write_text(AGAIN)
    assert read_pool(path, "drop").texts == ("blue Sky", "two", "three", "four")
    assert caplog.messages[0].startswith(
        f"{path}: only the first is taken of 'blue Sky' in lines 1,"
    )
    assert len(read_pool(path, "keep")) == 8


@pytest.mark.parametrize("content", ["", "\n \n# only a comment\n"])
def test_a_file_without_texts_is_refused(path, content):
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_pool(path)
    assert str(error.value) == f"expected texts in {path}, got none. Give at least one text."


def test_a_file_that_cannot_be_read_is_named(path, tmp_path):
    with pytest.raises(InputError, match=r"expected a file of texts at .*, found none"):
        read_pool(path)
    with pytest.raises(InputError, match="could not read"):
        read_pool(tmp_path)
    path.write_bytes("grün".encode("latin-1"))
    with pytest.raises(InputError, match=r"expected UTF-8 text in .* Save it as UTF-8"):
        read_pool(path)
    with pytest.raises(InputError) as error:
        read_pool(path, "ignore")
    assert str(error.value) == "expected --on_duplicate refuse, drop, keep, got 'ignore'."


def test_a_dictionary_gives_values_and_phrases_with_their_attributes():
    pool = dictionary_pool(DICTIONARY, form="values")
    assert pool.name == "the dictionary of glyphs"
    assert dict(zip(pool.texts, pool.owners, strict=True)) == {
        "red": ("color",), "light": ("color", "weight"), "heavy": ("weight",),
    }  # fmt: skip
    phrases = dictionary_pool(DICTIONARY, ["weight"], form="phrases")
    assert phrases.texts == ("it is light", "light", "it is heavy", "heavy")
    both = dictionary_pool(DICTIONARY)
    assert both.texts[:4] == ("red", "light", "a red object", "something red")
    assert len(set(both.texts)) == len(both.texts) == len(both.owners)
    assert both.owners[both.texts.index("light")] == ("color", "weight")
    assert dictionary_pool(DICTIONARY, ["mood"], "values").texts == ("sad",)
    with pytest.raises(InputError, match="expected an attribute of the glyphs dictionary"):
        dictionary_pool(DICTIONARY, ["shape"])
    with pytest.raises(InputError, match="expected texts in the dictionary of none, got none"):
        dictionary_pool(Dictionary("none", "hash", ()))


def test_descriptors_come_once_with_all_their_classes(tmp_path):
    path = tmp_path / "descriptors.json"
    classes = {
        "hen": ["two legs", "a beak"],
        "cat": ["four legs"],
        "eagle": ["A beak", ""],
        "x": [],
    }
    path.write_text(json.dumps(classes))
    pool = descriptor_pool(path)
    assert pool.texts == ("two legs", "a beak", "four legs")
    assert pool.owners == (("hen",), ("hen", "eagle"), ("cat",))
    path.write_text('["two legs"]')
    with pytest.raises(InputError) as error:
        descriptor_pool(path)
    assert str(error.value) == (f"expected {{class: [descriptor, ...]}} in {path}, got list.")
    path.write_text('{"hen": "two legs"}')
    with pytest.raises(InputError) as error:
        descriptor_pool(path)
    assert str(error.value) == (
        f"expected a list of texts for the class 'hen' in {path}, got 'two legs'."
    )
    path.write_text('{"hen": []}')
    with pytest.raises(InputError, match=r"expected texts in .*, got none"):
        descriptor_pool(path)


@pytest.mark.skipif(not BASE.is_dir(), reason=f"{BASE} is not there: run `make base`")
def test_texts_are_encoded_as_they_are_to_unit_norm():
    backbone = load_backbone(str(BASE))
    texts = tuple(f"a red star number {number}" for number in range(3))
    found = encode_pool(backbone, TextPool("pool", texts))
    assert not found.requires_grad
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    with torch.no_grad():
        expected = backbone.model.encode_text(backbone.tokenizer([texts[0], texts[2]]))
    torch.testing.assert_close(found[[0, 2]], F.normalize(expected, dim=-1), atol=1e-5, rtol=0)
