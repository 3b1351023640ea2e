"""Names, marks and places on the map of the dictionary's page in a real browser."""

import numpy as np
import pytest

from tests import chromium
from tests.dictionary_samples import drawn, listed

pytestmark = pytest.mark.skipif(
    chromium.find() is None, reason="needs a browser: apt-get install chromium"
)
INSIDE = """[...document.querySelectorAll(SELECTOR)].map(each => each.getBoundingClientRect())
    .map(box => [box.left, box.top, box.right, box.bottom])"""


@pytest.fixture
def look(browser, addresses):
    """Open a page by name, on a screen of a width; afterwards it must not have complained."""
    yield lambda name="small", **screen: browser.look(addresses[name], **screen)
    assert browser.complaints == []


def boxes(page, selector):
    """Left, top, right and bottom of elements that are shown."""
    found = np.array(page.run(INSIDE.replace("SELECTOR", repr(selector))), dtype=float)
    return found[found[:, 2] > found[:, 0]]


def covers(one, two):
    return (one[0] < two[:, 2]) & (two[:, 0] < one[2]) & (one[1] < two[:, 3]) & (two[:, 1] < one[3])


@pytest.mark.parametrize("width", [1200, 500, 400])
@pytest.mark.parametrize("name", ["listed", "drawn"])
def test_names_cover_no_other_name_and_no_other_words_mark(look, name, width):
    page = look(name, width=width)
    named = np.array(page.run("chart.names.map(b => [b.left, b.top, b.right, b.bottom])"))
    rows = page.run("chart.names.map(b => b.row)")
    marks = np.array(page.run(
        "placed.map(r => [screenX[r] - markRadius(r), screenY[r] - markRadius(r),"
        " screenX[r] + markRadius(r), screenY[r] + markRadius(r)])"
    ))  # fmt: skip
    owners = np.array(page.run("placed"))
    assert len(rows) >= 10
    for at, (row, box) in enumerate(zip(rows, named, strict=True)):
        assert not covers(box, np.delete(named, at, axis=0)).any()
        assert not covers(box, marks[owners != row]).any()
    width, height = page.run("[plane.width, plane.height]")
    assert named[:, :2].min() >= 0
    assert (named[:, 2:].max(axis=0) <= [width, height]).all()


def test_every_attribute_gets_names_though_all_counts_are_equal(look):
    page = look("listed")
    named = page.run("chart.names.map(b => attributeOf(b.row))")
    shares = np.bincount([owner for owner in named if owner >= 0], minlength=8)
    assert shares.min() >= 1
    assert shares.max() <= len(named) / 3


def test_the_most_frequent_word_of_an_attribute_is_offered_a_name_first(look):
    page = look("drawn")
    firsts = page.run("chart.keys.filter(k => k.key >= 0).map(k => textOf(k.famous[0]))")
    assert firsts == [attribute.values[0].text for attribute in drawn(600).attributes]
    page = look("listed")
    center = listed().attributes[0].groups[0].label
    assert page.run("textOf(chart.keys[0].famous[0])") == center


@pytest.mark.parametrize("name", ["listed", "drawn"])
@pytest.mark.parametrize("width", [1200, 500])
def test_marks_cover_a_small_share_of_the_map_however_often_words_are_met(look, name, width):
    page = look(name, width=width)
    radius = np.array(page.run("placed.map(row => radius[row])"))
    share = (np.pi * radius**2).sum() / page.run("plane.width * plane.height")
    assert 0.05 < share < 0.07
    assert (np.ptp(radius) == 0) == (name == "listed")
    assert page.texts("#larger") == (["A larger mark is mentioned more often."] * (name == "drawn"))


@pytest.mark.parametrize("width", [500, 400])
def test_on_a_phone_nothing_is_cut_or_covered(look, width):
    page = look("drawn", width=width)
    links, facts = boxes(page, "#links a"), boxes(page, ".facts div")
    assert links[:, 2].max() <= width
    assert len(set(facts[:, 0])) == len(set(facts[:, 2])) == 1  # one column, no odd one out
    (canvas,) = boxes(page, "#canvas")
    assert not covers(canvas, boxes(page, ".zoom button, .legend button")).any()
    page.run("scrollTo(0, 3000)")
    page.settle()
    assert page.run("document.querySelector('.find').getBoundingClientRect().top") == 0


def test_signs_in_the_legend_are_large_and_no_pair_of_color_and_sign_comes_twice(look):
    page = look("drawn")
    sizes = boxes(page, "#legend .sign svg")
    assert (sizes[:, 2] - sizes[:, 0]).min() >= 14
    looks = page.run("[...Array(44).keys()].map(n => [n % COLORS, signOf(n)].join())")
    assert len(set(looks)) == 44
