"""Values made one, made several, moved, and made out of words that were none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from datamodules.dictionary.edits.finder import key_of
from datamodules.dictionary.lookup import word_key
from datamodules.dictionary.records import Unassigned, Value
from datamodules.dictionary.word_id import word_id
from datamodules.normalize import normalize

DROPPED = "dropped by edits"
_MAX_OBJECTS = 5
_MAX_EXAMPLES = 2


def joined(values: Sequence[Value]) -> Value:
    """Several values as one: the first stays, and its counts are those of all together."""
    first = values[0]
    if len(values) == 1:
        return first
    stated = any(value.evidence == "given" for value in values)
    return replace(
        first,
        count=sum(value.count for value in values),
        denied=sum(value.denied for value in values),
        forms=_added(value.forms or {value.text: value.count} for value in values),
        denials=_added(value.denials for value in values),
        splits=_added(value.splits for value in values),
        objects=dict(list(_added(value.objects for value in values).items())[:_MAX_OBJECTS]),
        evidence="given" if stated else first.evidence,
        status="given" if stated else first.status,
        group=next((value.group for value in values if value.group), ""),
        examples=tuple(dict.fromkeys(text for value in values for text in value.examples))[
            :_MAX_EXAMPLES
        ],
    )


def moved(value: Value, source: str, target: str) -> Value:
    """A value that a person says is one of `target`; what the machine thought is `second`."""
    if value.evidence == "given":
        return value
    if source != target:
        second = source or value.second
        # The score was its likeness to the other attribute.
        value = replace(
            value, score=1.0, margin=1.0, second=second if second != target else "", group=""
        )
    also = tuple(name for name in value.also if name != target)
    return replace(value, evidence="edit", status="reviewed", also=also)


def parted(value: Value, keys: Iterable[str]) -> list[Value]:
    """Some spellings of a value as values of their own, and what is left.

    How often a spelling is shown and how often denied follows its share of all mentions. In which
    splits it is, and what carries it, is not known.

    Args:
        value: the value.
        keys: two or more of its normalized spellings.
    """
    families = _families(value)
    own = next((key for key in families if word_id(key) == value.id), "")
    alone = [key for key in keys if key != own]
    rest = [key for key in families if key not in alone]
    parts = [[key] for key in alone] if not rest else [rest, *([key] for key in alone)]
    sizes = [sum(sum(families[key].values()) for key in part) for part in parts]
    shares = zip(
        parts, _shared_out(value.count, sizes), _shared_out(value.denied, sizes), strict=True
    )
    host = {word: _denied(word, alone) or parts[0][0] for word in value.denials}
    found = []
    for part, count, denied in shares:
        forms = _added(families[key] for key in part)
        stays = part is rest
        found.append(
            replace(
                value,
                id=value.id if stays else word_id(part[0]),
                text=value.text if stays and value.text in forms else next(iter(forms)),
                count=count,
                denied=denied,
                forms=forms,
                denials={word: n for word, n in value.denials.items() if host[word] == part[0]},
                splits={},
                objects={},
                examples=_speaking(value.examples, part),
            )
        )
    return found


def _denied(word: str, keys: Sequence[str]) -> str:
    """The longest of some spellings that a word such as "not very close" holds; "" for none."""
    held = [key for key in keys if f" {key} " in f" {word_key(word)} "]
    return max(held, key=len, default="")


def _shared_out(count: int, sizes: Sequence[int]) -> list[int]:
    """Whole numbers in proportion to sizes that add up to a count."""
    ends = [count * end // max(1, sum(sizes)) for end in accumulate(sizes)]
    return [end - begin for begin, end in pairwise([0, *ends])]


def from_unassigned(loose: Unassigned) -> Value:
    """A word that is to be a value; the machine's opinion of it is `second`."""
    return Value(
        id=key_of(loose)[1],
        text=loose.text,
        count=loose.count,
        forms={loose.text: loose.count},
        score=loose.score,
        margin=loose.margin,
        second=loose.nearest,
    )


def dropped(value: Value, attribute: str) -> Unassigned:
    """A value as a word that is none."""
    return Unassigned(
        text=value.text,
        count=value.count,
        reason=DROPPED,
        id=value.id,
        nearest=attribute,
        score=value.score,
        margin=value.margin,
    )


def _families(value: Value) -> dict[str, dict[str, int]]:
    """Forms by their normalized word_key, the most frequent first."""
    families: dict[str, dict[str, int]] = {}
    for form in value.spellings or (value.text,):
        families.setdefault(word_key(form), {})[form] = value.forms.get(form, value.count)
    return families


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sums by key, the largest first."""
    total: Counter[str] = Counter()
    for each in counts:
        for key, count in each.items():
            total[key] += count
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _speaking(examples: Iterable[str], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        text for text in examples if any(f" {key} " in f" {normalize(text)} " for key in keys)
    )
