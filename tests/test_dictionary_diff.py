"""What differs between two dictionaries, and ids of groups that survive a rebuild."""

import json
from dataclasses import replace

from datamodules.dictionary import AnchorType, Attribute, Group, Unassigned
from datamodules.dictionary.aliases import carry_aliases
from datamodules.dictionary.diff.difference import Diff, diff
from datamodules.dictionary.edits import Edits, apply_edits
from tests.words_by_hand import found, stated, value


def change(**sections):
    return diff(found(), apply_edits(found(), Edits(**sections)))


def test_equal_dictionaries_do_not_differ():
    assert diff(found(), found()) == Diff()
    assert not diff(found(), found())
    assert diff(found(), found()).lines() == ["no difference"]


def test_moved_merged_split_renamed_added_and_removed_values_are_told_apart():
    found_ = change(
        types=(AnchorType("expression", ("smiling",)),),
        move={"furry": "texture", "smiling": "expression"}, merge=(("grey", "silver"),),
        split=(("closed", "close"),), rename={"navy": "dark blue"}, drop=("striped",),
        select=("color",),
    )  # fmt: skip
    assert [tuple(each) for each in found_.values_moved] == [("furry", 8, "color", "texture")]
    assert [tuple(each) for each in found_.values_merged] == [
        (("color/grey", "color/silver"), "color/grey")
    ]
    assert [tuple(each) for each in found_.values_split] == [
        ("texture/closed", ("texture/closed", "texture/close"))
    ]
    assert [tuple(each) for each in found_.values_renamed] == [("color/navy", "color/dark blue")]
    assert [tuple(each) for each in found_.values_added] == [
        ("expression/smiling", 25, "far from every seed")
    ]
    assert [tuple(each) for each in found_.values_removed] == [
        ("texture/striped", 30, "dropped by edits")
    ]
    assert found_.counts == ()
    assert (found_.attributes_added, found_.attributes_removed) == (("expression",), ())
    assert (found_.selected, found_.deselected) == ((), ("texture",))
    assert [each.name for each in found_.settings] == ["edits_hash", "types.expression"]


def test_a_renamed_attribute_is_not_a_new_one():
    found_ = change(rename={"color": "hue"})
    assert [tuple(each) for each in found_.attributes_renamed] == [("color", "hue")]
    assert [tuple(each) for each in found_.groups_renamed] == [
        ("color/red", "hue/red"), ("color/grey", "hue/grey"), ("color/navy", "hue/navy"),
    ]  # fmt: skip
    assert (found_.values_moved, found_.attributes_added, found_.selected) == ((), (), ())


def test_counts_come_by_their_change_and_settings_by_their_name():
    color, texture = found().attributes
    recounted = (
        replace(color.values[0], count=95), replace(color.values[1], count=10), *color.values[2:],
    )  # fmt: skip
    after = replace(
        found(), attributes=(replace(color, values=recounted), texture), data_hash="2" * 64,
        settings={"likeness": {"min_margin": 0.2}, "mode": "anchored"}, versions={},
    )  # fmt: skip
    found_ = diff(found(), after)
    assert [tuple(each) for each in found_.counts] == [
        ("color/grey", 40, 10),
        ("color/red", 90, 95),
    ]
    assert found_.lines() == [
        "counts: 2", "  color/grey: 40 -> 10", "  color/red: 90 -> 95",
        "settings: 5", "  data_hash: 000000000000 -> 222222222222",
        "  settings.likeness.min_margin: 0.1 -> 0.2", "  settings.mode: none -> anchored",
        "  settings.seed: 0 -> none", "  versions.numpy: 2.0 -> none",
    ]  # fmt: skip
    assert json.loads(json.dumps(found_.as_json()))["counts"][0] == {
        "name": "color/grey", "old": 40, "new": 10,
    }  # fmt: skip


def test_a_word_of_two_attributes_that_leaves_one_is_removed_not_merged():
    after = apply_edits(stated(), Edits(drop=("wing color/black",)))
    found_ = diff(stated(), after)
    assert [each.name for each in found_.values_removed] == ["wing color/black"]
    assert (found_.values_merged, found_.values_moved) == ((), ())


def test_going_back_is_the_mirror_of_going_on():
    after = apply_edits(
        found(), Edits(merge=(("grey", "silver"),), move={"furry": "texture"}, drop=("navy",))
    )
    on, back = diff(found(), after), diff(after, found())
    assert on.values_merged[0].old == back.values_split[0].new
    assert [(each.old, each.new) for each in on.values_moved] == [
        (each.new, each.old) for each in back.values_moved
    ]
    assert [each.name for each in on.values_removed] == [each.name for each in back.values_added]


def test_people_are_shown_the_first_of_many():
    values = tuple(value(f"word {'x' * number}", number) for number in range(1, 21))
    after = replace(found(), attributes=(*found().attributes, Attribute("other", values)))
    lines = diff(found(), after).lines()
    assert lines[:3] == ["attributes added: 1", "  other", "values added: 20"]
    assert lines[3] == f"  other/word {'x' * 20} (20)"
    assert lines[15] == "  ... and 8 more"


# --- ids of groups --------------------------------------------------------------------------------


def grouped(groups, name="color", aliases=None):
    """A dictionary of one attribute: id of a group -> its words; "" for none."""
    values = tuple(
        value(word, 10, group=f"{name}/{group}" if group else "")
        for group, words in groups.items()
        for word in words.split()
    )
    made = tuple(
        Group(f"{name}/{group}", group, "v", aliases=(aliases or {}).get(group, ()))
        for group in groups
        if group
    )
    return replace(found(), attributes=(Attribute(name, values, groups=made),))


def aliases(dictionary):
    return {
        group.id: group.aliases for each in dictionary.attributes for group in each.groups
        if group.aliases
    }  # fmt: skip


def test_a_group_with_another_id_is_known_by_the_old_one():
    old = grouped(
        {"blue": "blue navy azure", "red": "red pink", "": "odd"}, aliases={"blue": ("x",)}
    )
    new = grouped({"navy": "blue navy", "azure": "azure sky", "red": "red pink blue2"})
    assert aliases(carry_aliases(old, new)) == {"color/navy": ("color/blue", "x")}
    # Again, from the result: nothing is lost.
    again = carry_aliases(carry_aliases(old, new), grouped({"sky": "navy blue", "red": "red"}))
    assert aliases(again) == {"color/sky": ("color/navy", "color/blue", "x")}


def test_an_id_that_is_still_there_is_no_alias():
    old = grouped({"blue": "blue navy azure"}, aliases={"blue": ("color/sea",)})
    new = grouped({"blue": "blue", "navy": "navy azure"})
    assert aliases(carry_aliases(old, new)) == {"color/blue": ("color/sea",)}


def test_ties_go_to_the_group_with_fewer_others_then_to_the_first_id():
    old = grouped({"blue": "blue navy"})
    new = grouped({"b": "blue x y", "c": "navy z"})
    assert aliases(carry_aliases(old, new)) == {"color/c": ("color/blue",)}
    new = grouped({"c": "navy", "b": "blue"})
    assert aliases(carry_aliases(old, new)) == {"color/b": ("color/blue",)}
    assert aliases(carry_aliases(old, grouped({"z": "other words"}))) == {}


def test_groups_of_a_renamed_attribute_keep_their_ids_as_aliases():
    old = grouped({"blue": "blue navy", "red": "red pink"}, name="hue")
    new = grouped({"blue": "blue navy", "red": "red"})
    assert aliases(carry_aliases(old, new)) == {
        "color/blue": ("hue/blue",), "color/red": ("hue/red",),
    }  # fmt: skip
    assert diff(old, carry_aliases(old, new)).groups_renamed[0].old == "hue/blue"


def test_an_edit_by_an_old_id_holds_after_a_rebuild():
    old = grouped({"blue": "blue navy azure"})
    edits = Edits(rename={"group:color/blue": "blues"})
    before = apply_edits(old, edits)
    rebuilt = carry_aliases(before, grouped({"navy": "blue navy azure cyan"}))
    assert apply_edits(rebuilt, edits).attributes[0].groups[0].label == "blues"


def test_nothing_to_carry_leaves_the_very_dictionary():
    new = replace(found(), unassigned=(Unassigned("new", 1, "rare"),))
    assert carry_aliases(found(), new) is not None
    assert aliases(carry_aliases(found(), new)) == {"color/navy": ("color/marine",)}
