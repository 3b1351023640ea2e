"""PEFT's folder: adapter_config.json and adapter_model.safetensors.

Read and written without PEFT's calls to the hub. The names of the target modules are written out in
full: PEFT itself shortens long lists to endings, which on another model could choose more modules.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from datamodules.errors import InputError
from datamodules.files import read_json, write_json
from lightning_modules.attention import base_name
from lightning_modules.delta.factors import Delta, Factor, check_factors
from lightning_modules.stored_tensors import StoredTensors
from lightning_modules.tensors import first_five, read_weights, write_tensors

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
_PICKLED_NAME = "adapter_model.bin"
_PREFIX = "base_model.model."
# Options under which an adapter is more than W + scale * B A, and what turns each off.
_NOT_LINEAR = {
    "use_dora": False,
    "bias": "none",
    "lora_bias": False,
    "modules_to_save": None,
    "target_parameters": None,
    "fan_in_fan_out": False,
    "trainable_token_indices": None,
}


class StoredFactors(Mapping[str, Factor]):
    """Factors by module name that stay in their file and are read when they are asked for.

    Args:
        tensors: of the file.
        names: module -> names of its two factors in the file.
    """

    def __init__(self, tensors: StoredTensors, names: Mapping[str, tuple[str, str]]) -> None:
        self._tensors = tensors
        self._names = names

    def __getitem__(self, name: str) -> Factor:
        a, b = self._names[name]
        return Factor(self._tensors[a], self._tensors[b])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def write_peft(folder: Path, delta: Delta) -> None:
    """Write what `peft.PeftModel.from_pretrained` needs to load the delta on the split backbone.

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    config = delta.lora_config()
    config.base_model_name_or_path = "/".join(
        filter(None, [delta.card.backbone, delta.card.pretrained])
    )
    config.inference_mode = True
    to_dict: Callable[[], dict[str, Any]] = config.to_dict
    content = {
        key: sorted(value) if isinstance(value, set) else value for key, value in to_dict().items()
    }
    write_json(folder / CONFIG_NAME, content)
    tensors = {}
    for name, factor in delta.factors.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = factor.A
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = factor.B
    write_tensors(folder / WEIGHTS_NAME, tensors)


def stored_factors(folder: Path) -> StoredFactors:
    """The factors of an adapter, left in its safetensors file; `read_peft` has checked them.

    Raises:
        InputError: if the file is missing or damaged.
    """
    path = folder / WEIGHTS_NAME
    tensors = StoredTensors(path)
    return StoredFactors(tensors, _pair(tensors, path))


def read_peft(folder: Path) -> tuple[dict[str, Factor], dict[str, float]]:
    """Factors and scales of an adapter that PEFT or this project wrote, by module name.

    Raises:
        InputError: if the adapter is no plain LoRA of `nn.Linear` modules, or a file is damaged.
    """
    config = read_json(folder / CONFIG_NAME)
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else type(config).__name__
        raise InputError(f"{folder / CONFIG_NAME} is of type {kind}, expected LORA.")
    wrong = [key for key, off in _NOT_LINEAR.items() if (config.get(key) or off) != off]
    if wrong:
        raise InputError(
            f"{folder / CONFIG_NAME} sets {', '.join(wrong)}, so it is more than W + s B A. "
            "Expected plain LoRA: train it again without these."
        )
    path = folder / WEIGHTS_NAME
    if not path.is_file() and (folder / _PICKLED_NAME).is_file():
        path = folder / _PICKLED_NAME
    tensors = read_weights(path)
    names = _pair(tensors, path)
    factors = {name: Factor(tensors[a], tensors[b]) for name, (a, b) in names.items()}
    check_factors(factors, str(path))
    return factors, {name: _scale(config, name, len(factor.A)) for name, factor in factors.items()}


def _pair(tensors: Iterable[str], path: Path) -> dict[str, tuple[str, str]]:
    """Module -> names of its two factors."""
    halves: dict[str, dict[str, str]] = {}
    strange = []
    for name in tensors:
        match = re.fullmatch(r"(.+)\.lora_([AB])\.weight", name)
        if match:
            module = sys.intern(base_name(match.group(1)))  # hundreds of deltas share their names
            halves.setdefault(module, {})[match.group(2)] = sys.intern(name)
        else:
            strange.append(name)
    halved = (name for name, half in halves.items() if len(half) < 2)
    strange += [f"{name} without its other factor" for name in halved]
    if strange or not halves:
        raise InputError(
            f"{path}: {len(strange)} tensors that are no LoRA factors: "
            f"{first_five(sorted(strange)) or 'the file is empty'}. Expected pairs "
            "<module>.lora_A.weight, <module>.lora_B.weight."
        )
    return {name: (halves[name]["A"], halves[name]["B"]) for name in sorted(halves)}


def _scale(config: dict[str, Any], name: str, rank: int) -> float:
    """PEFT's rule: alpha / r, or alpha / sqrt(r), after the patterns of the configuration."""
    alpha = config.get("lora_alpha", 8)
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", name):
            alpha = value
            break
    return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)
