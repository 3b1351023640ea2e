"""The dictionary's page in a real browser: search, map, keys, no request, no complaint."""

import pytest

from tests import chromium
from tests.dictionary_samples import HOSTILE, drawn

pytestmark = pytest.mark.skipif(
    chromium.find() is None, reason="needs a browser: apt-get install chromium"
)
WORDS = "#values .word"


@pytest.fixture
def look(browser, addresses):
    """Open a page by name; afterwards it must have asked for nothing else and not complained."""
    yield lambda name="small", query="": browser.look(addresses[name] + query)
    (request,) = browser.requests
    assert request.startswith("file:")
    assert browser.complaints == []


def expected(dictionary, query):
    """Words that begin with every term, read from the records."""
    found = []
    for attribute in dictionary.attributes:
        labels = {group.id: group.label for group in attribute.groups}
        for value in attribute.values:
            known = [value.text, *value.forms, attribute.name, labels.get(value.group, "")]
            parts = " ".join(known).lower().replace("-", " ").split()
            if all(any(part.startswith(term) for part in parts) for term in query.split()):
                found.append(value.text)
    return found


@pytest.mark.parametrize("query", ["dark", "dark gr", "color", "silver shiny"])
def test_the_query_in_the_address_leaves_what_matches(look, query):
    page = look("drawn", f"#q={query.replace(' ', '%20')}")
    page.run("document.querySelectorAll('#values .more button:last-child').forEach(b => b.click())")
    page.settle()
    wanted = expected(drawn(600), query)
    assert sorted(page.texts(WORDS)) == sorted(wanted)
    others = [word.text for word in drawn(600).unassigned]
    count = len(wanted) + sum(
        all(any(part.startswith(term) for part in word.split()) for term in query.split())
        for word in others
    )
    assert page.texts("#found") == [f"{count} of 600 words"]


def test_typing_filters_marks_and_keeps_the_query(look):
    page = look("small")
    assert page.texts(WORDS) == ["blue", "dark-blue", "red", "striped", HOSTILE]
    for key in "/dark":
        page.press(key)
    assert page.run("document.activeElement.id") == "query"
    assert page.texts(WORDS) == ["dark-blue"]
    assert page.texts("#values mark") == ["dark", "dark"]  # the word and its other spelling
    assert page.texts("#attributes tbody a") == ["color"]
    assert page.run("location.hash") == "#q=dark"
    page.press("Escape")
    assert page.run("[location.hash, queryBox.value]") == ["", ""]
    assert len(page.texts(WORDS)) == 5


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("dark blue", ["dark-blue"]),  # a spelling
        ("DARK-BLUE", ["dark-blue"]),
        ("texture", ["striped", HOSTILE]),  # an attribute
        ("tripe", ["striped"]),  # nothing begins with it
        ("img src=x", [HOSTILE]),
    ],
)
def test_words_are_found_by_spelling_attribute_and_middle(look, query, words):
    page = look("small")
    page.run(f"queryBox.value = {query!r}; searchTyped()")
    page.settle()
    assert page.texts(WORDS) == words


def test_accents_and_words_left_out_are_found(look):
    page = look("small", "#q=cafe")
    assert page.texts("#left-out .word") == ["caf\u00e9"]
    assert page.texts(WORDS) == []
    assert page.texts("#values h2") == []
    assert page.texts("#found") == ["1 of 7 words"]


def test_an_empty_result_says_so_and_can_be_cleared(look):
    page = look("small", "#q=%3Cb%3Enone%25")
    assert page.texts("#nothing") == [
        "No word, spelling, attribute or group matches \u201c<b>none%\u201d. Clear the search"
    ]
    assert page.texts("#found") == ["0 of 7 words"]
    page.click("#nothing button")
    assert page.texts("#nothing") == []
    assert len(page.texts(WORDS)) == 5


def test_a_new_address_searches_anew(look):
    page = look("small", "#q=red")
    page.run("location.hash = '#q=striped'")
    page.settle()
    assert page.texts(WORDS) == ["striped"]


def test_long_tables_draw_their_first_rows_until_all_are_asked_for(look):
    page = look("drawn")
    count = len(drawn(600).attributes[0].values)
    rows = "#attribute-0 tbody tr:not(.group)"
    assert len(page.texts(rows)) < 41 < count
    page.click("#attribute-0 .more button:last-child")
    assert len(page.texts(rows)) == count
    assert page.texts("#attribute-0 .more") == []


def test_reasons_narrow_the_words_left_out(look):
    page = look("drawn")
    page.run("[...document.querySelectorAll('.reasons button')].find("
             "b => b.textContent.startsWith('rare')).click()")  # fmt: skip
    page.click("#left-out .more button:last-child")
    rare = [word.text for word in drawn(600).unassigned if word.reason == "rare"]
    assert page.texts("#left-out .word") == rare


def test_merges_conflicts_and_missing_vectors_are_listed(look):
    page = look("small")
    assert page.texts("#merges tbody tr")[0].split("\t") == [
        *("stripes / striped", "4 / 12", "same base form: stripe", "0.40", "2")
    ]
    assert page.texts("#conflicts tbody tr") == ["red\tcolor\ttexture\t60"]
    assert page.texts("#unknown .words") == ["zzyzx"]
    assert page.texts("#checks .part:first-of-type tbody tr")[0] == "coverage\t0.9\t0.35"
    assert page.texts(".absent") == ["mauve"]


def test_a_word_shows_its_details_and_hostile_text_stays_text(look):
    page = look("small")
    page.click(WORDS)
    (shown,) = page.texts("#word")
    for part in ("blue", "color", "90", "seed word", "0.91", "0.52", "sky", "a blue <b>car</b>"):
        assert part in shown
    page.press("Escape")
    assert page.texts("#word") == []
    page.run("[...document.querySelectorAll('#values .word')].at(-1).click()")
    assert page.texts("#word h2") == [HOSTILE]
    assert page.run("document.images.length + document.scripts.length") == 2


def test_without_places_there_is_no_map(look):
    page = look("plain")
    assert page.texts("#map") == []
    assert page.texts("#links a")[0] == "Attributes"
    assert len(page.texts(WORDS)) == 5
