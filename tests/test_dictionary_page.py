"""The dictionary's page as a file: what it holds, and that words cannot break it."""

import json
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.dictionary import Attribute, Dictionary, Unassigned, Value
from datamodules.dictionary.report import render, write_report
from datamodules.dictionary.report.conflicts import conflicts
from datamodules.dictionary.report.summary import origin, totals
from tests.dictionary_samples import HOSTILE, places, small


class Page(HTMLParser):
    """Elements, attributes, and the text of styles and scripts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.held, self._open = [], [], {}, None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        given = dict(attrs)
        self._open = (tag, given.get("type", "")) if tag in ("style", "script", "title") else None

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open:
            self.held[self._open] = self.held.get(self._open, "") + data

    @property
    def data(self):
        return json.loads(self.held["script", "application/json"])


@pytest.fixture(scope="module")
def dictionary():
    return small()


def test_hostile_words_reach_the_page_whole_and_make_no_element(dictionary):
    page = Page(render(dictionary, places(dictionary)))
    assert page.data["words"]["text"] == [
        *("blue", "dark-blue", "red", "striped", HOSTILE, "picture", "caf\u00e9")
    ]
    assert page.data["attributes"][0]["merit"]["reasons"][1] == HOSTILE
    assert "img" not in page.tags
    assert page.tags.count("script") == 2
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.held["title", ""] == "Dictionary of sample <one>"


def test_the_file_is_ascii_but_for_its_own_text_and_names_no_other_file(dictionary):
    text = render(dictionary, places(dictionary))
    page = Page(text)
    assert page.held["script", "application/json"].isascii()
    assert "\u202e" not in text
    assert "\u2028" not in text
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    links = [value for name, value in page.attributes if name in ("src", "href", "action")]
    assert links == ["data:,"]


def test_the_policy_allows_this_style_and_script_and_no_request(dictionary):
    page = Page(render(dictionary))
    policy = next(value for name, value in page.attributes if "default-src" in (value or ""))
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    digest = {
        kind: b64encode(sha256(page.held[kind, ""].encode()).digest()).decode()
        for kind in ("style", "script")
    }
    assert rules == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest['style']}'",
        "script-src": f"'sha256-{digest['script']}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_equal_dictionaries_give_equal_bytes(dictionary, tmp_path):
    dictionary.save(tmp_path / "sample.json")
    loaded = Dictionary.load(tmp_path / "sample.json")  # its mappings come in another order
    write_report(dictionary, tmp_path / "one.html", places(dictionary))
    write_report(loaded, tmp_path / "two.html", dict(reversed(places(loaded).items())))
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert render(replace(dictionary, data_hash="abd")) != render(dictionary)


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True),
    source=st.text(min_size=1),
    reason=st.text(),
)
def test_any_text_survives_and_stays_text(words, source, reason):
    values = tuple(Value(f"v_{n}", word, n) for n, word in enumerate(words))
    made = Dictionary(
        source=source,
        data_hash="x",
        attributes=(Attribute(words[0], values),),
        unassigned=(Unassigned(reason, 2, reason),),
        unknown=tuple(words),
    )
    harmless = replace(made, source="x", attributes=(), unknown=())
    harmless = Page(render(replace(harmless, unassigned=(Unassigned("x", 2, "x"),))))
    page = Page(render(made, {words[0]: (0.5, -1)}))
    assert page.data["words"]["text"] == [*words, reason]
    assert page.data["attributes"][0]["name"] == words[0]
    assert page.data["strings"][page.data["words"]["why"][-1]] == reason
    assert [word for word, _ in page.data["unknown"]] == words
    assert page.tags == harmless.tags


def test_coverage_is_counted_in_words_and_in_mentions(dictionary):
    sums = totals(dictionary)
    assert (sums.attributes, sums.selected, sums.values, sums.groups) == (2, 1, 5, 1)
    assert sums.mentions == 90 + 30 + 60 + 12 + 3
    assert sums.mention_coverage == pytest.approx(195 / (195 + 75))
    assert sums.word_coverage == pytest.approx(5 / 7)
    text = render(dictionary)
    assert "<dt>of the mentions covered</dt><dd>72.2%</dd>" in text
    assert "<dt>of the words covered</dt><dd>71.4%</dd>" in text


def test_the_first_line_tells_where_it_comes_from(dictionary):
    assert origin(dictionary) == [
        "Read from 40 images and 200 captions",
        "words typed by seed words",
        "word vectors: word2vec-48",
        "no edits by hand",
    ]
    stated = Dictionary("x", "x", (), settings={"mode": "given"}, edits_hash="e")
    assert origin(stated) == [
        "Types as the source states them", "no word vectors", "edited by hand",
    ]  # fmt: skip


def test_words_become_columns(dictionary):
    data = Page(render(dictionary, {"red": (1.23456, -2), "v_none": (0, 0)})).data
    words, strings = data["words"], data["strings"]
    assert words["count"] == [90, 30, 60, 12, 3, 70, 5]
    assert words["attribute"] == [0, 0, 0, 1, 1, -1, -1]
    assert words["group"] == [0, 0, -1, -1, -1, -1, 2]
    assert words["forms"][:3] == [["blue", 88, "Blue", 2], ["dark-blue", 20, "dark blue", 10], 0]
    assert [strings[n] for n in words["splits"][0][::2]] == ["train", "test"]
    assert [strings[n] for n in words["why"]] == [
        *("seed", "rule:modifier_color", "seed", "anchor", "anchor"),
        *("says nothing about the image", "rare"),
    ]
    assert words["cluster"] == [0, 0, 1, -1, None, None, None]
    assert words["x"] == [None, None, 1.235, None, None, None, None]
    assert words["y"][2] == -2.0
    assert words["lift"] == [None] * 5 + [1.01, None]
    assert data["attributes"][0]["groups"] == [
        {"id": "color/blue", "label": "blue", "medoid": 0, "cohesion": 0.81,
         "aliases": ["color/navy"]}
    ]  # fmt: skip
    assert [each["rows"] for each in data["proposals"]] == [[-1, 3], [0, 1]]
    assert data["modes"] == [
        ["coverage", 0.9, 0.35], ["num_clusters", None, 2], ["seed_accuracy / both", 0.95, None],
    ]  # fmt: skip


def test_conflicts_are_doubles_and_second_choices_but_not_what_the_source_states():
    def attribute(name, *values):
        return Attribute(name, tuple(values))

    stated = {"status": "given", "evidence": "given"}
    made = Dictionary(
        "x", "x",
        (
            attribute("wing", Value("v_1", "blue", 4, **stated), Value("v_2", "Old", 3)),
            attribute("eye", Value("v_1", "blue", 2, **stated), Value("v_3", "aged", 1,
                                                                     forms={"old": 1})),
            attribute("mood", Value("v_4", "calm", 1, also=("state",))),
        ),
    )  # fmt: skip
    assert [tuple(each) for each in conflicts(made)] == [
        ("old", (1, 3), ()), ("calm", (4,), ("state",)),
    ]  # fmt: skip
