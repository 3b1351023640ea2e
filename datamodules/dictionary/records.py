"""What a dictionary is made of, as frozen records. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["anchored", "hdbscan", "given"]
ReadFrom = Literal["captions", "annotations", "list"]
Status = Literal["given", "auto", "reviewed"]


@dataclass(frozen=True)
class Value:
    """One value of an attribute, such as "red".

    Attributes:
        id: stable over rebuilds; it depends on the normalized word alone.
        text: the word as the source writes it most often.
        count: mentions in annotations or a list, or captions that speak of it.
        denied: how often it is said not to be there.
        forms: every spelling found, with its count.
        denials: spellings that deny it, such as "not red", with their counts.
        splits: count in each split.
        objects: what carries it most often, up to five with their counts.
        score: likeness to the attribute's seed words, a cosine from -1 to 1; 1 where no word vector
            was asked.
        margin: lead of that score over the next attribute's.
        second: the next attribute; "" if there is none.
        evidence: "given" (the source states the type), "edit" (a person does), "rule:<name>",
            "seed" (a seed word), "anchor" (near the seeds) or "cluster" (HDBSCAN put it with them).
        status: "given", "auto", or "reviewed" by a person.
        group: id of its group inside the attribute; "" is noise, in no group.
        also: other attributes that it could be a value of.
        examples: two captions that mention it.
    """

    id: str
    text: str
    count: int
    denied: int = 0
    forms: Mapping[str, int] = field(default_factory=dict)
    denials: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)
    objects: Mapping[str, int] = field(default_factory=dict)
    score: float = 0.0
    margin: float = 0.0
    second: str = ""
    evidence: str = "anchor"
    status: Status = "auto"
    group: str = ""
    also: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every spelling found, most frequent first."""
        return tuple(sorted(self.forms, key=lambda form: (-self.forms[form], form)))


@dataclass(frozen=True)
class Group:
    """Values of one attribute that are near each other, such as "blue", "dark blue" and "navy".

    Attributes:
        id: "color/blue": the attribute and the medoid's word.
        label: display name.
        medoid: id of the value nearest to the center, weighted by the logarithm of the counts.
        cohesion: mean cosine of the members with the center.
        aliases: ids that earlier builds gave it.
    """

    id: str
    label: str
    medoid: str
    cohesion: float = 0.0
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Merit:
    """Why an attribute is worth an adapter, or not.

    Attributes:
        score: 0 to 1, the geometric mean of what is below where it is known.
        coverage: share of the images whose captions speak of the attribute; of annotations and
            lists, the share of the mentions.
        purity: share of its mentions whose type is sure: given, reviewed, seed, rule, or a margin
            of the build's threshold twice over.
        median_count: median of its values' counts.
        separability: silhouette of the values' text features under a backbone, -1 to 1; None if
            none was at hand.
        reasons: sentences for a person.
    """

    score: float
    coverage: float
    purity: float
    median_count: float
    separability: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attribute:
    """One attribute, such as "color", with its values in order of falling count.

    Attributes:
        name: display name; use `datamodules.names.safe_name` for paths.
        values: the values.
        exclusive: True when one image never shows two of the values; None where nobody has said so
            and there are no images, as with a list of words.
        selected: whether an adapter is trained for it.
        overlap: how often two values share an image, over the rate expected of independent words;
            where the source states the values, the share of its images that show two. None where
            there are no images.
        templates: prompts with a place for the value; none leaves the choice to the examples.
        groups: groups of near values, by falling count.
        merit: what speaks for selecting it; None in a dictionary made by hand.
    """

    name: str
    values: tuple[Value, ...]
    exclusive: bool | None = False
    selected: bool = True
    overlap: float | None = 0.0
    templates: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    merit: Merit | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The values' display words, in order."""
        return tuple(value.text for value in self.values)

    @property
    def spellings(self) -> dict[str, str]:
        """Every spelling of every value -> the value's display word."""
        return {form: value.text for value in self.values for form in (*value.forms, value.text)}

    @property
    def denials(self) -> dict[str, str]:
        """Every spelling that denies a value -> the value's display word."""
        return {form: value.text for value in self.values for form in value.denials}


@dataclass(frozen=True)
class AnchorType:
    """A kind of attribute from `types.yaml`: its seed words, and those the source uses."""

    name: str
    seeds: tuple[str, ...]
    found: tuple[str, ...] = ()
    selected: bool = True


@dataclass(frozen=True)
class Unassigned:
    """A word of the source that is not a value, and why.

    Attributes:
        text: the word.
        count: as in `Value`.
        reason: "says nothing about the image", "far from every seed", "between two attributes",
            "no vector", "rare", "noise" or "dropped by edits".
        id: as in `Value`.
        lift: how many times more often than by chance it comes back in another caption of the same
            image; None when no image has two captions.
        nearest: the attribute it is nearest to, "" for none.
        score: likeness to that attribute's seeds.
        margin: lead of that score.
        group: number of its group among the unassigned words; -1 is noise.
    """

    text: str
    count: int
    reason: str
    id: str = ""
    lift: float | None = None
    nearest: str = ""
    score: float = 0.0
    margin: float = 0.0
    group: int = -1


@dataclass(frozen=True)
class Proposal:
    """A merge a person may want. Never applied unasked.

    Attributes:
        words: the two words, the more frequent one first.
        counts: how often each is mentioned.
        lemma: their common base form, one of the two or a third word; "" if another evidence
            proposes them.
        cosine: likeness of their word vectors, -1 to 1.
        shared_images: images that mention both; None when that is not known.
        kind: "lemma" (spaCy's rules give both the same base form) or "meaning" (cosine of .95 or
            more).
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    lemma: str
    cosine: float
    shared_images: int | None = None
    kind: str = "lemma"
