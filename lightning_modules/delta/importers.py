"""Adapters that other programs trained, as deltas.

CLIP-LoRA (Zanella and Ben Ayed, 2024, https://arxiv.org/abs/2405.18541) saves

    {"weights": {"layer_<i>": {"q_proj": {"w_lora_A": (r, in), "w_lora_B": (out, r)}, ...}},
     "metadata": {"r", "alpha", "encoder", "params", "position"}}

where i counts the adapted blocks, first those of the text tower, then those of the image tower; the
output projection is called "proj", and the scale is alpha / sqrt(r).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from datamodules.errors import InputError
from lightning_modules.backbone import Backbone
from lightning_modules.delta.factors import Delta, Factor, check_factors, uniform
from lightning_modules.delta.peft_folder import read_peft
from lightning_modules.delta.schema import DeltaCard
from lightning_modules.lora import linear_modules
from lightning_modules.tensors import read_pickled

_PROJECTIONS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "proj"}
_TOWERS = {"text": "transformer", "vision": "visual.transformer"}
# CLIP-LoRA's --position: first and last adapted block, as shares of the tower's depth.
_POSITIONS = {
    "all": (0, 1),
    "bottom": (0, 1 / 3),
    "mid": (1 / 3, 2 / 3),
    "up": (2 / 3, 1),
    "half-up": (1 / 2, 1),
    "half-bottom": (0, 1 / 2),
}
_TOP = {"top": 1, "top1": 1, "top2": 2, "top3": 3}


def import_peft(
    folder: Path,
    backbone: Backbone,
    *,
    attribute: str,
    values: tuple[str, ...] = (),
    templates: tuple[str, ...] = (),
) -> Delta:
    """Read a folder that PEFT saved: plain LoRA on modules of the split backbone.

    Raises:
        InputError: if the adapter is of another kind, or does not fit the backbone.
    """
    factors, scales = read_peft(folder)
    card = _card(backbone, attribute, values, templates, f"PEFT folder {folder.resolve().name}")
    return _delta(card, factors, scales, backbone)


def import_clip_lora(
    path: Path,
    backbone: Backbone,
    *,
    attribute: str,
    values: tuple[str, ...] = (),
    templates: tuple[str, ...] = (),
) -> Delta:
    """Read a `.pt` file of CLIP-LoRA; nothing in it is run.

    Args:
        path: the file.
        backbone: OpenAI's weights of the architecture it was trained on: CLIP-LoRA knows no others.
        attribute: what the adapter was trained for.
        values: names of its classes.
        templates: its prompts.

    Raises:
        InputError: if the layout is another one, or does not fit the backbone.
    """
    content = read_pickled(path)
    weights, metadata = _parts(content, path)
    if not backbone.quick_gelu:
        raise InputError(
            f"CLIP-LoRA adapts OpenAI's weights, which use QuickGELU; got {backbone.name} "
            f"{backbone.pretrained}, which uses GELU. Load BACKBONE=ViT-B-16 PRETRAINED=openai, or "
            "the size it was trained on."
        )
    blocks = _blocks(metadata, len(weights), backbone, path)
    factors = {}
    for index, block in enumerate(blocks):
        layer = weights.get(f"layer_{index}", {})
        for letter in metadata["params"]:
            factors[_module(block, letter)] = _factor(layer, letter, index, path)
    check_factors(factors, str(path))
    scale = float(metadata["alpha"]) / math.sqrt(metadata["r"])
    card = _card(backbone, attribute, values, templates, f"CLIP-LoRA file {path.name}")
    return _delta(card, factors, dict.fromkeys(factors, scale), backbone)


def _parts(content: object, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    weights = content.get("weights") if isinstance(content, dict) else None
    metadata = content.get("metadata") if isinstance(content, dict) else None
    keys = ("r", "alpha", "encoder", "params", "position")
    whole = isinstance(weights, dict) and isinstance(metadata, dict)
    if not whole or any(key not in metadata for key in keys):  # type: ignore[operator]
        got = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(
            f"{path} is no file of CLIP-LoRA: expected weights and metadata with "
            f"{', '.join(keys)}; got {got}."
        )
    assert isinstance(weights, dict)
    assert isinstance(metadata, dict)
    if strange := [letter for letter in metadata["params"] if letter not in _PROJECTIONS]:
        raise InputError(f"{path}: params {', '.join(strange)}, expected of q, k, v, o.")
    return weights, metadata


def _blocks(metadata: dict[str, Any], count: int, backbone: Backbone, path: Path) -> list[str]:
    """Names of the adapted blocks in the order of the file."""
    encoder, position = metadata["encoder"], metadata["position"]
    towers = list(_TOWERS) if encoder == "both" else [encoder]
    if not set(towers) <= set(_TOWERS):
        raise InputError(f"{path}: encoder is {encoder!r}, expected text, vision or both.")
    linears = linear_modules(backbone.model)
    blocks = []
    for tower in towers:
        prefix = f"{_TOWERS[tower]}.resblocks"
        depth = sum(name.startswith(f"{prefix}.") for name in linears if name.endswith(".c_fc"))
        blocks += [f"{prefix}.{index}" for index in _indices(position, depth, path)]
    if count == len(blocks) - 3 and position == "all" and "vision" in towers:
        blocks = blocks[:-3]  # its early versions left out the last three of ViT-L/14's 24 blocks
    if count != len(blocks):
        raise InputError(
            f"{path} holds {count} layers, expected {len(blocks)} for encoder={encoder}, "
            f"position={position} on {backbone.name}. Load the backbone it was trained on."
        )
    return blocks


def _indices(position: str, depth: int, path: Path) -> range:
    if position in _TOP:
        return range(max(0, depth - _TOP[position]), depth)
    if position not in _POSITIONS:
        known = ", ".join([*_POSITIONS, *_TOP])
        raise InputError(f"{path}: position is {position!r}, expected one of {known}.")
    first, last = _POSITIONS[position]
    return range(round(first * depth), round(last * depth))


def _module(block: str, letter: str) -> str:
    return f"{block}.attn.{'out_proj' if letter == 'o' else _PROJECTIONS[letter]}"


def _factor(layer: object, letter: str, index: int, path: Path) -> Factor:
    entry = layer.get(_PROJECTIONS[letter]) if isinstance(layer, Mapping) else None
    halves = [entry.get(f"w_lora_{half}") for half in "AB"] if isinstance(entry, Mapping) else []
    pair = [half.detach().float() for half in halves if isinstance(half, Tensor)]
    if len(pair) != 2:
        raise InputError(
            f"{path}: layer_{index} has no w_lora_A and w_lora_B for {_PROJECTIONS[letter]}, "
            "though its metadata lists it. The file is not whole: copy it again."
        )
    return Factor(*pair)


def _card(
    backbone: Backbone,
    attribute: str,
    values: tuple[str, ...],
    templates: tuple[str, ...],
    origin: str,
) -> DeltaCard:
    return DeltaCard(
        attribute=attribute,
        values=values,
        templates=templates,
        backbone=backbone.name,
        pretrained=backbone.pretrained,
        fingerprint=backbone.fingerprint,
        quick_gelu=backbone.quick_gelu,
        protocol={"imported_from": origin},
    )


def _delta(
    card: DeltaCard, factors: dict[str, Factor], scales: dict[str, float], backbone: Backbone
) -> Delta:
    delta = Delta(replace(card, scale=uniform(scales)), factors=factors)
    delta.check_fits(backbone.model)
    return delta
