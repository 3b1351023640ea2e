"""Compositions on disk: one folder each, written whole or not at all, checked when read.

composition.json            metadata (`CompositionCard`)
coefficients.safetensors    the coefficients by name
adapter_config.json         PEFT's, if the composition is of low rank
adapter_model.safetensors   PEFT's, likewise
open_clip/                  the merged model in open_clip's local-dir layout, if asked for
README.md                   the same for a reader
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

from composition.basis import content_hash
from composition.composed import Composition
from composition.export.card import MERGED_NAME, readme
from composition.export.coefficients_file import write_coefficients
from composition.export.folded import composed_delta, why_not_low_rank
from composition.export.recompress import recompress
from composition.export.schema import (
    AdapterRecord,
    CompositionCard,
    CompositionFacts,
    DeltaRecord,
)
from datamodules.errors import InputError
from datamodules.files import new_folder, read_json, write_json, write_text
from datamodules.names import safe_name
from lightning_modules.backbone import Backbone
from lightning_modules.delta import Delta, check_delta, export_merged
from lightning_modules.delta.peft_folder import write_peft

COMPOSITION_FOLDER = Path("artifacts/compositions")
CARD_NAME = "composition.json"
COEFFICIENTS_NAME = "coefficients.safetensors"


def composition_folder(name: str, root: Path = COMPOSITION_FOLDER) -> Path:
    """Where a composition lies: root/name, with a name that is safe as a folder.

    Example:
        >>> composition_folder("color_shape").as_posix()
        'artifacts/compositions/color_shape'
    """
    return root / safe_name(name)


def save_composition(
    folder: Path,
    composition: Composition,
    facts: CompositionFacts,
    *,
    backbone: Backbone,
    deltas: Mapping[Path, Delta],
    rank: int | None = None,
    energy: float | None = None,
    merged: bool = False,
) -> CompositionCard:
    """Write a composition's folder; a former one is replaced as a whole, or stays on any failure.

    Args:
        folder: see `composition_folder`.
        composition: with its coefficients as they are to be kept.
        facts: what only the caller knows; the card of a composition that was loaded will do.
        backbone: the base.
        deltas: folder -> delta, in the order of the composition.
        rank: truncate the adapter to this rank, see `recompress`.
        energy: truncate it to the rank that keeps this share of its energy.
        merged: write the merged model for open_clip, too; it is exact also where the adapter is
            not.

    Returns:
        What composition.json says; `adapter` tells whether there is an adapter and how exact it is.

    Raises:
        InputError: if deltas or backbone are not those of the composition, numbers are not finite,
            an adapter is to be truncated and there is none, or the folder cannot be written.
    """
    _check_deltas(composition, backbone, deltas)
    card = CompositionCard(
        **{item.name: getattr(facts, item.name) for item in fields(CompositionFacts)},
        deltas=tuple(_record(folder, path, delta) for path, delta in deltas.items()),
        backbone=backbone.name,
        pretrained=backbone.pretrained,
        fingerprint=backbone.fingerprint,
        quick_gelu=backbone.quick_gelu,
        granularity=composition.granularity,
        adapter=AdapterRecord(form="none"),
        merged=merged,
    )
    delta = composed_delta(composition, card.delta_card())
    adapter, card = _adapter(composition, delta, card, rank, energy)
    named = composition.named_coefficients()
    with new_folder(folder) as partial:
        if card.adapter.form != "none":
            write_peft(partial, adapter)
        if merged:
            export_merged(delta, backbone, partial / MERGED_NAME)
        write_coefficients(partial / COEFFICIENTS_NAME, named)
        write_json(partial / CARD_NAME, card.to_json())
        write_text(partial / "README.md", readme(card, named))
    return card


def read_card(folder: Path) -> CompositionCard:
    """Read the metadata of a composition.

    Raises:
        InputError: if there is none, or it is of another schema or damaged.
    """
    if not (folder / CARD_NAME).is_file():
        raise InputError(
            f"expected a composition in {folder}, found no {CARD_NAME} there. "
            'Make it with `make compose ATTRS="..."`.'
        )
    return CompositionCard.from_json(read_json(folder / CARD_NAME), folder / CARD_NAME)


def _check_deltas(
    composition: Composition, backbone: Backbone, deltas: Mapping[Path, Delta]
) -> None:
    names = tuple(delta.card.attribute for delta in deltas.values())
    if names != composition.delta_names:
        raise InputError(
            f"expected the deltas of the composition, {', '.join(composition.delta_names)}, got "
            f"{', '.join(names) or 'none'}. Give each with its folder, in the same order."
        )
    for delta in deltas.values():
        check_delta(delta, backbone)


def _record(folder: Path, path: Path, delta: Delta) -> DeltaRecord:
    seen_from = os.path.relpath(path.resolve(), folder.resolve())
    return DeltaRecord(
        name=delta.card.attribute,
        folder=Path(seen_from).as_posix(),
        content_hash=content_hash(delta),
    )


def _adapter(
    composition: Composition,
    delta: Delta,
    card: CompositionCard,
    rank: int | None,
    energy: float | None,
) -> tuple[Delta, CompositionCard]:
    """The delta to write as an adapter, and the card that says what it is."""
    truncate = rank is not None or energy is not None
    if reason := why_not_low_rank(composition):
        if truncate:
            raise InputError(
                f"expected a composition of low rank to truncate, but {reason}. Leave out rank "
                "and energy; the merged model holds the whole composition."
            )
        return delta, replace(card, adapter=AdapterRecord(form="none", note=reason))
    if not truncate:
        return delta, replace(card, adapter=AdapterRecord(form="exact", ranks=_ranks(delta)))
    smaller = recompress(delta.factors, rank=rank, energy=energy)
    delta = replace(delta, factors=smaller.factors)
    record = AdapterRecord(
        form="truncated", ranks=_ranks(delta), error=smaller.error, errors=smaller.errors
    )
    return delta, replace(card, adapter=record)


def _ranks(delta: Delta) -> dict[str, int]:
    return {name: len(factor.A) for name, factor in delta.factors.items()}
