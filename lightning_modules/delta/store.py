"""Deltas on disk: one folder each, written whole or not at all, checked before anything uses them.

delta.json                  metadata (`DeltaCard`)
adapter_config.json         PEFT's, for kind "lora"
adapter_model.safetensors   PEFT's, for kind "lora"
dense.safetensors           weight differences, for kind "dense"
README.md                   the same for a reader
"""

from __future__ import annotations

import math
from pathlib import Path

from datamodules.errors import InputError
from datamodules.files import new_folder, read_json, write_json, write_text
from datamodules.names import safe_name
from lightning_modules.backbone import Backbone
from lightning_modules.delta.card import readme
from lightning_modules.delta.factors import Delta, check_factors, check_finite
from lightning_modules.delta.peft_folder import (
    WEIGHTS_NAME,
    read_peft,
    stored_factors,
    write_peft,
)
from lightning_modules.delta.schema import DeltaCard
from lightning_modules.stored_tensors import StoredTensors
from lightning_modules.tensors import first_five, read_tensors, write_tensors

DELTA_FOLDER = Path("artifacts/deltas")
CARD_NAME = "delta.json"
DENSE_NAME = "dense.safetensors"


def delta_folder(backbone: str, source: str, attribute: str, root: Path = DELTA_FOLDER) -> Path:
    """Where a delta lies: root/backbone/source/attribute, with names that are safe as folders.

    Example:
        >>> delta_folder("ViT-B-32", "glyphs", "color").as_posix()
        'artifacts/deltas/ViT-B-32/glyphs/color'
    """
    return root / Path(backbone).name / safe_name(source) / safe_name(attribute)


def save_delta(folder: Path, delta: Delta) -> None:
    """Write a delta's folder; a former one is replaced as a whole, or stays if anything fails.

    Raises:
        InputError: if numbers are not finite, the disk is full or the folder cannot be written.
    """
    check_factors(delta.factors, str(folder))
    check_finite(delta.differences, str(folder))
    with new_folder(folder) as partial:
        if delta.card.kind == "lora":
            write_peft(partial, delta)
        else:
            write_tensors(partial / DENSE_NAME, delta.differences)
        write_json(partial / CARD_NAME, delta.card.to_json())
        write_text(partial / "README.md", readme(delta.card))


def load_delta(folder: Path, *, backbone: Backbone | None = None, stored: bool = False) -> Delta:
    """Read a delta and check it: schema, names, shapes, finiteness and, given one, the backbone.

    Args:
        folder: what `save_delta` wrote.
        backbone: the model it is meant for, see `check_delta`.
        stored: leave its numbers in the file once they are checked, and read each tensor when it
            is asked for: hundreds of deltas then take no memory. The file must stay as it is.

    Raises:
        InputError: saying what was expected, what came and what to do.
    """
    if not (folder / CARD_NAME).is_file():
        raise InputError(
            f"expected a delta in {folder}, found no {CARD_NAME} there. "
            "Train it with `make train ATTR=...`; a folder of plain PEFT is read by import_peft."
        )
    card = DeltaCard.from_json(read_json(folder / CARD_NAME), folder / CARD_NAME)
    if card.kind == "lora":
        factors, scales = read_peft(folder)
        delta = Delta(card, factors=factors)
        _check_scales(delta, scales, folder)
        if stored and (folder / WEIGHTS_NAME).is_file():
            delta = Delta(card, factors=stored_factors(folder))
    elif card.kind == "dense":
        path = folder / DENSE_NAME
        delta = Delta(card, differences=StoredTensors(path) if stored else read_tensors(path))
        check_finite(delta.differences, str(folder / DENSE_NAME))
    else:
        raise InputError(
            f'{folder / CARD_NAME}: kind is {card.kind!r}, expected "lora" or "dense".'
        )
    if backbone is not None:
        check_delta(delta, backbone)
    return delta


def check_delta(delta: Delta, backbone: Backbone) -> None:
    """Check that a delta was trained on exactly these weights and fits their names and shapes.

    Raises:
        InputError: saying what was expected, what came and what to do.
    """
    card = delta.card
    if (card.fingerprint, card.quick_gelu) != (backbone.fingerprint, backbone.quick_gelu):
        raise InputError(
            f"the delta {card.attribute!r} was trained on {_base(card)}, got {_base(backbone)}. "
            "A delta is only right on top of the weights it was trained on: load "
            f"BACKBONE={card.backbone} PRETRAINED={card.pretrained or '(empty)'}, or train it "
            f"again on {backbone.name}."
        )
    delta.check_fits(backbone.model)


def find_deltas(folder: Path) -> dict[str, Path]:
    """Display name of the attribute -> folder, for every delta directly under `folder`, sorted."""
    found = {}
    for path in sorted(folder.glob(f"*/{CARD_NAME}")):
        found[DeltaCard.from_json(read_json(path), path).attribute] = path.parent
    return dict(sorted(found.items()))


def _base(base: DeltaCard | Backbone) -> str:
    name = base.backbone if isinstance(base, DeltaCard) else base.name
    activation = "QuickGELU" if base.quick_gelu else "GELU"
    return f"{name} {base.pretrained} ({activation}, weights {base.fingerprint[:12]})"


def _check_scales(delta: Delta, scales: dict[str, float], folder: Path) -> None:
    """The scale in delta.json and the one that PEFT computes must be the same number."""
    own = delta.card.scale
    if isinstance(own, dict) and own.keys() != scales.keys():
        raise InputError(
            f"{folder / CARD_NAME}: scale names other modules than the weights do: "
            f"{first_five(sorted(own.keys() ^ scales.keys()))}. Save the delta again."
        )
    for name, scale in scales.items():
        if not math.isclose(delta.scale(name), scale, rel_tol=1e-6):
            raise InputError(
                f"{folder}: {CARD_NAME} says scale {delta.scale(name):g} for {name}, but "
                f"lora_alpha and r of adapter_config.json give {scale:g}. One was edited: put "
                "back the number it was trained with, or train the delta again."
            )
