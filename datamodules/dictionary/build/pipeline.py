"""Words with their evidence -> dictionary: the stages in order.

    front -> types -> HDBSCAN -> attributes -> edits -> coverage, exclusion, merit

Shape letters: C candidate words, T types, A anchor words, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.aliases import carry_aliases
from datamodules.dictionary.anchoring.anchors import Typed, barred, leave_one_out, type_words
from datamodules.dictionary.anchoring.phrase_types import TypingSettings, type_phrases
from datamodules.dictionary.build.adopt import adopt_by_cluster, by_cluster_alone
from datamodules.dictionary.build.assemble import attributes, measured, unassigned
from datamodules.dictionary.edits import Edits, apply_edits
from datamodules.dictionary.embed import Embedder
from datamodules.dictionary.fronts import Front
from datamodules.dictionary.grouping.clusters import Labels, hdbscan_labels
from datamodules.dictionary.records import AnchorType, Attribute
from datamodules.dictionary.schema import Dictionary
from datamodules.dictionary.scoring.scores import adjusted_rand, noise_as_singletons
from datamodules.dictionary.settings import Settings, TypeSpec
from datamodules.errors import InputError


@dataclass(frozen=True)
class _Outcome:
    """What typing gave.

    Attributes:
        typed: the chosen mode's outcome.
        kinds: the types that its labels number.
        pure: HDBSCAN alone, over the head.
        scores: both modes' self-checks.
    """

    typed: Typed
    kinds: list[AnchorType]
    pure: Labels
    scores: dict[str, Any]


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
    typing: TypingSettings | None = None,
    rules: tuple[str, ...] | None = None,
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
        stated: attributes that the source itself states; they come first.
        typing: thresholds of likeness to anchor words; None takes the defaults.
        rules: names of the rules of spelling to ask, where words are typed by likeness; None asks
            all.
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
            typing or TypingSettings(), rules, backbone,
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
    typing: TypingSettings,
    rules: tuple[str, ...] | None,
    backbone: Embedder | None,
) -> Dictionary:
    types = _with_new(settings.types, edits)
    outcome = _typed(front, replace(settings, types=types), typing, rules)
    dictionary = Dictionary(
        source=source_name,
        data_hash=data_hash,
        attributes=(*stated, *attributes(front, outcome.typed, outcome.kinds, settings)),
        types=_all_kinds(front, types),
        unassigned=unassigned(front, outcome.typed, outcome.kinds, settings),
        proposals=front.proposals,
        labels_=dict(zip(front.keys(), outcome.pure.tolist(), strict=False)),
        unknown=front.unknown,
        embedder=front.embedder,
        embedder_hash=front.embedder_hash,
        settings=_settings(front, settings, typing, rules, seed),
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


def _settings(
    front: Front,
    settings: Settings,
    typing: TypingSettings,
    rules: tuple[str, ...] | None,
    seed: int,
) -> dict[str, Any]:
    """What decided the outcome."""
    chosen = {**settings.thresholds(), "seed": seed}
    if front.anchors:
        chosen |= {"typing": asdict(typing), "rules": "all" if rules is None else list(rules)}
    return chosen


def _all_kinds(front: Front, types: tuple[Any, ...]) -> tuple[AnchorType, ...]:
    """All types, with those of their words that the source uses."""
    known = set(front.keys())
    return tuple(
        AnchorType(
            each.name,
            each.seeds or each.names,
            tuple(word for word in each.seeds or each.names if word in known),
            each.selected,
        )
        for each in types
    )


def _typed(
    front: Front, settings: Settings, typing: TypingSettings, rules: tuple[str, ...] | None
) -> _Outcome:
    """Type the candidates in both modes."""
    kinds = _all_kinds(front, settings.types)
    cut = {"pca": settings.pca, "min_cluster_size": settings.min_cluster_size}
    place = {key: number for number, key in enumerate(front.keys())}
    pure_H = hdbscan_labels(front.vectors_CD[: front.head], **cut)
    if front.anchors:
        known = list(kinds)
        typed: Typed | None = _by_likeness(front, settings.types, typing, rules)
    else:
        known = [kind for kind in kinds if kind.found]
        typed = _by_seeds(front, known, settings, cut)
    seeds_T = [[place[word] for word in kind.found if word in place] for kind in known]
    head_T = [[row for row in rows if row < front.head] for rows in seeds_T]
    scores: dict[str, Any] = {"hdbscan": _pure_scores(pure_H, head_T)}
    if typed is not None:
        checks = {
            name: _rounded(leave_one_out(view, seeds_T, nearest=settings.nearest))
            for name, view in front.views.items()
        }
        scores["anchored"] = {
            "coverage": _share(typed.label_C >= 0),
            # Seeds typed by the other seeds: the only labels there are, each judged without itself.
            "seed_accuracy": checks,
        }
        scores["agreement_ari"] = _agreement(typed.label_C[: front.head], pure_H)
    if typed is None or settings.mode == "hdbscan":
        all_C = np.full(len(front.rows), -1, dtype=np.int64)
        all_C[: front.head] = pure_H
        typed = by_cluster_alone(all_C, seeds_T)
    return _Outcome(typed, known, pure_H, scores)


def _by_seeds(
    front: Front, kinds: list[AnchorType], settings: Settings, cut: Mapping[str, int]
) -> Typed | None:
    """By the seeds among the words themselves; None where there is none and none is needed."""
    place = {key: number for number, key in enumerate(front.keys())}
    seeds_T = [[place[word] for word in kind.found] for kind in kinds]
    if not seeds_T:
        if settings.mode == "hdbscan":
            return None
        raise InputError(
            f"expected a seed word of {', '.join(each.name for each in settings.types)} among the "
            f"words that describe the images, got none. Frequent words: "
            f"{', '.join(front.keys()[:8])}. Add seed words in a YAML and pass it with --types."
        )
    against = {each.name: each.negatives for each in settings.types}
    negatives_T = [[place[word] for word in against[kind.name] if word in place] for kind in kinds]
    barred_CT = barred(front.features_CD, seeds_T, negatives_T)
    typed = type_words(
        front.features_CD, seeds_T, nearest=settings.nearest, min_score=settings.min_score,
        min_margin=settings.min_margin, barred_CT=barred_CT,
    )  # fmt: skip
    return adopt_by_cluster(typed, hdbscan_labels(front.features_CD, **cut), barred_CT)


def _by_likeness(
    front: Front,
    types: tuple[TypeSpec, ...],
    typing: TypingSettings,
    rules: tuple[str, ...] | None,
) -> Typed:
    """By rules, and likeness to anchor words that were embedded beside the words."""
    assert front.anchor_rows_AD is not None
    known = set(front.keys())
    extra = [number for number, word in enumerate(front.anchors) if word not in known]
    typed = type_phrases(
        [*front.keys(), *(front.anchors[number] for number in extra)],
        np.vstack([front.features_CD, front.anchor_rows_AD[extra]]),
        types,
        rules=rules,
        settings=typing,
    )
    count = len(front.rows)
    return Typed(
        typed.label_C[:count], typed.best_C[:count], typed.score_C[:count],
        typed.margin_C[:count], typed.evidence_C[:count], typed.second_C[:count],
        typed.near_C[:count],
    )  # fmt: skip


def _pure_scores(labels_H: Labels, seeds_T: list[list[int]]) -> dict[str, Any]:
    rows = [row for seeds in seeds_T for row in seeds]
    kinds = [number for number, seeds in enumerate(seeds_T) for _ in seeds]
    return {
        "num_clusters": max(labels_H.tolist(), default=-1) + 1,
        "coverage": _share(labels_H >= 0),
        "seed_ari": _rounded(adjusted_rand(kinds, noise_as_singletons(labels_H[rows].tolist())))
        if rows
        else None,
    }


def _agreement(label_H: Labels, pure_H: Labels) -> float:
    one, other = (noise_as_singletons(each.tolist()) for each in (label_H, pure_H))
    return round(adjusted_rand(one, other), 3)


def _share(mask: NDArray[np.bool_]) -> float:
    return round(float(mask.mean()), 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
