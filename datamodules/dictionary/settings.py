"""What a person may turn: kinds of attribute with seed words, and the builder's thresholds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from datamodules.dictionary.embed.trained import SkipGram
from datamodules.dictionary.records import Mode, ReadFrom
from datamodules.dictionary.yaml_file import read_yaml
from datamodules.errors import InputError
from datamodules.normalize import normalize

DEFAULT_TYPES = Path(__file__).with_name("types.yaml")
_WORD_LISTS = ("names", "seeds", "negatives")
_FLAGS = ("selected", "exclusive")


@dataclass(frozen=True)
class TypeSpec:
    """A kind of attribute as a person describes it in `types.yaml`.

    Attributes:
        name: what the dictionary calls it.
        names: words for the kind itself: "color", "hue".
        seeds: words of the kind: "red", "blue".
        negatives: words that look like the kind but are not of it.
        selected: whether adapters may be trained for it.
        exclusive: whether an image has one value only; None leaves that to be measured.
    """

    name: str
    names: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    selected: bool = True
    exclusive: bool | None = None

    @property
    def anchors(self) -> tuple[str, ...]:
        """Seeds and names: the words that stand for the kind."""
        return tuple(dict.fromkeys((*self.seeds, *self.names)))


def load_types(path: Path | None = None, *, seeds: bool = True) -> tuple[TypeSpec, ...]:
    """Read the kinds of attribute; without `path`, the ones shipped here.

    A kind without `names` is named by its key.

    Args:
        path: a YAML file of `name: {names: [...], seeds: [...]}`.
        seeds: False leaves all seed words out, so that names alone stand for the kinds.

    Raises:
        InputError: if the file cannot be read or is not YAML, or a kind has neither names nor
            seeds, or two kinds share a word, or a field is unknown or of another form.
    """
    import yaml

    path = path or DEFAULT_TYPES
    raw = read_yaml(path, "types", yaml.safe_load)
    if not isinstance(raw, dict) or not raw:
        raise InputError(
            f"--types: expected `name: {{seeds: [word, ...]}}` lines in {path}, got {raw!r}."
        )
    types = tuple(_type(str(name), entry, path) for name, entry in raw.items())
    _refuse_shared_words(types, path)
    return types if seeds else tuple(replace(each, seeds=()) for each in types)


def _type(name: str, entry: Any, path: Path) -> TypeSpec:
    fields_of = entry if isinstance(entry, dict) else {}
    unknown = sorted(map(str, set(fields_of) - {*_WORD_LISTS, *_FLAGS}))
    if unknown:
        raise InputError(
            f"--types: expected only `names`, `seeds`, `negatives`, `selected` and `exclusive` "
            f"under {name!r} in {path}, got {', '.join(unknown)}."
        )
    words = {each: _words(name, each, fields_of.get(each, []), path) for each in _WORD_LISTS}
    if not words["seeds"] and not words["names"]:
        raise InputError(
            f"--types: expected `{name}: {{seeds: [word, ...]}}` in {path}, got {entry!r}. "
            "Give at least one seed word, or names."
        )
    if twice := set(words["negatives"]) & {*words["seeds"], *words["names"]}:
        raise InputError(
            f"--types: {min(twice)!r} in {path} is a negative of {name!r} and stands for it. "
            "Remove one of the two."
        )
    flags = {each: fields_of.get(each) for each in _FLAGS}
    if wrong := [each for each, flag in flags.items() if not isinstance(flag, bool | None)]:
        raise InputError(
            f"--types: expected true or false for `{wrong[0]}` under {name!r} in {path}, got "
            f"{flags[wrong[0]]!r}."
        )
    return TypeSpec(
        name=name,
        names=words["names"] or _normalized([name]),
        seeds=words["seeds"],
        negatives=words["negatives"],
        selected=flags["selected"] is not False,
        exclusive=flags["exclusive"],
    )


def _words(name: str, field_name: str, words: Any, path: Path) -> tuple[str, ...]:
    # YAML 1.1 reads a bare yes/no/on/off as a Boolean, so those words must be quoted.
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(
            f"--types: expected a list of words for `{field_name}` under {name!r} in {path}, got "
            f'{words!r}. Write "yes", "no", "on" and "off" in quotes.'
        )
    return _normalized(words)


def _normalized(words: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in map(normalize, words) if word))


def _refuse_shared_words(types: tuple[TypeSpec, ...], path: Path) -> None:
    owner: dict[str, str] = {}
    for each in types:
        for word in each.anchors:
            if word in owner:
                raise InputError(
                    f"--types: the word {word!r} in {path} stands under {owner[word]!r} and "
                    f"{each.name!r}. Keep it under one."
                )
            owner[word] = each.name


@dataclass(frozen=True)
class CaptionSettings:
    """How words of captions are found and typed.

    Args:
        max_words: the most frequent words kept.
        min_lift: how many times more often than by chance a word must come back in another caption
            of the same image before it counts as saying something about the image. Scene words
            ("picture", "object") stay near 1, a value held by a share p of the images comes near 1
            / p.
        nearest: how many nearest seed words are averaged into a word's score.
        min_score: smallest score, a cosine from -1 to 1, that gives a word a type.
        min_margin: smallest lead of the best type over the second.
        word2vec: the word vectors, where no other embedder is asked.
    """

    max_words: int = 4000
    min_lift: float = 1.3
    nearest: int = 3
    min_score: float = 0.35
    min_margin: float = 0.1
    word2vec: SkipGram = field(default_factory=SkipGram)


@dataclass(frozen=True)
class LikenessSettings:
    """How words of annotations and lists are typed.

    Args:
        min_score: smallest score that gives a type: about 1 is like a seed, 0 like no seed.
        min_margin: smallest lead of the best type over the second.
        ridge: strength of the penalty of the regression, above 0.
        neighbors: how many nearest words a word's score is smoothed over.
        smoothing: share of the neighbors in a word's score, 0..1.
        adopted: words that a type without seeds takes as seeds, in each of two rounds.
        head: words that may be neighbors: the first, so the most frequent.
        rules: names of the rules of spelling to ask; None asks all.
    """

    min_score: float = 0.25
    min_margin: float = 0.1
    ridge: float = 0.5
    neighbors: int = 8
    smoothing: float = 0.5
    adopted: int = 10
    head: int = 2000
    rules: tuple[str, ...] | None = None


@dataclass(frozen=True)
class GroupingSettings:
    """How words are clustered, and the values of an attribute grouped.

    Args:
        groups: how the values of an attribute are grouped: HDBSCAN leaves noise, average linkage
            gives every value a group.
        distance: linkage merges groups up to this mean cosine distance, 0 to 2.
        pca: principal components kept before HDBSCAN.
        min_cluster_size: smallest HDBSCAN cluster, in words.
    """

    groups: Literal["hdbscan", "linkage"] = "hdbscan"
    distance: float = 0.6
    pca: int = 10
    min_cluster_size: int = 3


@dataclass(frozen=True)
class Settings:
    """What the builder may be told, all in plain units.

    Args:
        mode: how words are typed: by seed words with HDBSCAN for the rest, or by HDBSCAN alone.
        types: the kinds of attribute.
        min_count: captions that must mention a word for it to be read; of annotations and lists
            every word is read, and those with as many mentions are clustered.
        exclusive_overlap: an attribute is exclusive when its values share an image at most this
            many times as often as independent words would.
        captions: what is asked of captions alone.
        likeness: what is asked of annotations and lists alone.
        grouping: clusters and groups.
    """

    mode: Mode = "anchored"
    types: tuple[TypeSpec, ...] = field(default_factory=load_types)
    min_count: int = 5
    exclusive_overlap: float = 0.02
    captions: CaptionSettings = field(default_factory=CaptionSettings)
    likeness: LikenessSettings = field(default_factory=LikenessSettings)
    grouping: GroupingSettings = field(default_factory=GroupingSettings)

    def typing(self, read_from: ReadFrom) -> CaptionSettings | LikenessSettings:
        """How words are typed that are read from there."""
        return self.captions if read_from == "captions" else self.likeness

    def used(self, read_from: ReadFrom, *, trained: bool) -> dict[str, Any]:
        """What decides a dictionary, as it stands in its file; its types are listed there anyway.

        Args:
            read_from: where its words come from; what is asked of others is left out.
            trained: whether word2vec is trained as told here.
        """
        grouping = asdict(self.grouping)
        if self.grouping.groups != "linkage":
            del grouping["distance"]
        found: dict[str, Any] = {"mode": self.mode, "min_count": self.min_count}
        found["grouping"] = grouping
        if read_from != "list":
            found["exclusive_overlap"] = self.exclusive_overlap
        if read_from == "captions":
            found["captions"] = asdict(self.captions)
            if not trained:
                del found["captions"]["word2vec"]
        else:
            rules = self.likeness.rules
            chosen = "all" if rules is None else list(rules)
            found["likeness"] = {**asdict(self.likeness), "rules": chosen}
        return found
