"""Attribute strings are read into words and negation."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.dictionary.words.phrase import merge_key, parse

NEGATIONS = {"no", "not", "non", "without", "isnt", "never", "neither", "nor", "none", "cannot"}
_WORDS = """
a A the is not No non- without isn't isn\u2019t w/o w/ red Grey stripes 2 door 10:15 50% , . - _ &
multi coloured a-line no longer \u00bd
"""
STRINGS = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from(_WORDS.split()), max_size=7).map(" ".join),
)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (" Dark-GREY_", "dark gray"),
        ("multi_coloured", "multi colored"),
        ("The  red.", "red"),
        ("is a Red", "red"),
        ("has a handle", "handle"),
        ("with stripes", "stripes"),
        ("'round'", "round"),
        ("\uff22\uff2c\uff35\uff25", "blue"),
        ("black & white", "black and white"),
        ("black/white", "black white"),
        ("white w/ dots", "white with dots"),
        ("2-door", "2 door"),
        ("10:15 PM", "10:15 pm"),
        ("\u00bd full", "1/2 full"),
        ("3.5in", "3.5in"),
        ("100% cotton", "100% cotton"),
        ("5 o\u2019clock shadow", "5 o'clock shadow"),
        ("A-line skirt", "a-line skirt"),
        ("unpainted", "unpainted"),
        ("un-painted", "un painted"),
        ("on", "on"),
        ("42", "42"),
        ("norwegian nonstick notched", "norwegian nonstick notched"),
    ],
)
def test_a_phrase_is_spelled_in_one_way(raw, text):
    phrase = parse(raw)
    assert (phrase.text, phrase.negated, phrase.words) == (text, False, tuple(text.split()))


@pytest.mark.parametrize(
    ("raw", "denied"),
    [
        ("not red", "red"),
        ("no stripes", "stripes"),
        ("without a handle", "handle"),
        ("w/o handle", "handle"),
        ("isn't wet", "wet"),
        ("Isn\u2019t Wet", "wet"),
        ("isnt wet", "wet"),
        ("is not a Grey", "gray"),
        ("non-shiny", "shiny"),
        ("cannot fly", "fly"),
        ("no longer red", "red"),
        ("not longer", "longer"),
        ("doesn't have any stripes", "stripes"),
        ("cup without handle", "handle"),
        ("not red, not blue", "blue"),
    ],
)
def test_negation_is_read_and_taken_off(raw, denied):
    assert parse(raw)[:2] == (denied, True)


def test_a_second_negation_lifts_the_first():
    assert parse("not without stripes")[:2] == ("stripes", False)
    assert parse("isn't not unpainted")[:2] == ("unpainted", False)
    assert parse("not never not red")[:2] == ("red", True)


@pytest.mark.parametrize(
    "raw", ["", " ", "...", "-", "a", "the", "is", "no", "Not.", "isn't", "\ud800"]
)
def test_nothing_is_no_phrase(raw):
    assert parse(raw) is None


@given(STRINGS)
def test_a_text_reads_as_itself_and_holds_no_negation(raw):
    phrase = parse(raw)
    if phrase is not None:
        assert parse(phrase.text) == phrase._replace(negated=False)
        assert NEGATIONS.isdisjoint(phrase.words)
        assert phrase.text == " ".join(phrase.words)
        assert all(any(map(str.isalnum, word)) for word in phrase.words)
        assert unicodedata.normalize("NFKC", phrase.text) == phrase.text


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["red", "RED", "Dark", "2", "door", "Grey", "50%"]),
            st.sampled_from(["-", "_", " ", "  ", "\t", " - "]),
        ),
        min_size=1,
    )
)
def test_case_hyphens_and_blanks_make_no_difference(written):
    plain = " ".join(word.lower() for word, _ in written)
    assert parse("".join(map("".join, written))) == parse(plain)


def test_blanks_do_not_part_words_but_numbers():
    assert merge_key("multi colored") == merge_key("multicolored") == "multicolored"
    assert merge_key("2 door") == merge_key("2door")
    assert merge_key("a-line") == merge_key("aline")
    assert merge_key("1 2") != merge_key("12")
