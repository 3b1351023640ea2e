"""Which files of this machine a CLIP's name stands for.

    clip:glyph-clip                        the folder artifacts/base/glyph-clip
    clip:path/to/folder                    a folder in open_clip's local-dir layout
    clip:ViT-B-32,laion2b_s34b_b79k        a tag whose file is on this machine already
    clip:ViT-B-32,weights.safetensors      a local file

The activation follows the weights: the config or the tag says it, of a file also its name
("openai", "quickgelu").
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.errors import InputError
from datamodules.files import read_json

BASE_FOLDER = Path("artifacts/base")
_CONFIG = "open_clip_config.json"
_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
)


@dataclass(frozen=True)
class ClipFiles:
    """Where a CLIP comes from.

    Args:
        name: what a person calls it.
        identifier: what open_clip calls it: an architecture, or "local-dir:<folder>".
        weights: the file.
        model_cfg: open_clip's architecture entry.
        quick_gelu: whether the activation is QuickGELU.
    """

    name: str
    identifier: str
    weights: Path
    model_cfg: dict[str, Any]
    quick_gelu: bool

    @property
    def tokenizer_files(self) -> list[Path]:
        """Files of a tokenizer that lie beside the weights."""
        if not self.identifier.startswith("local-dir:"):
            return []
        return sorted(self.weights.parent.glob("tokenizer*.json"))


def find_clip(model: str, pretrained: str = "", base_folder: Path = BASE_FOLDER) -> ClipFiles:
    """Find a CLIP's files; nothing is downloaded.

    Args:
        model: an architecture of open_clip, or the name or path of a folder.
        pretrained: for an architecture a tag or a weight file; for a folder nothing.
        base_folder: where folders known by name lie.

    Raises:
        InputError: if there are none; the message says what to give.
    """
    for folder in (Path(model), base_folder / model):
        if (folder / _CONFIG).is_file():
            return _in_folder(folder, pretrained)
    import open_clip

    architecture = model.replace("/", "-")
    if architecture not in open_clip.list_models():
        raise InputError(
            f"expected a CLIP, got {model!r}: no folder with {_CONFIG} (looked in {Path(model)} "
            f"and {base_folder / model}) and no architecture of open_clip. Write clip:glyph-clip, "
            "clip:path/to/folder, or clip:ARCHITECTURE,FILE such as clip:ViT-B-32,file.safetensors."
        )
    return _of_architecture(architecture, pretrained)


def _in_folder(folder: Path, pretrained: str) -> ClipFiles:
    if pretrained:
        raise InputError(
            f"{folder} has weights of its own, expected nothing after its name, got "
            f"{pretrained!r}. Leave it out."
        )
    config = read_json(folder / _CONFIG)
    model_cfg = config.get("model_cfg") if isinstance(config, dict) else None
    if not isinstance(model_cfg, dict):
        raise InputError(
            f'{folder / _CONFIG} has no "model_cfg"; expected open_clip\'s layout. Give another '
            "folder."
        )
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return ClipFiles(
                f"clip:{folder.resolve().name}", f"local-dir:{folder}", folder / name, model_cfg,
                bool(model_cfg.get("quick_gelu", False)),
            )  # fmt: skip
    raise InputError(f"expected {folder / _WEIGHTS[0]}, found no weight file there. Copy it there.")


def _of_architecture(name: str, pretrained: str) -> ClipFiles:
    import open_clip

    model_cfg: dict[str, Any] = open_clip.get_model_config(name)
    quick_gelu = bool(model_cfg.get("quick_gelu", False))
    file = Path(pretrained)
    if tag := open_clip.get_pretrained_cfg(name, pretrained):
        weights = _cached(str(tag.get("hf_hub", "")))
        quick_gelu = quick_gelu or bool(tag.get("quick_gelu", False))
    else:
        weights = file if file.is_file() else None
        named = file.name.lower().replace("_", "")
        quick_gelu = quick_gelu or any(word in named for word in ("openai", "quickgelu"))
    if weights is None:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise InputError(
            f"expected weights of {name} on this machine, got {pretrained!r}: "
            + ("a tag whose file was never downloaded here" if tag else "no file and no tag")
            + f". Nothing is downloaded: give a weight file, as in clip:{name},file.safetensors. "
            f"Tags of {name}: {tags}."
        )
    shown = pretrained if tag else file.name
    return ClipFiles(f"clip:{name},{shown}", name, weights, model_cfg, quick_gelu)


def _cached(hub: str) -> Path | None:
    """A tag's file in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    repository, _, file = hub.rpartition("/")
    for name in (_WEIGHTS[0], file or _WEIGHTS[-1]) if repository else ():
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None
