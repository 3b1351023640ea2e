"""A composition from disk: found, checked against its base and its deltas, put together again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from composition.basis import Basis, content_hash
from composition.composed import Composition
from composition.export.coefficients_file import read_coefficients
from composition.export.folded import composed_delta
from composition.export.recompress import relative_distance
from composition.export.schema import CompositionCard, DeltaRecord
from composition.export.store import CARD_NAME as COMPOSITION_NAME
from composition.export.store import COEFFICIENTS_NAME, read_card
from composition.selection import reduced
from datamodules.errors import InputError
from lightning_modules.backbone import Backbone
from lightning_modules.delta import Delta, load_delta
from lightning_modules.delta.factors import uniform
from lightning_modules.delta.peft_folder import WEIGHTS_NAME, read_peft
from lightning_modules.delta.store import CARD_NAME

_log = logging.getLogger(__name__)
_TOLERANCE = 1e-3  # of shared directions that were computed again; other processors round otherwise


@dataclass(frozen=True)
class LoadedComposition:
    """A composition with what it is made of.

    Args:
        card: metadata.
        basis: its deltas on the backbone's model.
        composition: with the coefficients of the file, on the same model.
    """

    card: CompositionCard
    basis: Basis
    composition: Composition

    def delta(self) -> Delta:
        """The composition as one delta, see `composed_delta`."""
        return composed_delta(self.composition, self.card.delta_card())


def load_composition(
    folder: Path,
    *,
    backbone: Backbone,
    deltas: Mapping[str, Path] | None = None,
    stream: bool = False,
) -> LoadedComposition:
    """Read a composition and put it on a backbone, whose model is changed in place.

    Args:
        folder: what `save_composition` wrote.
        backbone: the base it was made on.
        deltas: name -> folder of deltas that no longer lie where composition.json says.
        stream: see `Composition`.

    Raises:
        InputError: saying what was expected, what came and what to do, if a file is missing or
            damaged, the base is another one, a delta is missing or was changed, or coefficients do
            not fit or are not finite.
    """
    card = read_card(folder)
    _check_base(card, backbone)
    given = dict(deltas or {})
    names = [record.name for record in card.deltas]
    if unknown := sorted(given.keys() - set(names)):
        raise InputError(
            f"{folder} has no deltas {', '.join(unknown)}, expected folders of {', '.join(names)}."
        )
    found = [_load(record, given.get(record.name), folder, backbone) for record in card.deltas]
    basis = reduced(Basis.from_deltas(found, backbone), card.chosen)
    named = read_coefficients(folder / COEFFICIENTS_NAME)
    composition = Composition(basis, card.granularity, stream=stream)
    loaded = LoadedComposition(card, basis, composition)
    try:
        composition.assign(named)
        _check_directions(loaded, folder)
    except InputError as error:
        composition.detach()
        raise InputError(f"{folder / COEFFICIENTS_NAME}: {error}") from None
    return loaded


def open_delta(folder: Path, backbone: Backbone) -> Delta:
    """A saved delta, or a composition as one delta of its own name.

    The adapter of a composition is its sum, if it was kept whole: then nothing else is needed. If
    it was truncated, or there is none, the sum is made again from the coefficients and deltas; it
    is dense where it has no low rank.

    Args:
        folder: what `save_delta` or `save_composition` wrote.
        backbone: the base; its model is left as it was.

    Raises:
        InputError: if it is damaged; or, of a composition that is summed again, see
            `load_composition`.
    """
    if not (folder / COMPOSITION_NAME).is_file():
        return load_delta(folder, stored=True)
    card = read_card(folder)
    if card.adapter.form != "exact":
        why = card.adapter.note or "its adapter is truncated"
        _log.info("composition %s is summed again from its deltas: %s", card.name, why)
        loaded = load_composition(folder, backbone=backbone)
        try:
            return loaded.delta()
        finally:
            loaded.composition.detach()
    factors, scales = read_peft(folder)
    if {name: len(factor.A) for name, factor in factors.items()} != card.adapter.ranks:
        raise InputError(
            f"{folder / WEIGHTS_NAME} has other modules or ranks than {COMPOSITION_NAME} says: one "
            "of them was changed. Compose again."
        )
    return Delta(replace(card.delta_card(), scale=uniform(scales)), factors=factors)


def _check_base(card: CompositionCard, backbone: Backbone) -> None:
    if (card.fingerprint, card.quick_gelu) != (backbone.fingerprint, backbone.quick_gelu):
        expected = _base(card.backbone, card.pretrained, card.quick_gelu, card.fingerprint)
        got = _base(backbone.name, backbone.pretrained, backbone.quick_gelu, backbone.fingerprint)
        raise InputError(
            f"the composition {card.name!r} was made on {expected}, got {got}. Its deltas are only "
            "right on top of the weights they were trained on: load "
            f"BACKBONE={card.backbone} PRETRAINED={card.pretrained or '(empty)'}."
        )


def _base(name: str, pretrained: str, quick_gelu: bool, digest: str) -> str:
    activation = "QuickGELU" if quick_gelu else "GELU"
    return f"{name} {pretrained} ({activation}, weights {digest[:12]})"


def _load(record: DeltaRecord, given: Path | None, folder: Path, backbone: Backbone) -> Delta:
    """A delta, if it is the one that was composed."""
    path = given or (folder.resolve() / record.folder).resolve()
    if not any((path / name).is_file() for name in (CARD_NAME, COMPOSITION_NAME)):
        raise InputError(
            f"the composition in {folder} needs the delta {record.name!r}, expected in {path}, "
            f"found no {CARD_NAME} there. Put it back, or say where it lies: "
            f"deltas={{{record.name!r}: ...}}."
        )
    delta = open_delta(path, backbone)
    got = delta.card.attribute
    if got != record.name:
        raise InputError(f"expected the delta {record.name!r} in {path}, got {got!r}.")
    if (digest := content_hash(delta)) != record.content_hash:
        raise InputError(
            f"the delta {record.name!r} in {path} has changed since it was composed: expected "
            f"content {record.content_hash[:12]}, got {digest[:12]}. Its coefficients no longer "
            "belong to it: put the former delta back, or compose again."
        )
    return delta


def _check_directions(loaded: LoadedComposition, folder: Path) -> None:
    """Shared directions are computed again: they must be those that the coefficients scale.

    Directions that two deltas nearly have in common are decided by rounding, which may differ
    between processors. Where the adapter was kept as it is, it holds what they were.
    """
    card = loaded.card
    if not card.granularity.startswith("spectral") or card.adapter.form != "exact":
        return
    kept, _ = read_peft(folder)
    distance = relative_distance(loaded.delta().factors, kept)
    if distance > _TOLERANCE:
        raise InputError(
            f"the directions of granularity {card.granularity} come out differently here than "
            f"where it was saved: relative difference {distance:.2g}, expected at most "
            f"{_TOLERANCE:g}. Use the adapter in {folder} with PEFT, or compose again."
        )
