"""Lexical rules: each by itself, on words of this file, and what switches them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.dictionary.anchoring.rules import RULES, Lexicon, rule_type
from datamodules.dictionary.settings import TypeSpec, load_types
from datamodules.errors import InputError

SHIPPED = Lexicon.of(load_types())

# Rule -> phrases it types, with the type, and phrases that look alike but are none of its business.
CASES = {
    "stative": (
        {"wearing red": "color", "wearing dark blue": "color", "containing glass": "material"},
        ["wearing", "wearing a hat", "red", "waving red"],
    ),
    "action": (
        {"walking": "action", "slowly walking": "action", "looking at the camera": "action"},
        ["ceiling", "king", "string", "interesting", "wearing hat", "glowing", "ring"],
    ),
    "pattern": (
        {"blue striped": "texture", "polka dotted": "texture", "leopard print": "texture"},
        ["striped", "print", "striped shirt"],
    ),
    "textured": (
        {"rough textured": "texture", "smooth surface": "texture"},
        ["textured", "texture of wood"],
    ),
    "shaped": (
        {"heart shaped": "shape", "l shape": "shape", "in the shape of a star": "shape"},
        ["shaped", "shapely", "misshapen"],
    ),
    "polygon": (
        {"hexagonal": "shape", "pentagon": "shape", "rectangular": "shape", "octagons": "shape"},
        ["diagonal", "angular", "dragon", "paragon"],
    ),
    "sized": (
        {"medium sized": "size", "king size": "size", "knee length": "size", "waist high": "size"},
        ["size", "sizable", "long haired"],
    ),
    "made_of": (
        {"made of clay": "material", "made from old tires": "material", "gold plated": "material"},
        ["made", "made up", "plated", "home made"],
    ),
    "colored": (
        {"brightly colored": "color", "rose tinted": "color", "multicolored": "color"},
        ["colored", "discolored", "tinted"],
    ),
    "modified_color": (
        {"dark blue": "color", "black and white": "color", "pale gray green": "color"},
        ["blue", "dark", "blue dark", "dark wood", "and blue"],
    ),
    "colored_part": (
        {"black haired": "color", "white lettered": "color", "fair skinned": "color"},
        ["long haired", "black hair", "soft haired boy", "haired"],
    ),
    "ish": (
        {"greenish": "color", "dark reddish": "color", "bluish": "color", "largish": "size",
         "whitish": "color", "roundish": "shape"},
        ["fish", "english", "polish", "selfish"],
    ),
    "degree": (
        {"larger": "size", "biggest": "size", "wettest": "state", "dirtier": "state",
         "whiter": "color"},
        ["copper", "ever", "forest", "larger box"],
    ),
    "opposite": ({"unclean": "state", "uncooked": "state"}, ["under", "un", "unicorn"]),
    "head": (
        {"very large": "size", "half open": "state", "light wooden": "material"},
        ["large", "open to large", "full of glass"],
    ),
    "part": (
        {"long sleeved": "size", "round faced": "shape", "wooden legged": "material"},
        ["sleeved", "long sleeve", "three legged"],
    ),
    "result": (
        {"rolled up": "state", "turned off": "state", "half eaten": "state", "torn apart": "state"},
        ["up", "walk up", "red up", "freshly", "half moon"],
    ),
}  # fmt: skip


def test_every_rule_has_its_cases():
    assert list(CASES) == list(RULES)


@pytest.mark.parametrize("name", CASES)
def test_a_rule_types_its_phrases_and_is_silent_on_others(name):
    typed, silent = CASES[name]
    assert {phrase: RULES[name](phrase.split(), SHIPPED) for phrase in typed} == typed
    assert {phrase: RULES[name](phrase.split(), SHIPPED) for phrase in silent} == dict.fromkeys(
        silent
    )


@pytest.mark.parametrize("name", CASES)
def test_a_rule_alone_is_switched_by_its_name(name):
    for phrase, kind in CASES[name][0].items():
        assert rule_type(phrase.split(), SHIPPED, on=[name]) == (kind, name)
        assert rule_type(phrase.split(), SHIPPED, on=[]) is None


def test_the_more_telling_rule_speaks_first():
    told = {
        "blue striped": ("texture", "pattern"),  # not colored_part
        "gold plated": ("material", "made_of"),  # not colored_part
        "dark red": ("color", "modified_color"),  # not head
        "sleeping dog": ("action", "action"),
    }
    assert {phrase: rule_type(phrase.split(), SHIPPED) for phrase in told} == told


def test_a_rule_speaks_of_the_users_types_only():
    users = Lexicon.of([TypeSpec("tone", ("color",), ("teal",)), TypeSpec("mood", seeds=("calm",))])
    assert rule_type(["dark", "blue"], users) == ("tone", "modified_color")
    assert rule_type(["dark", "teal"], users) == ("tone", "modified_color")
    assert rule_type(["very", "calm"], users) == ("mood", "head")
    for phrase in ("heart shaped", "walking", "very large", "medium sized", "half eaten"):
        assert rule_type(phrase.split(), users) is None
    without = Lexicon.of([TypeSpec("mood", seeds=("calm",))])
    for phrase in ("dark blue", "greenish", "brightly colored", "black haired", "wearing red"):
        assert rule_type(phrase.split(), without) is None


def test_patterns_are_textures_where_no_type_is_called_pattern():
    both = Lexicon.of([TypeSpec("pattern", ("pattern",)), TypeSpec("texture", ("texture",))])
    assert rule_type(["blue", "striped"], both) == ("pattern", "pattern")
    assert rule_type(["rough", "textured"], both) == ("texture", "textured")
    surface = Lexicon.of([TypeSpec("surface", ("texture",))])
    assert rule_type(["blue", "striped"], surface) == ("surface", "pattern")


def test_an_unknown_rule_lists_the_known_ones():
    with pytest.raises(InputError, match=r"expected names of rules \(stative, action, .*got colr"):
        rule_type(["red"], SHIPPED, on=["colr"])


words = st.lists(
    st.sampled_from(
        ["dark", "red", "large", "made", "of", "ing", "ed", "ish", "un", "and", "", "é"]
    )
    | st.text(max_size=8),
    max_size=4,
)


@given(words)
def test_any_words_are_typed_by_a_known_rule_or_not_at_all(phrase):
    found = rule_type(phrase, SHIPPED)
    if found is not None:
        kind, rule = found
        assert kind in {each.name for each in load_types()}
        assert RULES[rule](phrase, SHIPPED) == kind
