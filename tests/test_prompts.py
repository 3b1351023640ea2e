"""Prompts: which sentences make a class of a value."""

import doctest

import numpy as np
import pytest

from datamodules import names, normalize, prompts
from datamodules.dictionary import build_dictionary
from datamodules.prompts import ADJECTIVE, NOUN, templates_for
from datamodules.sources.glyphs import captions as glyph_captions
from datamodules.sources.glyphs.captions import captions
from datamodules.sources.glyphs.world import sample


def test_articles_agree_with_the_value():
    assert prompts.prompts("arrow", NOUN)[:2] == ["an arrow", "a picture of an arrow"]
    assert prompts.prompts("red", ADJECTIVE) == [
        "a red object", "something red", "the object is red", "a picture of a red object",
    ]  # fmt: skip


def test_braces_in_a_value_are_no_template():
    assert prompts.prompts("{0}", ["a {} object"]) == ["a {0} object"]


@pytest.mark.parametrize(
    ("value", "caption"),
    [
        ("star", "a red star"),
        ("star", "A large, red star on the wall."),
        ("star", "the star is red"),
        ("star", "a picture of a star"),
        ("Star", "there is one big star."),
        ("fire engine", "a red fire-engine in the street"),
        ("star", "a star and a ring"),
    ],
)
def test_what_ends_a_phrase_with_an_article_is_a_noun(value, caption):
    assert templates_for([(value, caption)]) == NOUN


@pytest.mark.parametrize(
    ("value", "caption"),
    [
        ("red", "a red star"),
        ("red", "the star is red"),
        ("red", "the object is small and red"),
        ("red", "something red"),
        ("dark gray", "the bird has a dark grey belly"),
        ("red", "a small red, striped star"),
        ("black", "a black and white bird"),
        ("white", "a black and white bird"),
        ("red", "a star"),
        ("red", "red"),
        ("red", ""),
    ],
)
def test_everything_else_is_an_adjective(value, caption):
    assert templates_for([(value, caption)]) == ADJECTIVE


def test_the_majority_decides():
    nouns = [("star", "a star"), ("ring", "a ring")]
    assert templates_for([*nouns, ("red", "a red star")]) == NOUN
    assert templates_for([*nouns, ("red", "a red star"), ("blue", "something blue")]) == ADJECTIVE
    assert templates_for([]) == ADJECTIVE


@pytest.mark.slow
def test_glyph_shapes_are_nouns_and_the_rest_adjectives():
    index = np.arange(400)
    said = captions(sample(0, "train", index), seed=0, stream="train", index=index)
    dictionary = build_dictionary("glyphs", said, data_hash="x")
    chosen = {
        attribute.name: templates_for(
            (value.text, text) for value in attribute.values for text in value.examples
        )
        for attribute in dictionary.attributes
        if attribute.selected
    }
    assert chosen == {"color": ADJECTIVE, "shape": NOUN, "texture": ADJECTIVE, "size": ADJECTIVE}


@pytest.mark.parametrize("module", [prompts, names, normalize, glyph_captions])
def test_examples_in_the_documentation_hold(module):
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0
