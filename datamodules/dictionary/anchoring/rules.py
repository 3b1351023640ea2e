"""Lexical rules: what the form of an English phrase says of its type, before any vector is asked.

    "dark blue", "bluish", "cream colored", "black haired"  -> color
    "heart shaped", "hexagonal"                             -> shape
    "walking slowly"                                        -> action
    "very large", "larger", "large eared"                   -> the type of "large"

A rule is a pure function of the words of a phrase and of a `Lexicon`, the user's types. It answers
with one of these types, or with None: a rule about color is silent where there is no color. Seeds
themselves are no matter of rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from datamodules.dictionary.anchoring import rule_words as lists
from datamodules.dictionary.settings import TypeSpec
from datamodules.errors import InputError
from datamodules.normalize import FUNCTION_WORDS

Words = Sequence[str]

_NUMBER = r"(?:tri|quadr|tetr|pent|hex|hept|oct|non|dec|poly|rect|equi)"
_POLYGON = re.compile(rf"{_NUMBER}a?(?:ang(?:le|les|led|ular)|gon|gons|gonal)|\w+hedr(?:on|a|al)")
_MANY_COLORED = re.compile(r"(?:bi|many|multi|tri|uni|vari)colored")
_VERB_ING = re.compile(r"\w*[aeiouy]\w*ing")


@dataclass(frozen=True)
class Lexicon:
    """The user's types, as rules see them.

    Attributes:
        roles: what a kind is called, such as "color" or "hue", -> name of that type.
        seeds: seed word -> name of its type.
    """

    roles: Mapping[str, str]
    seeds: Mapping[str, str]

    @classmethod
    def of(cls, types: Sequence[TypeSpec]) -> Lexicon:
        """The lexicon of some types."""
        return cls(
            {word: each.name for each in types for word in (*each.names, each.name)},
            {seed: each.name for each in types for seed in each.seeds},
        )

    def is_color(self, word: str) -> bool:
        """Whether it is a color term of English, or a seed of the user's colors."""
        role = self.roles.get("color")
        return word in lists.COLORS or (role is not None and self.seeds.get(word) == role)


Rule = Callable[[Words, Lexicon], "str | None"]


def rule_type(
    words: Words, lexicon: Lexicon, *, on: Collection[str] | None = None
) -> tuple[str, str] | None:
    """What the first rule that fires says.

    Args:
        words: the words of a phrase, normalized.
        lexicon: the user's types.
        on: names of the rules to ask; None asks all of `RULES`.

    Returns:
        Name of the type and name of the rule; None if no rule fires.

    Raises:
        InputError: if `on` names an unknown rule.

    Example:
        >>> lexicon = Lexicon({"color": "color"}, {"blue": "color"})
        >>> rule_type(["dark", "blue"], lexicon)
        ('color', 'modified_color')
    """
    check_rules(on or ())
    if not words:
        return None
    for name, rule in RULES.items():
        if (on is None or name in on) and (found := rule(words, lexicon)) is not None:
            return found, name
    return None


def check_rules(names: Collection[str]) -> None:
    """Check that there are rules of these names.

    Raises:
        InputError: if one is unknown.
    """
    if unknown := sorted(set(names) - set(RULES)):
        got = ", ".join(name or "an empty name" for name in unknown)
        raise InputError(f"expected names of rules ({', '.join(RULES)}), got {got}.")


def action(words: Words, lexicon: Lexicon) -> str | None:
    """A leading present participle: "walking", "slowly walking", "looking at the camera"."""
    verb = words[1] if len(words) > 1 and words[0].endswith("ly") else words[0]
    is_activity = verb not in lists.NOT_ACTIONS and verb not in lists.STATIVE
    if not is_activity or len(verb) < 5 or not _VERB_ING.fullmatch(verb):
        return None
    return lexicon.roles.get("action")


def stative(words: Words, lexicon: Lexicon) -> str | None:
    """After a verb that only links, the rest decides: "wearing red", "containing glass"."""
    if len(words) < 2 or words[0] not in lists.STATIVE:
        return None
    rest = words[1:]
    if lexicon.is_color(rest[-1]) and _all_shades(rest, lexicon):
        return lexicon.roles.get("color")
    return lexicon.seeds.get(rest[-1])


def pattern(words: Words, lexicon: Lexicon) -> str | None:
    """A pattern as head: "blue striped", "polka dotted", "leopard print", "red checks"."""
    if len(words) < 2 or words[-1] not in lists.PATTERNS:
        return None
    return lexicon.roles.get("pattern") or lexicon.roles.get("texture")


def textured(words: Words, lexicon: Lexicon) -> str | None:
    """What a surface is like: "rough textured", "smooth surface"."""
    if len(words) < 2 or words[-1] not in lists.TEXTURED:
        return None
    return lexicon.roles.get("texture") or lexicon.roles.get("pattern")


def shaped(words: Words, lexicon: Lexicon) -> str | None:
    """What something is shaped like: "heart shaped", "L shape", "four sided", "shape of a star"."""
    like = len(words) > 1 and (words[-1] in lists.SHAPED or "shape of" in " ".join(words))
    return lexicon.roles.get("shape") if like else None


def polygon(words: Words, lexicon: Lexicon) -> str | None:
    """Words built from a number of corners: "hexagonal", "pentagon"; not "diagonal"."""
    return lexicon.roles.get("shape") if _POLYGON.fullmatch(words[-1]) else None


def sized(words: Words, lexicon: Lexicon) -> str | None:
    """What something measures: "medium sized", "king size", "knee length", "waist high"."""
    return lexicon.roles.get("size") if len(words) > 1 and words[-1] in lists.SIZED else None


def colored(words: Words, lexicon: Lexicon) -> str | None:
    """How something is colored: "brightly colored", "rose tinted", "two tone", "multicolored"."""
    named = len(words) > 1 and words[-1] in lists.COLORED
    return lexicon.roles.get("color") if named or _MANY_COLORED.fullmatch(words[-1]) else None


def modified_color(words: Words, lexicon: Lexicon) -> str | None:
    """Colors with modifiers or each other: "dark blue", "black and white", "pale gray green"."""
    shades = [word for word in words if word != "and"]
    if len(shades) < 2 or not lexicon.is_color(shades[-1]) or not _all_shades(shades, lexicon):
        return None
    return lexicon.roles.get("color")


def colored_part(words: Words, lexicon: Lexicon) -> str | None:
    """A part told by its color: "black haired", "white lettered", "fair skinned", "blue eyed"."""
    shades = [word for word in words[:-1] if word != "and"]
    if not shades or not words[-1].endswith("ed") or not _all_shades(shades, lexicon):
        return None
    if not any(map(lexicon.is_color, shades)) and words[-1] not in lists.TRAITS:
        return None
    return lexicon.roles.get("color")


def ish(words: Words, lexicon: Lexicon) -> str | None:
    """Nearly so: "greenish", "dark reddish"; "largish" has the type of "large"."""
    if not words[-1].endswith("ish"):
        return None
    stem = words[-1].removesuffix("ish")
    stem = lists.ISH_STEMS.get(stem, stem)
    if lexicon.is_color(stem):
        return lexicon.roles.get("color")
    return lexicon.seeds.get(stem) or lexicon.seeds.get(f"{stem}e")


def degree(words: Words, lexicon: Lexicon) -> str | None:
    """Comparatives and superlatives of a seed: "larger", "wettest"; "smoother"."""
    match = re.fullmatch(r"(\w+?)(?:er|est)", words[-1])
    if not match:
        return None
    stem = match[1]
    stems = [stem, f"{stem}e", re.sub(r"i$", "y", stem), re.sub(r"(.)\1$", r"\1", stem)]
    return next((lexicon.seeds[each] for each in stems if each in lexicon.seeds), None)


def opposite(words: Words, lexicon: Lexicon) -> str | None:
    """The opposite of a seed is of its type: "unclean", "uncooked"."""
    return lexicon.seeds.get(words[-1].removeprefix("un")) if words[-1][:2] == "un" else None


def made_of(words: Words, lexicon: Lexicon) -> str | None:
    """What something is made of: "made of clay", "gold plated", "snow clad"."""
    made = words[0] == "made" and len(words) > 2 and words[1] in ("of", "from", "out")
    over = len(words) > 1 and words[-1] in lists.OVERLAID
    return lexicon.roles.get("material") if made or over else None


def head(words: Words, lexicon: Lexicon) -> str | None:
    """A phrase has the type of its head, the last word: "very large", "half open", "red brick"."""
    if len(words) < 2 or FUNCTION_WORDS & set(words) - _JOINING:
        return None
    return lexicon.seeds.get(words[-1])


def part(words: Words, lexicon: Lexicon) -> str | None:
    """A part told by a seed: "long sleeved" has the type of "long", "round faced" of "round"."""
    if len(words) != 2 or not words[1].endswith("ed"):
        return None
    return lexicon.seeds.get(words[0])


def result(words: Words, lexicon: Lexicon) -> str | None:
    """What has come about: "rolled up", "turned off"; "half eaten", "freshly painted"."""
    if len(words) != 2:
        return None
    ended = _is_participle(words[0]) and words[1] in lists.PARTICLES
    far = words[0] in lists.COMPLETION and _is_participle(words[1])
    return lexicon.roles.get("state") if ended or far else None


# Function words that leave the head in its place.
_JOINING = frozenset(["and", "more", "most", "quite", "rather", "really", "so", "too", "very"])

# In the order in which they are asked.
RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        stative, action, pattern, textured, shaped, polygon, sized, made_of, colored,
        modified_color, colored_part, ish, degree, opposite, head, part, result,
    )
}  # fmt: skip


def _all_shades(words: Words, lexicon: Lexicon) -> bool:
    return all(lexicon.is_color(word) or word in lists.MODIFIERS for word in words)


def _is_participle(word: str) -> bool:
    return word in lists.PARTICIPLES or (len(word) > 4 and word.endswith("ed"))
