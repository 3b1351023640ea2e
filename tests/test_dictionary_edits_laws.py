"""Laws that edits keep on any dictionary: nothing is lost, order does not matter, twice is once."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.dictionary import Attribute, Dictionary, Group, Unassigned
from datamodules.dictionary.aliases import carry_aliases
from datamodules.dictionary.edits import Edits, apply_edits, merge_edits
from datamodules.errors import InputError
from tests.words_by_hand import value

SYLLABLES = ("ba", "co", "di", "fe", "gu", "ha", "jo", "ku", "li", "mo", "ne", "pa", "ro", "su")
NAMES = ("color", "shape", "texture")
LAWS = settings(max_examples=120, deadline=None, derandomize=True)


def word(number):
    """A word of its own for each number."""
    return "".join(
        SYLLABLES[number // len(SYLLABLES) ** place % len(SYLLABLES)] for place in (0, 1, 2)
    )


def built(num_words, seed=0, new=()):
    """A build's words spread over attributes, with groups, and every seventh one unassigned."""
    draw = random.Random(seed)
    values = {name: [] for name in NAMES}
    loose = []
    for number in [*range(num_words), *new]:
        text, name, count = word(number), NAMES[number % 3], draw.randint(1, 500)
        if number % 7 == 6:
            loose.append(Unassigned(text, count, "noise"))
            continue
        forms = {text: count - count // 3, text.capitalize(): count // 3}
        fields = {
            "forms": forms, "denied": draw.randint(0, 9),
            "splits": {"train": count}, "group": f"{name}/{word(number % 3)}",
        }  # fmt: skip
        values[name].append(value(text, count, **fields))
    attributes = tuple(
        Attribute(
            name,
            tuple(sorted(each, key=lambda value: (-value.count, value.text))),
            groups=(Group(f"{name}/{word(number)}", word(number), each[0].id),) if each else (),
        )
        for number, (name, each) in enumerate(values.items())
        if each
    )
    return Dictionary("drawn", "0" * 64, attributes, unassigned=tuple(loose))


def mentions(dictionary):
    """Every normalized word with how often it is shown, wherever it is."""
    found = {each.text: each.count for each in dictionary.unassigned}
    for attribute in dictionary.attributes:
        for each in attribute.values:
            for form, count in each.forms.items():
                found[form.lower()] = found.get(form.lower(), 0) + count
    return found


def outcome(dictionary, edits):
    try:
        return apply_edits(dictionary, edits)
    except InputError:
        return None


WORDS = st.integers(0, 29).map(word)


@st.composite
def wishes(draw):
    """Edits of `built(30)`, most of which can hold: each word has one fate."""
    words = draw(st.permutations([word(number) for number in range(30) if number % 7 != 6]))
    loose = draw(st.permutations([word(number) for number in range(30) if number % 7 == 6]))
    sizes = draw(st.tuples(*[st.integers(0, 3)] * 4))
    parts = iter(words)
    moved, dropped, kept, renamed = ([next(parts) for _ in range(size)] for size in sizes)
    families = [
        tuple(next(parts) for _ in range(draw(st.integers(2, 3))))
        for _ in range(draw(st.integers(0, 2)))
    ]
    rename = {each: f"new {each}" for each in renamed}
    if draw(st.booleans()):
        rename["shape"] = "outline"
    return Edits(
        move={each: draw(st.sampled_from(NAMES)) for each in (*moved, *loose[:1])},
        drop=(*dropped, *loose[1:2]),
        keep=tuple(kept), merge=tuple(families), rename=rename,
        select=draw(st.sampled_from([(), ("color",), ("shape", "texture")])),
    )  # fmt: skip


@LAWS
@given(wishes())
def test_no_mention_is_lost_and_twice_is_once(edits):
    before = built(30)
    after = apply_edits(before, edits)
    assert mentions(after) == mentions(before)
    for attribute in after.attributes:
        assert all(sum(each.forms.values()) == each.count for each in attribute.values)
        order = [(-each.count, each.text) for each in attribute.values]
        assert order == sorted(order)
        groups = {group.id for group in attribute.groups}
        assert {each.group for each in attribute.values} <= {*groups, ""}
        assert {group.medoid for group in attribute.groups} <= {
            each.id for each in attribute.values
        }
    assert apply_edits(after, edits) is after
    unmarked = replace(after, edits_hash="other edits")  # a person has added lines since
    assert apply_edits(unmarked, edits) == after


@LAWS
@given(wishes(), st.randoms(use_true_random=False))
def test_the_order_of_the_lines_does_not_matter(edits, draw):
    def shuffled(entries):
        entries = list(entries.items() if isinstance(entries, dict) else entries)
        draw.shuffle(entries)
        return entries

    other = Edits(
        move=dict(shuffled(edits.move)), rename=dict(shuffled(edits.rename)),
        drop=tuple(shuffled(edits.drop)), keep=tuple(shuffled(edits.keep)),
        merge=tuple(shuffled(edits.merge)), select=tuple(shuffled(edits.select)),
    )  # fmt: skip
    assert other.hash == edits.hash
    assert apply_edits(built(30), other) == apply_edits(built(30), edits)


@LAWS
@given(st.lists(WORDS.filter(lambda text: built_in(text)), min_size=3, max_size=5, unique=True))
def test_merges_do_not_care_how_they_are_written(words):
    first, *rest = words
    star = Edits(merge=tuple((first, each) for each in rest))
    chain = Edits(merge=tuple(zip(words, rest, strict=False)))
    backwards = Edits(merge=((first, *reversed(rest)),))
    after = apply_edits(built(30), Edits(merge=(tuple(words),)))
    for other in (star, chain, backwards):
        assert replace(apply_edits(built(30), other), edits_hash="") == replace(
            after, edits_hash=""
        )
    counts = mentions(built(30))
    assert after.find(first)[1].count == sum(counts[each] for each in words)


def built_in(text):
    return built(30).find(text) is not None


@LAWS
@given(wishes(), wishes())
def test_two_files_applied_one_after_the_other_or_as_one_agree(one, two):
    """Where both are possible; only which word of a merged value is displayed may differ."""
    two = replace(two, rename={}, select=())
    try:
        both = merge_edits(one, two)
    except InputError:
        return
    together, after = outcome(built(30), both), outcome(built(30), one)
    stepwise = after and outcome(after, two)
    if together is None or not stepwise:
        return
    assert together.unassigned == stepwise.unassigned
    assert together.names == stepwise.names
    assert undisplayed(together) == undisplayed(stepwise)


def undisplayed(dictionary):
    return {
        (attribute.name, each.id): replace(each, text="")
        for attribute in dictionary.attributes
        for each in attribute.values
    }


def test_edits_survive_a_rebuild_with_five_percent_of_new_words():
    old, new = built(400), built(400, new=range(1000, 1020))
    edits = Edits(
        move={word(1): "texture", word(6): "shape"},
        merge=((word(0), word(3), word(13)),),
        drop=(word(2), word(20)),
        rename={word(4): "another name", "shape": "outline", f"group:color/{word(0)}": "a label"},
        keep=(f"color/{word(9)}",),
        select=("color", "outline"),
    )
    before, after = apply_edits(old, edits), apply_edits(new, edits)
    fresh = {word(number) for number in range(1000, 1020)}
    assert len(new.unassigned) > len(old.unassigned)
    assert after.names == before.names == ("color", "outline")
    for left, right in zip(before.attributes, after.attributes, strict=True):
        kept = [each for each in right.values if each.text not in fresh]
        assert kept == list(left.values)
        assert len(right.values) > len(kept)
        assert [group.id for group in left.groups] == [group.id for group in right.groups]
    assert carry_aliases(before, after) == after  # nothing was called otherwise
