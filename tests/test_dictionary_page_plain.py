"""A plain list of words on the dictionary's page: what nobody counted is not shown."""

import json
import re
from dataclasses import replace

import pytest

from datamodules.dictionary import Attribute, Group, Value
from datamodules.dictionary.report import render
from datamodules.dictionary.report.plain import catch_all, is_counted, shown_groups
from tests import chromium
from tests.dictionary_samples import clouds, drawn, listed, small

needs_browser = pytest.mark.skipif(
    chromium.find() is None, reason="needs a browser: apt-get install chromium"
)


@pytest.fixture
def look(browser, addresses):
    """Open a page by name; afterwards it must not have complained."""
    yield lambda name="listed", **screen: browser.look(addresses[name], **screen)
    assert browser.complaints == []


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page)[1])


@pytest.mark.parametrize(
    ("size", "rest", "hidden"), [(13, 12, True), (13, 13, False), (12, 0, False), (76, 11, True)]
)
def test_a_group_of_more_than_half_and_more_than_12_is_a_catch_all(size, rest, hidden):
    values = tuple(Value(f"v_{n}", f"w{n}", 1, group="a/w0" * (n < size))
                   for n in range(size + rest))  # fmt: skip
    group = Group("a/w0", "w0", "v_0")
    attribute = Attribute("a", values, groups=(group,))
    assert catch_all(attribute) == (group if hidden else None)
    assert shown_groups(attribute) == (() if hidden else (group,))


def test_counts_say_something_once_one_word_is_met_twice():
    once = listed()
    assert not is_counted(once)
    assert is_counted(replace(once, unassigned=(replace(once.unassigned[0], count=2),)))
    assert is_counted(small())


def test_the_page_of_a_list_holds_the_catch_alls_values_without_a_group():
    made = listed()
    data = data_of(render(made, clouds(made)))
    number = len(made.attributes[0].values)
    assert data["attributes"][0]["groups"] == []
    assert set(data["words"]["group"][:number]) == {-1}
    center = data["words"]["text"][data["attributes"][0]["center"]]
    assert center == made.attributes[0].groups[0].label
    assert {each["center"] for each in data["attributes"][1:]} == {-1}
    assert {len(each["merit"]["reasons"]) for each in data["attributes"]} == {1}


@needs_browser
def test_what_was_counted_nowhere_has_no_column_and_no_sentence(look):
    page = look()
    text = "\n".join(page.texts("header, main"))
    assert not re.search(r"mention|image|held back", text, re.I)
    assert page.texts(".bars") == []
    assert page.texts(".facts dt")[-1] == "of the words covered"
    page.click("#values .word")
    assert not re.search("mention", page.texts("#word")[0], re.I)
    counted = look("drawn")
    assert "Mentions" in counted.texts("#attributes th")
    assert counted.texts("#attribute-0 td.bars")


@needs_browser
def test_values_not_grouped_stand_by_count_and_then_by_nearness(look):
    page = look()
    page.run("document.querySelectorAll('#attribute-0 .more button:last-child')"
             ".forEach(b => b.click())")  # fmt: skip
    made = listed()
    at, values = clouds(made), made.attributes[0].values
    x, y = at[made.attributes[0].groups[0].medoid]
    far = {v.text: (at[v.id][0] - x) ** 2 + (at[v.id][1] - y) ** 2 for v in values}
    assert page.texts("#attribute-0 tr.group b") == ["Not grouped"]
    shown = page.texts("#attribute-0 .word")
    assert sorted(shown) == sorted(far)
    assert [far[word] for word in shown] == sorted(far.values())


@needs_browser
def test_reasons_take_one_line_and_the_rest_is_there_on_demand(look):
    page = look("drawn")
    first, second = drawn(600).attributes[0].merit.reasons
    assert page.texts("#attributes details")[0] == first
    page.click("#attributes summary")
    assert page.texts("#attributes details")[0].split("\n") == [first, second]
