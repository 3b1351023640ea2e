"""Mentions are counted, one by one or from the table, with one result."""

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.dictionary_scale import drawn_source, measure
from datamodules.annotations import Annotation, annotations_of
from datamodules.annotations.table import spelling
from datamodules.dictionary.words.mention import Mention, mentions_of
from datamodules.dictionary.words.phrase import merge_key, parse
from datamodules.dictionary.words.vocabulary import count, count_table
from datamodules.errors import InputError
from datamodules.sources.about import About
from datamodules.sources.table_source import TableSource

RAWS = ["red", "Red", "not red", "a-red", "dark grey", "dark-gray", "darkgray", "2 door", "no", "?"]


def plain(vocabulary):
    """All of a vocabulary as Python values, dictionaries as their items in order."""
    cells = {entry.name: getattr(vocabulary, entry.name) for entry in fields(vocabulary)}
    return {
        name: value.tolist()
        if isinstance(value, np.ndarray)
        else [list(each.items()) for each in value]
        if name in ("forms", "denials", "objects", "parts")
        else value
        for name, value in cells.items()
    }


def by_hand(mentions):
    """The same by loops over the mentions."""
    spelled = Counter()
    for each in mentions:
        if phrase := parse(each.raw):
            spelled[phrase.text] += each.times
    best = {}
    for text in sorted(spelled, key=lambda text: (-spelled[text], text)):
        best.setdefault(merge_key(text), text)
    entries, wordless = {}, 0
    for each in mentions:
        phrase = parse(each.raw)
        if phrase is None:
            wordless += each.times
            continue
        entry = entries.setdefault(
            (best[merge_key(phrase.text)], each.type),
            {name: Counter() for name in ("shown", "denied", "forms", "denials", "object", "part")}
            | {"image": set()},
        )
        entry["denials" if phrase.negated else "forms"][each.raw] += each.times
        if (each.polarity == 1) == phrase.negated:
            entry["denied"][each.split] += each.times
            continue
        entry["shown"][each.split] += each.times
        entry["image"] |= {(each.source, each.image)} if each.image else set()
        for name in ("object", "part"):
            if getattr(each, name):
                entry[name][getattr(each, name)] += each.times

    def ranked(counter, most=None):
        return sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:most]

    keys = sorted(entries, key=lambda key: (-sum(entries[key]["shown"].values()), key))
    ordered = [entries[key] for key in keys]
    splits = sorted({each.split for each in mentions if parse(each.raw)})
    return {
        "texts": tuple(text for text, _ in keys),
        "types": tuple(kind for _, kind in keys),
        "counts_W": [sum(entry["shown"].values()) for entry in ordered],
        "denied_W": [sum(entry["denied"].values()) for entry in ordered],
        "splits": tuple(splits),
        "counts_WS": [[entry["shown"][split] for split in splits] for entry in ordered],
        "images_W": [len(entry["image"]) for entry in ordered],
        "forms": [ranked(entry["forms"]) for entry in ordered],
        "denials": [ranked(entry["denials"]) for entry in ordered],
        "objects": [ranked(entry["object"], 5) for entry in ordered],
        "parts": [ranked(entry["part"], 5) for entry in ordered],
        "wordless": wordless,
    }


MENTIONS = st.lists(
    st.builds(
        Mention,
        source=st.sampled_from("ab"),
        split=st.sampled_from(["train", "test", ""]),
        image=st.sampled_from(["", "1", "2", "3"]),
        raw=st.sampled_from(RAWS),
        polarity=st.integers(0, 1),
        part=st.sampled_from(["", "bill", "wing"]),
        type=st.sampled_from(["", "color"]),
        object=st.sampled_from(["", *"uvwxyz"]),
        times=st.integers(1, 3),
    ),
    min_size=1,
    max_size=40,
).filter(lambda mentions: any(parse(each.raw) for each in mentions))


@given(MENTIONS, st.randoms())
def test_counts_equal_those_of_loops_in_any_order(mentions, random):
    expected = by_hand(mentions)
    assert plain(count(iter(mentions))) == expected
    random.shuffle(mentions)
    assert plain(count(iter(mentions))) == expected


ROWS = st.lists(
    st.builds(
        Annotation,
        image=st.sampled_from("123"),
        split=st.just("train"),
        attribute=st.sampled_from(["", "color", "bill color", "wing color", "mood"]),
        value=st.sampled_from(RAWS),
        label=st.sampled_from([1, 1, 1, 0, -1]),
        object=st.sampled_from(["", "u", "v"]),
    ),
    max_size=30,
)


@given(ROWS, st.sampled_from(["train", "test", ""]))
def test_the_table_counts_like_its_mentions(rows, split):
    known = {}
    for row in rows:  # one split for an image, one label for a value however it is spelled
        row = row._replace(split=split if row.image == "3" else row.split)
        known.setdefault((row.image, row.attribute, row.object, spelling(row.value)), row)
    table = annotations_of([*known.values(), Annotation("0", "train", "", "blue", object="w")])
    source = TableSource(About("birds", "", "", "", "", ""), None, table, None)
    mentions = list(mentions_of(source))
    assert plain(count_table(source)) == plain(count(mentions)) == by_hand(mentions)


def test_a_table_like_visual_genome_counts_like_its_mentions():
    source = drawn_source(4000, 900)
    vocabulary = plain(count_table(source))
    assert vocabulary == plain(count(mentions_of(source)))
    assert vocabulary == by_hand(list(mentions_of(source)))
    assert sum(vocabulary["counts_W"]) + sum(vocabulary["denied_W"]) == 4000
    assert any(vocabulary["denials"])
    assert any(len(forms) > 1 for forms in vocabulary["forms"])


def test_spellings_that_differ_in_blanks_show_the_most_frequent_one():
    said = [("multi-coloured", 2), ("multicolored", 4), ("Multi Colored", 3), ("red", 1)]
    vocabulary = count(Mention("x", "train", "", raw, times=times) for raw, times in said)
    assert vocabulary.texts == ("multi colored", "red")
    assert vocabulary.counts_W.tolist() == [9, 1]
    assert vocabulary.forms[0] == {"multicolored": 4, "Multi Colored": 3, "multi-coloured": 2}
    assert vocabulary.images_W.tolist() == [0, 0]


def test_a_word_of_two_types_is_two_entries_in_one_spelling():
    vocabulary = count(
        [
            Mention("x", "", "1", "light weight", type="weight"),
            Mention("x", "", "1", "lightweight", type="feel"),
            Mention("x", "", "2", "lightweight", type="feel"),
        ]
    )
    assert list(zip(vocabulary.texts, vocabulary.types, strict=True)) == [
        ("lightweight", "feel"),
        ("lightweight", "weight"),
    ]
    assert vocabulary.images_W.tolist() == [2, 1]


def test_a_denied_negation_shows_the_word():
    vocabulary = count([Mention("x", "", "1", "not red", 0), Mention("x", "", "2", "no red", 1)])
    assert (vocabulary.counts_W.tolist(), vocabulary.denied_W.tolist()) == ([1], [1])
    assert vocabulary.forms == ({},)
    assert vocabulary.denials == ({"no red": 1, "not red": 1},)


@pytest.mark.parametrize(("mentions", "number"), [([], 0), ([Mention("x", "", "", "?")] * 3, 3)])
def test_mentions_without_words_are_refused(mentions, number):
    with pytest.raises(InputError) as caught:
        count(mentions)
    assert str(caught.value) == (
        f"expected attributes in words, got none in {number} mentions. Give other annotations, or "
        "another list."
    )


def test_the_benchmark_measures_every_stage():
    pytest.importorskip("sentence_transformers", reason="the sentence encoder is not installed")
    measured = measure(5_000, 800)
    assert [row["found"] > 0 for row in measured["stages"]][:3] == [True] * 3
    cold, warm = measured["stages"][-2:]
    assert cold["found"] == warm["found"] > 100
    assert all(row["seconds"] > 0 for row in measured["stages"])
