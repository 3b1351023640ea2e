"""Edits of a dictionary: what each section does, and what cannot be done."""

from dataclasses import replace

import pytest

from datamodules.annotations.builder import Builder
from datamodules.dictionary import AnchorType
from datamodules.dictionary.edits import Edits, apply_edits
from datamodules.dictionary.schema import Dictionary
from datamodules.dictionary.word_id import word_id
from datamodules.errors import InputError
from tests.words_by_hand import found, stated, value


def edited(**sections):
    return apply_edits(found(), Edits(**sections))


def values(dictionary, attribute):
    return {each.text: each for each in dictionary.attribute(attribute).values}


def refused(dictionary=None, **sections):
    with pytest.raises(InputError) as caught:
        apply_edits(dictionary or found(), Edits(**sections))
    return str(caught.value)


def test_no_edits_leave_the_very_dictionary():
    assert apply_edits(found(), Edits()) == found()
    assert Edits().hash == ""


def test_a_moved_word_is_reviewed_and_remembers_where_it_was():
    after = edited(move={"Furry": "texture", "striped": "texture"})
    furry = values(after, "texture")["furry"]
    assert (furry.id, furry.count, furry.forms) == (word_id("furry"), 8, {"furry": 8})
    assert (furry.evidence, furry.status, furry.second, furry.also) == (
        "edit", "reviewed", "color", (),
    )  # fmt: skip
    assert "furry" not in values(after, "color")
    # Where it was already, a move only says that a person agrees.
    before, striped = values(found(), "texture")["striped"], values(after, "texture")["striped"]
    assert striped == replace(before, evidence="edit", status="reviewed")
    assert after.edits_hash == Edits(move={"striped": "texture", "Furry": "texture"}).hash


def test_values_are_by_falling_count_then_by_text():
    after = edited(move={"greyish": "texture", "furry": "texture", "navy": "texture"})
    assert after.attribute("texture").texts == ("striped", "navy", "closed", "furry", "greyish")


def test_an_unassigned_word_becomes_a_value_of_a_new_kind():
    kind = AnchorType("expression", ("smiling", "frowning"))
    after = edited(types=(kind,), move={"smiling": "expression"})
    smiling = values(after, "expression")["smiling"]
    assert (smiling.count, smiling.forms, smiling.evidence) == (25, {"smiling": 25}, "edit")
    assert smiling.second == "texture"  # what the machine thought of first
    assert after.types[-1] == replace(kind, found=("smiling",))
    assert "smiling" not in [loose.text for loose in after.unassigned]
    assert not after.attribute("expression").selected  # one value leaves nothing to tell apart


def test_merged_values_add_up():
    after = edited(merge=(("grey", "silver", "greyish"),))
    grey = values(after, "color")["grey"]
    assert (grey.count, grey.denied, grey.id) == (40 + 12 + 6, 2 + 1, word_id("gray"))
    assert grey.forms == {"grey": 25, "gray": 15, "silver": 12, "greyish": 6}
    assert grey.splits == {"train": 30 + 12, "test": 10}
    assert grey.objects == {"wall": 10, "car": 7, "cat": 5}
    assert grey.examples == ("a grey wall", "a gray cat")
    assert {"silver", "greyish"}.isdisjoint(values(after, "color"))
    assert [proposal.words for proposal in after.proposals] == [("striped", "closed")]


def test_labels_find_every_spelling_of_merged_and_renamed_values():
    after = edited(
        merge=(("gray", "grey"), ("red", "silver")), rename={"navy": "dark blue", "red": "hot"}
    )
    builder = Builder()
    words = ["gray", "grey", "silver", "red", "navy", "furry"]
    for number, word in enumerate(words):
        builder.add(f"{number}.png", "train", "color", word)
    color = after.attribute("color")
    labels = builder.table().labels("color", color.texts, exclusive=True, spellings=color.spellings)
    shown = [color.texts[row.argmax()] for row in labels.label]
    assert shown == ["gray", "gray", "hot", "hot", "dark blue", "furry"]


def test_labels_find_every_denial_of_merged_values():
    texture = edited(merge=(("striped", "closed"),)).attribute("texture")
    assert texture.values[0].denials == {"not closed": 2, "not that close": 1}
    builder = Builder()
    builder.add("0.png", "train", "texture", "not closed")
    labels = builder.table().labels(
        "texture",
        texture.texts,
        exclusive=False,
        spellings=texture.spellings,
        denials=texture.denials,
    )
    assert (labels.label.tolist(), labels.known.tolist()) == ([[0]], [[True]])


def test_the_first_word_of_a_merge_is_displayed_even_if_another_spelling_is_more_frequent():
    gray = values(edited(merge=(("gray", "grey"),)), "color")["gray"]
    assert (gray.count, gray.forms) == (40, {"grey": 25, "gray": 15})


def test_merges_may_go_on_into_others():
    after = edited(merge=(("silver", "greyish"), ("grey", "silver")))
    assert values(after, "color")["grey"].count == 58


def test_a_split_makes_spellings_values_of_their_own():
    after = edited(split=(("closed", "close"),), move={"close": "material"})
    closed, close = values(after, "texture")["closed"], values(after, "material")["close"]
    assert (closed.id, closed.count, closed.forms) == (word_id("closed"), 10, {"closed": 10})
    assert (close.id, close.count, close.forms) == (word_id("close"), 4, {"close": 4})
    assert (closed.examples, close.examples) == (("a closed door",), ())
    assert (closed.denials, close.denials) == ({"not closed": 2}, {"not that close": 1})
    assert after.proposals[1:] == found().proposals[1:]


def test_a_split_shares_out_what_is_known_of_all_spellings_together():
    texture = found().attributes[1]
    forms = {"closed": 12, "shut": 3, "close": 6}  # mentions, of which some deny it
    texture = replace(texture, values=(value("closed", 14, forms=forms, denied=7),))
    before = replace(found(), attributes=(texture,))
    after = apply_edits(before, Edits(split=(("closed", "close"),)))
    closed, close = after.attributes[0].values
    assert (closed.forms, closed.count, closed.denied) == ({"closed": 12, "shut": 3}, 10, 5)
    assert (close.forms, close.count, close.denied) == ({"close": 6}, 4, 2)


def test_renames_are_of_what_is_displayed():
    after = edited(
        rename={"color/navy": "dark blue", "color": "hue", "group:color/marine": "blues"}
    )
    navy = values(after, "hue")["dark blue"]
    assert (navy.id, navy.forms, navy.group) == (word_id("navy"), {"navy": 20}, "hue/navy")
    group = after.attribute("hue").groups[2]
    assert (group.id, group.label, group.aliases) == (
        "hue/navy", "blues", ("color/navy", "color/marine"),
    )  # fmt: skip
    assert after.names == ("hue", "texture")
    assert after.types[0].name == "hue"
    assert after.unassigned[2].nearest == "hue"
    assert after.find("navy")[1].text == "dark blue"


def test_dropped_words_are_unassigned_and_say_so():
    after = edited(drop=("picture", "close"))
    loose = {each.text: each for each in after.unassigned}
    dropped = {text: each.count for text, each in loose.items() if "dropped" in each.reason}
    assert dropped == {"picture": 300, "closed": 14}
    assert (loose["closed"].nearest, loose["closed"].reason) == ("texture", "dropped by edits")
    assert loose["picture"].lift == 1.02
    assert [proposal.words for proposal in after.proposals] == [("grey", "greyish")]


def test_kept_words_are_reviewed_where_a_person_saw_them():
    after = edited(keep=("navy", "texture/furry", "color/greyish"))
    assert values(after, "color")["navy"].status == "reviewed"
    assert values(after, "color")["navy"].evidence == "anchor"
    # The machine has put these elsewhere since; the person has not.
    assert values(after, "texture")["furry"].evidence == "edit"
    assert values(after, "color")["greyish"].status == "reviewed"


def test_exactly_the_listed_attributes_are_selected():
    assert edited(select=("texture",)).names == ("texture",)
    assert edited(rename={"color": "hue"}, select=("color",)).names == ("hue",)
    assert edited(rename={"color": "hue"}, select=("hue",)).names == ("hue",)


def test_an_attribute_without_values_goes_and_with_one_is_not_selected():
    after = edited(drop=("striped",))
    assert after.attribute("texture").texts == ("closed",)
    assert after.names == ("color",)
    assert [each.name for each in edited(drop=("striped", "closed")).attributes] == ["color"]


def test_a_group_whose_middle_left_takes_its_most_frequent_member():
    color = edited(drop=("grey", "navy")).attribute("color")
    assert [(group.id, group.label, group.medoid) for group in color.groups] == [
        ("color/red", "red", word_id("red")),
        ("color/grey", "silver", word_id("silver")),
    ]
    assert values(edited(move={"silver": "texture"}), "texture")["silver"].group == ""


def test_merit_follows_reviews_and_goes_with_words_that_come_or_leave():
    color = edited(keep=("navy", "grey"), rename={"grey": "gray"}).attribute("color")
    # red is a seed, grey and navy are reviewed now, silver and furry lead by .3 and .05.
    assert color.merit.purity == pytest.approx((90 + 40 + 20 + 12) / 170, abs=5e-4)
    assert (color.merit.coverage, color.merit.separability) == (0.6, None)  # other texts
    assert edited(keep=("navy",)).attribute("texture").merit == found().attributes[1].merit
    assert edited(drop=("furry",)).attribute("color").merit is None
    assert edited(split=(("closed", "close"),)).attribute("texture").merit is not None


def test_every_entry_that_matches_nothing_is_listed_with_near_spellings():
    edits = {"move": {"smilling": "texture", "navy": "colr"}, "drop": ("strped", "zebra")}
    message = refused(**edits)
    assert "got 4 that do not, so none was applied" in message
    assert "move: no word 'smilling' (near: smiling)" in message
    assert "move: no attribute 'colr' (near: color); new ones go under `types`" in message
    assert "drop: no word 'strped' (near: striped)" in message
    assert "drop: no word 'zebra'." in message
    assert "no group has that id; ids are: color/red, color/grey, color/navy" in refused(
        rename={"group:color/blue": "x"}
    )


def test_a_word_of_several_attributes_must_name_one():
    message = refused(stated(), drop=("black",))
    assert "'black' is several values, write one of wing color/black, belly color/black" in message
    after = apply_edits(stated(), Edits(drop=("belly color/Black",)))
    assert (after.attribute("wing color").texts, after.attribute("belly color").texts) == (
        ("black", "grey"), ("white",),
    )  # fmt: skip


def test_a_word_dropped_from_two_attributes_is_listed_once_with_both_counts():
    edits = Edits(drop=("belly color/black", "wing color/black"))
    after = apply_edits(stated(), edits)
    assert [(each.text, each.count) for each in after.unassigned] == [("black", 16)]
    assert apply_edits(replace(after, edits_hash="other edits"), edits) == after


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"move": {"wing color/black": "belly color"}}, "its labels stand there: rename or drop"),
        ({"merge": (("white", "wing color/black"),)}, "'black' is a wing color, not a belly color"),
        ({"rename": {"wing color": "wings"}}, "the data set itself calls it 'wing color'"),
    ],
)
def test_what_the_data_set_states_stands(sections, message):
    assert message in refused(stated(), **sections)


def test_stated_values_can_be_renamed_merged_dropped_and_stay_given():
    edits = Edits(rename={"white": "pale"}, merge=(("wing color/black", "grey"),), keep=("white",))
    after = apply_edits(stated(), edits)
    (black,), (_, pale) = (each.values for each in after.attributes)
    assert (black.count, black.evidence, black.status) == (13, "given", "given")
    assert (pale.text, pale.forms, pale.status) == ("pale", {"white": 3}, "given")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"split": (("grey", "gray"),)}, "one word in two spellings, which labels do not tell"),
        ({"rename": {"navy": "red"}}, "'color' has a value 'red' already: merge them instead"),
        ({"rename": {"color": "texture"}}, "there is another attribute 'texture'"),
        ({"rename": {"picture": "image"}}, "'picture' is no value, so it has no display name"),
        ({"merge": (("picture", "smiling"),)}, "'picture' is no value: move it as well"),
        ({"move": {"closed": "color"}, "drop": ("close",)}, "'close' is also moved or merged"),
        ({"keep": ("closed",), "drop": ("close",)}, "'closed' is also dropped: keep one"),
        ({"move": {"closed": "color", "close": "material"}}, "also goes to 'color': keep one"),
        ({"merge": (("red", "closed"), ("close", "red"))}, "lead back to their beginning"),
        ({"keep": ("picture",)}, "'picture' is no value: move it or drop it"),
        ({"rename": {"closed": "shut"}, "drop": ("close",)}, "'closed' is dropped, so it has no"),
    ],
)
def test_edits_that_cannot_hold_are_refused(sections, message):
    assert message in refused(**sections)


def test_a_word_that_moves_to_where_it_is_already_becomes_part_of_it():
    before = found()
    texture = before.attributes[1]
    texture = replace(texture, values=(*texture.values, value("furry", 3)))
    before = replace(before, attributes=(before.attributes[0], texture))
    edits = Edits(move={"color/furry": "texture"})
    after = apply_edits(before, edits)
    furry = values(after, "texture")["furry"]
    assert (furry.count, furry.evidence) == (11, "edit")
    assert apply_edits(after, edits) == after


def test_an_edited_dictionary_is_saved_and_loaded_equal(tmp_path):
    after = edited(merge=(("gray", "grey"),), move={"smiling": "material"}, drop=("picture",))
    after.save(tmp_path / "sample.json")
    assert Dictionary.load(tmp_path / "sample.json") == after
