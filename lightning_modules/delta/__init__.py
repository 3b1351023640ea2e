"""Deltas: what the training of one attribute added to a CLIP, on disk and in memory."""

from lightning_modules.delta.export import export_merged, merged_state_dict
from lightning_modules.delta.factors import Delta, Factor
from lightning_modules.delta.importers import import_clip_lora, import_peft
from lightning_modules.delta.schema import DeltaCard, current_versions
from lightning_modules.delta.store import (
    check_delta,
    delta_folder,
    find_deltas,
    load_delta,
    save_delta,
)

__all__ = [
    "Delta",
    "DeltaCard",
    "Factor",
    "check_delta",
    "current_versions",
    "delta_folder",
    "export_merged",
    "find_deltas",
    "import_clip_lora",
    "import_peft",
    "load_delta",
    "merged_state_dict",
    "save_delta",
]
