"""The file of edits: read, refused with its line, written, and two of them made one."""

import textwrap

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datamodules.dictionary import AnchorType
from datamodules.dictionary import edits as package
from datamodules.dictionary.edits import (
    Edits,
    edits_text,
    load_edits,
    merge_edits,
    write_edits,
)
from datamodules.errors import InputError

WHOLE = """\
types:   {expression: {names: [facial expression], seeds: [Smiling, frowning]}}
move:    {smiling: expression, furry: texture}  # a comment
merge:   [[gray, grey], [multicolored, multi colored]]
split:   [[closed, close]]
rename:  {color/navy: dark  blue, hue: color}
drop:
  - here
  - "no"
  - "for sale"
keep:    [crimson]
select:  [color, shape, texture]
"""
FILES = settings(max_examples=150, deadline=None, derandomize=True,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip


def load(tmp_path, text):
    path = tmp_path / "edits.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return load_edits(path)


def refusal(tmp_path, text):
    """What is said of a broken file; "" if it is read. Anything but an InputError is a failure."""
    try:
        load(tmp_path, text)
    except InputError as error:
        return str(error)
    return ""


def test_every_section_is_read_with_its_lines(tmp_path):
    edits = load(tmp_path, WHOLE)
    assert edits == Edits(
        types=(AnchorType("expression", ("facial expression", "smiling", "frowning")),),
        move={"smiling": "expression", "furry": "texture"},
        merge=(("gray", "grey"), ("multicolored", "multi colored")),
        split=(("closed", "close"),),
        rename={"color/navy": "dark blue", "hue": "color"},
        drop=("here", "no", "for sale"),
        keep=("crimson",),
        select=("color", "shape", "texture"),
    )
    assert edits.place("drop", "for sale") == f"{tmp_path / 'edits.yaml'}, line 9"
    assert edits.place("merge", "multicolored").endswith("line 3")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "drop:\nmove:\n", "\ufeffdrop: # none\n"])
def test_an_empty_file_is_no_edits(tmp_path, text):
    assert load(tmp_path, text) == Edits()


def test_the_example_of_the_package_is_a_file_of_edits(tmp_path):
    lines = package.__doc__.split("\n\n")[1]
    edits = load(tmp_path, textwrap.dedent(lines))
    assert edits.rename["group:color/navy"] == "blues"
    assert all(edits.content().values())


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path):
    assert load(tmp_path, b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode()) == load(
        tmp_path, WHOLE
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dorp: [a]", "line 1: expected one of types, move, merge, split, rename, drop, keep, sel"),
        ("- red", "line 1: expected a mapping of move, merge, drop and so on, got a list"),
        ("drop:\n  a: b", "line 2: expected a list of words, got a mapping"),
        ("drop: []", "line 1: expected a list of words, got nothing"),
        ("drop: [a,\n no]", "line 2: expected a word, got no, which YAML reads as yes or no"),
        ("drop: [4]", "got 4, which YAML reads as something other than text: write it in quotes"),
        ("drop: [a, ]\nmove: {on: size}", "line 2: expected a word, got on, which YAML reads as"),
        ("drop: [a, '']", "line 1: expected a word, got an empty one"),
        ("drop: [~]", "expected a word, got ~, which YAML reads as"),
        ("drop:\n- a\n-\n", "line 3: expected a word, got nothing"),
        ('drop: ["a\\0b"]', "got 'a\\x00b', which cannot be printed"),
        ('drop: ["a\\ud800"]', "got 'a\\ud800', which cannot be printed"),
        ('drop: ["\\Uffffffff"]', "edits.yaml: expected YAML, got: "),
        ("move: [a, b]", "line 1: expected a mapping of `word: attribute`, got a list"),
        ("move: {a: [b]}", "expected a word, got a list"),
        ("move:\n  a: b\n  a: c", "line 3: expected each key once, got 'a' again, after line 2"),
        ("move:\n  grey: b\n  Gray: c", "line 3: expected one fate a word, got 'Gray' to move"),
        ("move: {a: b}\ndrop: [A]", "line 2: expected one fate a word, got 'A' to drop and"),
        ("merge: [[b, a]]\nmove: {a: c}", "got 'a' to merge into b and"),
        ("merge: [[b, a], [c, a]]", "got 'a' to merge into c and"),
        ("merge: [[b, a]]\ndrop: [b]", "expected 'b' to stay, but it is dropped"),
        ("keep: [b]\ndrop: [b]", "line 1: expected 'b' to stay, but it is dropped"),
        ("merge: [red, blue]", "expected a list of words, got a word"),
        ("merge: [[red]]", "expected two or more different words, got [red]"),
        ("merge: [[red, Red]]", "expected two or more different words, got [red, Red]"),
        ("merge:\n- [a, b]\n- [b, a]", "line 2: expected merges that end at a word that stays"),
        ("merge: [[a, b], [b, c], [c, a]]", "a circle: "),
        ("merge: [[gray, grey], [grey, gray]]", "a circle: grey -> gray -> grey"),
        ("merge: [[b, a]]\nrename: {a: c}", "but 'a' is merged into 'b'. Rename that one."),
        ("rename: {grey: c, gray: d}", "expected one display name for 'gray', got 'd' and"),
        ("merge: [[a, b]]\nsplit: [[b, a]]", "line 2: expected words to be merged or split"),
        ("types: {mood: {}}", "line 1: expected seeds or names of the kind 'mood', got none"),
        ("types: {mood: {seeds: []}}", "expected a list of words, got nothing"),
        ("types: {mood: {seed: [a]}}", "expected names, seeds or selected (true or false) under"),
        ("types: {mood: [a]}", "expected a mapping of `seeds: [word, ...]`, got a list"),
        ("types: {a: {seeds: [x]}, b: {seeds: [X]}}", "expected a seed word under one kind"),
        ("types: {a: {seeds: [x]}, A: {seeds: [y]}}", "expected each kind once, got 'A' again"),
        ("drop: [a\nmove: {", "line 2: expected YAML, got: "),
        ("? [a]\n: b", "expected a word, got a list"),
        ("drop: [!x a]", "which YAML reads as something other than text"),
        ("drop: " + "[" * 1200, "expected YAML, got: "),
        (b"drop:\n- \xff", r"line 2: expected UTF-8 text, got the byte b'\xff'. Save the file"),
    ],
)  # fmt: skip
def test_a_broken_file_is_explained(tmp_path, text, message):
    assert message in refusal(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"expected a YAML file of edits at .*none\.yaml, found"):
        load_edits(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="could not read"):
        load_edits(tmp_path)


PIECES = st.sampled_from(
    ["drop", "move", "merge", "select", "types", "seeds", ": ", "- ", "[", "]", "{", "}", ", ",
     "\n", "  ", "red", "no", "4", "'", '"', "#", "&a ", "*a", "!!", "<<", "|", ">", "?", "\t", "~",
     "\\x", "\0", "é", "%YAML 9", "---\n", "..."]
)  # fmt: skip


@FILES
@given(st.one_of(st.lists(PIECES, max_size=30).map("".join), st.text(max_size=60)))
def test_any_text_is_read_or_refused(tmp_path, text):
    assert "edits.yaml" in (refusal(tmp_path, text) or "edits.yaml")


NODES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6), st.dates()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)
SECTIONS = ("types", "move", "merge", "split", "rename", "drop", "keep", "select")


@FILES
@given(st.dictionaries(st.sampled_from(SECTIONS), NODES, max_size=4))
def test_any_shape_is_read_or_refused(tmp_path, content):
    assert "line" in (refusal(tmp_path, yaml.safe_dump(content)) or "line")


WORD = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8
).map(lambda text: " ".join(text.split())).filter(bool)  # fmt: skip


@FILES
@given(
    st.dictionaries(WORD, WORD, max_size=4),
    st.lists(WORD, max_size=4, unique_by=str.casefold),
    st.lists(WORD, max_size=4, unique_by=str.casefold),
)
def test_written_edits_are_read_back_equal(tmp_path, move, keep, family):
    edits = Edits(
        move=move, keep=tuple(keep), merge=(tuple(family),) if len(family) > 1 else (),
        types=(AnchorType("yes", ("on",), selected=False),), select=("null", "1:30"),
    )  # fmt: skip
    try:
        merge_edits(edits, Edits())  # raises for what contradicts itself
    except InputError:
        return
    assert load(tmp_path, edits_text(edits)) == edits


def test_a_file_that_is_there_is_not_overwritten_unasked(tmp_path):
    path = tmp_path / "edits.yaml"
    path.write_text("# mine\ndrop: [a]\n")
    with pytest.raises(InputError, match=r"a new file for the edits, .* or add --replace; comm"):
        write_edits(Edits(drop=("b",)), path)
    assert path.read_text().startswith("# mine")
    write_edits(Edits(drop=("b",)), path, replace=True)
    assert load_edits(path) == Edits(drop=("b",))


def test_two_files_make_one(tmp_path):
    old = load(tmp_path, "move: {a: x}\nmerge: [[b, c]]\ndrop: [d]\nselect: [x, y]")
    new = Edits(move={"a": "x", "e": "y"}, merge=(("b", "c"), ("b", "f")), keep=("x/g",))
    both = merge_edits(old, new)
    assert both == Edits(
        move={"a": "x", "e": "y"}, merge=(("b", "c"), ("b", "f")), drop=("d",), keep=("x/g",),
        select=("x", "y"),
    )  # fmt: skip
    assert both.place("drop", "d").endswith("line 3")
    assert merge_edits(both, new) == both == merge_edits(both, Edits())


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (Edits(move={"a": "y"}), "expected what agrees with .*line 1, got something else for move"),
        (Edits(rename={"b": "z"}), "got something else for rename 'b'"),
        (Edits(select=("y",)), "got something else for select 'y'"),
        (Edits(types=(AnchorType("k", ("t",)),)), "got something else for types 'k'"),
        (Edits(drop=("A",)), "expected one fate a word, got 'A' to drop and .*line 1.* to move"),
    ],
)
def test_files_that_contradict_each_other_are_refused(tmp_path, new, message):
    old = load(tmp_path, "move: {a: x}\nrename: {b: c}\nselect: [x]\ntypes: {k: {seeds: [s]}}")
    with pytest.raises(InputError, match=message):
        merge_edits(old, new)


def test_the_hash_is_of_the_wishes_not_of_their_order(tmp_path):
    one = load(tmp_path, "drop: [a, b]\nmove: {c: x, d: y}\nmerge: [[e, f], [g, h]]")
    two = load(tmp_path, "merge: [[g, h], [e, f]]\nmove: {d: y, c: x}\n# why\ndrop: [b, a]")
    three = load(tmp_path, "merge: [[h, g], [e, f]]\nmove: {d: y, c: x}\ndrop: [b, a]")
    assert one.hash == two.hash != three.hash
