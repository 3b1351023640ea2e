"""The YAML that describes types: every field, and a sentence on each mistake."""

import pytest

from datamodules.dictionary.settings import TypeSpec, load_types
from datamodules.errors import InputError


def test_shipped_types_have_names_and_about_ten_seeds():
    types = load_types()
    assert [t.name for t in types if t.selected] == [
        "color", "shape", "texture", "size", "material", "state", "action"
    ]  # fmt: skip
    assert all(8 <= len(each.seeds) <= 18 and len(each.names) == 3 for each in types)
    assert all(each.names and not each.seeds for each in load_types(seeds=False))


def test_every_field_of_a_type_is_read(tmp_path):
    path = tmp_path / "types.yaml"
    path.write_text(
        "Hue:\n  names: [Colour, hue]\n  seeds: [Red, red, sky-blue]\n  negatives: [colourful]\n"
        "  selected: false\n  exclusive: true\nmood: {names: [feeling]}\nsize: {seeds: [big]}\n"
    )
    hue, mood, size = load_types(path)
    assert hue == TypeSpec(
        "Hue", ("color", "hue"), ("red", "sky blue"), ("colorful",), selected=False, exclusive=True
    )
    assert mood == TypeSpec("mood", ("feeling",))
    assert size == TypeSpec("size", ("size",), ("big",))
    assert size.anchors == ("big", "size")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"expected a YAML file of types at .*types\.yaml, found none\."),
        ("a: 1\nb: [", r"types\.yaml, line 2: expected YAML, got: expected the node .*end>'\.$"),
        ("a: 1\n\n \0", r"types\.yaml, line 3: expected YAML, got: special char.* not allowed\.$"),
        (
            b"a: 1\nb: \xe9",
            r"types\.yaml, line 2: expected UTF-8 text, got the byte b'\\xe9'\. Save",
        ),
        ("- red", r"--types: expected `name: \{seeds: \[word, .*` lines in .*, got \['red'\]\."),
        ("color: {seeds: []}", r"expected `color: \{seeds: .*got \{'seeds': \[\]\}\. Give at"),
        ("color: red", r"expected `color: \{seeds: .*got 'red'\. Give at least one seed word, or"),
        ("color:", r"expected `color: \{seeds: .*got None\."),
        ("state: {seeds: [on, off]}", r"for `seeds` under 'state' .* Write \"yes\", \"no\", \"on"),
        ("color: {seeds: [red], seed: 3}", r"expected only `names`, .* 'color' .*, got seed\."),
        ("color: {seeds: [red], selected: 3}", r"true or false for `selected` .*got 3\."),
        ("color: {seeds: [red], negatives: [Red]}", r"'red' in .* is a negative of 'color' and"),
        ("color: {seeds: [red]}\na: {seeds: [Red]}", r"the word 'red' in .* under 'color' and 'a'"),
        ("color: {seeds: [red]}\na: {names: [red]}", r"the word 'red' in .*Keep it under one\."),
    ],
)
def test_bad_types_file_is_explained(text, message, tmp_path):
    path = tmp_path / "types.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as raised:
        load_types(path)
    assert "\n" not in str(raised.value)


def test_a_folder_of_types_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(
        InputError, match=r"could not read .*: Is a directory\. Give a YAML file of"
    ):
        load_types(tmp_path)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "types.yaml").write_bytes(b"\xef\xbb\xbfhue: {seeds: [red]}")
    assert load_types(tmp_path / "types.yaml") == (TypeSpec("hue", ("hue",), ("red",)),)
