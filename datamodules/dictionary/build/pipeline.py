"""Words with their evidence -> dictionary: the stages in order.

front -> types -> HDBSCAN -> attributes -> edits -> coverage, exclusion, merit
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

from datamodules.dictionary.aliases import carry_aliases
from datamodules.dictionary.build.assemble import attributes, measured, unassigned
from datamodules.dictionary.build.outcome import all_kinds, typed_words
from datamodules.dictionary.edits import Edits, apply_edits
from datamodules.dictionary.embed import Embedder
from datamodules.dictionary.fronts import Front
from datamodules.dictionary.records import Attribute
from datamodules.dictionary.schema import Dictionary
from datamodules.dictionary.settings import Settings, TypeSpec


def build(
    source_name: str,
    front: Front,
    *,
    data_hash: str,
    settings: Settings,
    seed: int = 0,
    edits: Edits | None = None,
    before: Dictionary | None = None,
    stated: tuple[Attribute, ...] = (),
    backbone: Embedder | None = None,
) -> Dictionary:
    """Build a dictionary from a source's words.

    Args:
        source_name: name of the data source.
        front: its words, see `fronts`.
        data_hash: hash of what the words were read from, kept in the dictionary.
        settings: thresholds and types.
        seed: of the front's word vectors, kept in the dictionary.
        edits: what a person wants changed, applied last.
        before: the dictionary that this one takes the place of: its group ids become aliases.
        stated: attributes that the source itself states; they come first, and take the words
            that are found to be of the same.
        backbone: the text tower by which attributes are told apart, for their merit.

    Raises:
        InputError: if no type's seed word is among the words, or edits do not fit.
    """
    import scipy.linalg  # noqa: F401 -- what is loaded later would not be limited
    from threadpoolctl import threadpool_limits

    # Sums over several threads differ in their last bits, and small matrices wait for each other.
    with threadpool_limits(1):
        return _build(
            source_name, front, data_hash, settings, seed, edits or Edits(), before, stated,
            backbone,
        )  # fmt: skip


def _build(
    source_name: str,
    front: Front,
    data_hash: str,
    settings: Settings,
    seed: int,
    edits: Edits,
    before: Dictionary | None,
    stated: tuple[Attribute, ...],
    backbone: Embedder | None,
) -> Dictionary:
    types = _with_new(settings.types, edits)
    outcome = typed_words(front, replace(settings, types=types))
    dictionary = Dictionary(
        source=source_name,
        data_hash=data_hash,
        attributes=_joined(stated, attributes(front, outcome.typed, outcome.kinds, settings)),
        read_from=front.read_from,
        types=all_kinds(front, types),
        unassigned=unassigned(front, outcome.typed, outcome.kinds, settings),
        proposals=front.proposals,
        labels_=dict(zip(front.keys(), outcome.pure.tolist(), strict=False)),
        unknown=front.unknown,
        embedder=front.embedder,
        embedder_hash=front.embedder_hash,
        settings={**settings.used(front.read_from, trained=front.trained), "seed": seed},
        versions={name: version(name) for name in front.versions},
        scores={**outcome.scores, **front.numbers},
    )
    if before is not None and before.source == source_name:
        dictionary = carry_aliases(before, dictionary)  # first: edits may name groups by old ids
    dictionary = apply_edits(dictionary, edits)
    names = {each.name for each in stated}
    found = [each for each in dictionary.attributes if each.name not in names]
    kept = [each for each in dictionary.attributes if each.name in names]
    judged = measured(found, front, settings, backbone)
    return replace(dictionary, attributes=(*kept, *judged))


def _with_new(types: tuple[TypeSpec, ...], edits: Edits) -> tuple[TypeSpec, ...]:
    """The types with those of a person's edits, which replace what has their name.

    A word that both have as a seed is the edits'.
    """
    new = {
        each.name: TypeSpec(each.name, (each.name,), each.seeds, selected=each.selected)
        for each in edits.types
    }
    taken = {word for each in new.values() for word in each.anchors}
    kept = {
        each.name: replace(
            each,
            seeds=tuple(word for word in each.seeds if word not in taken),
            names=tuple(word for word in each.names if word not in taken),
        )
        for each in types
    }
    return tuple({**kept, **new}.values())


def _joined(stated: Sequence[Attribute], found: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """Both, each name once: what is found of a stated attribute joins what is stated of it."""
    found_of = {each.name: each for each in found}
    whole = []
    for own in stated:
        other = found_of.pop(own.name, None)
        if other is not None:
            known = {value.id for value in own.values}
            values = [*own.values, *(value for value in other.values if value.id not in known)]
            ordered = tuple(sorted(values, key=lambda value: (-value.count, value.text)))
            own = replace(own, values=ordered, groups=other.groups)
        whole.append(own)
    return (*whole, *found_of.values())
