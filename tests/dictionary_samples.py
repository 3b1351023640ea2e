"""Dictionaries made by hand or drawn from a seed, small and large, to test the page with."""

import random
from dataclasses import replace

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
from datamodules.dictionary.report import write_report
from datamodules.dictionary.word_id import word_id

HOSTILE = "</script><img src=x onerror=alert(1)> \"'&\u202e\u2028{{data}}<!--"
KINDS = ("color", "shape", "texture", "size", "material", "state", "action", "part")
STEMS = (
    "amber", "azure", "beige", "blue", "coral", "cream", "crimson", "golden", "gray", "green",
    "ivory", "lilac", "maroon", "navy", "olive", "orange", "pink", "purple", "red", "round",
    "rusty", "sandy", "scarlet", "shiny", "silver", "slim", "smooth", "soft", "spotted", "square",
    "striped", "tall", "teal", "thick", "tiny", "torn", "turquoise", "velvet", "violet", "wet",
    "white", "wide", "wooden", "woven", "yellow",
)  # fmt: skip
RULES = ("seed", "anchor", "anchor", "anchor", "cluster", "rule:modifier_color", "edit")
REASONS = ("far from every seed", "between two attributes", "rare", "noise", "no vector")


def small():
    """Two attributes, hostile words, and something in every section of the page."""
    colors = (
        Value(
            id=word_id("blue"), text="blue", count=90, denied=4, forms={"blue": 88, "Blue": 2},
            splits={"train": 70, "test": 20}, objects={"sky": 40, "car": 9}, score=0.91,
            margin=0.52, second="texture", evidence="seed", group="color/blue",
            examples=("a blue <b>car</b>", "the blue sky"),
        ),
        Value(
            id=word_id("dark blue"), text="dark-blue", count=30,
            forms={"dark-blue": 20, "dark blue": 10}, score=0.84, margin=0.44, second="texture",
            evidence="rule:modifier_color", status="reviewed", group="color/blue",
        ),
        Value(
            id=word_id("red"), text="red", count=60, forms={"red": 60}, score=0.9, margin=0.5,
            second="texture", evidence="seed", also=("texture",),
        ),
    )  # fmt: skip
    textures = (
        Value(id=word_id("striped"), text="striped", count=12, score=0.7, margin=0.2),
        Value(id=word_id(HOSTILE), text=HOSTILE, count=3, forms={HOSTILE: 2, "\u05d0\u05d1": 1}),
    )
    merit = Merit(0.72, 0.8, 0.9, 60.0, reasons=("covers 80 % of the images", HOSTILE))
    groups = (Group("color/blue", "blue", word_id("blue"), 0.81, ("color/navy",)),)
    return Dictionary(
        source="sample <one>",
        data_hash="abc",
        attributes=(
            Attribute(
                "color", colors, groups=groups, exclusive=True, merit=merit, templates=("a {} x",)
            ),
            Attribute("texture", textures, selected=False),
        ),
        types=(AnchorType("color", ("blue", "red", "mauve"), ("blue", "red")),),
        unassigned=(
            Unassigned("picture", 70, "says nothing about the image", word_id("picture"), 1.01),
            Unassigned("caf\u00e9", 5, "rare", nearest="color", score=0.2, margin=0.01, group=2),
        ),
        proposals=(
            Proposal(("stripes", "striped"), (4, 12), "stripe", 0.4, 2),
            Proposal(("blue", "dark blue"), (90, 30), "", 0.96, None, "meaning"),
        ),
        labels_={"blue": 0, "dark blue": 0, "red": 1, "striped": -1},
        unknown=("zzyzx",),
        embedder="word2vec-48",
        embedder_hash="def",
        settings={"mode": "anchored", "seed": 0, "min_score": 0.35},
        versions={"numpy": "2"},
        scores={
            "anchored": {"coverage": 0.9, "seed_accuracy": {"both": 0.95}},
            "hdbscan": {"coverage": 0.35, "num_clusters": 2},
            "agreement_ari": 0.4, "num_images": 40, "num_captions": 200, "captions_compared": True,
        },
    )  # fmt: skip


def listed(size=600):
    """A plain list: every word once, no image; the first attribute has one group of nearly all."""
    made, rng = drawn(size, examples=False), random.Random(1)
    attributes = []
    for attribute in made.attributes:
        values = sorted((_uncounted(value) for value in attribute.values), key=lambda v: v.text)
        if not attributes:
            center = rng.choice(values)
            group = Group(f"{attribute.name}/{center.text}", center.text, center.id, 0.55)
            values = [replace(v, group=group.id if n else "") for n, v in enumerate(values)]
            attribute = replace(attribute, groups=(group,))
        merit = replace(attribute.merit, reasons=("held back by rare values", "few images"))
        attributes.append(
            replace(attribute, values=tuple(values), exclusive=None, overlap=None, merit=merit)
        )
    left = tuple(replace(word, count=1, lift=None) for word in made.unassigned)
    pairs = tuple(replace(each, counts=(1, 1), shared_images=None) for each in made.proposals)
    return replace(
        made, source="listed", attributes=tuple(attributes), unassigned=left, proposals=pairs,
        scores={"anchored": {"coverage": 0.71}, "hdbscan": {"coverage": 0.35}},
    )  # fmt: skip


def _uncounted(value):
    forms = {value.text: 1}
    return replace(value, count=1, forms=forms, splits={}, objects={}, evidence="anchor")


def places(dictionary):
    """A place for every word with an id, from its id alone."""
    words = [*dictionary.unassigned, *(v for a in dictionary.attributes for v in a.values)]
    return {word.id: _near(int(word.id[2:], 16)) for word in words if word.id}


def drawn(size, *, seed=0, examples=True):
    """A dictionary of `size` words: two thirds of them values of eight attributes."""
    rng = random.Random(seed)
    words = _words(rng, size)
    counts = sorted((int(rng.paretovariate(0.7) * 3) for _ in words), reverse=True)
    owners = [
        rng.choices(range(len(KINDS) + 1), (30, 12, 9, 5, 9, 16, 12, 7, 50))[0] for _ in words
    ]
    attributes, labels = [], {}
    for number, name in enumerate(KINDS):
        own = [(w, c) for w, c, o in zip(words, counts, owners, strict=True) if o == number]
        groups = {f"{name}/{word}": (word, count) for word, count in own[::7]}
        names = list(groups)
        values = tuple(
            _value(rng, word, count, names[place // 7] if rng.random() < 0.9 else "", examples)
            for place, (word, count) in enumerate(own)
        )
        attributes.append(
            Attribute(
                name, values, groups=_groups(rng, groups), exclusive=number < 4,
                selected=number < 6, overlap=0.01,
                merit=Merit(round(0.9 - number / 10, 2), 0.8, 0.9, 60.0, None,
                            (f"shown in {90 - 9 * number} % of the images",
                             "purity 0.91: most mentions are sure")),
            )
        )  # fmt: skip
        labels |= {word: rng.choice((number, number + 9, -1, -1)) for word, _ in own}
    left = tuple(
        Unassigned(w, c, rng.choice(REASONS), word_id(w), round(rng.uniform(0.9, 3), 3),
                   rng.choice(KINDS), rng.uniform(0, 0.35), rng.uniform(0, 0.1))
        for w, c, o in zip(words, counts, owners, strict=True) if o == len(KINDS)
    )  # fmt: skip
    return Dictionary(
        source="drawn", data_hash="0" * 64, attributes=tuple(attributes), unassigned=left,
        types=tuple(AnchorType(name, tuple(STEMS[n::8]), tuple(STEMS[n::16]))
                    for n, name in enumerate(KINDS)),
        proposals=tuple(Proposal((words[n], words[n + 1]), (counts[n], counts[n + 1]),
                                 words[n], 0.96, 3) for n in range(0, min(size, 80), 5)),
        labels_=labels, embedder="word2vec-48", embedder_hash="1" * 64,
        settings={"mode": "anchored", "seed": 0, "min_count": 5, "min_score": 0.35},
        versions={"gensim": "4.3.3", "hdbscan": "0.8.40"},
        scores={"anchored": {"coverage": 0.71, "seed_accuracy": 0.94},
                "hdbscan": {"coverage": 0.35, "num_clusters": 41, "seed_ari": 0.31},
                "agreement_ari": 0.22, "num_images": 9000, "num_captions": 36000},
    )  # fmt: skip


def write_pages(folder):
    """Pages of the samples in a folder: their addresses by name; "plain" has no map."""
    few, many, plain = small(), drawn(600), listed()
    write_report(few, folder / "small.html", places(few))
    write_report(few, folder / "plain.html")
    write_report(many, folder / "drawn.html", clouds(many))
    write_report(plain, folder / "listed.html", clouds(plain))
    return {path.stem: path.as_uri() for path in folder.glob("*.html")}


def clouds(dictionary, *, seed=0):
    """Places in one cloud an attribute: words of an attribute are near each other."""
    rng = random.Random(seed)
    found = {}
    for number, attribute in enumerate(dictionary.attributes):
        x, y = 7 * ((number * 0.37) % 1 * 2 - 1), 7 * ((number * 0.73) % 1 * 2 - 1)
        for value in attribute.values:
            found[value.id] = (round(rng.gauss(x, 1.4), 3), round(rng.gauss(y, 1.4), 3))
    for word in dictionary.unassigned:
        found[word.id] = (round(rng.uniform(-10, 10), 3), round(rng.uniform(-10, 10), 3))
    return found


def _near(number):
    return (number % 2003 / 100 - 10, number % 1999 / 100 - 10)


def _words(rng, size):
    found = dict.fromkeys(STEMS)
    while len(found) < size:
        parts = [rng.choice(("dark", "light", "very", "half", "old", "off")), rng.choice(STEMS)]
        if len(found) > 250:
            parts.append(rng.choice(STEMS))
        if len(found) > 9000:
            parts.append(rng.choice(STEMS))
        found[" ".join(parts)] = None
    return list(found)[:size]


def _value(rng, word, count, group, examples):
    forms = {word: count} if " " not in word else {word: count - 1, word.replace(" ", "-"): 1}
    return Value(
        id=word_id(word), text=word, count=count, forms=forms,
        splits={"train": int(count * 0.8), "test": count - int(count * 0.8)},
        objects={name: max(1, count // n) for n, name in enumerate(("car", "sky", "bird"), 3)},
        score=rng.uniform(0.35, 0.95), margin=rng.uniform(0.1, 0.6), second=rng.choice(KINDS),
        evidence=rng.choice(RULES), group=group,
        examples=(f"a photo of a {word} car by the road", f"the {word} bird") if examples else (),
    )  # fmt: skip


def _groups(rng, groups):
    return tuple(
        Group(name, word, word_id(word), round(rng.uniform(0.5, 0.9), 3))
        for name, (word, _) in groups.items()
    )
