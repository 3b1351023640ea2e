"""A small dictionary made by hand, to edit, review, compare and export."""

from datamodules.dictionary import (
    AnchorType,
    Attribute,
    Dictionary,
    Group,
    Merit,
    Proposal,
    Unassigned,
    Value,
)
from datamodules.dictionary.word_id import word_id


def value(text, count, **fields):
    fields = {"forms": {text: count}, "score": 0.7, "margin": 0.3, **fields}
    return Value(id=word_id(fields.pop("word", text)), text=text, count=count, **fields)


def found():
    """What a build finds: colors with groups, textures, one mistake in each, words left over."""
    colors = (
        value("red", 90, evidence="seed", group="color/red", splits={"train": 60, "test": 30}),
        value(
            "grey", 40, word="gray", forms={"grey": 25, "gray": 15}, group="color/grey",
            splits={"train": 30, "test": 10}, objects={"wall": 9, "cat": 5}, denied=2,
            examples=("a grey wall", "a gray cat"),
        ),
        value("navy", 20, group="color/navy", examples=("a navy coat",)),
        value("silver", 12, group="color/grey", objects={"car": 7, "wall": 1}, denied=1,
              splits={"train": 12}, examples=("a silver car",)),
        value("furry", 8, margin=0.05, second="texture", also=("texture",)),
    )  # fmt: skip
    textures = (
        value("striped", 30, evidence="rule:pattern"),
        value(
            "closed",
            14,
            forms={"closed": 10, "close": 4},
            examples=("a closed door",),
            denials={"not closed": 2, "not that close": 1},
        ),
    )
    groups = (
        Group("color/red", "red", word_id("red"), 0.9),
        Group("color/grey", "grey", word_id("gray"), 0.8),
        Group("color/navy", "navy", word_id("navy"), 1.0, aliases=("color/marine",)),
    )
    merit = Merit(0.5, 0.6, 0.4, 20.0, separability=0.2)
    return Dictionary(
        source="sample",
        data_hash="0" * 64,
        attributes=(
            Attribute("color", colors, groups=groups, exclusive=True, merit=merit),
            Attribute("texture", textures, merit=merit),
        ),
        types=(
            AnchorType("color", ("red", "blue"), ("red",)),
            AnchorType("texture", ("smooth", "rough")),
            AnchorType("material", ("wooden", "metal")),
        ),
        unassigned=(
            Unassigned("picture", 300, "says nothing about the image", lift=1.02),
            Unassigned("smiling", 25, "far from every seed", nearest="texture", score=0.2),
            Unassigned("greyish", 6, "between two attributes", nearest="color", margin=0.02),
        ),
        proposals=(
            Proposal(("grey", "greyish"), (40, 6), "gray", 0.91),
            Proposal(("striped", "closed"), (30, 14), "", 0.96, kind="meaning"),
        ),
        settings={"likeness": {"min_margin": 0.1}, "seed": 0},
        versions={"numpy": "2.0"},
    )


def stated():
    """What a data set states: one word is a value of two attributes."""
    given = {"evidence": "given", "status": "given", "score": 1.0, "margin": 1.0}
    return Dictionary(
        source="birds",
        data_hash="1" * 64,
        attributes=(
            Attribute("wing color", (value("black", 9, **given), value("grey", 4, **given))),
            Attribute("belly color", (value("black", 7, **given), value("white", 3, **given))),
        ),
        types=(AnchorType("wing color", ()), AnchorType("belly color", ())),
        settings={"mode": "given"},
    )
